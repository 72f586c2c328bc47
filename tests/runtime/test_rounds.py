"""Rounds of measurements that are kept: whole ones alone, each once, whatever interrupts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sne_deploy as sne
from sne_deploy import bench, stopping
from sne_deploy.bench import BenchOptions, measure
from sne_deploy.errors import InputError, OutputError
from sne_deploy.runtime import kept
from sne_deploy.runtime.rounds import ROUNDS, Measured, Rounds, Sitting
from sne_deploy.runtime.work import MADE_WITH, Work, forget, kept_files
from tests.command_line import command
from tests.networks import lif_box

OPTIONS = BenchOptions(targets=("loihi", "norse"), rounds=4, seconds=0.001)
MADE = {"model": "one"}


class InterruptedHere(BaseException):
    """As a kill, which nothing catches."""


@pytest.fixture(autouse=True)
def kept_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "KEEP_S", 0.0)


@pytest.fixture(scope="module")
def ensemble() -> sne.Ensemble:
    torch.manual_seed(1)
    modules = [torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(9, 4), lif_box(v_th=0.1))]
    return sne.ensemble(modules, input_shape=(1, 3, 3), timesteps=4, encoder=sne.Encoder("constant"))


@pytest.fixture(scope="module")
def x() -> Any:
    return np.random.default_rng(0).random((6, 1, 3, 3), np.float32)


def interrupted(work: Path, ensemble: sne.Ensemble, x: Any, runs: int) -> None:
    """Measure until so many runs of the rounds are done, five of each."""
    left, timed = [runs], bench._timed

    def counted(run: Any) -> float:
        if left[0] == 0:
            raise InterruptedHere
        left[0] -= 1
        return timed(run)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "_twice", lambda _: 0.0)
        patch.setattr(bench, "_timed", counted)
        with pytest.raises(InterruptedHere):
            measure(ensemble, x, OPTIONS, work=work)


def of_work(work: Path) -> Measured:
    made = json.loads((work / MADE_WITH).read_text())["made_with"]
    with Work(work, lambda: made) as opened:
        return Rounds(opened).measured


def test_whole_rounds_are_kept_and_none_is_measured_again(
    ensemble: sne.Ensemble, x: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    work = tmp_path / "work"
    interrupted(work, ensemble, x, 3)
    assert not work.exists()  # no round was whole
    interrupted(work, ensemble, x, 5 + 4)
    before = of_work(work)
    interrupted(work, ensemble, x, 5)
    after = of_work(work)
    assert [len(sitting.rounds) for sitting in after.sittings] == [1, 1]
    assert after.rounds[0] == before.rounds[0]
    caplog.clear()
    found = measure(ensemble, x, OPTIONS, work=work)
    assert caplog.messages == [f"going on with 2 rounds kept in {work}"]
    assert (found["rounds"], found["sittings"]) == (4, [1, 1, 2])
    assert [target["samples"] for target in found["targets"]] == [6, 6]  # as before, not as fast as now
    every = of_work(work).rounds
    assert every[:2] == after.rounds
    engine = [1e6 / (6 * 4) * each["loihi"]["engine"] for each in every]
    us = found["targets"][0]["us"]["engine"]
    assert us == {"median": np.median(engine), "low": min(engine), "high": max(engine)}
    assert kept_files(work) == [work / ROUNDS]
    forget(work)
    assert not work.exists()


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"seconds": 2.0}, "seconds 0.001, not 2"),
        ({"weight_bits": 4}, "weight bits None, not 4"),
        ({"fidelity": False}, "fidelity True, not False"),
        ({"targets": ("loihi",)}, "targets loihi, norse, not loihi"),
    ],
)
def test_rounds_of_another_measurement_are_refused(
    changed: dict[str, Any], named: str, ensemble: sne.Ensemble, x: Any, tmp_path: Path
) -> None:
    interrupted(tmp_path / "work", ensemble, x, 5)
    given = {**vars(OPTIONS), **changed}
    with pytest.raises(InputError, match=named):
        measure(ensemble, x, BenchOptions(**given), work=tmp_path / "work")


def rounds_in(work: Path, samples: dict[str, int] | None = None) -> None:
    """Keep one round of a target."""
    with Work(work, lambda: MADE) as opened:
        rounds = Rounds(opened)
        rounds.begin(samples or {"a": 3})
        rounds.add({"a": {"engine": 0.5}}, {"a": {"slow": 2}})


def test_fallbacks_of_all_sittings_are_added_up(tmp_path: Path) -> None:
    rounds_in(tmp_path / "work")
    rounds_in(tmp_path / "work")
    with Work(tmp_path / "work", lambda: MADE) as work:
        found = Rounds(work).measured
    assert found == Measured({"a": 3}, (Sitting(({"a": {"engine": 0.5}},), {"a": {"slow": 2}}),) * 2)
    assert (found.fallbacks("a"), found.fallbacks("b")) == ({"slow": 4}, {})
    assert found.first(1).fallbacks("a") == {"slow": 2}


@pytest.mark.parametrize("now", [b"0.25", b"", b"0.50"])
def test_damaged_rounds_are_measured_again(now: bytes, tmp_path: Path) -> None:
    """With checksums that fit."""
    rounds_in(tmp_path / "work")
    path = tmp_path / "work" / ROUNDS
    with np.load(path) as archive:
        arrays = dict(archive)
    text = arrays["document"].tobytes()
    assert text.count(b"0.5") == 1
    np.savez(path, **{**arrays, "document": np.frombuffer(text.replace(b"0.5", now), np.uint8)})
    with Work(tmp_path / "work", lambda: MADE) as work:
        assert Rounds(work).measured.rounds == ()
    assert not path.exists()


def test_other_targets_than_those_kept_are_refused(tmp_path: Path) -> None:
    rounds_in(tmp_path / "work")
    with pytest.raises(InputError, match="rounds of a are kept, and now a, b can be measured; begin anew"):
        rounds_in(tmp_path / "work", {"a": 3, "b": 1})


def test_a_disk_that_is_full_leaves_the_rounds_before(tmp_path: Path, monkeypatch: Any) -> None:
    rounds_in(tmp_path / "work")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left on device; free some space"):
        rounds_in(tmp_path / "work")
    monkeypatch.undo()
    assert len(of_work(tmp_path / "work").rounds) == 1


def test_rounds_are_thrown_away_once_every_target_is_ready(
    ensemble: sne.Ensemble, x: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    rounds_in(work)
    with pytest.raises(InputError):
        measure(ensemble, x, BenchOptions(targets=("none",)), work=work, resume=False)
    assert kept_files(work) == [work / ROUNDS]
    monkeypatch.setattr(bench, "_twice", lambda _: 0.0)
    assert measure(ensemble, x, OPTIONS, work=work, resume=False)["sittings"] == [4]
    assert len(of_work(work).rounds) == 4


def full(_: int) -> None:
    raise OSError(28, os.strerror(28))


def test_the_command_says_that_it_goes_on(
    ensemble: sne.Ensemble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model, out = tmp_path / "model.pt", tmp_path / "bench.json"
    ensemble.save(model)
    np.savez(tmp_path / "data.npz", x=np.zeros((3, 1, 3, 3), np.float32), y=np.zeros(3, int))
    options = [model, "--data", tmp_path / "data.npz", "--target", "loihi", "--rounds", 2, "--out", out]
    timed, done = bench._timed, [0]

    def stopped_in_the_second_round(run: Any) -> float:
        done[0] += 1
        if done[0] == 5:
            raise KeyboardInterrupt
        return timed(run)

    monkeypatch.setattr(stopping, "_words", [*stopping._words])
    monkeypatch.setattr(bench, "_timed", stopped_in_the_second_round)
    monkeypatch.setattr(bench, "_twice", lambda _: 1.0)
    stopped = command("bench", *options, name="sne")
    assert (stopped.status, caplog.messages) == (130, [])
    assert stopped.stderr == "interrupted: the same command goes on with what is kept\n"
    again = command("bench", *options, name="sne")
    assert (again.status, again.stderr) == (0, f"Written: {out}\n")
    assert caplog.messages == [f"going on with 1 round kept in {out}.work"]
    assert json.loads(out.read_text())["sittings"] == [1, 1]
    assert {path.name for path in tmp_path.iterdir()} == {"model.pt", "data.npz", "bench.json"}
