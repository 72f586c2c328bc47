"""A compiled ensemble, and what a run of it gives."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import numpy.typing as npt

from sne_deploy.backend import Executable, Record
from sne_deploy.energy.hardware import Hardware
from sne_deploy.ensembles import Ensemble
from sne_deploy.errors import DataError, InputError
from sne_deploy.ir.program import Precision, Program
from sne_deploy.runtime.result import RunResult, StudentResult

if TYPE_CHECKING:
    from sne_deploy.data.dataset import DataSet
    from sne_deploy.report.schema import Report

Array = npt.NDArray[Any]
LayerAgreement = Mapping[str, Mapping[str, float]]
"""Student name to layer name to the agreement of its floating-point and fixed-point spikes."""

MAX_SPIKE_BYTES = 2**32
"""Memory that recording spikes only to compare them may take."""


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
        from sne_deploy.report.provenance import provenance
        from sne_deploy.teacher import evaluate_teacher

        if record not in get_args(Record):
            raise InputError(f"record {record!r} is not one of {', '.join(get_args(Record))}")
        started = time.perf_counter()
        takes = ModelInput(self.ensemble.input_shape, self.ensemble.timesteps, self.ensemble.encoder)
        data = fit_to_model(data_name, np.asarray(x), None if y is None else np.asarray(y), takes)
        self._check_labels(data)
        evaluated = None if teacher is None else evaluate_teacher(teacher, data.x, data.y)
        inputs = encode(self.ensemble.encoder, data.x, self.ensemble.timesteps, self._seed)
        run, reference, agreement = self._run_and_compare(inputs, data.y, record)
        report = build_report(
            self.ensemble,
            run,
            model=model,
            target=self.target,
            precision=self.precision,
            hardware=self.hardware,
            data_name=data_name,
            provenance=provenance(seed=self._seed, command=command, wall_s=time.perf_counter() - started),
            float_result=reference,
            layer_agreement=agreement,
            teacher=evaluated,
        )
        if record == "counts":
            run = replace(run, students=tuple(replace(student, spikes={}) for student in run.students))
        return Result(run, report)

    def _run_and_compare(
        self, inputs: Array, y: Array | None, record: Record
    ) -> tuple[RunResult, RunResult | None, LayerAgreement | None]:
        """Run; if there is a reference, run that too, and compare spikes as far as memory allows."""
        if self._reference is None:
            run = self.run_encoded(inputs, y, record)
            return replace(run, warnings=(*self._warnings, *run.warnings)), None, None
        sizes = [group.size for program in self.programs for group in program.groups if group.spiking]
        needed = 2 * len(inputs) * self.ensemble.timesteps * sum(sizes)
        fits = needed <= MAX_SPIKE_BYTES
        run = self.run_encoded(inputs, y, "spikes" if fits and record == "counts" else record)
        reference = self._reference.run_encoded(inputs, y, "spikes" if fits else "counts")
        warnings = [*self._warnings, *run.warnings]
        if not fits:
            warnings.append(
                f"no spike agreement: recording {len(inputs)} samples would take {needed / 2**30:.1f} GiB, "
                f"limit {MAX_SPIKE_BYTES / 2**30:g}; run fewer samples to have it"
            )
        agreement = _agreement(run, reference) if fits else None
        return replace(run, warnings=tuple(warnings)), reference, agreement

    def _check_labels(self, data: DataSet) -> None:
        head = self.ensemble.head
        classes = self.programs[0].output_group.size if head.weight is None else head.weight.shape[0]
        if data.y is not None and int(data.y.max()) >= classes:
            raise DataError(
                f"data set {data.name}: label {data.y.max()}, but the model has {classes} classes, 0 to "
                f"{classes - 1}; give the data that it was trained for"
            )

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


def _agreement(run: RunResult, reference: RunResult) -> LayerAgreement:
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
