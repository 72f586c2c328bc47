"""Is the chip worth it? One sentence, from comparisons of one network with the ensemble on the chip.

It says yes or no only where the whole interval does, kind by kind, and lets no processor speak for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from sne_deploy.energy.comparison import ChipFigures, Comparison, Turn
from sne_deploy.energy.figure import Figure
from sne_deploy.energy.processor import ARITHMETIC, KINDS, Kind
from sne_deploy.report.units import joules, percent, three_digits

Named = tuple[str, Comparison]
"""A processor's name, and how it compares."""
State = Literal["yes", "no", "open", "rate", "mixed"]
"""Of a kind: every answer yes, or no, or cannot be told; or it turns with the rate; or processors differ."""

_AGAINST: dict[Kind, str] = {
    "measured, whole board": "whole boards, measured",
    "published, whole processor": "whole processors, as published",
    "arithmetic alone": "arithmetic alone",
}
_LINES = {"neurocore": "the neurocores", "x86": "the x86 processors", "static": "static power"}


def verdict(
    network: str,
    rows: Sequence[Named],
    chip: ChipFigures,
    rate_per_s: float | None,
    left_out: str | None = None,
) -> str:
    """The sentence: whether, against what, from which rate of inferences on, and on which line it hinges.

    Parameters
    ----------
    network : str
        What runs on the processors.
    rows : sequence of (str, Comparison)
    chip : ChipFigures
    rate_per_s : float or None
        At which the energies are compared; None where only arithmetic is.
    left_out : str or None
        Why whole processors are not among the rows.
    """
    kinds = [(kind, [row for row in rows if row[1].kind == kind]) for kind in KINDS]
    found = [(kind, several) for kind, several in kinds if several]
    clauses = [_clause(kind, several) for kind, several in found]
    states: set[State] = {state(several) for _, several in found}
    if left_out is not None:
        states.add("open")
    answer = _answer(states)
    if left_out is not None:
        clauses.append(f"against whole processors that cannot be told: {left_out}")
    if any(_beyond(comparison, chip) for _, comparison in rows):
        clauses.append(_reached(chip))
    if found:
        clauses.append(_hinge([kind for kind, _ in found], chip, rate_per_s))
    return f"is the chip worth it against {network}? {answer}: {'; '.join(clauses)}"


def state(rows: Sequence[Named]) -> State:
    """What the processors of one kind say together, at every rate that the chip reaches."""
    answers = {_always(comparison) for _, comparison in rows}
    return answers.pop() if len(answers) == 1 else "mixed"


def _always(comparison: Comparison) -> State:
    if comparison.worst.side == "always":
        return "yes"
    if comparison.best.side == "never":
        return "no"
    sides = {each.side for each in (comparison.best, comparison.turn, comparison.worst)}
    return "rate" if sides <= {"above"} or sides <= {"below"} else "open"


def _answer(states: set[State]) -> str:
    if states == {"yes"}:
        return "yes"
    if states == {"no"}:
        return "no"
    if states == {"open"}:
        return "that cannot be told"
    if states == {"rate"}:
        return "that depends on the rate of inferences"
    return "that depends on the processor" + (" and on the rate" if states & {"rate", "mixed"} else "")


def _clause(kind: Kind, rows: Sequence[Named]) -> str:
    against = _AGAINST[kind]
    found = state(rows)
    if kind == ARITHMETIC:
        return _alone(against, rows)
    dearest, cheapest = _extremes(rows)
    if found == "no":
        return f"no against {against}, at any rate: {_energies(rows, dearest, 'most')}"
    if found == "yes":
        return f"yes against {against}, at every rate: {_energies(rows, cheapest, 'least')}"
    return f"against {against}, {_turning(rows)}"


def _alone(against: str, rows: Sequence[Named]) -> str:
    """Computing against computing: no rate plays a part."""
    dearest, cheapest = _extremes(rows)
    found = state(rows)
    if found == "no":
        return f"no against {against}: {_energies(rows, dearest, 'most')}"
    if found == "yes":
        return f"yes against {against}: {_energies(rows, cheapest, 'least')}"
    ours = f"computing alone the chip takes {_ours(rows[0][1])}"
    parts = [
        f"{word} {_listed([row for row in rows if _always(row[1]) == answer])}"
        for answer, word in (
            ("yes", "less than"),
            ("no", "no less than"),
            ("open", "and cannot be told from"),
        )
        if any(_always(comparison) == answer for _, comparison in rows)
    ]
    return f"against {against}, {ours}, {', '.join(parts)}"


def _listed(rows: Sequence[Named]) -> str:
    return ", ".join(f"{name} ({joules(comparison.theirs_j.value)})" for name, comparison in rows)


def _extremes(rows: Sequence[Named]) -> tuple[Named, Named]:
    """The processor that takes most and the one that takes least."""
    ordered = sorted(rows, key=lambda row: -row[1].theirs_j.value)
    return ordered[0], ordered[-1]


def _energies(rows: Sequence[Named], row: Named, end: str) -> str:
    name, comparison = row
    which = f", the {end} of {len(rows)}" if len(rows) > 1 else ""
    part = "computing alone" if comparison.kind == ARITHMETIC else f"at {rate(comparison.rate_per_s)}"
    theirs = interval(comparison.theirs_j)
    return f"{part} the chip takes {_ours(comparison)}, {name} {theirs}{which}"


def _ours(comparison: Comparison) -> str:
    ours = comparison.ours_j
    return f"{joules(ours.value)} (no interval is known)" if ours.low == ours.high else interval(ours)


def _turning(rows: Sequence[Named]) -> str:
    """From which rates on it takes less: against the first and the last that it overtakes; and the others."""
    turning = [row for row in rows if _always(row[1]) not in ("yes", "no")]
    turning.sort(key=lambda row: (row[1].turn.rate_per_s is None, row[1].turn.rate_per_s or 0.0))
    ends = turning[:1] if len(turning) < 2 else [turning[0], turning[-1]]
    parts = [f"{when(comparison)} than {name}" for name, comparison in ends]
    if len(turning) > 2:
        parts[-1] += f", {len(turning) - 2} more between"
    for word, answer in (("at every rate", "yes"), ("and never less", "no")):
        names = [name for name, comparison in rows if _always(comparison) == answer]
        if names:
            parts.append(f"{word} than {', '.join(names)}")
    return f"it takes less {', '.join(parts)}"


def when(comparison: Comparison) -> str:
    """At which rates the chip takes less, with the interval where it turns."""
    best, found, worst = comparison.best, comparison.turn, comparison.worst
    if _always(comparison) == "yes":
        return "at every rate" if comparison.kind != ARITHMETIC else "yes"
    if _always(comparison) == "no":
        return "never" if comparison.kind != ARITHMETIC else "no"
    if comparison.kind == ARITHMETIC:
        return "cannot be told"
    if _always(comparison) == "rate":
        low, high = sorted(each.rate_per_s or 0.0 for each in (best, worst))
        return f"{found.side} {rate(found.rate_per_s or 0.0)} ({number(low)} to {number(high)})"
    return f"{_at(best)} at best, {_at(worst)} at worst"


def _at(found: Turn) -> str:
    if found.rate_per_s is None:
        return {"always": "at every rate", "never": "never"}[found.side]
    return f"{found.side} {rate(found.rate_per_s)}"


def _beyond(comparison: Comparison, chip: ChipFigures) -> bool:
    """Whether it turns at a rate that is reached without host and reset alone."""
    most, turns = chip.throughput_per_s, (comparison.best, comparison.turn, comparison.worst)
    return most is not None and any((each.rate_per_s or 0.0) > most.value for each in turns)


def _reached(chip: ChipFigures) -> str:
    most = chip.throughput_per_s
    assert most is not None  # noqa: S101  the caller's
    return f"host and reset allow {rate(most.value)}, the neurocores alone {rate(most.high)}"


def _hinge(rows: Sequence[Kind], chip: ChipFigures, rate_per_s: float | None) -> str:
    if set(rows) == {ARITHMETIC} or rate_per_s is None:
        return f"it hinges on {_LINES['neurocore']}"
    name, share = hinge(chip, rate_per_s)
    return f"at {rate(rate_per_s)} it hinges on {_LINES[name]}, {percent(share)} of what the whole chip takes"


def hinge(chip: ChipFigures, rate_per_s: float) -> tuple[str, float]:
    """The line that is most of the whole chip's energy at a rate, and its share."""
    found = {"neurocore": chip.neurocore_j.value * rate_per_s}
    found |= {
        name: power.value
        for name, power in (("x86", chip.x86_w), ("static", chip.static_w))
        if power is not None
    }
    name = max(found, key=lambda line: found[line])
    total = sum(found.values())
    return name, found[name] / total if total else 0.0


def interval(figure: Figure) -> str:
    """A figure in joules and, where it has one, its interval."""
    if figure.low == figure.high:
        return joules(figure.value)
    return f"{joules(figure.value)} ({joules(figure.low)} to {joules(figure.high)})"


def rate(per_s: float) -> str:
    """Inferences per second."""
    return f"{number(per_s)} inferences/s"


def number(value: float) -> str:
    """Three digits, with thousands separated."""
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 100 else three_digits(value)
