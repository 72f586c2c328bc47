"""What a placement adds to a report: by hand, summed exactly, and refused where it does not add up."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from sne_deploy.chips.chip import load_chip
from sne_deploy.energy.accounting import neurocore_j
from sne_deploy.energy.lines import Operation
from sne_deploy.errors import InputError, VerificationError
from sne_deploy.mapping.placement import Core, PlacedGroup, Placement, Site, Use
from sne_deploy.mapping.wiring import PATHS
from sne_deploy.report.check import check_report
from sne_deploy.report.file import Report, report_text
from sne_deploy.report.schema import json_schema
from sne_deploy.report.table import report_view
from sne_deploy.runtime.placed import PlacedCounts, PlacedTime
from sne_deploy.runtime.result import RunResult, StudentResult
from tests.effort import examples

N = 4
ACTIVE = {"always": [1, 1, 1, 1], "at times": [0, 1, 0, 1], "never": [0, 0, 0, 0]}
SCHEMA = json_schema()
STEPS, FLOOR_S = 5, 113e-9
"""All cores are on one tile: no hop across it."""


def placement(students: int = 3) -> Placement:
    """The first students on cores 0 and 1, 2, and 3; on two chips."""
    cores = tuple(
        Core(Site(chip, 0, 0, slot), {"compartments": Use(100 + slot, 1024), "in_axons": Use(9, None)})
        for chip, slot in ((0, 0), (1, 1), (0, 2), (1, 3))
    )
    of = {"always": [0, 1, 1], "at times": [2], "never": [3]}
    groups = tuple(PlacedGroup(name, "lif", np.array(core, np.int32), (1,)) for name, core in of.items())
    return Placement("loihi1", "packed", groups[:students], cores[: students + 1], 2)


def placed(student: StudentResult, seed: int, most: int = 1000) -> StudentResult:
    rng, active = np.random.default_rng(seed), student.active

    def counted() -> Any:
        return np.where(active, rng.integers(1, most, len(active)), 0)

    steps, per_core = STEPS * active, rng.integers(0, most, 4) * int(active.any())
    return replace(
        student,
        placed=PlacedCounts(
            *(per_core for _ in range(6)),
            busiest_s=None,
            **{name: counted() for name in (*PATHS, "from_host")},
            host_steps=2 * active,
            steps=steps,
            latency_steps=2 * steps,
            busy_s=1e-6 * active,
            latency_busy_s=3e-6 * active,
            bound_by={"updates": 1, "synops": 2},
            sent_by={},
        ),
    )


@pytest.fixture(scope="module")
def result(make_student: Any, make_result: Any) -> RunResult:
    rng = np.random.default_rng(5)
    students = [placed(make_student(name, on, rng), i) for i, (name, on) in enumerate(ACTIVE.items())]
    ones = np.ones(N)
    time = PlacedTime(STEPS * ones.astype(int), 2 * STEPS * ones.astype(int), 1e-6 * ones, 3e-6 * ones)
    return replace(make_result(students), placed=time)


@pytest.fixture(scope="module")
def report(result: RunResult, make_report: Any) -> Report:
    return make_report(result, placement=placement())


def test_messages_and_hops_sum_exactly_and_are_paid_for(report: Report) -> None:
    ensemble, students = report.ensemble, report.students
    for name in ("within_core", "across_chips", "from_host", "hops_east_west", "memory_words"):
        whole = sum(getattr(student.traffic, name) for student in students)
        assert getattr(ensemble.traffic, name) == whole > 0
    first = students[0]
    assert first.messages_per_sample == first.traffic.messages / N
    assert first.energy_per_sample_j.spikes == pytest.approx(first.messages_per_sample * 1.7e-12)
    hops = first.traffic.hops_east_west * 3e-12 + first.traffic.hops_north_south * 4e-12
    assert first.energy_per_sample_j.hops == pytest.approx(hops / N)
    assert first.energy_per_sample_j.total_excludes == ("static",)
    assert report.shared.energy_per_sample_j.hops == 0.0
    assert report.unplaced is None
    assert (students[2].messages_per_sample, students[2].power.neurocore) == (None, None)


def test_time_and_cores_by_hand(report: Report) -> None:
    first, second, third = report.students
    assert [(each.cores, each.chips) for each in report.students] == [(2, 2), (1, 1), (1, 1)]
    assert (report.ensemble.cores, report.ensemble.chips) == (4, 2)
    assert first.latency_s == pytest.approx(3e-6 + 2 * STEPS * FLOOR_S)
    assert first.throughput_per_s == pytest.approx(1 / (1e-6 + STEPS * FLOOR_S))
    assert second.latency_s == pytest.approx(first.latency_s)
    assert (third.latency_s, third.throughput_per_s, third.time) == (None, None, None)
    assert report.ensemble.time.host_s == pytest.approx(2 * 8.96e-6)
    assert report.mapping.tightest.model_dump() == {"resource": "compartments", "used": 103, "limit": 1024}


def test_the_three_lines_by_hand_back_to_back(report: Report) -> None:
    period = 1e-6 + STEPS * FLOOR_S + 2 * 8.96e-6 + 4.16e-3
    assert report.operation.rate_per_s == pytest.approx(1 / period)
    assert (report.operation.x86_processors, report.operation.cores_powered) == (2, 256)
    power = report.ensemble.power
    assert power.neurocore.energy_j == neurocore_j(report.ensemble.energy_per_sample_j)
    assert power.neurocore.power_w == pytest.approx(power.neurocore.energy_j / period)
    assert power.x86.power_w == pytest.approx(2 * 23.195e-3)
    assert power.static.power_w == pytest.approx(2 * 0.104)
    assert power.static.energy_j == pytest.approx(2 * 0.104 * period)
    assert power.static.energy_interval_j == pytest.approx(
        (0.8 * power.static.energy_j, 1.25 * power.static.energy_j)
    )
    shares = [each.power.neurocore.power_w for each in report.students[:2]]
    assert power.neurocore.power_w == pytest.approx(sum(shares))
    assert [each.power.static.power_w for each in report.students] == pytest.approx(
        [2 * 0.8125e-3, 0.8125e-3, 0.8125e-3]
    )


def test_students_that_share_a_core_are_refused(result: RunResult, make_report: Any) -> None:
    apart = placement()
    groups = tuple(replace(each, core_of=0 * each.core_of) for each in apart.groups)
    shared = replace(apart, groups=groups, cores=apart.cores[:1], chips=1)
    with pytest.raises(VerificationError, match="ensemble: cores is 1, the students have 3"):
        make_report(result, placement=shared)


def test_a_chosen_rate_changes_power_but_no_energy_of_the_neurocores(
    result: RunResult, report: Report, make_report: Any
) -> None:
    slow = make_report(result, placement=placement(), operation=Operation(10.0, 5, "used"))
    assert (slow.operation.back_to_back, slow.operation.cores_powered) == (False, 4)
    assert slow.ensemble.energy_per_sample_j == report.ensemble.energy_per_sample_j
    assert slow.ensemble.power.neurocore.power_w == pytest.approx(10 * slow.ensemble.power.neurocore.energy_j)
    assert slow.ensemble.power.x86.power_w == pytest.approx(5 * 23.195e-3)
    assert slow.ensemble.power.static.energy_j == pytest.approx(4 * 0.8125e-3 / 10)


def test_more_than_the_neurocores_reach_is_refused_and_the_remedy_works(
    result: RunResult, make_report: Any
) -> None:
    said = re.compile(r"--rate 1e\+06: .* which is (\S+) a second at most; give that or less")
    for ending in range(8):  # rounded down, whatever the time
        busy_s = (1 + ending / 7) * result.placed.busy_s
        slower = replace(result, placed=replace(result.placed, busy_s=busy_s))
        with pytest.raises(InputError, match=said) as refused:
            make_report(slower, placement=placement(), operation=Operation(1e6))
        most = float(said.search(str(refused.value))[1])
        report = make_report(slower, placement=placement(), operation=Operation(most))
        assert 0.999 < report.operation.rate_per_s / report.ensemble.throughput_per_s <= 1


def test_a_rate_that_takes_the_host_to_be_replaced_is_accepted_and_said(
    result: RunResult, report: Report, make_report: Any
) -> None:
    said = [text for text in report.warnings if "--rate" in text]
    most = report.operation.rate_per_s
    same = make_report(result, placement=placement(), operation=Operation(most))
    assert said == [text for text in same.warnings if "--rate" in text] == []
    assert same.ensemble.power == report.ensemble.power
    faster = make_report(result, placement=placement(), operation=Operation(1.01 * most))
    (text,) = (text for text in faster.warnings if "--rate" in text)
    allowed = re.search(r"as published allow \((\S+) /s\): takes the host to be replaced", text)
    assert 0.999 < float(allowed[1]) / most <= 1
    assert "takes the host to be replaced" in " ".join(rendered(faster, 200).split())


def test_a_rate_without_lines_of_power_is_said_to_be_unused(
    make_student: Any, make_result: Any, make_report: Any
) -> None:
    student = make_student("one", [1, 0], np.random.default_rng(0))
    layers = tuple(replace(each, updates_active=None, updates_idle=None) for each in student.trace.layers)
    plain = make_result([replace(student, trace=replace(student.trace, layers=layers))])
    report = make_report(plain, operation=Operation(7.0))
    assert report.ensemble.power.neurocore is None
    assert any(text.startswith("--rate 7 is not used") for text in report.warnings)
    assert not any("--rate" in text for text in make_report(plain).warnings)


def test_more_processors_than_the_chips_have_are_refused_and_the_remedy_works(
    result: RunResult, make_report: Any
) -> None:
    with pytest.raises(InputError, match=r"--x86 7: 2 chips are in use, with 3 .*; give 6 or less"):
        make_report(result, placement=placement(), operation=Operation(x86_processors=7))
    report = make_report(result, placement=placement(), operation=Operation(x86_processors=6))
    assert report.ensemble.power.x86.power_w == pytest.approx(6 * 23.195e-3)


def test_both_floors_of_loihi2_are_reported(result: RunResult, make_report: Any) -> None:
    report = make_report(result, placement=placement(), hardware=load_chip("loihi2"))
    time = report.ensemble.time
    assert time.period_s == pytest.approx(
        {"barrier": 1e-6 + STEPS * 10e-6, "step_floor": 1e-6 + STEPS * 1.78e-6}
    )
    assert report.ensemble.throughput_per_s == pytest.approx(1 / time.period_s["barrier"])
    assert "Loihi 1 constants" in report.hardware.intervals["neurocore"].note
    assert "with barrier or 9.90 us with step floor" in " ".join(rendered(report, 200).split())


def test_without_a_placement_there_are_nulls_and_a_reason(make_student: Any, make_result: Any, make_report: Any) -> None:  # fmt: skip  # noqa: E501
    plain = make_result([make_student("one", [1, 0], np.random.default_rng(0))])
    report = make_report(plain, unplaced="too large by 3", operation=Operation(7.0))
    assert report.mapping is report.ensemble.time is report.ensemble.traffic is None
    assert (report.ensemble.power.x86, report.ensemble.power.static) == (None, None)
    assert report.ensemble.power.neurocore.power_w == pytest.approx(
        7 * report.ensemble.power.neurocore.energy_j
    )
    assert "too large by 3" in rendered(report, 80)


def test_a_hardware_file_without_power_time_or_hops_has_nulls(result: RunResult, make_report: Any) -> None:
    chip = load_chip("loihi1")
    bare = {name: type(getattr(chip, name))() for name in ("power", "limits", "time", "interval")}
    energy = chip.energy.model_copy(update={"hop_east_west": None})
    chip = chip.model_copy(update={**bare, "energy": energy})
    report = make_report(result, placement=placement(), hardware=chip)
    assert (report.ensemble.power.x86, report.ensemble.power.static) == (None, None)
    assert report.ensemble.power.neurocore.energy_interval_j is None
    assert report.ensemble.energy_per_sample_j.hops is None
    assert report.operation.cores_powered is None


def rendered(report: Report, width: int) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(report_view(report))
    return console.export_text()


@pytest.mark.parametrize("width", [20, 60, 80, 120])
def test_no_figure_of_the_chip_is_cut_off(report: Report, width: int) -> None:
    text = " ".join(rendered(report, width).split())
    power = report.ensemble.power
    assert f"{power.static.power_w * 1e3:.0f} mW" in text
    assert "46.4 mW" in text
    assert "never one sum" in text
    assert "103 of 1,024 compartments" in text or width < 30


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("ensemble.traffic.hops_east_west", 1, "ensemble: hops energy is"),
        ("ensemble.traffic.from_host", 1, "ensemble: from_host is 1, the students sum to"),
        ("students.0.messages_per_sample", 1.0, "messages_per_sample is 1.0, its total says"),
        ("students.0.latency_s", 1.0, "latency_s is 1.0"),
        ("ensemble.throughput_per_s", 1.0, "throughput_per_s is 1.0"),
        ("ensemble.power.x86.power_w", 1.0, "ensemble: x86 power is 1.0"),
        ("ensemble.power.static.energy_j", 1.0, "ensemble: static energy is 1.0"),
        ("students.1.power.static.power_w", 1.0, "'at times': static power is 1.0"),
        ("students.1.power.neurocore.power_w", 1.0, "'at times': neurocore power is 1.0"),
        ("ensemble.power.static.power_interval_w", [0.1, 9.0], "static interval is"),
        ("operation.rate_per_s", 9.0, "neurocore power"),
        ("operation.cores_powered", 9, "static power"),
        ("shared.energy_per_sample_j.hops", None, "shared: hops energy"),
        ("ensemble.cores", 9, "ensemble: cores is 9, the students have 4"),
        ("students.0.cores", 3, "ensemble: cores is 4, the students have 5"),
        ("mapping.cores", 5, "mapping: cores is 5, the students have 4"),
        ("mapping.chips", 1, "mapping: chips is 1, not 2"),
        ("students.0.chips", 3, "'always': 3 chips for 2 cores"),
        ("students.2.cores", None, "'never': no cores, though there is a mapping"),
        ("mapping", None, "cores without a mapping"),
        ("mapping.tightest.used", 1025, "tightest is more than its limit"),
        ("ensemble.time.latency_steps", 1.0, "latency_steps is less than steps"),
    ],
)
def test_what_does_not_add_up_is_refused(report: Report, path: str, value: Any, message: str) -> None:
    document = report.model_dump(mode="json")
    *way, last = path.split(".")
    target = document
    for part in way:
        target = target[int(part)] if part.isdigit() else target[part]
    target[last] = value
    with pytest.raises(VerificationError, match=message):
        check_report(Report.model_validate_json(json.dumps(document)))


def test_a_latency_below_the_period_is_refused(report: Report) -> None:
    document = report.model_dump(mode="json")
    student = document["students"][0]
    student["latency_s"] = 1e-9
    student["time"]["latency_s"] = dict.fromkeys(student["time"]["latency_s"], 1e-9)
    with pytest.raises(VerificationError, match="'always': latency with barrier is 1e-09 s, less than"):
        check_report(Report.model_validate_json(json.dumps(document)))


@settings(max_examples=examples(10), deadline=None)
@given(
    active=st.integers(1, 5).flatmap(
        lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=1, max_size=3)
    ),
    seed=st.integers(0, 2**32 - 1),
    most=st.sampled_from([2, 1000, 2**40]),
    share=st.none() | st.floats(1e-6, 0.999),
    x86=st.none() | st.integers(0, 3),
    powered=st.sampled_from(["chips", "used"]),
    chip=st.sampled_from(["loihi1", "loihi2"]),
)
def test_whatever_runs_adds_up_and_reads_back(
    active: list[list[bool]],
    seed: int,
    most: int,
    share: float | None,
    x86: int | None,
    powered: Any,
    chip: str,
    make_student: Any,
    make_result: Any,
    make_report: Any,
) -> None:
    rng, samples, names = np.random.default_rng(seed), len(active[0]), list(ACTIVE)
    students = [
        placed(make_student(name, on, rng, high=most), seed + i, most)
        for i, (name, on) in enumerate(zip(names, active, strict=False))
    ]
    steps = np.max([student.placed.steps for student in students], axis=0)
    busy_s = np.max([student.placed.busy_s for student in students], axis=0)
    result = replace(make_result(students), placed=PlacedTime(steps, 2 * steps, busy_s, 3 * busy_s))
    options: dict[str, Any] = {"placement": placement(len(active)), "hardware": load_chip(chip)}
    free = make_report(result, **options, operation=Operation(None, x86, powered))
    most_per_s = free.ensemble.throughput_per_s
    rate = None if share is None or most_per_s is None else share * most_per_s
    report = make_report(result, **options, operation=Operation(rate, x86, powered))

    assert Report.model_validate_json(report_text(report)) == report
    jsonschema.validate(json.loads(report_text(report)), SCHEMA)
    ensemble, several = report.ensemble, report.students
    assert ensemble.traffic.messages == sum(
        int(getattr(student.placed, path).sum())
        for student in students
        for path in ("within_core", "within_tile", "within_chip", "across_chips")
    )
    lines = [each.power for each in (*several, ensemble)]
    if report.operation.rate_per_s is not None:
        shares = [each.power.neurocore.power_w for each in several if each.power.neurocore]
        assert ensemble.power.neurocore.power_w == pytest.approx(sum(shares), rel=1e-9)
    owned = [each.power.static.power_w for each in several]
    assert sum(owned) <= ensemble.power.static.power_w * (1 + 1e-12)
    for line in [line for power in lines for line in (power.neurocore, power.x86, power.static) if line]:
        for value, bounds in ((line.energy_j, line.energy_interval_j), (line.power_w, line.power_interval_w)):
            if value is not None:
                assert value / 2 <= bounds[0] <= value <= bounds[1] <= 2 * value
    assert samples == report.data.samples
