"""One wrong bit anywhere is found, and named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sne_deploy.backend import Record, RunOptions
from sne_deploy.errors import VerificationError
from sne_deploy.runtime.trace import Trace
from sne_deploy.runtime.verify import Names, verify_students
from sne_loihi import LoihiBackend
from tests.small_programs import one_layer

PROGRAM = one_layer([[200, -50], [0, 120]], "mixed")
INPUTS = (np.random.default_rng(0).random((5, 4, 2)) < 0.6).astype(np.uint8)


class Tampered:
    """An executable that changes one recorded value."""

    def __init__(self, field: str | None, place: tuple[int, ...] = ()) -> None:
        self.field, self.place = field, place
        self.executable = LoihiBackend().compile(PROGRAM, RunOptions())

    def run(self, inputs: np.ndarray, record: Record = "counts") -> Trace:
        trace = self.executable.run(inputs, record)
        if self.field is None:
            return trace
        if self.field == "raw_outputs":
            values = trace.raw_outputs.copy()
            values[self.place] += 1
            return replace(trace, raw_outputs=values)
        values = getattr(trace.layers[0], self.field).copy()
        values[self.place] = ~values[self.place] if values.dtype == bool else values[self.place] + 1
        return replace(trace, layers=(replace(trace.layers[0], **{self.field: values}),))


def verify(theirs: Tampered) -> None:
    names = Names("loihi", "lava")
    verify_students([PROGRAM], [Tampered(None)], [theirs], INPUTS, names)


def test_equal_is_equal() -> None:
    verify(Tampered(None))


@pytest.mark.parametrize(
    ("field", "place", "message"),
    [
        ("recorded_u", (3, 2, 1), r"sample 3, step 2, layer 'g', neuron \(1,\): u -?\d+ against -?\d+"),
        ("recorded_v", (0, 3, 0), r"sample 0, step 3, layer 'g', neuron \(0,\): v"),
        ("recorded_spikes", (4, 0, 1), r"sample 4, step 0, layer 'g', neuron \(1,\): spike"),
        ("synops", (2,), r"sample 2, layer 'g': synops \d+ against \d+"),
        ("updates_active", (1,), r"sample 1, layer 'g': updates_active"),
        ("raw_outputs", (4, 1), "sample 4, output 1"),
    ],
)
def test_one_wrong_value_is_named(field: str, place: tuple[int, ...], message: str) -> None:
    with pytest.raises(VerificationError, match=f"student 'tiny': loihi and lava differ first at {message}"):
        verify(Tampered(field, place))


def test_another_shape_is_a_difference() -> None:
    class Short(Tampered):
        def run(self, inputs: np.ndarray, record: Record = "counts") -> Trace:
            return super().run(inputs[:-1], record)

    with pytest.raises(VerificationError, match="differ first at sample 0"):
        verify(Short(None))
