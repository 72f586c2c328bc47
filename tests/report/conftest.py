"""Made-up runs whose figures can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from sne_deploy.chips.chip import Chip, load_chip
from sne_deploy.ir.program import HostAffine, NeuronGroup, Program, ProgramInput, Synapse
from sne_deploy.ir.weights import DenseWeights
from sne_deploy.model.ensemble import Encoder, Ensemble, Head, Student
from sne_deploy.report.build import build_report
from sne_deploy.report.file import Report
from sne_deploy.report.schema import ProvenanceModel
from sne_deploy.runtime.result import RunResult, StudentResult
from sne_deploy.runtime.trace import LayerTrace, Trace
from tests.chip_registers import LOIHI1

STEPS = 4


Layer = tuple[LayerTrace, dict[str, Any]]
"""The counts of a layer, and what quantisation says about its synapse."""


def made_up_program(name: str, layers: dict[str, dict[str, Any]]) -> Program:
    """Just enough of a Program: the report asks for time steps, groups, and what is said about synapses."""
    zero = np.zeros((), np.int32)
    registers = (zero, zero, zero, zero, 0, zero, 0, 1.0, zero)
    return Program(
        name=name,
        precision="fixed",
        timesteps=STEPS,
        input=ProgramInput("input", (3,), "current"),
        groups=(
            NeuronGroup("lif", "lif", (5,), *registers),
            *(NeuronGroup(layer, "lif", (5, 2), *registers) for layer in layers),
        ),
        synapses=tuple(
            Synapse(f"to {layer}", "input", layer, DenseWeights(np.zeros((10, 3), np.int32)), **about)
            for layer, about in layers.items()
        ),
        outputs=(next(reversed(layers), "lif"),),
        readout="count",
        hosts=(HostAffine("lif", sparse.csr_matrix(np.ones((5, 3))), np.zeros(5)),),
        graph=None,
        dt_s=0.001,
        formats=LOIHI1,
    )


def with_layers(student: StudentResult, layers: Sequence[Layer]) -> StudentResult:
    """The same student with these layers."""
    return replace(
        student,
        program=made_up_program(student.name, {layer.name: about for layer, about in layers}),
        trace=replace(student.trace, layers=tuple(layer for layer, _ in layers)),
    )


def made_up_student(
    name: str,
    active: Any,
    rng: np.random.Generator,
    *,
    labels: Any = None,
    updates: bool = True,
    high: int = 100_000,
    layers: int = 2,
) -> StudentResult:
    """Random counts where the student ran, zeros elsewhere."""
    active = np.asarray(active, bool)
    n = len(active)

    def counts() -> Any:
        return np.where(active, rng.integers(0, high, n), 0).astype(np.int64)

    several = [
        (
            LayerTrace(
                name=f"layer {index}",
                synops=counts(),
                spikes=counts(),
                updates_active=counts() if updates else None,
                updates_idle=counts() if updates else None,
            ),
            {"saturated_weights": index, "quantisation_snr_db": 40.0 + index},
        )
        for index in range(layers)
    ]
    outputs = np.where(active[:, None], 1.0 + np.arange(n)[:, None], np.nan)
    student = StudentResult(
        program=made_up_program(name, {}),
        active=active,
        trace=Trace(outputs, outputs, (), input_spikes=counts(), host_macs=counts()),
        alone=None if labels is None else np.where(active, labels, -1),
    )
    return with_layers(student, several)


def made_up_result(
    students: list[StudentResult], *, labels: Any = None, head_macs: int = 7, gate_macs: int = 0
) -> RunResult:
    """A run of these students whose predictions are all 1."""
    active = np.stack([student.active for student in students], axis=1)
    n = len(active)
    return RunResult(
        students=tuple(students),
        logits=np.tile([0.0, 1.0], (n, 1)),
        predictions=np.ones(n, np.int64),
        active=active,
        labels=None if labels is None else np.asarray(labels, np.int64),
        head_macs=np.full(n, head_macs, np.int64),
        gate_macs=np.full(n, gate_macs, np.int64),
        wall_s=0.5,
    )


def made_up_report(result: RunResult, **changes: Any) -> Report:
    """The report of such a run on Loihi 1."""
    ensemble = Ensemble(
        students=tuple(Student(student.name, (), "count") for student in result.students),
        input_shape=(3,),
        timesteps=STEPS,
        encoder=Encoder("constant"),
        head=Head("mean"),
    )
    arguments: dict[str, Any] = {
        "model": "model.pt",
        "target": "lava",
        "precision": "fixed",
        "hardware": load_chip("loihi1"),
        "data_name": "digits",
        "provenance": ProvenanceModel(
            versions={"sne-deploy": "0.1.0"}, seed=0, command="sne-compile model.pt", wall_s=0.5
        ),
        "warnings": ("layer 1: 3 weights saturated",),
    }
    return build_report(ensemble, result, **(arguments | changes))


@pytest.fixture(scope="session")
def loihi1() -> Chip:
    return load_chip("loihi1")


@pytest.fixture(scope="session")
def make_student() -> Callable[..., StudentResult]:
    return made_up_student


@pytest.fixture(scope="session")
def make_result() -> Callable[..., RunResult]:
    return made_up_result


@pytest.fixture(scope="session")
def make_report() -> Callable[..., Report]:
    return made_up_report
