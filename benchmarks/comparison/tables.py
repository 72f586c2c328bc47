"""A benchmark document as tables: for the terminal (rich), and as rows for the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Group

Row = tuple[str, ...]
HEAD: Row = (
    "",
    "samples",
    "us per sample and step",
    "(low to high)",
    "x loihi",
    "(low to high)",
    "same counts",
)


def case_rows(case: dict[str, Any]) -> list[Row]:
    """One row per contestant."""
    return [_result_row(result) for result in case["results"]]


def left_out(document: dict[str, Any]) -> list[Row]:
    """Contestant, cases, and why it was not measured there; equal reasons together."""
    found: dict[tuple[str, str], list[str]] = {}
    for case in document["cases"]:
        for result in case["results"]:
            if result["reason"] is not None:
                found.setdefault((result["label"], result["reason"]), []).append(case_name(case))
    return [(label, ", ".join(cases), reason) for (label, reason), cases in found.items()]


def case_name(case: dict[str, Any]) -> str:
    """``a at 10 %``."""
    return f"{case['name']} at {100 * case['input_rate']:g} %"


def case_title(case: dict[str, Any]) -> str:
    """Name, network, activity and rates of a case."""
    rates = ", ".join(f"{100 * rate:.1f} %" for rate in case["rates"].values())
    return (
        f"({case['name']}) {case['description']}; {case['synapses']:,} synapses; "
        f"input {100 * case['input_rate']:g} %, layers {rates}"
    )


def number(value: float) -> str:
    """Three significant digits, without exponent, thousands separated."""
    if value == 0:
        return "0"
    digits = max(0, 2 - len(f"{abs(value):.0f}") + 1) if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}"


def _result_row(result: dict[str, Any]) -> Row:
    if result["us"] is None:
        return (result["label"], "", "not measured", "", "", "", "")
    us, ratio = result["us"], result["ratio"]
    exact = {True: "yes", False: "NO", None: ""}[result["exact"]]
    return (
        result["label"],
        f"{result['samples']:,}",
        number(us["median"]),
        f"{number(us['low'])} to {number(us['high'])}",
        number(ratio["median"]),
        f"{number(ratio['low'])} to {number(ratio['high'])}",
        exact,
    )


def bench_view(document: dict[str, Any]) -> Group:
    """Everything measured, as a rich renderable."""
    from rich.console import Group
    from rich.text import Text

    machine = document["machine"]
    parts: list[Any] = [
        Text(
            f"{machine['cpu']}, {machine['cores']} cores, {document['threads']} threads; "
            f"load {document['load_before'][0]} before, {document['load_after'][0]} after"
        )
    ]
    parts += [_table(case_title(case), HEAD, case_rows(case)) for case in document["cases"]]
    for sweep, points in document["scaling"].items():
        parts.append(_table(f"loihi against {sweep}", SCALING_HEAD, scaling_rows(sweep, points)))
    for label, cases, reason in left_out(document):
        parts.append(Text(f"{label}, {cases}: not measured: {reason}"))
    return Group(*parts)


SCALING_HEAD: Row = ("", "us per sample and step", "ms in all", "peak memory, MiB", "of it per sample, KiB")


def scaling_rows(sweep: str, points: Sequence[dict[str, Any]]) -> list[Row]:
    """One row per point."""
    rows: list[Row] = []
    for point in points:
        value = f"{100 * point['rate']:g} %" if sweep == "rate" else f"{point[sweep]:,}"
        per_sample = 1024 * point["peak_mib"] / point["batch"]
        rows.append(
            (value, number(point["us"]), number(point["ms"]), number(point["peak_mib"]), number(per_sample))
        )
    return rows


def _table(title: str, head: Row, rows: Sequence[Row]) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for index, column in enumerate(head):
        table.add_column(column, justify="left" if index == 0 else "right")
    for row in rows:
        table.add_row(*row)
    return table
