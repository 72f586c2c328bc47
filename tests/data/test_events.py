"""Recordings of events become frames, against a count by hand; samples that are mapped, not loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sne_deploy.data import load_data, time_axis
from sne_deploy.data.dataset import ModelInput
from sne_deploy.data.events import binned
from sne_deploy.errors import DataError
from sne_deploy.model.ensemble import Encoder

T, WIDTH = 6, 1000
SHAPES = ((5,), (3, 4), (1, 3, 4), (2, 3, 4))


def recorded(shape: tuple[int, ...], seed: int, recordings: int = 4, start: int = 0) -> dict[str, np.ndarray]:
    """Up to 30 events each, or none, in T steps of WIDTH."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 31, recordings) * (rng.random(recordings) < 0.9)
    total = int(counts.sum())
    columns = {
        name: rng.integers(0, size, total) for name, size in zip(("x", "y", "p"), shape[::-1], strict=False)
    }
    if len(shape) == 3 and shape[0] == 1:
        columns["p"] = rng.integers(0, 2, total)
    t = np.concatenate([start + np.sort(rng.integers(0, T * WIDTH, count)) for count in counts])
    return {"t": t.astype(np.int64), **columns, "offsets": np.concatenate([[0], np.cumsum(counts)])}


def by_hand(events: dict[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    frames = np.zeros((len(events["offsets"]) - 1, T, *shape), int)
    for index, (first, last) in enumerate(zip(events["offsets"], events["offsets"][1:], strict=False)):
        for k in range(first, last):
            step = (events["t"][k] - events["t"][first:last].min()) // WIDTH
            place = [int(events[name][k]) for name in ("p", "y", "x")[3 - len(shape) :]]
            if len(shape) == 3 and shape[0] == 1:
                place[0] = 0
            frames[(index, step, *place)] += 1
    return frames


@given(st.sampled_from(SHAPES), st.integers(0, 2**32 - 1), st.sampled_from((0, -500, 10**12)))
def test_every_event_is_in_its_bin(shape: tuple[int, ...], seed: int, start: int) -> None:
    events = recorded(shape, seed, start=start)
    wanted = by_hand(events, shape)
    counts = binned("d", events, ModelInput(shape, T, Encoder("graded", (0, 99))), WIDTH)
    np.testing.assert_array_equal(counts, wanted)
    spikes = binned("d", events, ModelInput(shape, T, Encoder("spikes")), WIDTH)
    assert spikes.dtype == np.uint8
    np.testing.assert_array_equal(spikes, wanted > 0)


def load(
    path: Any, encoder: Encoder, shape: tuple[int, ...] = (2, 3, 4), bin_width: float | None = WIDTH
) -> Any:
    return load_data(str(path), input_shape=shape, timesteps=T, encoder=encoder, bin_width=bin_width)


def test_a_file_of_events(tmp_path: Path) -> None:
    events, labels = recorded((2, 3, 4), 1), np.array([0, 1, 1, 0])
    np.savez(tmp_path / "e.npz", **events, labels=labels, lengths=np.array([6, 5, 6, 6]))
    assert time_axis(str(tmp_path / "e.npz")) is None
    data = load(tmp_path / "e.npz", Encoder("graded", (0, 9)))
    np.testing.assert_array_equal(data.x, by_hand(events, (2, 3, 4)))
    assert data.y.tolist() == labels.tolist()
    assert data.lengths.tolist() == [6, 5, 6, 6]
    with pytest.raises(DataError, match="events need the width of a step; give --bin-width"):
        load(tmp_path / "e.npz", Encoder("spikes"), bin_width=None)
    with pytest.raises(DataError, match="encoder constant takes none; give --encoder spikes or graded"):
        load(tmp_path / "e.npz", Encoder("constant"))
    np.savez(tmp_path / "x.npz", x=np.zeros((2, T, 5)))
    with pytest.raises(DataError, match=r"--bin-width 1000 is for events, .* has none; leave it out"):
        load(tmp_path / "x.npz", Encoder("spikes"), (5,))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"t": [0, 6000, 0]}, "recording 0 lasts 7 steps of 1000, the model runs 6; .* --timesteps 7"),
        ({"t": [0, np.inf, 0]}, "times t must be finite"),
        ({"x": [0, 1, 4]}, "x from 0 to 4; the model's input has 4, 0 to 3"),
        ({"x": [0, 1, -1]}, "x from -1 to 1"),
        ({"y": [0.0, 1.0, 2.0]}, "y has dtype float64; coordinates are whole numbers"),
        ({"p": [0, 1]}, r"p has shape \(2,\), t has \(3,\)"),
        ({"p": None}, "events have no array p, which the model's input needs"),
        ({"offsets": [0, 3, 2]}, "offsets must be whole numbers from 0 to the 3 events"),
        ({"offsets": [0, 4]}, "offsets must be whole numbers"),
        ({"offsets": [3]}, "offsets must be whole numbers"),
        ({"offsets": [0.0, 3.0]}, "offsets must be whole numbers"),
    ],
)
def test_events_that_cannot_be_are_refused(changes: dict[str, Any], message: str) -> None:
    events = {"t": [0, 5, 7], "x": [0, 1, 2], "y": [0, 1, 2], "p": [0, 1, 1], "offsets": [0, 2, 3], **changes}
    arrays = {name: np.array(value) for name, value in events.items() if value is not None}
    with pytest.raises(DataError, match=message):
        binned("d", arrays, ModelInput((2, 3, 4), T, Encoder("spikes")), WIDTH)


def test_npy_files_are_mapped(tmp_path: Path) -> None:
    x = (np.random.default_rng(0).random((5, T, 3)) < 0.5).astype(np.uint8)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.arange(5))
    spec = f"{tmp_path / 'x.npy'}:{tmp_path / 'y.npy'}"
    data = load(spec, Encoder("spikes"), (3,), None)
    np.testing.assert_array_equal(data.x, x)
    assert data.y.tolist() == list(range(5))
    base = data.x
    while isinstance(base.base, np.ndarray):
        base = base.base
    assert isinstance(base, np.memmap), "the samples were copied into memory"
    assert time_axis(spec) == time_axis(str(tmp_path / "x.npy")) == T
    signal = np.asfortranarray(np.random.default_rng(1).random((5, T, 3), dtype=np.float32))
    np.save(tmp_path / "f.npy", signal)
    np.testing.assert_array_equal(load(tmp_path / "f.npy", Encoder("graded"), (3,), None).x, signal)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-1], "claims shape .*, but holds 89 bytes; write it again with np.save"),
        (lambda content: b"PK" + content[2:], "is not in NumPy's format"),
        (lambda content: content.replace(b"'|u1'", b"'|O1'", 1), "must hold numbers"),
        (lambda _: b"", "is not in NumPy's format"),
    ],
)
def test_npy_files_are_not_trusted(tmp_path: Path, damage: Any, message: str) -> None:
    np.save(tmp_path / "x.npy", np.zeros((5, T, 3), np.uint8))
    (tmp_path / "x.npy").write_bytes(damage((tmp_path / "x.npy").read_bytes()))
    with pytest.raises(DataError, match=message):
        load(tmp_path / "x.npy", Encoder("spikes"), (3,), None)
    with pytest.raises(DataError, match=r"cannot read .*none\.npy"):
        load(tmp_path / "none.npy", Encoder("spikes"), (3,), None)
