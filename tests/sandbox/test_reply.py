"""What a hostile reader may send: data, or an error that the caller knows, in bounded memory and time."""

import json
import os
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.frontend.hdf5.file import Limits
from sne_deploy.sandbox.limits import MAGIC, tree_bytes
from sne_deploy.sandbox.reply import DamagedError, EndError, LateError, Pipe, RefusedError, read_reply
from tests.effort import examples


def receive(stdout, limits, seconds=10.0):
    return read_reply(Pipe(stdout, time.monotonic() + seconds), limits)


def frame(kind, data):
    return kind + len(data).to_bytes(8, "little") + data


TREES = st.recursive(
    st.fixed_dictionaries(
        {"dtype": st.sampled_from(["<f8", "|b1", "|O", "<c8"]), "shape": st.lists(st.integers(-2, 9))}
    )
    | st.fixed_dictionaries({"strings": st.lists(st.text()), "shape": st.lists(st.integers(0, 3))})
    | st.fixed_dictionaries({"dtype": st.just("<f8"), "shape": st.lists(st.floats(), max_size=2)})
    | st.none()
    | st.integers()
    | st.text(),
    lambda inner: st.fixed_dictionaries({"group": st.dictionaries(st.text(), inner)}),
)
FRAMES = st.one_of(
    st.binary(max_size=64),
    st.binary(max_size=64).map(lambda data: frame(b"A", data)),
    st.binary(max_size=64).map(lambda data: frame(b"E", data)),
    st.binary(max_size=64).map(lambda data: frame(b"T", data)),
    TREES.map(lambda tree: frame(b"T", json.dumps(tree).encode())),
    st.integers(0, 2**64 - 1).map(lambda size: b"A" + size.to_bytes(8, "little")),
)


@settings(max_examples=examples(200))
@given(st.lists(FRAMES, max_size=5), st.booleans())
def test_whatever_a_hostile_reader_sends_is_data_or_one_line(frames, magic):
    reader, writer = os.pipe()
    with open(reader, "rb", 0) as stdout, open(writer, "wb", 0) as stdin:  # noqa: PTH123
        stdin.write((MAGIC if magic else b"") + b"".join(frames))
        stdin.close()
        try:
            tree = receive(stdout, Limits(total_bytes=1 << 20))
        except (RefusedError, EndError, DamagedError):
            pass  # any of these is right, and nothing else
        else:
            assert isinstance(tree, dict)


def test_arrays_come_in_the_order_of_the_tree():
    numbers = np.arange(3.0)
    tree = {"group": {"b": {"dtype": "<f8", "shape": [3]}, "a": {"dtype": "|u1", "shape": []}}}
    reply = MAGIC + frame(b"A", numbers.tobytes()) + frame(b"A", b"\x07")
    reply += frame(b"T", json.dumps(tree).encode())
    reader, writer = os.pipe()
    with open(reader, "rb", 0) as stdout, open(writer, "wb", 0) as stdin:  # noqa: PTH123
        stdin.write(reply)
        back = receive(stdout, Limits())
    assert np.array_equal(back["b"], numbers)
    assert back["a"].shape == ()
    assert int(back["a"]) == 7


@pytest.mark.parametrize(
    "reply",
    [
        b"A" + (2**63).to_bytes(8, "little"),
        b"A" + (Limits().total_bytes + 1).to_bytes(8, "little"),
        b"T" + (tree_bytes(Limits().text_bytes, Limits().objects) + 1).to_bytes(8, "little"),
        b"E" + (1 << 20).to_bytes(8, "little"),
        b"X" + bytes(8),
        frame(b"A", b"") * 4,
    ],
)
def test_no_memory_is_taken_for_what_is_beyond_the_limits(reply):
    reader, writer = os.pipe()
    with open(reader, "rb", 0) as stdout, open(writer, "wb", 0) as stdin:  # noqa: PTH123
        stdin.write(MAGIC + reply)
        with pytest.raises(DamagedError):
            receive(stdout, Limits(objects=3))


def test_a_reader_that_says_nothing_is_late():
    reader, writer = os.pipe()
    with (
        open(reader, "rb", 0) as stdout,  # noqa: PTH123
        open(writer, "wb", 0),  # noqa: PTH123
        pytest.raises(LateError),
    ):
        receive(stdout, Limits(), 0.05)
