"""Samples of different lengths: each is what the same Program with so many steps gives for it alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sne_deploy as sne
from sne_deploy.backend import RunOptions, load_backend
from sne_deploy.data import load_data
from sne_deploy.errors import DataError
from tests.effort import examples
from tests.networks import INPUT_SHAPE, network

STEPS = 9
LENGTHS = np.array([4, 9, 1, 4, 7])


def samples(kind: str) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    if kind == "spikes":
        return [(rng.random((steps, *INPUT_SHAPE)) < 0.5).astype(np.uint8) for steps in LENGTHS]
    return [rng.poisson(0.7, (steps, *INPUT_SHAPE)).clip(0, 4).astype(np.float32) for steps in LENGTHS]


def model(kind: str, readout: Any) -> sne.Ensemble:
    modules = [network("recurrent" if readout == "v_mean" else "dense", 1), network("dense", 2)]
    encoder = sne.Encoder("graded", (0.0, 4.0)) if kind == "graded" else sne.Encoder("spikes")
    return sne.ensemble(modules, input_shape=INPUT_SHAPE, timesteps=STEPS, encoder=encoder, readout=readout)


@pytest.mark.parametrize(
    ("target", "kind", "readout"),
    [
        ("loihi", "spikes", "v_last"),
        ("loihi", "graded", "v_mean"),
        ("norse", "graded", "v_max"),
        ("norse", "spikes", "v_mean"),
        *([("lava", "graded", "v_last")] if examples(1) > 1 else []),
    ],
)
def test_each_is_as_it_is_alone(target: str, kind: str, readout: Any) -> None:
    x, y = samples(kind), np.arange(len(LENGTHS)) % 2
    with sne.compile(model(kind, readout), target, fidelity=target == "loihi") as compiled:
        together = compiled.run(x, y, record="spikes")
    assert any("1 to 9 of 9 steps, mean 5.0" in warning for warning in together.report.warnings)
    active = 0
    for student, program in zip(together.students, compiled.programs, strict=True):
        assert student.program is program
        for index, steps in enumerate(LENGTHS):
            short = replace(program, timesteps=int(steps))
            with load_backend(target).compile(short, RunOptions()) as executable:
                alone = executable.run(np.asarray(x[index], program_dtype(kind))[None], "spikes")
            trace = student.trace.take(np.array([index]))
            np.testing.assert_array_equal(trace.outputs, alone.outputs)
            for name in ("synops", "spikes", "updates_active", "updates_idle"):
                np.testing.assert_array_equal(getattr(trace, name), getattr(alone, name), err_msg=name)
            np.testing.assert_array_equal(trace.host_macs, alone.host_macs)
            np.testing.assert_array_equal(trace.input_spikes, alone.input_spikes)
            for ours, theirs in zip(trace.layers, alone.layers, strict=True):
                if theirs.recorded_spikes is not None:
                    assert ours.recorded_spikes is not None
                    np.testing.assert_array_equal(ours.recorded_spikes[:, :steps], theirs.recorded_spikes)
                    assert not ours.recorded_spikes[:, steps:].any()
                    active += int(theirs.recorded_spikes.sum())
    assert active > 50, "spikes that are never sent prove nothing"
    assert together.run.labels is not None
    assert together.run.labels.tolist() == y.tolist()
    if target == "loihi":
        assert together.report.fidelity is not None


def program_dtype(kind: str) -> Any:
    return np.uint8 if kind == "spikes" else np.float64


def test_files_lists_and_tensors_say_lengths(tmp_path: Path) -> None:
    x = samples("spikes")
    padded = np.zeros((len(x), STEPS, *INPUT_SHAPE), np.uint8)
    for row, sample in zip(padded, x, strict=True):
        row[: len(sample)] = sample
    np.savez(tmp_path / "d.npz", x=padded[:, :8], y=np.zeros(5, int), lengths=LENGTHS.clip(1, 8))
    ensemble = model("spikes", "v_last")
    takes = {"input_shape": INPUT_SHAPE, "timesteps": STEPS, "encoder": ensemble.encoder}
    data = load_data(str(tmp_path / "d.npz"), **takes)
    assert data.x.shape == padded.shape
    assert data.lengths is not None
    assert data.lengths.tolist() == [4, 8, 1, 4, 7]
    with sne.compile(ensemble, "norse") as compiled:
        wanted = compiled.run(padded, lengths=LENGTHS).logits
        ragged = np.empty(5, dtype=object)
        ragged[:] = x
        for given in (x, ragged, [torch.tensor(sample) for sample in x]):
            np.testing.assert_array_equal(compiled.run(given).logits, wanted)
        whole = compiled.run(padded).logits
        assert (wanted != whole).any(axis=1).tolist() == (LENGTHS < STEPS).tolist()
        assert np.array_equal(sne.estimate(network("dense", 2), x, target="norse").logits.shape, wanted.shape)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        (
            [1, 2, 0, 1, 1],
            "lengths from 0 to 2; x has 9 steps and the model runs 9: they must be from 1 to 9",
        ),
        ([1, 2, 3, 4, 10], r"must be from 1 to 9; .* --timesteps 10 \(timesteps=\)"),
        ([1.0, 2, 3, 4, 5], "lengths of shape .* and dtype float64, must be whole numbers"),
        ([1, 2, 3], r"must be whole numbers of shape \(5,\)"),
    ],
)
def test_lengths_that_cannot_be_are_refused(lengths: list[float], message: str) -> None:
    x = np.zeros((5, STEPS, *INPUT_SHAPE), np.uint8)
    with sne.compile(model("spikes", "v_last"), "norse") as compiled, pytest.raises(DataError, match=message):
        compiled.run(x, lengths=lengths)


def test_a_constant_input_has_no_lengths() -> None:
    ensemble = sne.ensemble(network("dense"), input_shape=INPUT_SHAPE, timesteps=3, encoder="constant")
    with sne.compile(ensemble, "norse") as compiled, pytest.raises(DataError, match="without a time axis"):
        compiled.run(np.zeros((2, *INPUT_SHAPE)), lengths=[1, 2])
    with pytest.raises(DataError, match=r"samples last 7 steps, the model runs 9; .*np\.full\(len\(x\), 7\)"):
        sne.compile(model("spikes", "v_last"), "norse").run(np.zeros((2, 7, *INPUT_SHAPE), np.uint8))
