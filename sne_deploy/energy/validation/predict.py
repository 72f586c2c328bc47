"""What the frozen constants predict for the measured cases, by the functions that reports use.

Nothing is fitted: a case whose recording gave a constant says so (:attr:`Case.gave`), and is not judged by
it. Each prediction has the interval of reports, from the chip's file, and beside it the interval that the
residuals of the *other* cases alone would have given, since the former was chosen knowing these.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from sne_deploy.chips import units
from sne_deploy.chips.chip import Chip
from sne_deploy.energy.lines import Line, interval, neurocore_energy, static_power, x86_power
from sne_deploy.energy.time import StepRates, step_floors
from sne_deploy.energy.validation.case import UNITS, Amount, Case, Point, Quantity, Reading
from sne_deploy.errors import DataError
from sne_deploy.mapping.placement import Site

WIDEST = 2.0
"""No interval reaches further than this factor from its prediction; what is known less is not predicted."""
TIME_FACTORS = (0.7, 1 / 0.7)
"""A step's time is expected within 30 %: its rates come from public scripts that name no measurement."""
_ONE_TILE = 4
"""Cores that share a tile: the barrier among more depends on where they are."""
LINE_OF: Mapping[Quantity, Line] = {
    "neurocore dynamic energy": "neurocore",
    "x86 power": "x86",
    "static power": "static",
}
_NEEDS: Mapping[Line, tuple[str, ...]] = {
    "neurocore": ("steps", "updates", "synops"),
    "x86": ("processors",),
    "static": ("cores_powered",),
}


@dataclass(frozen=True)
class Prediction:
    """One quantity of one case: predicted, measured, and whether the interval holds.

    Attributes
    ----------
    case, quantity, unit : str
    predicted, measured : float
        In ``unit``.
    low, high : float
        The interval that a report would print, in ``unit``.
    dominating : str
        The term that is the largest part of the prediction.
    others : float or None
        Factor of the interval that the other cases' residuals alone give; None where there is no other case.
    likely_cause : str or None
        Why it is missed, where it is.
    derived : bool
        Whether it follows from other rows, such as the slope over several points.
    label : str or None
        Whose constants these are, where they are another chip's: as the interval's note begins.
    """

    case: str
    quantity: str
    unit: str
    predicted: float
    measured: float
    low: float
    high: float
    dominating: str
    others: float | None = None
    likely_cause: str | None = None
    derived: bool = False
    label: str | None = None

    @property
    def ratio(self) -> float:
        """Predicted over measured."""
        return self.predicted / self.measured

    @property
    def inside(self) -> bool:
        """Whether the measured value is in the interval."""
        return self.low <= self.measured <= self.high

    @property
    def inside_others(self) -> bool | None:
        """Whether it is in the interval that the other cases alone give; None without any."""
        return None if self.others is None else abs(math.log(self.ratio)) <= math.log(self.others) + 1e-12

    def as_json(self) -> dict[str, str | float | bool]:
        """The fields of ``sne validate --json``."""
        names = (
            "case",
            "quantity",
            "unit",
            "predicted",
            "measured",
            "ratio",
            "low",
            "high",
            "inside",
            "dominating",
        )
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Unpredicted:
    """A quantity that was measured and is not judged, and why."""

    case: str
    quantity: str
    unit: str
    measured: float
    reason: str


@dataclass(frozen=True)
class _Span:
    """What a quantity lies between, by the inputs alone, with its parts by name; SI."""

    low: float
    high: float
    parts: Mapping[str, float]

    @property
    def middle(self) -> float:
        return 0.5 * (self.low + self.high)


def predict(case: Case, chip: Chip) -> tuple[list[Prediction], list[Unpredicted]]:
    """Predict every quantity that a case measured; what cannot be predicted comes with what is missing."""
    if case.chip != chip.name:
        raise DataError(f"case {case.name!r} is of chip {case.chip!r}, not {chip.name!r}; give its own chip")
    rows: list[Prediction] = []
    left: list[Unpredicted] = []
    for point in case.points:
        for reading in point.readings:
            if reading.quantity == "time per step":
                found = _times(case, point, reading, chip)
            else:
                found = [_reading(case, point, reading, chip)]
            rows += [each for each in found if isinstance(each, Prediction)]
            left += [each for each in found if isinstance(each, Unpredicted)]
    return [*rows, *_over_points(case, chip)], left


def _named(case: Case, point: Point, reading: Reading) -> tuple[str, str]:
    name = case.name if len(case.points) == 1 else f"{case.name} {point.name}"
    return name, f"{reading.quantity}, {reading.label}" if reading.label else reading.quantity


def _times(case: Case, point: Point, reading: Reading, chip: Chip) -> list[Prediction | Unpredicted]:
    """A step's time with each floor of the chip's file: the slower of updates and SynOps, step by step."""
    name, quantity = _named(case, point, reading)
    rates = StepRates.of(chip)
    missing = [key for key in ("core_updates", "core_synops") if not getattr(point, key)]
    if chip.time.barrier is None and (point.cores_used or _ONE_TILE + 1) > _ONE_TILE:
        missing.append("where its cores are")
    if missing or rates is None:
        reason = f"missing: {', '.join(missing) or f'rates of {chip.name}'}"
        return [Unpredicted(name, quantity, reading.unit, reading.value, reason)]
    updates = (point.core_updates or 0.0) * rates.update_s
    synops = np.asarray(point.core_synops) * rates.synop_s
    busy = float(np.maximum(updates, synops).mean())
    exponent = UNITS[reading.quantity][reading.unit]
    rows: list[Prediction | Unpredicted] = []
    for floor, seconds in step_floors(chip, [Site(0, 0, 0, 0)]).items():
        parts = {"SynOps" if synops.mean() > updates else "updates": busy, floor: seconds}
        predicted = _scaled(busy + seconds, exponent)
        rows.append(
            Prediction(
                case=name,
                quantity=f"{quantity}, {floor.replace('_', ' ')} {seconds * 1e6:g} us",
                unit=reading.unit,
                predicted=predicted,
                measured=reading.value,
                low=TIME_FACTORS[0] * predicted,
                high=TIME_FACTORS[1] * predicted,
                dominating=max(parts, key=lambda part: parts[part]),
                likely_cause=reading.likely_cause,
            )
        )
    return rows


def _reading(case: Case, point: Point, reading: Reading, chip: Chip) -> Prediction | Unpredicted:
    name, quantity = _named(case, point, reading)
    here = point.model_copy(
        update={
            key: value
            for key in ("cores_powered", "processors")
            if (value := getattr(reading, key)) is not None
        }
    )
    lines: tuple[Line, ...] = (
        (LINE_OF[reading.quantity],) if reading.quantity in LINE_OF else ("neurocore", "x86", "static")
    )
    given = [line for line in lines if line in case.gave]
    if given:
        reason = f"its recording gave the constant of the {given[0]} line"
        return Unpredicted(name, quantity, reading.unit, reading.value, reason)
    missing = [key for line in lines for key in _NEEDS[line] if getattr(here, key) is None]
    if reading.quantity == "chip power" and here.step_s is None:
        missing.append("time_per_step")
    if missing:
        return Unpredicted(name, quantity, reading.unit, reading.value, f"missing: {', '.join(missing)}")
    spans = {line: _span(line, here, chip, reading.quantity == "chip power") for line in lines}
    exponent = UNITS[reading.quantity][reading.unit]
    return _judged(name, quantity, reading, spans, chip, exponent)


def _judged(
    name: str, quantity: str, reading: Reading, spans: Mapping[Line, _Span], chip: Chip, exponent: int
) -> Prediction | Unpredicted:
    """Add up the lines, each with its own interval."""
    predicted = sum(span.middle for span in spans.values())
    low = high = 0.0
    for line, span in spans.items():
        factors = interval(line, chip)
        if factors is None:
            reason = f"{chip.name} has no interval of the {line} line"
            return Unpredicted(name, quantity, reading.unit, reading.value, reason)
        low, high = low + factors[0] * span.low, high + factors[1] * span.high
    if predicted > WIDEST * low * (1 + 1e-12) or high > WIDEST * predicted * (1 + 1e-12):
        reason = (
            f"between {_scaled(low, exponent):.4g} and {_scaled(high, exponent):.4g} {reading.unit} by what "
            f"is known, which is wider than a factor of {WIDEST:g}"
        )
        return Unpredicted(name, quantity, reading.unit, reading.value, reason)
    parts = {part: value for span in spans.values() for part, value in span.parts.items()}
    return Prediction(
        case=name,
        quantity=quantity,
        unit=reading.unit,
        predicted=_scaled(predicted, exponent),
        measured=reading.value,
        low=_scaled(low, exponent),
        high=_scaled(high, exponent),
        dominating=max(parts, key=lambda part: parts[part]),
        likely_cause=reading.likely_cause,
    )


def _scaled(si: float, exponent: int) -> float:
    return units.to_si(si, -exponent)


def _span(line: Line, point: Point, chip: Chip, as_power: bool) -> _Span:
    """What a line takes at a point: watts; joules of an inference for the neurocores unless ``as_power``."""
    if line == "x86":
        power = x86_power(_known(point.processors), chip)
        return _Span(power, power, {"x86": power})
    if line == "static":
        power = static_power(_known(point.cores_powered), chip)
        return _Span(power, power, {"static": power})
    counts = {key: _ends(getattr(point, key) or 0.0) for key in ("synops", "updates", "messages")}
    per = 1.0 if not as_power else 1.0 / (_known(point.steps) * (point.step_s or math.nan))
    ends = [
        per * neurocore_energy(chip, synops=synops, updates=updates, messages=messages)
        for synops, updates, messages in zip(*counts.values(), strict=True)
    ]
    parts = {}
    for key, count in counts.items():
        alone = {"synops": 0.0, "updates": 0.0, "messages": 0.0, key: 0.5 * sum(count)}
        parts[key] = per * neurocore_energy(chip, **alone)
    return _Span(ends[0], ends[1], {"neurocores": sum(parts.values())} if as_power else parts)


def _ends(amount: Amount) -> tuple[float, float]:
    return (amount[0], amount[1]) if isinstance(amount, list) else (amount, amount)


def _known(value: int | None) -> int:
    assert value is not None  # noqa: S101  what is missing has been told before
    return value


def _over_points(case: Case, chip: Chip) -> Iterator[Prediction]:
    """Median and slope over three or more operating points of the neurocores' energy."""
    found = [
        (point, reading, row)
        for point in case.points
        for reading in point.readings
        if reading.quantity == "neurocore dynamic energy" and reading.label is None
        if isinstance(row := _reading(case, point, reading, chip), Prediction)
    ]
    factors = interval("neurocore", chip)
    if len({point.steps for point, *_ in found}) < 3 or factors is None:
        return
    ratio = median(row.ratio for *_, row in found)
    dominating = max((row for *_, row in found), key=lambda row: row.predicted).dominating
    quantity = "neurocore dynamic energy"
    yield Prediction(
        case.name, f"{quantity}, median of predicted over measured", "1", ratio, 1.0,
        factors[0] * ratio, factors[1] * ratio, dominating, derived=True,
    )  # fmt: skip
    unit = found[0][1].unit
    exponent = units.ENERGY[unit]
    steps = [float(point.steps or 0) for point, *_ in found]
    measured = _slope(steps, [_scaled(reading.si, exponent) for _, reading, _ in found])
    predicted = _slope(
        steps, [_scaled(units.to_si(row.predicted, units.ENERGY[row.unit]), exponent) for *_, row in found]
    )
    yield Prediction(
        case.name, f"{quantity}, slope over steps", f"{unit}/step", predicted, measured,
        factors[0] * predicted, factors[1] * predicted, "updates", derived=True,
    )  # fmt: skip


def _slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Of the line of least squares."""
    dx = np.asarray(x) - np.mean(x)
    return float(dx @ np.asarray(y) / (dx @ dx))


def judged_by_others(
    rows: Mapping[str, Sequence[Prediction]], chips: Mapping[str, str]
) -> dict[str, tuple[Prediction, ...]]:
    """Give every row the factor that the residuals of the other cases alone would have given.

    Parameters
    ----------
    rows : mapping of str to sequence of Prediction
        Of each case, by its name.
    chips : mapping of str to str
        Each case's chip, by its name: other chips' residuals say nothing.

    Returns
    -------
    dict of str to tuple of Prediction
        As ``rows``; the factor is the largest residual of the other cases on the same line,
        either way, and at most :data:`WIDEST`.
    """
    done = {}
    for name, own in rows.items():
        others = [
            row for other, theirs in rows.items() for row in theirs
            if other != name and chips[other] == chips[name] and not row.derived
        ]  # fmt: skip
        done[name] = tuple(
            replace(
                row,
                others=_largest(each.ratio for each in others if _line(row) and _line(each) == _line(row)),
            )
            for row in own
        )
    return done


def _line(row: Prediction) -> Line | None:
    return next((line for quantity, line in LINE_OF.items() if row.quantity.startswith(quantity)), None)


def labelled(row: Prediction, chip: Chip) -> Prediction:
    """The row with its label: how its interval's note begins, where that names another chip's constants."""
    line = _line(row)
    interval = None if line is None else getattr(chip.interval, line)
    note = ("" if interval is None else interval.note or "").partition(";")[0]
    return replace(row, label=note if note.endswith(" constants") else None)


def _largest(ratios: Iterable[float]) -> float | None:
    found = [max(ratio, 1.0 / ratio) for ratio in ratios]
    return min(WIDEST, max(found)) if found else None
