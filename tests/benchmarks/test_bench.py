"""The benchmark end to end on tiny networks: that it works and that all compute the same, not how fast."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks.comparison import BenchOptions, bench_view, performance_page, run_bench, write_document
from benchmarks.comparison.contestants import CONTESTANTS, NENGO_PYTHON, Timing, UnavailableError
from benchmarks.comparison.measure import QUICK_EFFORT, measure_case
from benchmarks.comparison.networks import FULL, RATE_HIGH, RATE_LOW, make_case
from benchmarks.comparison.tables import number
from sne_deploy.backend import RunOptions, load_backend
from sne_deploy.errors import InputError

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"


@pytest.fixture(scope="module")
def document():
    return run_bench(BenchOptions(networks=("a", "b", "d"), rates=(0.5,), quick=True))


def results(document):
    return [(case, result) for case in document["cases"] for result in case["results"]]


def test_every_contestant_is_measured_or_says_why(document):
    assert [case["name"] for case in document["cases"]] == ["a", "b", "d"]
    for case, result in results(document):
        measured = result["us"] is not None
        assert measured == (result["reason"] is None), (case["name"], result["label"])
        if measured:
            assert 0 < result["us"]["low"] <= result["us"]["median"] <= result["us"]["high"]
            assert result["ratio"]["low"] <= result["ratio"]["median"] <= result["ratio"]["high"]
    labels = {result["label"] for _, result in results(document)}
    assert labels == {contestant.label for contestant in CONTESTANTS}


def test_only_known_reasons(document):
    """What is left out is the optional emulator, and stock Lava streaming through a cycle."""
    for case, result in results(document):
        if result["reason"] is None:
            continue
        if result["contestant"] == "nengo":
            assert NENGO_PYTHON in result["reason"]
            assert NENGO_PYTHON not in os.environ
        else:
            assert case["name"] == "d"
            assert "recurrent" in result["reason"]


def test_integers_agree(document):
    integers = {contestant.key for contestant in CONTESTANTS if contestant.integers}
    compared = [r for _, r in results(document) if r["us"] is not None and r["contestant"] in integers]
    assert compared
    assert all(result["exact"] is True for result in compared), compared
    assert {result["contestant"] for result in compared} >= {
        "loihi",
        "lava",
        "stock-streamed",
        "stock-built",
        "netx",
    }


def test_a_wrong_count_is_seen():
    class Wrong:
        key, label, integers, batched = "wrong", "wrong", True, False

        def ready(self, case, seed):
            loihi = CONTESTANTS[0].ready(case, seed)

            def measure(samples):
                found = loihi(samples)
                return Timing(
                    found.seconds,
                    found.counts + np.eye(1, found.counts.size, 3, int).reshape(found.counts.shape),
                )

            return measure

    case = make_case("a", 0.5, 0, quick=True)
    measured = measure_case(case, (CONTESTANTS[0], Wrong()), QUICK_EFFORT, 1, lambda _: None)
    assert [result["exact"] for result in measured["results"]] == [True, False]


def test_a_contestant_that_is_not_there_is_left_out_with_its_reason():
    class Absent:
        key, label, integers, batched = "absent", "absent", True, False

        def ready(self, case, seed):
            raise UnavailableError("gone fishing")

    case = make_case("a", 0.1, 0, quick=True)
    measured = measure_case(case, (CONTESTANTS[0], Absent()), QUICK_EFFORT, 1, lambda _: None)
    assert measured["results"][1]["reason"] == "gone fishing"
    assert measured["results"][1]["us"] is None


@pytest.mark.parametrize("rate", [0.1, 0.5])
@pytest.mark.parametrize("name", ["a", "d"])
def test_full_networks_fire_as_they_should(name, rate):
    case = make_case(name, rate, 0, quick=False)
    again = make_case(name, rate, 0, quick=False)
    thresholds = [int(group.vth_mant) for group in case.program.groups]
    assert thresholds == [int(group.vth_mant) for group in again.program.groups]
    trace = load_backend("loihi").compile(case.program, RunOptions()).run(case.inputs(64, 1))
    for group, layer in zip(case.program.groups[:-1], trace.layers, strict=False):
        found = layer.spikes.sum() / (64 * case.program.timesteps * group.size)
        assert RATE_LOW <= found <= RATE_HIGH


def test_the_convolutional_network_has_about_a_million_synapses():
    _, build = FULL["b"]
    assert sum(s.weights.matrix().nnz for s in build(0).synapses) == pytest.approx(1e6, rel=0.1)


def test_inputs_do_not_depend_on_the_batch():
    case = make_case("a", 0.1, 0, quick=True)
    assert np.array_equal(case.inputs(5, 3)[:2], case.inputs(2, 3))
    assert not np.array_equal(case.inputs(5, 3), case.inputs(5, 4))


def test_tables_page_and_file(document, tmp_path):
    path = tmp_path / "performance.json"
    write_document(document, path)
    assert json.loads(path.read_text()) == json.loads(json.dumps(document))
    page = performance_page(json.loads(path.read_text()))
    console = Console(width=130, record=True, file=io.StringIO())
    console.print(bench_view(document))
    text = console.export_text()
    for case in document["cases"]:
        assert case["description"] in text
        assert case["description"] in page
    for contestant in CONTESTANTS:
        assert contestant.label in page
    assert "say nothing about speed" in page


def test_scaling_and_startup(document):
    assert set(document["scaling"]) == {"batch", "width", "rate", "timesteps"}
    for points in document["scaling"].values():
        assert all(point["us"] > 0 and point["peak_mib"] >= 0 for point in points)
    assert document["startup"]["first_ever"]["first_run_s"] > document["startup"]["cached"]["first_run_s"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"networks": ("z",)}, "unknown network z"),
        ({"contestants": ("z",)}, "unknown contestant z"),
        ({"threads": 0}, "threads 0"),
    ],
)
def test_wrong_options(change, text):
    with pytest.raises(InputError, match=text):
        run_bench(replace(BenchOptions(quick=True), **change))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.0125, "0.013"), (0.5, "0.500"), (1.234, "1.23"), (45.67, "45.7"), (12345.6, "12,346")],
)
def test_numbers(value, text):
    assert number(value) == text


def test_the_committed_page_is_the_committed_measurement():
    document = json.loads(PAGE.with_suffix(".json").read_text())
    assert PAGE.read_text() == performance_page(document)
    assert not document["quick"]
    ours_and_lavas = [
        r for _, r in results(document) if r["contestant"] != "nengo"
    ]  # another model: see the page
    assert all(result["exact"] is not False for result in ours_and_lavas)
