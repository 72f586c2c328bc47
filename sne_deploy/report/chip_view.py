"""What a placement adds, for the terminal: cores, time, three lines of power, and what to know of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sne_deploy.energy.lines import LINES, Line, LineFigures
from sne_deploy.report.chip_schema import OperationModel, TimeModel
from sne_deploy.report.file import Report
from sne_deploy.report.schema import EnsembleModel, StudentModel
from sne_deploy.report.units import ABSENT, count, joules, printable, seconds, three_digits, watts


@dataclass(frozen=True)
class Lines:
    """A table: the title of its first column, the heads of the others, and its rows, each with a name."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def chip_tables(report: Report) -> tuple[Lines, ...]:
    """Cores, time and messages of each student and of the ensemble; and its power, in three lines."""
    return tuple(table for table in (_cores(report), _power(report)) if table is not None)


def chip_notes(report: Report) -> Iterator[tuple[str, str]]:
    """How the chip is operated, what binds its cores, what the interval is."""
    if report.converted_from is not None:
        yield (
            "energy",
            f"as schema {report.converted_from} had it: neurons without input cost less than others",
        )
        return
    if report.unplaced is not None:
        yield "cores", f"none are counted: {printable(report.unplaced)}"
    if report.mapping is not None:
        yield "cores", _fits(report)
    if report.ensemble.time is not None and report.operation is not None:
        yield "rate", _rate(report.ensemble.time, report.operation)
        yield "power", _operated(report)
    bounds = report.hardware.intervals.get("neurocore")
    if bounds is not None and report.ensemble.energy_per_sample_j.interval is not None:
        remark = f" ({printable(bounds.note)})" if bounds.note else ""
        yield (
            "interval",
            f"neurocores x{bounds.low:g} to x{bounds.high:g}{remark}; the others' are in report.json",
        )


def _cores(report: Report) -> Lines | None:
    if report.mapping is None:
        return None
    rows = [_row(printable(each.name), each) for each in report.students]
    rows.append(_row("ensemble", report.ensemble))
    return Lines("on the chip", ("cores", "latency", "at most", "messages", "hops", "waits for"), tuple(rows))


def _row(name: str, each: StudentModel | EnsembleModel) -> tuple[str, tuple[str, ...]]:
    longest = ABSENT
    if each.time is not None and each.time.bound_by:
        longest = max(each.time.bound_by, key=each.time.bound_by.__getitem__)
    return name, (
        count(each.cores),
        seconds(each.latency_s),
        ABSENT if each.throughput_per_s is None else f"{per_s(each.throughput_per_s)} /s",
        count(each.messages_per_sample),
        count(each.hops_per_sample),
        longest,
    )


def _power(report: Report) -> Lines | None:
    power, operation = report.ensemble.power, report.operation
    if power is None or operation is None or power.neurocore is None:
        return None
    names: dict[Line, str] = {
        "neurocore": "neurocores",
        "x86": "x86",
        "static": "static",
    }
    rate = ABSENT if operation.rate_per_s is None else per_s(operation.rate_per_s)
    rows = [(names[line], _line(getattr(power, line))) for line in LINES]
    return Lines("power", ("an inference", "interval", f"at {rate} /s", "interval "), tuple(rows))


def _line(line: LineFigures | None) -> tuple[str, ...]:
    if line is None:
        return (ABSENT,) * 4
    energy, power = line.energy_interval_j, line.power_interval_w
    return (
        joules(line.energy_j),
        ABSENT if energy is None else _between(joules(energy[0]), joules(energy[1])),
        watts(line.power_w),
        ABSENT if power is None else _between(watts(power[0]), watts(power[1])),
    )


def _between(low: str, high: str) -> str:
    """The unit once, where it is one."""
    value, unit = low.split(" ")
    return f"{value} to {high}" if high.endswith(f" {unit}") else f"{low} to {high}"


def _fits(report: Report) -> str:
    mapping = report.mapping
    assert mapping is not None  # noqa: S101  the caller's
    chips = f"{mapping.chips:,} chip{'' if mapping.chips == 1 else 's'}"
    text = f"{mapping.cores:,} on {chips}, strategy {printable(mapping.strategy)}"
    if mapping.tightest is not None:
        tight = mapping.tightest
        text += f"; tightest: {tight.used:,} of {tight.limit:,} {tight.resource.replace('_', ' ')} of a core"
    if len(report.students) > 1:
        text += "; students that are not asked keep theirs"
    return text


def _rate(time: TimeModel, operation: OperationModel) -> str:
    floors = " or ".join(f"{seconds(value)} with {name}" for name, value in time.period_s.items())
    parts = [f"the neurocores take {floors.replace('_', ' ')} for an inference"]
    if len(time.period_s) > 1:
        parts[0] += ", of which neither is claimed"
    parts += [
        f"the {name} {seconds(value) if value is not None else 'an unknown time'}"
        for name, value in (("host's injection", time.host_s), ("reset", time.reset_s))
        if value != 0.0
    ]
    text = ", ".join(parts)
    return f"as often as that allows: {text}" if operation.back_to_back else f"as chosen; {text}"


def _operated(report: Report) -> str:
    """What the second and third line are of, and whether the hardware file has a constant for them."""
    operation, power = report.operation, report.ensemble.power
    assert operation is not None  # noqa: S101  the caller's
    assert power is not None  # noqa: S101  of every report of this schema
    which = "all of the chips in use" if operation.powered == "chips" else "those in use"
    x86, static = (
        "" if line is not None else " (no constant in the hardware file)"
        for line in (power.x86, power.static)
    )
    return (
        f"three lines, never one sum; x86: {count(operation.x86_processors)} in use{x86}; static: "
        f"{count(operation.cores_powered)} powered cores, {which}{static}; both by inference with the waiting"
    )


def per_s(rate: float) -> str:
    """Inferences a second, without their unit."""
    return f"{rate:,.0f}" if rate >= 100 else three_digits(rate)
