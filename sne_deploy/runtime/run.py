"""Run a compiled ensemble: each student on the samples for which the policy activates it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.backend import LayerTrace, Record, Trace
from sne_deploy.ir.program import Program, Synapse
from sne_deploy.ir.weights import ConvWeights, DenseWeights
from sne_deploy.model.ensemble import ActivationPolicy, Ensemble
from sne_deploy.runtime import head as heads
from sne_deploy.runtime.activation import chosen_students, confidence, gate_macs
from sne_deploy.runtime.execution import Runner
from sne_deploy.runtime.result import LayerCounts, RunResult, StudentResult

Array = npt.NDArray[Any]


def run_ensemble(
    ensemble: Ensemble,
    programs: Sequence[Program],
    runner: Runner,
    inputs: Array,
    labels: Array | None,
    *,
    policy: ActivationPolicy,
    record: Record,
) -> RunResult:
    """Run every student that the policy asks for, and join what comes out.

    Parameters
    ----------
    ensemble : Ensemble
    programs : one per student
    runner : Runner
        Where the students run.
    inputs : array of shape (N, T, *input_shape) or (N, *input_shape)
        Encoded samples.
    labels : int64 array of shape (N,), or None
    policy : ActivationPolicy
    record : {"counts", "spikes", "all"}
    """
    started = time.perf_counter()
    sizes = [program.output_size for program in programs]
    heads.check_head(ensemble.head, sizes)
    if policy.kind == "confidence":
        active, traces = _cascade(ensemble, runner, inputs, sizes, policy, record)
    else:
        active = chosen_students(policy, inputs, len(programs))
        traces = _all_at_once(runner, inputs, active, record)
    outputs = [
        _scatter(trace.outputs if trace else np.zeros((0, size)), active[:, k], np.nan)
        for k, (trace, size) in enumerate(zip(traces, sizes, strict=True))
    ]
    combined = heads.logits(ensemble.head, outputs, active)
    students = tuple(
        _student_result(ensemble, programs, k, traces[k], active[:, k], outputs) for k in range(len(programs))
    )
    return RunResult(
        students=students,
        logits=combined,
        predictions=np.argmax(combined, axis=1).astype(np.int64),
        active=active,
        labels=labels,
        head_macs=heads.head_macs(ensemble.head, sizes, active),
        gate_macs=gate_macs(policy, inputs),
        wall_s=time.perf_counter() - started,
        warnings=run_warnings(students),
    )


def _all_at_once(runner: Runner, inputs: Array, active: Array, record: Record) -> list[Trace | None]:
    """Every student on the samples chosen for it; one that no sample needs does not run."""
    needed = [index for index in range(active.shape[1]) if bool(active[:, index].any())]
    jobs = [(index, inputs if bool(active[:, index].all()) else inputs[active[:, index]]) for index in needed]
    traces: list[Trace | None] = [None] * active.shape[1]
    for index, trace in zip(needed, runner.run(jobs, record), strict=True):
        traces[index] = trace
    return traces


def _cascade(
    ensemble: Ensemble,
    runner: Runner,
    inputs: Array,
    sizes: Sequence[int],
    policy: ActivationPolicy,
    record: Record,
) -> tuple[Array, list[Trace | None]]:
    """One student after another, each on the samples on which the head is not yet confident."""
    count = len(sizes)
    active = np.zeros((len(inputs), count), dtype=bool)
    outputs = [np.full((len(inputs), size), np.nan) for size in sizes]
    traces: list[Trace | None] = [None] * count
    undecided = np.ones(len(inputs), dtype=bool)
    for index in policy.order or tuple(range(count)):
        if not undecided.any():
            break
        trace = runner.run([(index, inputs[undecided])], record)[0]
        traces[index] = trace
        active[:, index] = undecided
        outputs[index][undecided] = trace.outputs
        sure = confidence(policy.measure, heads.logits(ensemble.head, outputs, active))
        undecided = undecided & (sure < (policy.threshold or 1.0))
    return active, traces


def _scatter(rows: Array, where: Array, fill: Any) -> Array:
    """Rows of the samples that ran, spread over all samples."""
    if bool(where.all()):
        return rows
    full = np.full((len(where), *rows.shape[1:]), fill, dtype=rows.dtype)
    full[where] = rows
    return full


def _student_result(
    ensemble: Ensemble,
    programs: Sequence[Program],
    index: int,
    trace: Trace | None,
    active: Array,
    outputs: Sequence[Array],
) -> StudentResult:
    program = programs[index]
    zeros = np.zeros(len(active), dtype=np.int64)
    if trace is None:
        layers = tuple(_layer_counts(program, group.name, None, active) for group in program.groups)
        return StudentResult(program.name, program, active, outputs[index], None, layers, zeros, zeros)
    layers = tuple(_layer_counts(program, layer.name, layer, active) for layer in trace.layers)
    only = np.zeros((len(active), len(programs)), dtype=bool)
    only[:, index] = active
    alone = np.where(active, np.argmax(heads.logits(ensemble.head, outputs, only), axis=1), -1)
    spikes = {
        layer.name: _scatter(layer.recorded_spikes, active, False)
        for layer in trace.layers
        if layer.recorded_spikes is not None
    }
    return StudentResult(
        name=program.name,
        program=program,
        active=active,
        outputs=outputs[index],
        alone=alone.astype(np.int64),
        layers=layers,
        input_spikes=_scatter(trace.input_spikes, active, 0),
        host_macs=_scatter(trace.host_macs, active, 0),
        spikes=spikes,
        saturated_inputs=trace.saturated_inputs,
    )


def _layer_counts(program: Program, name: str, trace: LayerTrace | None, active: Array) -> LayerCounts:
    group = program.group(name)
    synapses = program.synapses_into(name)
    snrs = [synapse.quantisation_snr_db for synapse in synapses if synapse.quantisation_snr_db is not None]
    zeros = np.zeros(len(active), dtype=np.int64)

    def spread(rows: Array | None) -> Array | None:
        return None if rows is None else _scatter(rows, active, 0)

    return LayerCounts(
        name=name,
        kind=layer_kind(program, name),
        shape=group.shape,
        synops=zeros if trace is None else _scatter(trace.synops, active, 0),
        spikes=zeros if trace is None else _scatter(trace.spikes, active, 0),
        updates_active=zeros if trace is None else spread(trace.updates_active),
        updates_idle=zeros if trace is None else spread(trace.updates_idle),
        saturated_weights=sum(synapse.saturated_weights for synapse in synapses),
        quantisation_snr_db=min(snrs, default=None),
    )


def layer_kind(program: Program, name: str) -> str:
    """What ends on a group and what it is, such as ``"conv+lif"`` or ``"host+dense+cuba_lif"``."""
    parts = [] if program.host_of(name) is None else ["host"]
    for synapse in program.synapses_into(name):
        weights = synapse.weights
        form = "conv" if isinstance(weights, ConvWeights) else "sparse"
        form = "dense" if isinstance(weights, DenseWeights) else form
        parts.append(f"{_manner(program, synapse)}{form}")
    return "+".join([*dict.fromkeys(parts), program.group(name).kind])


def _manner(program: Program, synapse: Synapse) -> str:
    """What is said before the form of a synapse within the sample: cycle or delay."""
    if not synapse.within_sample:
        return ""
    names = [program.input.name, *(group.name for group in program.groups)]
    return "recurrent-" if names.index(synapse.source) >= names.index(synapse.target) else "delayed-"


def run_warnings(students: Sequence[StudentResult]) -> tuple[str, ...]:
    """What the compiler found, and constant inputs that did not fit their register."""
    found = [warning for student in students for warning in student.program.warnings]
    for student in students:
        hosts = student.program.hosts
        if student.saturated_inputs and hosts:
            layers = ", ".join(repr(host.target) for host in hosts)
            found.append(
                f"student {student.name!r}, layer {layers}: {student.saturated_inputs} "
                f"constant inputs were clipped to +-{hosts[0].register_limit}"
            )
    return tuple(found)
