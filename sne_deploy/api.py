"""What ``import sne_deploy as sne`` offers: the command line, in Python."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from sne_deploy.backend import Backend, Executable, Progress, RunOptions, backend_names, load_backend
from sne_deploy.chips.chip import DEFAULT_CHIP, Chip, load_chip
from sne_deploy.chips.registers import RegisterFormats
from sne_deploy.compiled import Compiled, Result
from sne_deploy.errors import GraphError, InputError, UnsupportedError
from sne_deploy.frontend.models import ModelPath, ensemble_of_modules, load_model, raise_unsupported
from sne_deploy.frontend.options import ReadOptions
from sne_deploy.ir.program import Precision, Program
from sne_deploy.model.ensemble import ActivationPolicy, Encoder, Ensemble, Head, Readout
from sne_deploy.runtime.execution import InProcess, OnExecutor, Runner
from sne_deploy.runtime.executors import open_executor
from sne_deploy.runtime.head import check_head

if TYPE_CHECKING:
    import torch

    from sne_deploy.frontend.nir.resets import ResetMode

__all__ = ["Compiled", "Result", "compile", "ensemble", "load"]
REFERENCE = "norse"
"""The target that a fixed-point run is compared with."""


def load(
    model: ModelPath | Sequence[ModelPath],
    *,
    timesteps: int | None = None,
    dt_s: float | None = None,
    input_shape: tuple[int, ...] | None = None,
    reset: ResetMode | None = None,
) -> Ensemble:
    """Read a model; see :func:`sne_deploy.frontend.models.load_model`, and its options there.

    Options are for what the files do not say: :class:`sne_deploy.frontend.options.ReadOptions`.
    """
    options = ReadOptions(timesteps=timesteps, dt_s=dt_s, input_shape=input_shape, reset=reset)
    return load_model(model, options)


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
    """Make an ensemble of live Norse modules; see :func:`sne_deploy.frontend.models.ensemble_of_modules`."""
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
    hardware: str | os.PathLike[str] | Chip = DEFAULT_CHIP,
    policy: ActivationPolicy | None = None,
    seed: int = 0,
    weight_bits: int | None = None,
    fidelity: bool = True,
    progress: Progress | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    device: str | None = None,
) -> Compiled:
    """Compile an ensemble for a target.

    Parameters
    ----------
    ensemble : Ensemble
    target : str
        A backend's name: ``lava``, ``loihi``, ``norse``, or one that another package adds.
    precision : {"fixed", "float"} or None
        None: fixed point where the target has it.
    hardware : str, path or Chip
        A built-in name or a chip's TOML file: what can be compiled, and what operations cost.
    policy : ActivationPolicy or None
        Overrides the ensemble's own.
    seed : int
        Of random encoders.
    weight_bits : int or None
        Of a fixed-point weight: from 2 to the chip's, or 16 for two synapses of 8 bits per weight. None: the
        chip's.
    fidelity : bool
        Compare a fixed-point run with the floating-point reference.
    progress : callable or None
    workers : int or None
        Number of processes of this machine to run on, instead of in this one.
    scheduler : str or None
        Run on the Dask cluster of this scheduler, such as ``tcp://host:8786``.
    device : str or None
        A PyTorch device for target ``loihi``, such as ``cuda``; None: this machine's processor. The same
        integers, which ``verify`` of :meth:`Compiled.run` checks on your device.

    Raises
    ------
    TargetError
        Unknown target, or something it needs is not installed.
    UnsupportedError
        Everything that cannot be compiled, at once.
    """
    backend = load_backend(target)
    chip = hardware if isinstance(hardware, Chip) else load_chip(hardware)
    capabilities = backend.capabilities()
    precisions = capabilities.precisions
    chosen: Precision = precision or ("fixed" if "fixed" in precisions else "float")
    if chosen not in precisions:
        raise InputError(
            f"target {target!r} has no precision {chosen!r}; it has {', '.join(precisions)}: give --precision"
        )
    if device is not None and target != "loihi":
        raise InputError(f"--device {device} is for target 'loihi' alone, not {target!r}; leave it out")
    extra = {} if device is None else {"device": device}
    if policy is not None:
        ensemble = replace(ensemble, policy=policy)
    formats = capabilities.formats(chip.registers, weight_bits)
    programs, real = _programs(ensemble, chosen, formats, progress)
    check_head(ensemble.head, [program.output_size for program in programs])
    with ExitStack() as resources:
        executor = resources.enter_context(open_executor(workers, scheduler))
        options = RunOptions(progress=progress, extra=extra)
        executables, runner = _executables(backend, programs, executor, resources, options)
        compiled = partial(Compiled, ensemble, hardware=chip, seed=seed)
        reference: Compiled | None = None
        warnings: tuple[str, ...] = ()
        if fidelity and chosen == "fixed":
            reference, warnings = _reference(compiled, ensemble, real, chip, executor, resources)
        return compiled(
            programs,
            executables,
            runner,
            reference,
            target=target,
            resources=resources.pop_all(),
            warnings=warnings,
        )


def _executables(
    backend: Backend,
    programs: tuple[Program, ...],
    executor: tuple[Executor, int] | None,
    resources: ExitStack,
    options: RunOptions,
) -> tuple[tuple[Executable, ...], Runner]:
    """Executables of this process, which the resources close, and the runner that is to be used."""
    executables: list[Executable] = []
    for program in programs:
        executables.append(backend.compile(program, options))
        resources.push(executables[-1])
    if executor is None:
        return tuple(executables), InProcess(tuple(executables))
    engine, workers = executor
    return tuple(executables), OnExecutor(
        engine, backend.name, programs, workers, options.progress, options.extra
    )


def _programs(
    ensemble: Ensemble, precision: Precision, formats: RegisterFormats, progress: Progress | None
) -> tuple[tuple[Program, ...], dict[str, Program]]:
    """Compile every student; what is unsupported in any of them is one error.

    Returns
    -------
    programs : tuple of Program
    real : dict of student name to Program
        Those that were compiled in floating point on the way.
    """
    from sne_deploy.passes.pipeline import compile_member, quantised

    programs: list[Program] = []
    real: dict[str, Program] = {}
    refused: list[UnsupportedError] = []
    for index, student in enumerate(ensemble.students, 1):
        try:
            if precision == "float" or isinstance(student.network, Program):  # registers, as they were read
                programs.append(compile_member(ensemble, student, precision, formats))
            else:
                real[student.name] = compile_member(ensemble, student, "float", formats)
                programs.append(quantised(real[student.name], formats))
        except UnsupportedError as error:
            refused.append(error)
        if progress is not None:
            progress("compiling", index, len(ensemble.students))
    raise_unsupported(refused)
    return tuple(programs), real


def _reference(
    compiled: Callable[..., Compiled],
    ensemble: Ensemble,
    real: Mapping[str, Program],
    chip: Chip,
    executor: tuple[Executor, int] | None,
    resources: ExitStack,
) -> tuple[Compiled | None, tuple[str, ...]]:
    """The same ensemble in floating point, or the reason why there is none."""
    from sne_deploy.passes.pipeline import compile_member

    if REFERENCE not in backend_names():
        return None, (f"no floating-point comparison: target {REFERENCE!r} is not installed",)
    try:
        programs = tuple(
            real.get(student.name) or compile_member(ensemble, student, "float", chip.registers)
            for student in ensemble.students
        )
        ran = _executables(load_backend(REFERENCE), programs, executor, resources, RunOptions())
    except (UnsupportedError, GraphError) as error:  # it is compiled already: Norse alone cannot express it
        return None, (f"no floating-point comparison: {error}",)
    return compiled(programs, *ran, None, target=REFERENCE, resources=ExitStack()), ()
