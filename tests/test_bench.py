"""``sne bench``: the installed targets on the user's own model."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import sne_deploy as sne
from sne_deploy import bench
from sne_deploy.bench import BenchOptions, TargetResult, bench_view, in_turns, measure, number
from sne_deploy.errors import InputError, TargetError, UnsupportedError
from sne_deploy.runtime.rounds import Measured, Sitting
from tests.command_line import command
from tests.networks import lif_box

STEPS = 4
OPTIONS = BenchOptions(targets=("loihi", "norse"), rounds=2, seconds=1.0)


@pytest.fixture(scope="module")
def ensemble():
    torch.manual_seed(1)
    modules = [torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10), lif_box(v_th=0.1))]
    return sne.ensemble(modules, input_shape=(1, 8, 8), timesteps=STEPS, encoder=sne.Encoder("constant"))


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).random((6, 1, 8, 8), np.float32)


def test_engine_and_call_are_measured_per_sample_and_step(ensemble, x):
    found = measure(ensemble, x, OPTIONS)
    loihi, norse = found["targets"]
    assert (loihi["target"], loihi["precision"], norse["target"], norse["precision"]) == (
        "loihi", "fixed", "norse", "float",
    )  # fmt: skip
    assert loihi["samples"] == len(x)
    assert list(loihi["us"]) == ["engine", "call", "call, reference"]
    assert list(norse["us"]) == ["engine", "call"]  # nothing to compare floating point with
    for target in (loihi, norse):
        assert all(0 < us["low"] <= us["median"] <= us["high"] for us in target["us"].values())
        assert target["ratio"]["engine"] == {"median": 1.0, "low": 1.0, "high": 1.0}
        assert target["reason"] is None


def test_the_reference_can_be_left_out(ensemble, x):
    (found,) = measure(ensemble, x, BenchOptions(("loihi",), rounds=1, fidelity=False))["targets"]
    assert list(found["us"]) == ["engine", "call"]


def test_figures_are_microseconds_per_sample_and_step():
    seconds = zip([0.001, 0.004, 0.002], [0.002, 0.004, 0.003], strict=True)
    rounds = tuple({"chip": {"engine": engine, "call": call}} for engine, call in seconds)
    found = bench._result("chip", "fixed", Measured({"chip": 5}, (Sitting(rounds, {}),)), STEPS)
    assert found.us["engine"] == bench.Spread(100.0, 50.0, 200.0)
    assert found.ratio["call"] == bench.Spread(1.5, 1.0, 2.0)  # of the same round, not of the medians


def test_rounds_are_in_turns_and_start_with_another_each_time():
    order = []
    runs = {name: (lambda name=name: order.append(name)) for name in "abc"}
    assert [sorted(seconds) for seconds in in_turns(runs, range(2))] == [["a", "b", "c"]] * 2
    assert "".join(order) == "abcbca"
    assert [*next(iter(in_turns(runs, range(2, 3))))] == ["c", "a", "b"]  # as if it had not been interrupted


def test_a_slow_target_gets_fewer_samples(ensemble, x):
    found = measure(ensemble, x, BenchOptions(targets=("loihi",), rounds=1, seconds=1e-9))
    assert found["targets"][0]["samples"] == 1


def test_fallbacks_of_the_executables_are_added_up():
    executables = [SimpleNamespace(fallbacks={"float64 product": n}) for n in (1, 2)]
    assert bench._fallbacks([*executables, SimpleNamespace()]) == {"float64 product": 3}


def test_a_target_that_refuses_the_model_is_left_out_unless_it_was_asked_for(ensemble, x, monkeypatch):
    monkeypatch.setattr(bench, "backend_names", lambda: ("loihi", "netx"))
    real = bench._prepared

    def prepared(ensemble, target, *others):
        if target == "netx":
            raise UnsupportedError("target netx", ["no such thing"])
        return real(ensemble, target, *others)

    monkeypatch.setattr(bench, "_prepared", prepared)
    loihi, netx = measure(ensemble, x, BenchOptions(rounds=1))["targets"]
    assert (loihi["reason"], netx["reason"]) == (None, "target netx: no such thing")
    with pytest.raises(UnsupportedError, match="no such thing"):
        measure(ensemble, x, BenchOptions(targets=("netx",), rounds=1))
    monkeypatch.setattr(bench, "backend_names", lambda: ("netx",))
    with pytest.raises(InputError, match="no installed target runs this model: netx: target netx: no such"):
        measure(ensemble, x, BenchOptions(rounds=1))


@pytest.mark.parametrize("change", [{"rounds": 0}, {"seconds": 0.0}])
def test_wrong_options(ensemble, x, change):
    with pytest.raises(InputError, match="give at least 1 and more than 0"):
        measure(ensemble, x, BenchOptions(**change))


def test_an_unknown_target(ensemble, x):
    with pytest.raises(TargetError, match="unknown target 'abacus'"):
        measure(ensemble, x, BenchOptions(targets=("abacus",)))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.0125, "0.013"), (0.5, "0.500"), (1.234, "1.23"), (45.67, "45.7"), (12345.6, "12,346")],
)
def test_numbers(value, text):
    assert number(value) == text


def test_the_command_prints_a_table_or_json_and_writes_the_file(ensemble, tmp_path):
    model, out = tmp_path / "model.pt", tmp_path / "bench.json"
    ensemble.save(model)
    options = (model, "--target", "loihi", "--samples", 5, "--rounds", 1, "--seconds", 0.1)
    found = command("bench", *options, "--json", "--out", out, name="sne")
    assert found.status == 0, found.stderr
    assert json.loads(found.stdout) == json.loads(out.read_text())
    document = json.loads(out.read_text())
    assert (document["model"], document["data"], document["timesteps"]) == ([str(model)], "digits", STEPS)
    for more, referred in ((), True), (("--no-fidelity",), False):
        table = command("bench", *options, *more, name="sne")
        assert table.status == 0, table.stderr
        assert "us per sample and step" in table.stdout
        assert ("call, reference" in table.stdout) == referred


def test_the_table_names_fallbacks_and_reasons():
    from dataclasses import asdict

    from rich.console import Console

    targets = [TargetResult("a", fallbacks={"float64 product": 3}), TargetResult("b", reason="gone")]
    machine = {"cpu": "one", "cores": 2, "load": 0.5}
    document = {"machine": machine, "timesteps": 4, "rounds": 3, "sittings": [2, 1]}
    document["targets"] = [asdict(target) for target in targets]
    console = Console(width=100, record=True, quiet=False)
    console.print(bench_view(document))
    text = console.export_text()
    assert "of 3 rounds, interrupted after 2" in text
    assert "a: 3 times float64 product" in text
    assert "b: not measured: gone" in text
