"""What ``import sne_deploy as sne`` offers: the command line, in Python."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sne_deploy.backend import Executable, Progress, Record, RunOptions, backend_names, load_backend
from sne_deploy.energy.hardware import Hardware, load_hardware
from sne_deploy.ensembles import ActivationPolicy, Encoder, Ensemble, Head, Readout
from sne_deploy.errors import InputError, UnsupportedError
from sne_deploy.ir.program import Precision, Program
from sne_deploy.models import ModelPath, ensemble_of_modules, load_model
from sne_deploy.runtime.result import RunResult, StudentResult

if TYPE_CHECKING:
    import torch

    from sne_deploy.report.schema import Report

Array = npt.NDArray[Any]
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


@dataclass(frozen=True, eq=False)
class Result:
    """A run and its report."""

    run: RunResult
    report: Report

    @property
    def students(self) -> tuple[StudentResult, ...]:
        """Counts, outputs and recorded spikes of every student."""
        return self.run.students

    @property
    def logits(self) -> Array:
        """Float64 array of shape (N, classes)."""
        return self.run.logits

    @property
    def predictions(self) -> Array:
        """Int64 array of shape (N,)."""
        return self.run.predictions

    @property
    def active(self) -> Array:
        """Bool array of shape (N, students)."""
        return self.run.active

    @property
    def accuracy(self) -> float | None:
        """Fraction of correct predictions; None without labels."""
        return self.run.accuracy

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write ``report.json`` and ``students/NAME.nir``, each atomically."""
        from sne_deploy.files import ensure_folder
        from sne_deploy.frontend.nir_file import write_nir
        from sne_deploy.report.write import save_report

        students = ensure_folder(Path(folder) / "students")
        for student in self.students:
            write_nir(students / f"{student.name}.nir", student.program.graph)
        save_report(self.report, folder)


class Compiled:
    """An ensemble compiled for a target; a context manager that frees the target's resources."""

    def __init__(
        self,
        ensemble: Ensemble,
        programs: tuple[Program, ...],
        executables: tuple[Executable, ...],
        reference: Compiled | None,
        *,
        target: str,
        hardware: Hardware,
        seed: int,
        resources: ExitStack,
        warnings: tuple[str, ...] = (),
    ) -> None:
        self.ensemble = ensemble
        self.programs = programs
        self.target = target
        self.hardware = hardware
        self._executables = executables
        self._reference = reference
        self._seed = seed
        self._resources = resources
        self._warnings = warnings

    def __enter__(self) -> Compiled:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.__exit__(kind, error, trace)

    @property
    def precision(self) -> Precision:
        """Of the Programs."""
        return self.programs[0].precision

    def run(
        self,
        x: Array,
        y: Array | None = None,
        record: Record = "counts",
        *,
        model: str = "ensemble",
        data_name: str = "arrays",
        teacher: str | os.PathLike[str] | None = None,
        command: str | None = None,
    ) -> Result:
        """Run samples through the ensemble and report.

        Parameters
        ----------
        x : array of shape (N, *input_shape), or (N, T, *input_shape) where the model takes spikes
        y : int array of shape (N,), or None
            Labels.
        record : {"counts", "spikes", "all"}
        model, data_name : str
            Names for the report.
        teacher : path or None
            An ONNX file to compare with, on the same samples.
        command : str or None
            For the report's provenance.

        Raises
        ------
        DataError
            x or y does not fit the model.
        RunError
            A simulation failed.
        """
        from sne_deploy.data.dataset import ModelInput, fit_to_model
        from sne_deploy.data.encode import encode
        from sne_deploy.report.build import build_report
        from sne_deploy.teacher import evaluate_teacher

        started = time.perf_counter()
        takes = ModelInput(self.ensemble.input_shape, self.ensemble.timesteps, self.ensemble.encoder)
        data = fit_to_model(data_name, np.asarray(x), None if y is None else np.asarray(y), takes)
        evaluated = None if teacher is None else evaluate_teacher(teacher, data.x, data.y)
        inputs = encode(self.ensemble.encoder, data.x, self.ensemble.timesteps, self._seed)
        compared = self._reference is not None
        run = self.run_encoded(inputs, data.y, "spikes" if compared and record == "counts" else record)
        reference = None if self._reference is None else self._reference.run_encoded(inputs, data.y, "spikes")
        agreement = None if reference is None else _agreement(run, reference)
        run = replace(run, warnings=(*self._warnings, *run.warnings))
        report = build_report(
            self.ensemble,
            run,
            model=model,
            target=self.target,
            precision=self.precision,
            hardware=self.hardware,
            data_name=data_name,
            provenance=_provenance(self._seed, command, time.perf_counter() - started),
            float_result=reference,
            layer_agreement=agreement,
            teacher=evaluated,
        )
        if record == "counts":
            run = replace(run, students=tuple(replace(student, spikes={}) for student in run.students))
        return Result(run, report)

    def run_encoded(self, inputs: Array, y: Array | None, record: Record) -> RunResult:
        """Run samples that are encoded already: the counts alone, without a report."""
        from sne_deploy.runtime.run import run_ensemble

        return run_ensemble(
            self.ensemble,
            self.programs,
            self._executables,
            inputs,
            y,
            policy=self.ensemble.policy,
            record=record,
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
    from sne_deploy.passes.pipeline import compile_student

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
    programs = []
    for index, student in enumerate(ensemble.students, 1):
        programs.append(
            compile_student(
                student,
                input_shape=ensemble.input_shape,
                timesteps=ensemble.timesteps,
                encoder=ensemble.encoder,
                precision=chosen,
            )
        )
        if progress is not None:
            progress("compiling", index, len(ensemble.students))
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
            tuple(programs),
            tuple(executables),
            reference,
            target=target,
            hardware=constants,
            seed=seed,
            resources=resources.pop_all(),
            warnings=warnings,
        )


def _reference(ensemble: Ensemble, hardware: Hardware, seed: int) -> tuple[Compiled | None, tuple[str, ...]]:
    """The same ensemble in floating point, or the reason why there is none."""
    if REFERENCE not in backend_names():
        return None, (f"no floating-point comparison: target {REFERENCE!r} is not installed",)
    try:
        return compile(ensemble, REFERENCE, precision="float", hardware=hardware, seed=seed), ()
    except UnsupportedError as error:
        return None, (f"no floating-point comparison: {error}",)


def _agreement(run: RunResult, reference: RunResult) -> Mapping[str, Mapping[str, float]]:
    """Per student and layer, over the samples that the student ran on in both."""
    from sne_deploy.report.agreement import spike_agreement

    found: dict[str, dict[str, float]] = {}
    for fixed, real in zip(run.students, reference.students, strict=True):
        both = fixed.active & real.active
        if not bool(np.any(both)):
            continue
        found[fixed.name] = {
            layer: spike_agreement(spikes[both], real.spikes[layer][both])
            for layer, spikes in fixed.spikes.items()
            if layer in real.spikes
        }
    return found


def _provenance(seed: int, command: str | None, wall_s: float) -> Any:
    from sne_deploy.report.provenance import provenance

    return provenance(seed=seed, command=command, wall_s=wall_s)
