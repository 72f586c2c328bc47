"""The run's figures under the names of NeuroBench's metrics.

Source: Yik et al. 2025, Nature Communications 16; exact definitions as the package ``neurobench`` 2.3.0
computes them (its ``metrics``). On one network in floating point, with binary input and without pooling, both
are equal, which a test holds; what differs elsewhere is said beside each metric. Not modelled: the rate of
execution.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import model_validator

from sne_deploy.ir.program import ALWAYS_ON, Precision, Program, Synapse
from sne_deploy.ir.weights import ConvWeights, Weights
from sne_deploy.page.source import Source
from sne_deploy.report.chip_schema import Mean, Model, Text
from sne_deploy.runtime.result import StudentResult

Array = npt.NDArray[Any]
Metric = Literal[
    "Footprint",
    "ConnectionSparsity",
    "ParameterCount",
    "ActivationSparsity",
    "Effective_MACs",
    "Effective_ACs",
    "Dense",
    "MembraneUpdates",
    "ClassificationAccuracy",
]
FLOAT_BYTES = 4
"""Of a parameter in floating point: float32."""
COUNTS: dict[Precision, dict[Metric, str]] = {
    "float": {
        "Footprint": "bytes of all parameters as float32; state is not counted",
        "ConnectionSparsity": "weights that are zero, of all",
        "MembraneUpdates": "null: floating point does not count updates",
    },
    "fixed": {
        "Footprint": "bytes of synaptic memory in use on the cores, headers and repeated kernels included; "
        "state is not counted. The package counts a torch module's tensors",
        "ConnectionSparsity": "integer weights on the chip that are zero, of all; those of the host are not "
        "on the chip, and pooling is part of the layer that follows it",
        "MembraneUpdates": "updates per sample of neurons with input or with current or voltage other than "
        "zero. The package counts those that change the voltage",
    },
}
COMMON: dict[Metric, str] = {
    "ParameterCount": "weights and biases of the network as it was given; a bias of zeros is none, and "
    "parameters of neurons are not counted",
    "ActivationSparsity": "1 - spikes / (neurons x steps x samples), of all layers that spike",
    "Effective_MACs": "multiply-accumulates per sample on the host whose input and weight are not zero: of "
    "a constant input once per sample, where the package counts every step; head and gate in the ensemble",
    "Effective_ACs": "SynOps per sample, biases not counted: spikes that arrive at weights other than zero, "
    "as the run has them. The package counts layers after pooling as MACs",
    "Dense": "operations per sample if every input and every weight were other than zero, inside the borders",
    "ClassificationAccuracy": "samples whose predicted class is the label, of those that ran",
}


class MetricModel(Model):
    """One metric: its name in NeuroBench, what it counts here, and its values; null where not defined."""

    name: Metric
    counts: Text
    students: tuple[Mean | None, ...]
    ensemble: Mean | None


class NeurobenchModel(Model):
    """NeuroBench's metrics of every student and of the ensemble, in the order of the report."""

    source: Text
    students: tuple[Text, ...]
    metrics: tuple[MetricModel, ...]

    @model_validator(mode="after")
    def _fits(self) -> NeurobenchModel:
        if any(len(metric.students) != len(self.students) for metric in self.metrics):
            raise ValueError("every metric has a number for every student")
        return self


SOURCE = "Yik et al. 2025, Nature Communications 16; neurobench 2.3.0"


@dataclass(frozen=True)
class Counted:
    """What the metrics are quotients of: totals of the run. None where not known."""

    samples: int
    parameters: int
    memory_bits: int | None
    zeros: int
    weights: int
    spikes: int
    activations: int
    macs: int
    acs: int
    dense: int
    updates: int | None


def neurobench(source: Source) -> NeurobenchModel:
    """Compute the metrics of a run, each student on the samples that it ran on."""
    run = source.run
    counted = [_counted(source, student) for student in run.students]
    head = int(run.head_macs.sum() + run.gate_macs.sum())
    whole = _joined(counted, len(run.predictions), head)
    labels, precision = run.labels, source.precision
    accuracies = [_accuracy(student, labels) for student in run.students]
    columns = [_values(each, precision, right) for each, right in zip(counted, accuracies, strict=True)]
    ensemble = _values(whole, precision, run.accuracy)
    texts = {**COMMON, **COUNTS[precision]}
    return NeurobenchModel(
        source=SOURCE,
        students=tuple(student.name for student in run.students),
        metrics=tuple(
            MetricModel(
                name=name,
                counts=texts[name],
                students=tuple(column[name] for column in columns),
                ensemble=ensemble[name],
            )
            for name in ensemble
        ),
    )


def _values(counted: Counted, precision: Precision, accuracy: float | None) -> dict[Metric, float | None]:
    bits = counted.memory_bits
    footprint = None if bits is None else bits / 8
    if precision == "float":
        footprint = float(FLOAT_BYTES * counted.parameters)
    return {
        "Footprint": footprint,
        "ConnectionSparsity": _over(counted.zeros, counted.weights),
        "ParameterCount": float(counted.parameters),
        "ActivationSparsity": _over(counted.activations - counted.spikes, counted.activations),
        "Effective_MACs": _over(counted.macs, counted.samples),
        "Effective_ACs": _over(counted.acs, counted.samples),
        "Dense": _over(counted.dense, counted.samples),
        "MembraneUpdates": None if counted.updates is None else _over(counted.updates, counted.samples),
        "ClassificationAccuracy": accuracy,
    }


def _over(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _joined(counted: list[Counted], samples: int, head: int) -> Counted:
    """All students together; what one does not know is not known. The head's MACs are the host's."""
    found: dict[str, Any] = {}
    for field in fields(Counted):
        values = [getattr(each, field.name) for each in counted]
        found[field.name] = None if None in values else sum(values)
    found |= {"samples": samples, "macs": found["macs"] + head, "dense": found["dense"] + head}
    return Counted(**found)


def _counted(source: Source, student: StudentResult) -> Counted:
    program, trace = student.program, student.trace
    steps = _steps(source, student)
    spiking = [group for group in program.groups if group.spiking]
    weights = list(_arrays(program.graph, "weight"))
    given = [*weights, *(bias for bias in _arrays(program.graph, "bias") if bias.any())]
    if program.precision == "fixed":
        weights = [np.asarray(synapse.weights.values) for synapse in _connections(program)]
    biases = sum(
        int(synapse.weights.matrix().nnz) for synapse in program.synapses if synapse.source == ALWAYS_ON
    )
    possible = sum(
        connections(synapse.weights) * int(np.maximum(steps - program.lag(synapse), 0).sum())
        for synapse in _connections(program)
    )
    updates = trace.updates_active
    return Counted(
        samples=int(np.count_nonzero(student.active)),
        parameters=sum(each.size for each in given),
        memory_bits=_memory_bits(source, student.name),
        zeros=sum(int(each.size - np.count_nonzero(each)) for each in weights),
        weights=sum(each.size for each in weights),
        spikes=int(trace.spikes.sum()),
        activations=sum(group.size for group in spiking) * int(steps.sum()),
        macs=_effective_macs(source, student, steps),
        acs=int(trace.synops.sum()) - biases * int(steps.sum()),
        dense=possible + int(trace.host_macs.sum()),
        updates=None if updates is None else int(updates.sum()),
    )


def _steps(source: Source, student: StudentResult) -> Array:
    """Steps of each sample that the student ran on."""
    lengths = source.data.lengths
    if lengths is None:
        return np.full(np.count_nonzero(student.active), student.program.timesteps, np.int64)
    return np.asarray(lengths)[student.active]


def _connections(program: Program) -> tuple[Synapse, ...]:
    """Synapses that are no biases."""
    return tuple(synapse for synapse in program.synapses if synapse.source != ALWAYS_ON)


def connections(weights: Weights) -> int:
    """How many synapses there are, those of weight zero included; taps outside the border are none."""
    if isinstance(weights, ConvWeights):
        outputs, inputs = weights.kernel.shape[:2]
        return int(outputs * inputs * len(weights.reads(0)[0]) * len(weights.reads(1)[0]))
    return int(np.size(weights.values))


def _arrays(graph: Any, name: str) -> Iterator[Array]:
    """The fields of that name of all nodes, those of graphs in the graph too."""
    for node in graph.nodes.values():
        if hasattr(node, "nodes"):
            yield from _arrays(node, name)
        elif getattr(node, name, None) is not None:
            yield np.asarray(getattr(node, name))


def _memory_bits(source: Source, student: str) -> int | None:
    """Synaptic memory of the student's cores; None without a placement or without the chip's layout."""
    if source.placement is None:
        return None
    uses = [source.placement.cores[core].uses for core in source.placement.cores_of(student)]
    known = [use["synapse_memory_bits"].used for use in uses if "synapse_memory_bits" in use]
    return sum(known) if len(known) == len(uses) else None


def _effective_macs(source: Source, student: StudentResult, steps: Array) -> int:
    """Of the host, for input and weights other than zero: once for each sample, or for each of its steps."""
    program, x = student.program, source.data.x
    if not program.hosts:
        return 0
    per_input = np.sum([np.diff(host.matrix.tocsc().indptr) for host in program.hosts], axis=0)
    total = 0
    for index, length in zip(np.flatnonzero(student.active), steps, strict=True):
        rows = x[index] if program.constant_input else x[index][:length]
        total += int(np.count_nonzero(rows.reshape(-1, program.input.size), axis=0) @ per_input)
    return total


def _accuracy(student: StudentResult, labels: Array | None) -> float | None:
    if labels is None or student.alone is None or not student.active.any():
        return None
    return float(np.mean(student.alone[student.active] == labels[student.active]))
