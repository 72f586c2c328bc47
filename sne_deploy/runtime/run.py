"""Run a compiled ensemble: each student on the samples for which the policy activates it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.backend import Record, Silent
from sne_deploy.ir.program import Program
from sne_deploy.model.ensemble import ActivationPolicy, Ensemble, Head
from sne_deploy.runtime import head as heads
from sne_deploy.runtime.activation import chosen_students, confidence, gate_macs
from sne_deploy.runtime.execution import Runner
from sne_deploy.runtime.packed import shared
from sne_deploy.runtime.result import RunResult, StudentResult
from sne_deploy.runtime.trace import Trace, not_run

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
    traces = [_silent(runner, index, programs[index], len(inputs), record) for index in range(len(programs))]
    if policy.kind == "confidence":
        active = _run_cascade(ensemble, runner, inputs, traces, policy, record)
    else:
        active = chosen_students(policy, inputs, len(programs))
        _run_all(runner, inputs, active, traces, record)
    outputs = [trace.outputs for trace in traces]
    combined = heads.logits(ensemble.head, outputs, active)
    students = tuple(
        StudentResult(programs[k], active[:, k], traces[k], _alone(ensemble.head, outputs, active, k))
        for k in range(len(programs))
    )
    return RunResult(
        students=students,
        logits=shared(combined, traces, "outputs"),
        predictions=np.argmax(combined, axis=1).astype(np.int64),
        active=active,
        labels=labels,
        head_macs=heads.head_macs(ensemble.head, sizes, active),
        gate_macs=gate_macs(policy, inputs),
        wall_s=time.perf_counter() - started,
    )


def _silent(runner: Runner, index: int, program: Program, samples: int, record: Record) -> Trace:
    """The trace of a student as long as it ran on no sample: null is what its target does not count."""
    executable: object = runner.executables[index] if runner.executables else None
    if isinstance(executable, Silent):
        return executable.not_run(samples, record)
    return not_run(program, samples)


def _run_all(runner: Runner, inputs: Array, active: Array, traces: list[Trace], record: Record) -> None:
    """Every student on the samples chosen for it, into ``traces``; one that no sample needs does not run."""
    needed = [index for index in range(active.shape[1]) if bool(active[:, index].any())]
    jobs = [(index, _taken(inputs, active[:, index])) for index in needed]
    for index, trace in zip(needed, runner.run(jobs, record), strict=True):
        traces[index] = trace.spread(active[:, index])


def _run_cascade(
    ensemble: Ensemble,
    runner: Runner,
    inputs: Array,
    traces: list[Trace],
    policy: ActivationPolicy,
    record: Record,
) -> Array:
    """One student after another, each on the samples on which the head is not yet confident; who ran."""
    active = np.zeros((len(inputs), len(traces)), dtype=bool)
    undecided = np.ones(len(inputs), dtype=bool)
    for index in (policy.order or tuple(range(len(traces))))[: policy.students]:
        if not undecided.any():
            break
        trace = runner.run([(index, _taken(inputs, undecided))], record)[0]
        traces[index] = trace.spread(undecided)
        active[:, index] = undecided
        sure = confidence(
            policy.measure, heads.logits(ensemble.head, [trace.outputs for trace in traces], active)
        )
        undecided = undecided & (sure < (policy.threshold or 1.0))
    return active


def _taken(inputs: Array, chosen: Array) -> Array:
    return inputs if bool(chosen.all()) else inputs[chosen]


def _alone(head: Head, outputs: Sequence[Array], active: Array, index: int) -> Array | None:
    """Classes from one student alone, -1 where it did not run; None if it ran nowhere."""
    ran = active[:, index]
    if not bool(ran.any()):
        return None
    only = np.zeros_like(active)
    only[:, index] = ran
    return np.where(ran, np.argmax(heads.logits(head, outputs, only), axis=1), -1).astype(np.int64)
