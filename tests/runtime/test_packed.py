"""Packed counts are the same to the bit, and small."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace

import numpy as np
import pytest

from sne_deploy.runtime import packed
from sne_deploy.runtime.packed import Joined, Packed, blocks, join_field, pack, shared
from sne_deploy.runtime.trace import LayerTrace, join


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "FROM", 100)
    monkeypatch.setattr(packed, "_LOOK", 7)


ARRAYS = {
    "alike": (np.full((150, 2), 7), 16),
    "alike, not a number": (np.full(150, np.nan), 8),
    "bytes": (np.arange(150) - 100, 150),
    "two bytes, late": (np.r_[np.zeros(149, np.int64), 128], 300),
    "four bytes": (np.r_[np.arange(149), 2**31 - 1], 600),
    "whole": (np.r_[np.arange(149), 2**31 + 1], 1200),
    "real, whole": (np.arange(150.0), 300),
    "real, halves": (np.arange(150) / 2, 600),
    "real, a zero below": (np.r_[np.arange(149.0), -0.0], 600),
    "real, some are none": (np.r_[np.arange(149.0), np.nan], 600),
    "real": (np.arange(150) / 3, 1200),
    "real, of few": (np.arange(150) % 2 / 3, 166),
    "flags": (np.arange(150) % 2 == 0, 150),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_the_bits_come_back(name: str) -> None:
    array, size = ARRAYS[name]
    found = pack(array)
    whole = found.whole() if isinstance(found, Packed) else found
    assert (whole.dtype, whole.shape) == (array.dtype, array.shape)
    assert np.ascontiguousarray(whole).tobytes() == array.tobytes()
    assert found.nbytes == size


def test_few_samples_and_recordings_are_left() -> None:
    for array in (np.zeros(99, np.int64), np.zeros((150, 3, 2), bool)):
        assert pack(array) is array


def test_what_is_there_twice_is_kept_once() -> None:
    one = np.arange(150) / 3

    @dataclass
    class Holder:
        x: np.ndarray | Packed

    whole = Holder(pack(np.arange(150.0)))
    others = [Holder(one[:-1]), Holder(-one), Holder(pack(one.round())), whole, Holder(one)]
    assert shared(one.copy(), others, "x") is one
    assert shared(one, others[:-1], "x") is one
    assert shared(np.arange(150.0), others, "x") is whole.x
    twice = [Joined((pack(np.arange(150.0)), one)) for _ in range(2)]
    assert shared(twice[0], [*others, Holder(twice[1])], "x") is twice[1]
    assert shared(twice[0], [Holder(Joined((whole.x, -one)))], "x") is twice[0]


def test_parts_join_in_order_whatever_they_are_packed_in() -> None:
    parts = [np.arange(150) % 3, np.arange(7) - 300, np.full(120, 2**40)]
    layers = [LayerTrace("a", part, part, None, None) for part in parts]
    whole = np.concatenate(parts)
    for found in (join(layers).synops, join([*layers[::-1]][::-1]).spikes):
        assert (found.dtype, found.tolist()) == (whole.dtype, whole.tolist())
    assert join(layers).updates_active is None


def test_what_is_joined_is_kept_as_it_was_but_for_what_is_small() -> None:
    parts = [np.arange(150), *(np.full(40, number) for number in range(5)), np.arange(150) / 3]
    layers = [LayerTrace("a", part, part, None, None) for part in parts]
    joined = join([join(layers[:3]), *layers[3:]])
    kept = joined.__dict__["synops"]
    assert isinstance(kept, Joined)
    assert [len(part) for part in blocks(joined, "synops")] == [150, 200, 150]
    assert kept.pieces[0] is layers[0].__dict__["synops"]
    assert joined.synops.tobytes() == np.concatenate(parts).tobytes()
    (alone,) = blocks(layers[1], "synops")
    assert alone.tolist() == parts[1].tolist()
    assert len(join_field([layers[1], layers[2]], "synops")) == 80


def test_a_trace_gives_what_it_got_and_travels_small() -> None:
    counts = np.arange(150) % 100
    layer = LayerTrace("a", counts, counts, None, None)
    for one in (layer, replace(layer, name="b"), pickle.loads(pickle.dumps(layer))):
        assert one.synops.dtype == np.int64
        assert one.synops.tolist() == counts.tolist()
        assert one.updates_active is None
        assert one.__dict__["synops"].values.dtype == np.int8
    with pytest.raises(AttributeError):
        layer.synops = counts  # type: ignore[misc]  # frozen
