"""Accuracy against energy, where accuracy is lost, where energy goes: in the numbers of the report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import sne_deploy as sne
from sne_deploy.data import digits_split
from sne_deploy.energy.accounting import PARTS
from sne_deploy.model.ensemble import ActivationPolicy
from sne_deploy.page.details.model import Details
from sne_deploy.page.figure import Absent, Figure
from sne_deploy.page.figures.accuracy_energy import accuracy_energy
from sne_deploy.page.figures.energy import energy, uses_of
from sne_deploy.page.figures.tradeoff_rows import ALONE, AS_IF, FIRST, OTHER, POLICY, TEACHER
from sne_deploy.page.figures.waterfall import levels_of, waterfall
from sne_deploy.report.units import joules, percent
from sne_deploy.result import Result

MODEL, TEACHER_FILE = "examples/digits/model.pt", "examples/digits/teacher.onnx"
CASCADE = ActivationPolicy("confidence", (3, 2, 1, 0), 0.6)
HOSTILE = "<img src=x onerror=alert(1)>{{datum}}'];\n"


def run(policy: ActivationPolicy, *, labels: bool = True, name: str | None = None, **given: Any) -> Result:
    ensemble = sne.load(MODEL)
    if name is not None:
        named = [replace(each, name=f"{name}{k}") for k, each in enumerate(ensemble.students)]
        ensemble = replace(ensemble, students=tuple(named))
    _, _, x, y = digits_split()
    options = {key: given.pop(key) for key in ("fidelity", "target") if key in given}
    with sne.compile(ensemble, options.pop("target", "loihi"), policy=policy, **options) as compiled:
        return compiled.run(x[:40], y[:40] if labels else None, **given)


@pytest.fixture(scope="module")
def cascade() -> Result:
    return run(CASCADE, teacher=TEACHER_FILE, compare="all", name=HOSTILE)


@pytest.fixture(scope="module")
def static() -> Result:
    return run(ActivationPolicy(), fidelity=False)


def drawn(figure: Figure | Absent) -> Figure:
    assert isinstance(figure, Figure)
    return figure


def test_every_policy_has_its_point_and_the_own_one_is_the_report_s(cascade: Result, static: Result) -> None:
    for result, others in ((cascade, OTHER), (static, AS_IF)):
        found = result.details.alternatives
        assert found is not None
        rows = drawn(accuracy_energy(result.report, result.details)).spec["data"]["values"]
        number = {kind: sum(row["what"] == kind for row in rows) for kind in (POLICY, ALONE, FIRST, others)}
        thresholds = sum(point.role == "threshold" for point in found.points)
        assert number == {POLICY: 1, ALONE: 4, FIRST: 4, others: thresholds}
        own = next(row for row in rows if row["what"] == POLICY)
        ours = result.report.ensemble
        assert own["accuracy"] == percent(ours.accuracy)
        assert own["error"] == 1.0 - ours.accuracy
        assert own["energy_j"] == ours.energy_per_sample_j.total
        assert own["energy"] == joules(ours.energy_per_sample_j.total)
        host = ours.energy_per_sample_j.host
        assert (own["low_j"], own["high_j"]) == tuple(host + end for end in ours.energy_per_sample_j.interval)
        assert own["low_j"] < own["energy_j"] < own["high_j"]


def test_the_teacher_stands_at_its_arithmetic(cascade: Result) -> None:
    figure = drawn(accuracy_energy(cascade.report, cascade.details))
    teachers = [row for row in figure.spec["data"]["values"] if row["what"] == TEACHER]
    assert teachers[0]["energy_j"] == cascade.report.teacher.energy_j
    assert {row["error"] for row in teachers} == {1.0 - cascade.report.teacher.accuracy}
    assert len(teachers) > 1
    assert "arithmetic alone" in figure.caption


def test_a_student_below_the_axis_is_named(static: Result) -> None:
    figure = drawn(accuracy_energy(static.report, static.details))
    below = [row for row in figure.spec["data"]["values"] if row["at"] < row["error"]]
    assert below
    assert all(f"{row['name']} ({row['accuracy']})" in figure.caption for row in below)


def expressions(spec: Any) -> Iterator[str]:
    """All of a specification but its data."""
    if isinstance(spec, dict):
        for key, each in spec.items():
            if (
                key != "values"
                or not isinstance(each, list)
                or not all(isinstance(row, dict) for row in each)
            ):
                yield key
                yield from expressions(each)
    elif isinstance(spec, list):
        for each in spec:
            yield from expressions(each)
    elif isinstance(spec, str):
        yield spec


def test_names_are_data_and_never_expressions(cascade: Result) -> None:
    for draw in (accuracy_energy, waterfall, energy):
        spec = drawn(draw(cascade.report, cascade.details)).spec
        assert not [text for text in expressions(spec) if "onerror" in text or "datum}" in text]
        json.dumps(spec, allow_nan=False)


def test_the_steps_add_up_and_end_at_the_report(cascade: Result, static: Result) -> None:
    levels = levels_of(cascade.report, cascade.details)
    assert [level.name for level in levels] == [
        "teacher", "float (all students)", "integers (all students)", "policy",
    ]  # fmt: skip
    assert levels[0].accuracy == cascade.report.teacher.accuracy
    assert levels[-1].accuracy == cascade.accuracy
    everyone = run(ActivationPolicy(), fidelity=False)
    assert levels[2].accuracy == pytest.approx(everyone.accuracy, abs=1e-12)
    fidelity = cascade.report.fidelity
    rounding = levels[2].accuracy - levels[1].accuracy
    assert rounding == pytest.approx(fidelity.fixed_accuracy - fidelity.float_accuracy, abs=1e-12)
    assert isinstance(waterfall(static.report, static.details), Absent)
    caption = drawn(waterfall(cascade.report, cascade.details)).caption
    assert "measured with the policy in both" in caption


def test_an_estimate_above_1_is_no_level(cascade: Result) -> None:
    """Of the first samples all students get more right than the policy gets wrong of all samples."""
    report, details = cascade.report, cascade.details
    few = details.alternatives.model_copy(update={"samples": report.data.samples - 1})
    fidelity = report.fidelity.model_copy(update={"float_accuracy": 1.0})
    names = ("teacher", "float (all students)", "integers (all students)", "policy")
    for loss, kept in ((0.0, 4), (0.005, 3), (0.5, 2)):
        points = tuple(
            each.model_copy(update={"accuracy": 0.4 + loss * (index > 0)})
            for index, each in enumerate(few.points)
        )
        changed = details.model_copy(update={"alternatives": few.model_copy(update={"points": points})})
        own = report.ensemble.model_copy(update={"accuracy": 0.99})
        whole = fidelity.model_copy(update={"float_accuracy": 1.0})
        other = report.model_copy(update={"ensemble": own, "fidelity": whole})
        levels = levels_of(other, changed)
        assert [level.name for level in levels] == [*names[:1], *names[5 - kept :]]
        assert max(level.accuracy for level in levels) <= 1.0
        figure = drawn(waterfall(other, changed))
        assert ("are left out: float (all students)" in figure.caption) == (kept < 4)
        assert ("(estimated), then policy" in figure.description) == (kept > 2)


def test_what_is_missing_leaves_its_step_out() -> None:
    result = run(CASCADE, fidelity=False)
    levels = levels_of(result.report, result.details)
    assert [level.name for level in levels] == ["integers (all students)", "policy"]
    caption = drawn(waterfall(result.report, result.details)).caption
    assert "Without a teacher" in caption
    assert "Without a run in floating point" in caption


@pytest.mark.parametrize("target", ["loihi", "norse"])
@pytest.mark.parametrize("policy", [CASCADE, ActivationPolicy()], ids=["cascade", "all"])
def test_layers_and_host_add_up_to_the_energy_of_the_report(policy: ActivationPolicy, target: str) -> None:
    result = run(policy, fidelity=False, target=target)
    whole = result.report.ensemble.energy_per_sample_j
    uses = uses_of(result.report, result.details.layer_counts)
    for part in PARTS:
        several = [use.joules[part] for use in uses if part in use.joules]
        assert sum(several) == pytest.approx(getattr(whole, part) or 0.0, rel=1e-12)
    for student in result.report.students:
        own = sum(use.total for use in uses if use.student == student.name)
        expected = (student.energy_per_sample_j.total or 0.0) * student.active_fraction
        assert own == pytest.approx(expected, rel=1e-12)
    figure = drawn(energy(result.report, result.details))
    rows = figure.spec["data"]["values"]
    of_ensemble = sum(row["energy_j"] for row in rows if row["of"].startswith("ensemble: "))
    assert of_ensemble == pytest.approx(whole.total, rel=1e-12)
    assert ("Not in this energy: leakage" in figure.caption) == (target == "loihi")
    assert ("links that messages cross" in figure.caption) == (target == "norse")
    intervals = drawn(accuracy_energy(result.report, result.details)).caption
    assert ("the intervals in which" in intervals) == (target == "loihi")


def test_links_cost_what_their_direction_costs(static: Result) -> None:
    """The digits are on one tile, whose messages cross no link: links are made up here."""
    counted = tuple(
        each.model_copy(
            update={
                "layers": tuple(
                    layer.model_copy(update={"hops_east_west": 70, "hops_north_south": 9})
                    for layer in each.layers
                )
            }
        )
        for each in static.details.layer_counts
    )
    constants = static.report.hardware.constants
    east_west, north_south = (constants[f"energy.hop_{name}"] for name in ("east_west", "north_south"))
    assert (east_west.unit, north_south.unit) == ("pJ", "pJ")
    expected = (70 * east_west.value + 9 * north_south.value) * 1e-12 / 40
    layers = [use for use in uses_of(static.report, counted) if "hops" in use.joules]
    assert len(layers) == sum(len(each.layers) for each in counted)
    assert [use.joules["hops"] for use in layers] == pytest.approx([expected] * len(layers), rel=1e-12)


def test_without_labels_or_details_figures_say_why() -> None:
    result = run(CASCADE, labels=False, fidelity=False)
    for draw in (accuracy_energy, waterfall):
        absent = draw(result.report, result.details)
        assert isinstance(absent, Absent)
        assert "no labels" in absent.reason
    nothing = Details.model_construct(**dict.fromkeys(Details.model_fields))
    assert isinstance(energy(result.report, nothing), Absent)
    assert np.isclose(sum(use.total for use in uses_of(result.report, result.details.layer_counts)),
                      result.report.ensemble.energy_per_sample_j.total)  # fmt: skip
