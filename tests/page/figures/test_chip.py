"""Cores as squares: held to the placement by brute force, to ``sne map`` and to the report."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import ValidationError

import sne_deploy as sne
from sne_deploy.data import digits_split
from sne_deploy.inspect.mapping import view
from sne_deploy.mapping.mesh import Mesh
from sne_deploy.mapping.placement import Core, PlacedGroup, Placement, Use
from sne_deploy.page.details import chip as details_of_chip
from sne_deploy.page.details.chip import ChipModel
from sne_deploy.page.figure import Absent, Figure
from sne_deploy.page.figures.chip import SQUARE, chip
from tests.effort import examples


@pytest.fixture(scope="module")
def result():
    _, _, x, y = digits_split()
    with sne.compile(sne.load("examples/digits/model.pt"), target="loihi", fidelity=False) as compiled:
        return compiled.run(x[:20], y[:20])


def random_source(source, rng):
    """The same run with random counts on a random placement: one to four chips, each core in use."""
    mesh, chips = Mesh.of(source.chip), int(rng.integers(1, 5))
    places = rng.permutation(mesh.cores)[: int(rng.integers(8, 60))]
    limits = {"compartments": 50, "in_axons": 70, "groups": None}
    cores = tuple(
        Core(
            mesh.site(k % chips, int(place)),
            {name: Use(int(rng.integers(50)), most) for name, most in limits.items()},
        )
        for k, place in enumerate(places)
    )
    groups = [
        PlacedGroup(
            student.name, group.name, rng.integers(0, len(cores), group.size).astype(np.int32), group.shape
        )
        for student in source.run.students
        for group in student.program.groups
    ]
    groups[0] = replace(groups[0], core_of=rng.permutation(np.arange(groups[0].core_of.size) % len(cores)))
    students = tuple(
        replace(
            student,
            placed=replace(
                student.placed,
                **{name: rng.integers(0, 999, len(cores)) for name in ("synops", "updates", "longest")},
                busiest_s=rng.integers(0, 999, len(cores)) / 1e8,
            ),
        )
        for student in source.run.students
    )
    placement = Placement("loihi1", "packed", tuple(groups), cores, chips)
    return replace(source, placement=placement, run=replace(source.run, students=students))


def check_by_brute_force(found, source, place_of) -> None:
    """Every place against all neurons, resources and counts of its cores, one by one."""
    placement, places = source.placement, found.places
    for place in range(len(places.chip)):
        cores = [core for core in range(len(placement.cores)) if place_of(core) == place]
        assert places.cores[place] == len(cores)
        assert {placement.cores[core].site.chip for core in cores} == {places.chip[place]}
        held = {}
        for index, group in enumerate(placement.groups):
            neurons = sum(int(core) in cores for core in group.core_of)
            if neurons:
                held[index] = neurons
        assert dict(places.holds[place]) == held
        fullest = max(
            use.used / use.limit
            for core in cores
            for use in placement.cores[core].uses.values()
            if use.limit is not None
        )
        used, limit = places.used[place], places.limit[place]
        assert used / limit == fullest
        name = found.resources[places.resource[place]]
        assert Use(used, limit) in [placement.cores[core].uses[name] for core in cores]
        for ours, theirs in (("synops", "synops"), ("updates", "updates"), ("waited_for", "longest")):
            counted = sum(
                int(getattr(student.placed, theirs)[core])
                for student in source.run.students
                for core in cores
            )
            assert getattr(places, ours)[place] == counted
        placed = [student.placed for student in source.run.students]
        assert places.busiest_s[place] == max(each.busiest_s[core] for each in placed for core in cores)


@pytest.mark.parametrize("seed", range(examples(4)))
def test_squares_are_the_placement_core_by_core(result, seed) -> None:
    source = random_source(result.source, np.random.default_rng(seed))
    found = details_of_chip.chip(source)
    check_by_brute_force(found, source, lambda core: core)
    sites = zip(found.places.chip, found.places.x, found.places.y, found.places.in_tile, strict=True)
    assert list(sites) == [
        (core.site.chip, core.site.x, core.site.y, core.site.in_tile) for core in source.placement.cores
    ]
    assert [layer.neurons for layer in found.layers] == [g.core_of.size for g in source.placement.groups]
    assert ChipModel.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize("seed", range(examples(2)))
def test_too_many_cores_are_shown_by_chip(result, seed, monkeypatch) -> None:
    monkeypatch.setattr(details_of_chip, "MOST_CORES", 7)
    source = random_source(result.source, np.random.default_rng(seed))
    found = details_of_chip.chip(source)
    assert found.each == "chip"
    check_by_brute_force(found, source, lambda core: source.placement.cores[core].site.chip)
    figure = chip(result.report, replace_chip(result, found))
    assert "since there are more than" in figure.caption
    squares = drawn(figure, free=False)
    assert len(squares) == source.placement.chips
    check_apart(squares)


def test_what_binds_is_what_the_map_and_the_report_say(result) -> None:
    found, placement = result.details.chip, result.source.placement
    for index, layer in enumerate(view(placement).layers):
        own = [
            place for place, held in enumerate(found.places.holds) if index in {which for which, _ in held}
        ]
        fullest = max(own, key=lambda place: found.places.used[place] / found.places.limit[place])
        assert found.layers[index].name == layer.name
        assert (found.places.used[fullest], found.places.limit[fullest]) == (
            layer.binds.used,
            layer.binds.limit,
        )
        assert found.resources[found.places.resource[fullest]] == layer.binds.resource
    report, tight = result.report, result.report.mapping.tightest
    assert sum(found.places.cores) == report.mapping.cores
    ratios = [used / limit for used, limit in zip(found.places.used, found.places.limit, strict=True)]
    assert max(ratios) == tight.used / tight.limit
    assert sum(found.places.synops) == report.ensemble.totals.synops
    totals = report.ensemble.totals
    assert sum(found.places.updates) == totals.updates_active + totals.updates_idle


def replace_chip(result, found):
    return result.details.model_copy(update={"chip": found})


def drawn(figure: Figure, *, free: bool) -> list[dict[str, float]]:
    """The squares of a layer, as its transforms place them."""
    layer = (
        figure.spec["layer"][0] if free else next(each for each in figure.spec["layer"] if "layer" in each)
    )
    if free:
        sequence = layer["data"]["sequence"]
        rows = [{sequence["as"]: place} for place in range(sequence["start"], sequence["stop"])]
        steps = layer["transform"]
    else:
        rows = [{name: float(value) for name, value in row.items()} for row in written(figure)]
        steps = [*layer["transform"], *layer["layer"][0]["transform"]]
    for row in rows:
        for step in steps:
            if "lookup" in step:
                table = {each["index"]: each["text"] for each in step["from"]["data"]["values"]}
                row[step["as"][0]] = table[row[step["lookup"]]]
            else:
                row[step["as"]] = eval(  # noqa: S307  our own expressions, of numbers
                    step["calculate"], {"floor": math.floor, "datum": SimpleNamespace(**row)}
                )
    return rows


def written(figure: Figure) -> list[dict[str, str]]:
    layer = next(each for each in figure.spec["layer"] if "layer" in each)
    return list(csv.DictReader(io.StringIO(layer["data"]["values"])))


def corners(row) -> tuple[float, float, float, float]:
    return tuple(round(row[name], 6) for name in ("left", "top", "right", "bottom"))


def check_apart(squares) -> None:
    for one, other in combinations(map(corners, squares), 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


@pytest.mark.parametrize("seed", range(examples(4)))
def test_squares_are_apart_inside_and_at_a_place_for_a_core(result, seed) -> None:
    source = random_source(result.source, np.random.default_rng(seed))
    figure = chip(result.report, replace_chip(result, details_of_chip.chip(source)))
    free, used = drawn(figure, free=True), drawn(figure, free=False)
    assert len(free) == source.placement.chips * Mesh.of(source.chip).cores
    assert len({corners(each) for each in free}) == len(free)
    assert {corners(each) for each in used} <= {corners(each) for each in free}
    check_apart(used)
    (low, right), (bottom, top) = (
        figure.spec["layer"][0]["encoding"][axis]["scale"]["domain"] for axis in "xy"
    )
    for each in free:
        assert low <= each["left"] < each["right"] <= right
        assert top <= each["top"] < each["bottom"] <= bottom
        assert each["right"] - each["left"] == pytest.approx(SQUARE)
    for row, core in zip(used, source.placement.cores, strict=True):
        assert row["use"] == max(use.used / use.limit for use in core.uses.values() if use.limit)
        site = core.site
        there = next(each for each in free if corners(each) == corners(row))
        assert (there["chip"], there["x"], there["y"], there["in_tile"]) == (
            site.chip, site.x, site.y, site.in_tile
        )  # fmt: skip


def test_the_busiest_step_of_a_core_is_no_longer_than_the_busy_time_of_a_sample(result) -> None:
    for core, busiest in enumerate(result.details.chip.places.busiest_s):
        student = next(each for each in result.run.students if each.placed.updates[core])
        assert 0 < busiest <= student.placed.busy_s.max()
        assert busiest * student.program.timesteps >= student.placed.busy_s.max() * 0.99  # it is alone there


def test_hovering_tells_what_lives_there(result) -> None:
    figure, placement = chip(result.report, result.details), result.source.placement
    for core, row in enumerate(drawn(figure, free=False)):
        student = next(each for each in result.report.students if core in placement.cores_of(each.name))
        assert row["student_text"] == student.name
        here = [(g.name, int(np.sum(g.core_of == core))) for g in placement.groups if core in g.core_of]
        assert row["holds_text"] == "; ".join(f"{name}: {neurons:,}" for name, neurons in here)
        assert row["synops"] == pytest.approx(student.synops_per_sample)  # a core each, all samples
    shown = {
        each["field"] for each in next(e for e in figure.spec["layer"] if "layer" in e)["encoding"]["tooltip"]
    }
    assert {"student_text", "holds_text", "binds_text", "used", "limit", "synops", "updates"} <= shown


def test_names_are_data_and_never_expressions(result) -> None:
    name = '"]<script>alert(1)</script>\n,datum['
    found = result.details.chip
    hostile = found.model_copy(
        update={"layers": tuple(layer.model_copy(update={"name": name}) for layer in found.layers)}
    )
    figure = chip(result.report, replace_chip(result, hostile))

    def expressions(node):
        if isinstance(node, dict):
            for key, value in node.items():
                yield from [value] if key in ("calculate", "expr", "signal", "filter") else expressions(value)
        elif isinstance(node, list):
            for each in node:
                yield from expressions(each)

    found_there = list(expressions(json.loads(json.dumps(figure.spec))))
    assert found_there
    assert not any("script" in text for text in found_there)
    assert all(name in row["holds_text"] for row in drawn(figure, free=False))


@pytest.mark.parametrize(
    "change",
    [
        {"x": (0,)},
        {"holds": ((),) * 4},
        {"holds": (((99, 1),),) * 4},
        {"resource": (7,) * 4},
        {"limit": (0,) * 4},
    ],
)
def test_details_that_do_not_fit_are_refused(result, change) -> None:
    content = json.loads(result.details.chip.model_dump_json())
    content["places"] |= change
    with pytest.raises(ValidationError):
        ChipModel.model_validate_json(json.dumps(content))


def test_without_a_placement_the_reason_is_said() -> None:
    _, _, x, y = digits_split()
    with sne.compile(sne.load("examples/digits/model.pt"), target="norse") as compiled:
        found = compiled.run(x[:2], y[:2])
    absent = chip(found.report, found.details)
    assert isinstance(absent, Absent)
    assert absent.reason.endswith("floating point has no cores; --target loihi has them")
