"""An exploration for the terminal: the front, the model's own policy, what was picked, what students add."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from sne_deploy.exploration.leave_one_out import LeftOut
from sne_deploy.exploration.points import Point
from sne_deploy.exploration.result import Exploration
from sne_deploy.model.ensemble import ActivationPolicy
from sne_deploy.policies.outcome import places
from sne_deploy.report.units import ABSENT, count, joules, percent, printable, seconds

MAX_ROWS = 16
"""Of the front; the file has all."""
_WORDS = {"max_probability": "confidence", "margin": "margin", "entropy": "1 - entropy"}


def exploration_view(found: Exploration, picked: Point | None = None) -> Group:
    """A rich renderable; ``picked`` is shown in a line of its own."""
    shown, left_out = found.front, found.leave_one_out
    rows = spread(shown)
    title = f"{printable(found.model)} on {found.target} ({found.hardware}), {printable(found.data)}"
    return Group(
        Text(f"{title}: the Pareto front", style="bold"),
        _front(found, rows, picked),
        *(_left_out(found, policy, students) for policy, students in left_out),
        *(Text(line) for line in _notes(found, len(rows))),
    )


def spread(front: Sequence[Point]) -> list[Point]:
    """At most :data:`MAX_ROWS` points: the most accurate, then each time the one that differs most.

    Points differ by the ratio of their error rates.
    """
    keys = np.log([1 - point.chosen_on.accuracy + 1 / point.chosen_on.samples for point in front])
    chosen = [int(keys.argmin())]
    while len(chosen) < min(MAX_ROWS, len(front)):
        distance = np.abs(keys[:, None] - keys[chosen]).min(axis=1)
        distance[chosen] = -1.0
        chosen.append(int(distance.argmax()))
    return [front[at] for at in sorted(chosen)]


def choice_text(found: Exploration, policy: ActivationPolicy) -> tuple[str, str]:
    """Who may run, and until when or from which probability of the gate."""
    names = [printable(found.names[k]) for k in places(policy, len(found.names))]
    if policy.kind == "static":
        return " + ".join(names), ABSENT
    if policy.kind == "gate":
        return "gate", f"above {policy.threshold:g}"
    return " > ".join(names), f"{_WORDS[policy.measure]} {policy.threshold:g}"


def _front(found: Exploration, rows: Sequence[Point], picked: Point | None) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1))
    several = len(set(found.points.weight_bits)) > 1
    table.add_column("students", overflow="fold")
    table.add_column("until")
    heads = [*(["bits"] if several else []), "accuracy", "chosen on", "ran", "SynOps", "energy"]
    for head in (*heads, *_latency(found)):
        table.add_column(head, justify="right", no_wrap=True)
    marked = [(point, "", "") for point in rows]
    marked += [(found.own, "the model's own: ", "dim")]
    marked += [] if picked is None else [(picked, "picked: ", "bold")]
    for point, label, style in marked:
        students, until = choice_text(found, point.policy)
        bits = [ABSENT if point.weight_bits is None else str(point.weight_bits)] if several else []
        cells = [*_cells(point), *(seconds(point.measured.latency_s) for _ in _latency(found))]
        table.add_row(label + students, until, *bits, *cells, style=style)
    return table


def _cells(point: Point) -> Iterator[str]:
    measured = point.measured
    yield f"{100 * measured.accuracy:.1f} ± {100 * measured.accuracy_error:.1f} %"
    yield percent(point.chosen_on.accuracy)
    yield f"{measured.students:.2f}"
    yield count(measured.synops)
    yield joules(measured.energy_j)


def _latency(found: Exploration) -> tuple[str, ...]:
    """The head of the column, where latencies are known."""
    return () if found.points.measured.latency_s is None else ("latency",)


def _left_out(found: Exploration, policy: ActivationPolicy, students: Sequence[LeftOut]) -> Group:
    who, until = choice_text(found, policy)
    title = f"each student left out of {who}{'' if until == ABSENT else f' until {until}'}, on all samples"
    table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1))
    table.add_column("student", overflow="fold")
    for head in ("alone", "adds", "costs", *_latency(found)):
        table.add_column(head, justify="right", no_wrap=True)
    for each in students:
        adds = ABSENT
        if each.adds_accuracy is not None and each.adds_accuracy_error is not None:
            adds = f"{100 * each.adds_accuracy:+.1f} ± {100 * each.adds_accuracy_error:.1f} %"
        costs = (joules(each.adds_energy_j), *(seconds(each.adds_latency_s) for _ in _latency(found)))
        table.add_row(printable(found.names[each.student]), percent(each.alone.accuracy), adds, *costs)
    return Group(Text(title, style="bold"), table)


def _notes(found: Exploration, shown: int) -> Iterator[str]:
    orders = _several(found.orders, "order")
    found_by = f"all {orders}" if found.all_orders else f"{orders} of a beam search"
    yield (
        f"{_several(len(found.points), 'policy', 'policies')} tried, each student simulated once: {found_by} "
        f"of {_several(len(found.names), 'student')}; {len(found.front)} on the front, {shown} shown"
    )
    if found.chosen_on == "all samples":
        yield (
            "points are chosen and measured on the same samples, which flatters them; --select-on half "
            "chooses on one half and measures on the other"
        )
    else:
        yield (
            f"points are chosen on {found.chosen_on} (column chosen on); all other figures are measured "
            f"on the {found.own.measured.samples:,} others, ± one standard error"
        )
    left_out = [name for name in found.energy_excludes if name != "static"]
    if left_out:
        yield f"energies leave out what target {found.target} does not count: {', '.join(left_out)}"
    yield from _standing_notes(found)


def _standing_notes(found: Exploration) -> Iterator[str]:
    standing = found.standing
    if standing is None:
        return
    known = {"embedded processors": standing.x86_w, "leakage": standing.static_w}
    lines = [f"{1e3 * watts:.4g} mW of {name}" for name, watts in known.items() if watts is not None]
    if lines:
        chips = _several(standing.chips, "chip")
        several = len(set(found.points.weight_bits)) > 1
        bits = f", with {standing.weight_bits} weight bits, which take the most" if several else ""
        yield (
            f"beside these energies, whatever the policy: {' and '.join(lines)} "
            f"({_several(standing.cores, 'core')} in use; all of {chips} powered{bits})"
        )
    if standing.rate_per_s is not None:
        yield (
            f"at {standing.rate_per_s:g} inferences a second, {joules(standing.x86_j)} and "
            f"{joules(standing.static_j)} for each"
        )


def _several(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
