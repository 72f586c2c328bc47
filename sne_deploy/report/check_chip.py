"""Does what a placement adds to a report add up? Messages exactly, time and power to float rounding."""

from __future__ import annotations

import math
from collections.abc import Iterator

from sne_deploy.chips import units
from sne_deploy.energy.accounting import MOVED, add_traffic, neurocore_j
from sne_deploy.energy.lines import Line, LineFigures
from sne_deploy.report.adding_up import mean, require
from sne_deploy.report.chip_schema import OnChipModel, OperationModel
from sne_deploy.report.schema import EnsembleModel, HardwareModel, ReportModel, StudentModel

_REL_TOL = 1e-9


def check_chip(report: ReportModel) -> None:
    """Verify messages, time and power; see :func:`sne_deploy.report.check.check_report`.

    Raises
    ------
    VerificationError
        Naming what does not add up.
    """
    operation = report.operation
    if operation is None:
        _check_nothing(report)
        return
    for name, each in _named(report):
        _check_means(name, each)
        _check_time(name, each)
    _check_cores(report)
    _check_traffic(report)
    for student in report.students:
        asked = student.totals.samples_run / report.data.samples
        name = f"student {student.name!r}"
        _check_power(name, student, operation, report.hardware, asked)
        _line(name, "static", student, operation, report.hardware, student.cores)
        power = student.power
        require(power is None or power.x86 is None, f"{name}: the x86 processors are the ensemble's")
    _check_power("ensemble", report.ensemble, operation, report.hardware, 1.0)
    _line("ensemble", "static", report.ensemble, operation, report.hardware, operation.cores_powered)
    placed = None if report.mapping is None else operation.x86_processors
    _line("ensemble", "x86", report.ensemble, operation, report.hardware, placed)
    require(
        (report.unplaced is None) == (report.ensemble.traffic is not None), "unplaced contradicts traffic"
    )


def _named(report: ReportModel) -> Iterator[tuple[str, StudentModel | EnsembleModel]]:
    yield from ((f"student {student.name!r}", student) for student in report.students)
    yield "ensemble", report.ensemble


def _check_nothing(report: ReportModel) -> None:
    found = [each for _, each in _named(report)]
    require(report.converted_from is not None, "operation is missing")
    require(
        all(each.traffic is None and each.power is None and each.time is None for each in found),
        "an older report has no placement",
    )


def _check_cores(report: ReportModel) -> None:
    """Students share no core, whatever the strategy; they may share chips."""
    mapping, ensemble, students = report.mapping, report.ensemble, report.students
    if mapping is None:
        found = [(name, each.cores, each.chips) for name, each in _named(report)]
        wrong = next((name for name, cores, chips in found if (cores, chips) != (None, None)), None)
        require(wrong is None, f"{wrong}: cores without a mapping")
        return
    for name, each in _named(report):
        cores, chips = each.cores, each.chips
        require(cores is not None and chips is not None, f"{name}: no cores, though there is a mapping")
        require(1 <= (chips or 0) <= (cores or 0), f"{name}: {chips} chips for {cores} cores")
    total = sum(each.cores or 0 for each in students)
    require(ensemble.cores == total, f"ensemble: cores is {ensemble.cores}, the students have {total}")
    require(mapping.cores == total, f"mapping: cores is {mapping.cores}, the students have {total}")
    several = [each.chips or 0 for each in students]
    require(mapping.chips == ensemble.chips, f"mapping: chips is {mapping.chips}, not {ensemble.chips}")
    require(
        max(several) <= mapping.chips <= sum(several),
        f"mapping: chips is {mapping.chips}, the students are on {several}",
    )
    tight = mapping.tightest
    require(tight is None or tight.used <= tight.limit, "mapping: tightest is more than its limit")


def _check_means(name: str, each: StudentModel | EnsembleModel) -> None:
    traffic, samples = each.traffic, each.totals.samples_run
    totals = {"messages": None, "hops": None, "memory_words": None} if traffic is None else {
        "messages": traffic.messages,
        "hops": traffic.hops_east_west + traffic.hops_north_south,
        "memory_words": traffic.memory_words,
    }  # fmt: skip
    for key, total in totals.items():
        expected = mean(total, samples)
        stored = getattr(each, f"{key}_per_sample")
        require(stored == expected, f"{name}: {key}_per_sample is {stored}, its total says {expected}")


def _check_traffic(report: ReportModel) -> None:
    found = [student.traffic for student in report.students]
    known = [each for each in found if each is not None]
    expected = add_traffic(known) if len(known) == len(found) else None
    stored = report.ensemble.traffic
    require((stored is None) == (expected is None), "ensemble: traffic without the students'")
    for key in MOVED if stored is not None else ():
        theirs, ours = getattr(stored, key), getattr(expected, key)
        require(theirs == ours, f"ensemble: {key} is {theirs}, the students sum to {ours}")


def _check_time(name: str, each: OnChipModel) -> None:
    time = each.time
    latency = None if time is None else max(time.latency_s.values())
    period = None if time is None else max(time.period_s.values())
    _same(f"{name}: latency_s", each.latency_s, latency)
    _same(f"{name}: throughput_per_s", each.throughput_per_s, 1.0 / period if period else None)
    if time is None:
        return
    require(
        time.latency_s.keys() == time.period_s.keys(), f"{name}: latency_s and period_s have other floors"
    )
    require(time.latency_steps >= time.steps, f"{name}: latency_steps is less than steps")
    for floor, period_s in time.period_s.items():
        first_s = time.latency_s[floor]
        enough = first_s >= period_s * (1 - _REL_TOL)
        require(enough, f"{name}: latency with {floor} is {first_s} s, less than the period of {period_s} s")


def _check_power(
    name: str,
    each: StudentModel | EnsembleModel,
    operation: OperationModel,
    hardware: HardwareModel,
    asked: float,
) -> None:
    """The neurocores' line: its energy is that of the counts, its power that of all inferences."""
    line = None if each.power is None else each.power.neurocore
    joules, rate = neurocore_j(each.energy_per_sample_j), operation.rate_per_s
    _same(f"{name}: neurocore energy", None if line is None else line.energy_j, joules)
    watts = None if rate is None or joules is None else joules * asked * rate
    _same(f"{name}: neurocore power", None if line is None else line.power_w, watts)
    _intervals(name, "neurocore", line, hardware)


def _line(
    name: str,
    kind: Line,
    each: OnChipModel,
    operation: OperationModel,
    hardware: HardwareModel,
    number: int | None,
) -> None:
    """Power of so many processors or cores, whatever the rate."""
    line = None if each.power is None else getattr(each.power, kind)
    constant = hardware.constants.get(
        "power.static_per_core" if kind == "static" else "power.x86_per_processor"
    )
    watts = None
    if number is not None and constant is not None:
        require(constant.unit in units.POWER, f"constant of {kind} is no power")
        watts = number * units.to_si(constant.value, units.POWER[constant.unit])
    _same(f"{name}: {kind} power", None if line is None else line.power_w, watts)
    joules = None if watts is None or operation.rate_per_s is None else watts / operation.rate_per_s
    _same(f"{name}: {kind} energy", None if line is None else line.energy_j, joules)
    _intervals(name, kind, line, hardware)


def _intervals(name: str, kind: Line, line: LineFigures | None, hardware: HardwareModel) -> None:
    if line is None:
        return
    factors = hardware.intervals.get(kind)
    pairs = ((line.energy_j, line.energy_interval_j), (line.power_w, line.power_interval_w))
    for value, stored in pairs:
        low, high = (None, None) if stored is None else stored
        expected = None if value is None or factors is None else (factors.low * value, factors.high * value)
        least, most = (None, None) if expected is None else expected
        _same(f"{name}: {kind} interval", low, least)
        _same(f"{name}: {kind} interval", high, most)


def _same(what: str, stored: float | None, expected: float | None) -> None:
    equal = stored is expected or (
        stored is not None and expected is not None and math.isclose(stored, expected, rel_tol=_REL_TOL)
    )
    require(equal, f"{what} is {stored}, not {expected}")
