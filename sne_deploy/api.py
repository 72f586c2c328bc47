"""What ``import sne_deploy as sne`` offers: the command line, in Python."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from sne_deploy.backend import Progress, RunOptions, backend_names, load_backend
from sne_deploy.compiled import Compiled, Result
from sne_deploy.energy.hardware import Hardware, load_hardware
from sne_deploy.ensembles import ActivationPolicy, Encoder, Ensemble, Head, Readout
from sne_deploy.errors import GraphError, InputError, UnsupportedError
from sne_deploy.ir.program import Precision, Program
from sne_deploy.models import ModelPath, ensemble_of_modules, load_model, raise_unsupported
from sne_deploy.runtime.head import check_head

if TYPE_CHECKING:
    import torch

__all__ = ["Compiled", "Result", "compile", "ensemble", "load"]
REFERENCE = "norse"
"""The target that a fixed-point run is compared with."""


def load(
    model: ModelPath | Sequence[ModelPath], *, timesteps: int | None = None, dt_s: float | None = None
) -> Ensemble:
    """Read a model; see :func:`sne_deploy.models.load_model`."""
    return load_model(model, timesteps=timesteps, dt_s=dt_s)


def ensemble(
    modules: Sequence[torch.nn.Module],
    *,
    input_shape: tuple[int, ...],
    timesteps: int,
    encoder: Encoder | None = None,
    readout: Readout | None = None,
    head: Head | None = None,
    names: Sequence[str] | None = None,
) -> Ensemble:
    """Make an ensemble of live Norse modules; see :func:`sne_deploy.models.ensemble_of_modules`."""
    return ensemble_of_modules(
        modules,
        input_shape=input_shape,
        timesteps=timesteps,
        encoder=encoder,
        readout=readout,
        head=head,
        names=names,
    )


def compile(  # noqa: A001  the design's name for it
    ensemble: Ensemble,
    target: str = "lava",
    *,
    precision: Precision | None = None,
    hardware: str | os.PathLike[str] | Hardware = "loihi1",
    policy: ActivationPolicy | None = None,
    seed: int = 0,
    fidelity: bool = True,
    progress: Progress | None = None,
) -> Compiled:
    """Compile an ensemble for a target.

    Parameters
    ----------
    ensemble : Ensemble
    target : str
        A backend's name: ``lava``, ``norse``, or one that another package adds.
    precision : {"fixed", "float"} or None
        None: fixed point where the target has it.
    hardware : str, path or Hardware
        A built-in name or a TOML file with the energy constants.
    policy : ActivationPolicy or None
        Overrides the ensemble's own.
    seed : int
        Of random encoders.
    fidelity : bool
        Compare a fixed-point run with the floating-point reference.
    progress : callable or None

    Raises
    ------
    TargetError
        Unknown target, or something it needs is not installed.
    UnsupportedError
        Everything that cannot be compiled, at once.
    """
    backend = load_backend(target)
    constants = hardware if isinstance(hardware, Hardware) else load_hardware(hardware)
    precisions = backend.capabilities().precisions
    chosen: Precision = precision or ("fixed" if "fixed" in precisions else "float")
    if chosen not in precisions:
        raise InputError(
            f"target {target!r} has no precision {chosen!r}; it has {', '.join(precisions)}: give --precision"
        )
    if policy is not None:
        ensemble = replace(ensemble, policy=policy)
    programs = _programs(ensemble, chosen, progress)
    check_head(ensemble.head, [program.output_group.size for program in programs])
    with ExitStack() as resources:
        executables = []
        for program in programs:
            executables.append(backend.compile(program, RunOptions(progress=progress)))
            resources.push(executables[-1])
        compare = fidelity and chosen == "fixed"
        reference, warnings = _reference(ensemble, constants, seed) if compare else (None, ())
        if reference is not None:
            resources.push(reference)
        return Compiled(
            ensemble,
            programs,
            tuple(executables),
            reference,
            target=target,
            hardware=constants,
            seed=seed,
            resources=resources.pop_all(),
            warnings=warnings,
        )


def _programs(ensemble: Ensemble, precision: Precision, progress: Progress | None) -> tuple[Program, ...]:
    """Compile every student; what is unsupported in any of them is one error."""
    from sne_deploy.passes.pipeline import compile_student

    programs: list[Program] = []
    refused: list[UnsupportedError] = []
    for index, student in enumerate(ensemble.students, 1):
        try:
            program = compile_student(
                student,
                input_shape=ensemble.input_shape,
                timesteps=ensemble.timesteps,
                encoder=ensemble.encoder,
                precision=precision,
            )
            programs.append(program)
        except UnsupportedError as error:
            refused.append(error)
        if progress is not None:
            progress("compiling", index, len(ensemble.students))
    raise_unsupported(refused)
    return tuple(programs)


def _reference(ensemble: Ensemble, hardware: Hardware, seed: int) -> tuple[Compiled | None, tuple[str, ...]]:
    """The same ensemble in floating point, or the reason why there is none."""
    if REFERENCE not in backend_names():
        return None, (f"no floating-point comparison: target {REFERENCE!r} is not installed",)
    try:
        return compile(ensemble, REFERENCE, precision="float", hardware=hardware, seed=seed), ()
    except (UnsupportedError, GraphError) as error:  # it is compiled already: Norse alone cannot express it
        return None, (f"no floating-point comparison: {error}",)
