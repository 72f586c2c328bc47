"""``sne.explore`` and ``sne explore`` on real networks: points are runs, files are read again, refusals."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
from rich.console import Console

import sne_deploy as sne
from sne_deploy.data import digits_split
from sne_deploy.errors import CheckpointError, DataError, InputError, UnsupportedError
from sne_deploy.exploration import explore as explore_module
from sne_deploy.exploration.figures import Figures
from sne_deploy.exploration.points import Point
from sne_deploy.exploration.result import Exploration
from sne_deploy.exploration.schema import SCHEMA_FILE, ExplorationModel, json_schema
from sne_deploy.exploration.standing import most_power
from sne_deploy.exploration.table import exploration_view, spread
from sne_deploy.model.ensemble import Gate
from tests.command_line import command
from tests.effort import examples
from tests.networks import INPUT_SHAPE, lif_box, network
from tests.runtime.test_lengths import LENGTHS, STEPS, samples

ROOT = Path(__file__).parents[2]
SAMPLES = 60


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    _, _, x, y = digits_split()
    return x[:SAMPLES], y[:SAMPLES]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small students on the digits, of which each knows a little."""
    rng = np.random.default_rng(3)
    x, y, _, _ = digits_split()
    modules = []
    for seed in range(3):
        torch.manual_seed(seed)
        layer = torch.nn.Linear(64, 10)
        means = np.stack([x[y == k][rng.integers(0, 50, 5)].mean(axis=0).reshape(-1) for k in range(10)])
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy((means - means.mean(axis=0)) / 3))
            layer.bias.zero_()
        last = torch.nn.Linear(10, 10, bias=False)
        with torch.no_grad():
            last.weight.copy_(torch.eye(10) - 0.05 * torch.rand(10, 10))
        modules.append(
            torch.nn.Sequential(torch.nn.Flatten(), layer, lif_box(v_th=0.1), last, lif_box(0.8, v_th=0.3))
        )
    ensemble = sne.ensemble(
        modules, input_shape=(1, 8, 8), timesteps=4, encoder=sne.Encoder("constant"), names=["a", "b", "c"]
    )
    path = tmp_path_factory.mktemp("model") / "model.pt"
    ensemble.save(path)
    return path


@pytest.fixture(scope="module")
def found(model: Path, digits: Any) -> Exploration:
    return sne.explore(model, *digits, thresholds=12, bits=(3, 8))


def assert_is_its_run(ensemble: sne.Ensemble, point: Point, x: Any, y: Any, **given: Any) -> None:
    """What a point says of all samples is, bit for bit, what a run with its policy reports."""
    with sne.compile(
        ensemble, "loihi", policy=point.policy, weight_bits=point.weight_bits, fidelity=False
    ) as compiled:
        result = compiled.run(x, y, **given)
    report = result.report.ensemble
    assert point.whole.latency_s == pytest.approx(report.latency_s, rel=1e-12)
    assert point.whole.accuracy == report.accuracy
    assert point.whole.energy_j == report.energy_per_sample_j.total
    assert point.whole.synops == report.synops_per_sample
    assert point.whole.students == report.mean_active_students


def test_points_are_runs(model: Path, digits: Any, found: Exploration) -> None:
    rng = np.random.default_rng(0)
    ensemble = sne.load(model)
    assert set(found.points.weight_bits) == {3, 8}
    for index in rng.choice(len(found.points), examples(6), replace=False):
        assert_is_its_run(ensemble, found.points[int(index)], *digits)


def test_the_power_beside_the_points_is_the_report_s(model: Path, digits: Any, found: Exploration) -> None:
    with sne.compile(sne.load(model), "loihi", fidelity=False) as compiled:
        report = compiled.run(*digits).report.ensemble
    lines, power = found.standing, report.power
    assert lines is not None
    assert (lines.cores, lines.chips) == (report.cores, report.chips)
    assert (lines.x86_w, lines.static_w) == (power.x86.power_w, power.static.power_w)
    assert (lines.x86_j, lines.static_j) == (None, None)
    with sne.compile(sne.load(model), "loihi", fidelity=False) as compiled:
        power = compiled.run(*digits, rate=250.0).report.ensemble.power
    lines = sne.explore(model, *digits, rate=250.0, thresholds=2, measures=["margin"]).standing
    assert lines is not None
    assert (lines.x86_j, lines.static_j) == (power.x86.energy_j, power.static.energy_j)


def test_of_several_bits_the_power_is_that_of_those_that_take_the_most(
    model: Path, digits: Any, tmp_path: Path
) -> None:
    text = (ROOT / "sne_deploy" / "chips" / "loihi1.toml").read_text("utf-8")
    small = re.sub(r"(cores_per_chip = \{ value = )\d+", r"\g<1>1", text)
    small = re.sub(r"(synapse_memory_per_core = \{ value = )\d+", r"\g<1>1000", small)
    chip = tmp_path / "small.toml"
    chip.write_text(small.replace('name = "loihi1"', 'name = "small"'), "utf-8")
    given: dict[str, Any] = {"hardware": chip, "thresholds": 2, "measures": ["margin"], "rate": 10.0}
    few_digits = [each[:10] for each in digits]
    alone = {bits: sne.explore(model, *few_digits, bits=(bits,), **given).standing for bits in (2, 8)}
    few, many = alone[2], alone[8]
    assert few is not None
    assert many is not None
    assert (few.weight_bits, many.weight_bits) == (2, 8)
    assert few.chips < many.chips
    assert [most_power(both) for both in ([few, many], [many, few])] == [many, many]
    explored = sne.explore(model, *few_digits, bits=(2, 8), **given)
    assert explored.standing == many
    document = explored.document().model_dump(mode="json")
    jsonschema.validate(document, json.loads(SCHEMA_FILE.read_text("utf-8")))
    assert document["standing"]["weight_bits"] == 8
    shown = io.StringIO()
    Console(file=shown, width=300).print(exploration_view(explored))
    assert "with 8 weight bits, which take the most" in shown.getvalue()


def test_registers_that_were_read_have_no_fewer_bits(
    model: Path, digits: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused before anything runs, whatever comes first; what they have is explored."""
    for bits in (2, 8):
        with sne.compile(model, "loihi", weight_bits=bits, fidelity=False) as compiled:
            compiled.save(tmp_path / f"{bits}.sne")
    given: dict[str, Any] = {"thresholds": 2, "measures": ["margin"]}
    assert sne.explore(tmp_path / "8.sne", *digits, **given).own.weight_bits is None
    assert sne.explore(tmp_path / "2.sne", *digits, bits=(2,), **given).own.weight_bits == 2
    monkeypatch.setattr(explore_module, "record", None)
    wrong = r"^student 'a': its weights were read as integers of 8 bits: not the 2 asked for; leave"
    with pytest.raises(UnsupportedError, match=wrong):
        sne.explore(tmp_path / "8.sne", *digits, bits=(8, 2), **given)


@pytest.mark.parametrize("target", ["loihi", "norse"])
def test_energies_say_what_they_leave_out_as_a_report_does(model: Path, digits: Any, target: str) -> None:
    with sne.compile(sne.load(model), target, fidelity=False) as compiled:
        energy = compiled.run(*digits).report.ensemble.energy_per_sample_j
    explored = sne.explore(model, *digits, target=target, thresholds=2, measures=["margin"])
    assert explored.energy_excludes == energy.total_excludes
    assert explored.document().energy_excludes == energy.total_excludes
    assert ("updates" in energy.total_excludes) == (target == "norse")
    shown = io.StringIO()
    Console(file=shown, width=200).print(exploration_view(explored))
    assert ("energies leave out what target norse does not count" in shown.getvalue()) == (target == "norse")


def test_samples_that_choose_do_not_judge(model: Path, digits: Any, found: Exploration) -> None:
    """Either half has figures of its own; together they are the whole."""
    for point in (found.own, *found.front):
        assert (point.chosen_on.samples, point.measured.samples, point.whole.samples) == (30, 30, 60)
        assert point.whole.accuracy == pytest.approx((point.chosen_on.accuracy + point.measured.accuracy) / 2)
    x, y = digits
    other = sne.explore(model, x[:40], y[:40], select_on=(x[40:], y[40:]), thresholds=2, measures=["margin"])
    assert (other.own.chosen_on.samples, other.own.measured.samples) == (20, 40)
    assert other.own.whole == other.own.measured
    same = sne.explore(model, x, y, select_on="all", thresholds=2, measures=["margin"])
    assert same.own.chosen_on == same.own.measured == same.own.whole
    assert same.own.whole.accuracy == found.own.whole.accuracy


def test_a_model_that_was_written_gives_the_figures_that_were_said(
    model: Path, digits: Any, found: Exploration, tmp_path: Path
) -> None:
    point = found.pick(target_accuracy=found.front[-1].chosen_on.accuracy)
    path = tmp_path / "cheap.pt"
    found.write(point, path)
    written, before = sne.load(path), sne.load(model)
    assert written.policy == point.policy
    assert {
        name: value for name, value in written.provenance.items() if name != "explored"
    } == before.provenance
    assert written.provenance["explored"]["whole"]["accuracy"] == point.whole.accuracy
    assert_is_its_run(written, point, *digits)
    with sne.compile(written, "loihi", weight_bits=point.weight_bits, fidelity=False) as compiled:
        assert compiled.run(*digits).report.ensemble.energy_per_sample_j.total == point.whole.energy_j


def test_a_gate_and_samples_of_different_lengths(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    tensors = (rng.normal(size=shape).astype(np.float32) * 3 for shape in ((3, 4), (3,), (2, 3), (2,)))
    ensemble = sne.ensemble(
        [network("dense", 1), network("dense", 2)], input_shape=INPUT_SHAPE, timesteps=STEPS,
        encoder=sne.Encoder("spikes"),
    )  # fmt: skip
    gated = sne.ActivationPolicy("gate", (), 0.5, gate=Gate((1, 2, 2), *tensors))
    ensemble = type(ensemble)(**{**vars(ensemble), "policy": gated})
    x, y = samples("spikes"), np.arange(len(LENGTHS)) % 2
    found = sne.explore(ensemble, x, y, select_on="all", thresholds=4)
    gates = [k for k, policy in enumerate(found.points.policies) if policy.kind == "gate"]
    assert len(gates) > 2
    assert found.own.policy == gated
    for index in (gates[0], gates[-1], len(found.points) // 2):
        assert_is_its_run(ensemble, found.points[index], x, y)
    found.write(found.points[gates[-1]], tmp_path / "model.pt")
    assert sne.load(tmp_path / "model.pt").policy == found.points[gates[-1]].policy


def test_the_command_prints_what_it_writes(model: Path, tmp_path: Path) -> None:
    out, cheap = tmp_path / "front.json", tmp_path / "cheap.pt"
    given = ("--samples", SAMPLES, "--thresholds", 12, "--energy-budget", "1uJ", "--rate", 100)
    one = command("explore", model, *given, "--json", "--out", out, "--write", cheap, name="sne")
    assert one.status == 0, one.stderr
    assert one.stdout == out.read_text("utf-8")
    document = ExplorationModel.model_validate_json(one.stdout)
    jsonschema.validate(json.loads(one.stdout), json.loads(SCHEMA_FILE.read_text("utf-8")))
    assert document.chosen is not None
    assert document.chosen.written == str(cheap)
    assert document.chosen.point.chosen_on.energy_j <= 1e-6
    report = command(cheap, "--target", "loihi", "--samples", SAMPLES, "--out", tmp_path / "out")
    assert report.status == 0, report.stderr
    ran = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))["ensemble"]
    assert ran["accuracy"] == document.chosen.point.whole.accuracy
    assert ran["energy_per_sample_j"]["total"] == document.chosen.point.whole.energy_j
    table = command("explore", model, *given, name="sne").stdout
    for text in ("the Pareto front", "picked: ", "the model's own: ", "each student left out of a + b + c",
                 "at 100 inferences a second, 232 uJ and 1.04 mJ for each",
                 "points are chosen on 30 of 60 samples, at random"):  # fmt: skip
        assert text in " ".join(table.split())


def test_the_table_has_as_many_rows_as_fit_the_cheapest_and_the_most_accurate_among_them() -> None:
    def point(energy: int, accuracy: float) -> Point:
        figures = Figures(100, accuracy, 0.01, energy * 1e-6, None, 1.0, 1.0)
        return Point(sne.ActivationPolicy(), None, False, figures, figures, figures)

    front = [point(k, 0.5 + 0.01 * k) for k in range(50)]
    rows = spread(front)
    assert len(rows) == 16
    assert [row.chosen_on.energy_j for row in rows] == sorted(row.chosen_on.energy_j for row in rows)
    assert {front[0], front[-1]} <= set(rows)
    assert spread(front[:3]) == front[:3]


def test_the_committed_schema_is_the_one_in_use() -> None:
    assert SCHEMA_FILE.read_text("utf-8") == json_schema(), "python -m sne_deploy.exploration.schema"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--write", "x.pt"), "--write x.pt needs a point: give --target-accuracy, --energy-budget or"),
        (("--write", "{model}", "--energy-budget", "1J"), "is the model itself, which stays as it is"),
        (("--energy-budget", "2"), "energy budget '2': give a number and its unit, such as 2uJ"),
        (("--rate", "0"), "rate 0 must be inferences a second, above 0; leave it out for power alone"),
        (("--bits", "4,x"), "--bits '4,x' is no list of whole numbers; give such as 4,6,8"),
        (("--measure", "luck"), "measure 'luck' is not one of max_probability, margin, entropy"),
        (("--select-on", "third"), "unknown data 'third'; give one of digits"),
        (("--energy-budget", "1fJ"), "no point keeps --energy-budget: the nearest has"),
        (("--out", "/nowhere/at/all.json"), "cannot write /nowhere/at/all.json: No such file or directory"),
        (("--out", "/"), "cannot write /: Is a directory; choose a folder that exists"),
    ],
)
def test_refusals_are_one_line(model: Path, given: tuple[str, ...], message: str) -> None:
    several = [text.format(model=model) for text in given]
    found = command("explore", model, "--samples", 20, "--thresholds", 2, *several, name="sne")
    assert (found.status, found.stdout) == (2, "")
    assert message in found.stderr
    assert found.stderr.count("\n") == 1


def test_data_without_labels_and_what_is_no_model_pt_are_refused(
    model: Path, digits: Any, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="the data have no labels; give data with y"):
        sne.explore(model, digits[0], None)
    with pytest.raises(InputError, match="half of one sample chooses nothing; give more samples"):
        sne.explore(model, digits[0][:1], digits[1][:1])
    with pytest.raises(InputError, match="must be 'half', 'all' or a pair"):
        sne.explore(model, *digits, select_on=digits[0][0, 0, 0])
    with pytest.raises(DataError, match="label 12, but the model has 10 classes"):
        sne.explore(model, digits[0], digits[1] * 0 + 12)
    with sne.compile(sne.load(model), "loihi", fidelity=False) as compiled:
        compiled.save(tmp_path / "net.sne")
    limits = ("--energy-budget", "1J", "--write", tmp_path / "x.pt")
    refused = command("explore", tmp_path / "net.sne", *limits, name="sne")
    assert refused.status == 2
    assert "student 'a' did not come from a model.pt, which alone can be written" in refused.stderr
    kept = sne.explore(tmp_path / "net.sne", *digits, thresholds=2)
    with pytest.raises(CheckpointError):
        kept.write(kept.own, tmp_path / "x.pt")
