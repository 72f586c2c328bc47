"""The benchmark end to end on tiny networks: that it works and that all compute the same, not how fast."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

import sne_deploy as sne
from benchmarks.__main__ import main, parsed, run
from benchmarks.call import norse_ensemble
from benchmarks.contestants import CONTESTANTS, NENGO_PYTHON, Contestant, Timing, UnavailableError
from benchmarks.measure import QUICK_EFFORT, measure_case
from benchmarks.networks import RATE_HIGH, RATE_LOW, make_case, network
from benchmarks.page import performance_page
from sne_deploy import bench
from sne_deploy.backend import RunOptions, load_backend
from sne_deploy.bench import BenchOptions

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"


@pytest.fixture(scope="module")
def document():
    return run(parsed(["--quick", "--network", "a", "b", "d", "--rate", "0.5"]))


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
    def ready(case, seed):
        loihi = CONTESTANTS[0].ready(case, seed)

        def measure(samples):
            counts = loihi(samples).counts
            return Timing(1.0, counts + np.eye(1, counts.size, 3, int).reshape(counts.shape))

        return measure

    case = make_case("a", 0.5, 0, quick=True)
    measured = measure_case(
        case, (CONTESTANTS[0], Contestant("wrong", "wrong", ready)), QUICK_EFFORT, 1, lambda _: None
    )
    assert [result["exact"] for result in measured["results"]] == [True, False]


def test_a_contestant_that_is_not_there_is_left_out_with_its_reason():
    def ready(case, seed):
        raise UnavailableError("gone fishing")

    case = make_case("a", 0.1, 0, quick=True)
    measured = measure_case(
        case, (CONTESTANTS[0], Contestant("absent", "absent", ready)), QUICK_EFFORT, 1, lambda _: None
    )
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
    assert sum(s.weights.matrix().nnz for s in network("b", 0, quick=False).synapses) == pytest.approx(
        1e6, rel=0.1
    )


def test_inputs_do_not_depend_on_the_batch():
    case = make_case("a", 0.1, 0, quick=True)
    assert np.array_equal(case.inputs(5, 3)[:2], case.inputs(2, 3))
    assert not np.array_equal(case.inputs(5, 3), case.inputs(5, 4))


def test_page_and_file(document, tmp_path, capsys):
    path = tmp_path / "performance.json"
    path.write_text(json.dumps(document))
    page = performance_page(json.loads(path.read_text()))
    for case in document["cases"]:
        assert case["description"] in page
    for contestant in CONTESTANTS:
        assert contestant.label in page
    assert "say nothing about speed" in page
    main(["--from-json", str(path), "--page", str(tmp_path / "page.md")])
    assert (tmp_path / "page.md").read_text() == page
    main(["--from-json", str(path)])
    assert capsys.readouterr().out == page + "\n"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "[" * 5000, '{"cases": 1}', '{"cases": [{"results": "\\u001b[2J"}]}']
)
def test_an_edited_file_is_one_line(tmp_path, capsys, text):
    path = tmp_path / "performance.json"
    path.write_text(text)
    with pytest.raises(SystemExit) as caught:
        main(["--from-json", str(path), "--page", str(tmp_path / "page.md")])
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "performance.json: not the figures of a run" in line
    assert line.isprintable()
    assert not (tmp_path / "page.md").exists()


def test_scaling_and_startup(document):
    assert set(document["scaling"]) == {"batch", "width", "rate", "timesteps"}
    for points in document["scaling"].values():
        assert all(point["us"] > 0 and point["peak_mib"] >= 0 for point in points)
    assert document["startup"]["first_ever"]["first_run_s"] > document["startup"]["cached"]["first_run_s"]


@pytest.mark.parametrize("wrong", ["--network z", "--contestant z"])
def test_wrong_options(wrong, capsys):
    with pytest.raises(SystemExit):
        parsed(wrong.split())
    assert "invalid choice: 'z'" in capsys.readouterr().err


def test_the_call_is_measured_on_a_student_that_fires_as_the_network_does():
    case = make_case("a", 0.5, 0, quick=True)
    ensemble, x = norse_ensemble(case), case.inputs(64, 1)
    (found,) = bench.measure(ensemble, x, BenchOptions(("loihi",), 1))["targets"]
    assert list(found["us"]) == ["engine", "call", "call, reference"]
    with sne.compile(ensemble, "loihi", fidelity=False) as compiled:
        (student,) = compiled.run(x).report.students
    rates = [layer.rate for layer in student.layers]
    assert len(rates) == len(case.program.groups)
    assert all(RATE_LOW <= rate <= RATE_HIGH for rate in rates[:-1])


def test_the_committed_page_is_the_committed_measurement():
    document = json.loads(PAGE.with_suffix(".json").read_text())
    assert PAGE.read_text() == performance_page(document)
    assert not document["quick"]
    ours_and_lavas = [
        r for _, r in results(document) if r["contestant"] != "nengo"
    ]  # another model: see the page
    assert all(result["exact"] is not False for result in ours_and_lavas)
