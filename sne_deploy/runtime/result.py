"""What a run of an ensemble returns, as exact integers per sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.brief import briefly
from sne_deploy.energy.accounting import COUNTED, Counts
from sne_deploy.frontend.compiled_file.codec import ELSEWHERE
from sne_deploy.ir.program import Program
from sne_deploy.runtime.packed import join_field, packs, shared
from sne_deploy.runtime.placed import PlacedCounts, PlacedTime, join_placed, join_times
from sne_deploy.runtime.trace import LayerTrace, Trace, join

Array = npt.NDArray[Any]
_OF_LAYERS = ("synops", "spikes", "updates_active", "updates_idle")
"""What is counted layer by layer: so much the less of it is unpacked at a time."""


@packs("active", "alone")
@briefly
@dataclass(frozen=True, eq=False, repr=False)
class StudentResult:
    """One student over all N samples of a run.

    Attributes
    ----------
    program : Program
    active : bool array of shape (N,)
        Where it ran.
    trace : Trace
        Of all samples; where it did not run, outputs are NaN and everything else 0, or None as where it ran.
    alone : int64 array of shape (N,), or None
        Class predicted from this student alone, -1 where it did not run; None if it ran nowhere.
    placed : PlacedCounts or None
        What each core did; None without a placement, or where the target records no spikes.
    """

    program: Program = field(metadata=ELSEWHERE)
    active: Array
    trace: Trace
    alone: Array | None
    placed: PlacedCounts | None = None

    @property
    def name(self) -> str:
        """The student's."""
        return self.program.name

    @property
    def outputs(self) -> Array:
        """Float64 array of shape (N, n_out), in its own units; NaN where it did not run."""
        return self.trace.outputs

    @property
    def layers(self) -> tuple[LayerTrace, ...]:
        """Counts of every neuron group and the synapses that end on it."""
        return self.trace.layers

    @property
    def spikes(self) -> dict[str, Array]:
        """Layer name to bool array of shape ``(N, T, *shape)``, when recorded; False where it did not run."""
        return {
            layer.name: layer.recorded_spikes for layer in self.layers if layer.recorded_spikes is not None
        }

    @property
    def synops(self) -> Array:
        """int64 array of shape (N,)."""
        return self.trace.synops

    @property
    def synops_per_layer(self) -> dict[str, Array]:
        """Layer name to int64 array of shape (N,)."""
        return {layer.name: layer.synops for layer in self.layers}

    @property
    def counts(self) -> Counts:
        """Exact totals over the samples that it ran on."""
        of_layers = {name: [_total(getattr(layer, name)) for layer in self.layers] for name in _OF_LAYERS}
        totals: dict[str, Any] = {name: None if None in e else sum(e) for name, e in of_layers.items()}
        totals |= {name: _total(getattr(self.trace, name)) for name in COUNTED if name not in totals}
        return Counts(**totals, samples_run=int(np.count_nonzero(self.active)))

    @property
    def input_spikes(self) -> Array:
        """int64 array of shape (N,)."""
        return self.trace.input_spikes

    @property
    def host_macs(self) -> Array:
        """int64 array of shape (N,)."""
        return self.trace.host_macs


@packs("logits", "predictions", "active", "labels", "head_macs", "gate_macs")
@briefly
@dataclass(frozen=True, eq=False, repr=False)
class RunResult:
    """An ensemble over N samples.

    Attributes
    ----------
    students : tuple of StudentResult
    logits : float64 array of shape (N, classes)
    predictions : int64 array of shape (N,)
    active : bool array of shape (N, students)
    labels : int64 array of shape (N,), or None
    head_macs : int64 array of shape (N,)
        Host multiply-accumulates of the head. A cascade asks it several times: each student that ran is
        added once to what is there, so that its answers together cost as much as the last alone.
    gate_macs : int64 array of shape (N,)
        Those of the gate, on every sample; 0 without one.
    wall_s : float
    placed : PlacedTime or None
        Steps of the students together; None where one of them has no counts on cores.
    """

    students: tuple[StudentResult, ...]
    logits: Array
    predictions: Array
    active: Array
    labels: Array | None
    head_macs: Array
    gate_macs: Array
    wall_s: float
    placed: PlacedTime | None = None

    @property
    def accuracy(self) -> float | None:
        """Fraction of correct predictions; None without labels."""
        if self.labels is None:
            return None
        return float(np.mean(self.predictions == self.labels))

    @property
    def shared_counts(self) -> Counts:
        """Exact totals of what belongs to no student: host MACs of head and gate. They have no neurons."""
        macs = int(self.head_macs.sum() + self.gate_macs.sum())
        return Counts(0, 0, 0, 0, 0, macs, len(self.predictions))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the compiler found, and constant inputs that did not fit their register."""
        found = [warning for student in self.students for warning in student.program.warnings]
        for student in self.students:
            hosts, clipped = student.program.hosts, student.trace.saturated_inputs
            if clipped and hosts:
                layers = ", ".join(repr(host.target) for host in hosts)
                found.append(
                    f"student {student.name!r}, layer {layers}: {clipped} "
                    f"currents of the host were clipped to +-{hosts[0].register_limit}"
                )
        return tuple(found)


def _total(counts: Array | None) -> Any:
    return None if counts is None else int(counts.sum(dtype=np.int64))


def join_runs(parts: Sequence[RunResult]) -> RunResult:
    """Join runs of consecutive samples, in order; at least one, of the same students."""
    if len(parts) == 1:
        return parts[0]
    times = [part.placed for part in parts if part.placed is not None]
    labelled = all(part.__dict__["labels"] is not None for part in parts)
    students = tuple(_join_students(same) for same in zip(*(part.students for part in parts), strict=True))
    return RunResult(
        students=students,
        logits=shared(join_field(parts, "logits"), [each.trace for each in students], "outputs"),
        predictions=join_field(parts, "predictions"),
        active=join_field(parts, "active"),
        labels=join_field(parts, "labels") if labelled else None,
        head_macs=join_field(parts, "head_macs"),
        gate_macs=join_field(parts, "gate_macs"),
        wall_s=sum(part.wall_s for part in parts),
        placed=join_times(times) if len(times) == len(parts) else None,
    )


def _join_students(same: Sequence[StudentResult]) -> StudentResult:
    """A student is in a part where it ran nowhere as another part has it: with the same recordings."""
    ran = [part for part in same if part.__dict__["alone"] is not None] or [same[0]]
    nothing = replace(ran[0].trace.take(slice(0)), saturated_inputs=0)
    placed = [part.placed for part in same if part.placed is not None]
    filled = same if ran[0].alone is None else [_filled(part, nothing) for part in same]
    return StudentResult(
        program=same[0].program,
        active=join_field(same, "active"),
        trace=join([part.trace for part in filled]),
        alone=None if ran[0].alone is None else join_field(filled, "alone"),
        placed=join_placed(placed) if len(placed) == len(same) else None,
    )


def _filled(part: StudentResult, nothing: Trace) -> StudentResult:
    """The same, with a trace and answers such as it has elsewhere where it ran on none of these samples."""
    if part.__dict__["alone"] is not None:
        return part
    nowhere = np.zeros(len(part.active), dtype=bool)
    return replace(part, trace=nothing.spread(nowhere), alone=np.full(len(nowhere), -1, np.int64))
