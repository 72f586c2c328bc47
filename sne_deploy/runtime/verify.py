"""Two implementations, the same samples: every spike and every register, at every step, or an error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.backend import Executable
from sne_deploy.errors import VerificationError
from sne_deploy.ir.program import Program
from sne_deploy.runtime.trace import Trace

Array = npt.NDArray[Any]
COMPARED = {"recorded_u": "u", "recorded_v": "v", "recorded_spikes": "spike"} | {
    name: name for name in ("synops", "spikes", "updates_active", "updates_idle", "u_wraps", "v_saturations")
}
"""What is compared of every layer, and what an error calls it."""


@dataclass(frozen=True)
class Names:
    """What the two implementations are called in an error."""

    ours: str
    theirs: str


def verify_students(
    programs: Sequence[Program],
    ours: Sequence[Executable],
    theirs: Sequence[Executable],
    inputs: Array,
    names: Names,
) -> None:
    """Run all students on both and compare spikes, u, v, counts and outputs, bit for bit.

    Parameters
    ----------
    programs, ours, theirs : one per student
    inputs : encoded samples
    names : Names

    Raises
    ------
    VerificationError
        On the first difference in time: names student, sample, step, layer, neuron and both values.
    """
    for program, left, right in zip(programs, ours, theirs, strict=True):
        a, b = left.run(inputs, "all"), right.run(inputs, "all")
        found = min(_differences(program, a, b), default=None, key=lambda difference: difference[0])
        if found is not None:
            raise VerificationError(
                f"student {program.name!r}: {names.ours} and {names.theirs} differ first at {found[1]}; "
                "please report this as a bug"
            )


def _differences(program: Program, a: Trace, b: Trace) -> Iterator[tuple[tuple[int, int, int], str]]:
    """The first difference of every layer and quantity, keyed by (sample, step, layer)."""
    for index, (left, right) in enumerate(zip(a.layers, b.layers, strict=True)):
        for field in COMPARED:
            ours, theirs = getattr(left, field), getattr(right, field)
            if ours is None or theirs is None:  # a target that records or counts no such thing
                continue
            place = _first(ours, theirs)
            if place is None:
                continue
            what, values = COMPARED[field], f"{ours[place]} against {theirs[place]}"
            sample, *within = place
            step, where = program.timesteps, f"sample {sample}, layer {left.name!r}"
            if within:
                step, *neuron = within
                where = f"sample {sample}, step {step}, layer {left.name!r}, neuron {tuple(neuron)}"
            yield (sample, step, index), f"{where}: {what} {values}"
    place = _first(a.raw_outputs, b.raw_outputs)
    if place is not None:
        values = f"{a.raw_outputs[place]} against {b.raw_outputs[place]}"
        key = (place[0], program.timesteps, len(program.groups))
        yield key, f"sample {place[0]}, output {place[1]}: {values}"


def _first(ours: Array, theirs: Array) -> tuple[int, ...] | None:
    """Index of the first element that differs, in C order; a difference of shape is one at the start."""
    if ours.shape != theirs.shape:
        return (0,) * ours.ndim
    different = np.argwhere(ours != theirs)
    return tuple(int(i) for i in different[0]) if len(different) else None
