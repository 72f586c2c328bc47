"""Numbers and tables as Markdown, and what every section says of how its figures came about."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.reproduction.rows import Document
from sne_deploy.report.units import joules, three_digits

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Cells = Sequence[str]
ABSENT = "-"
EXCLUDED = {
    "hops": "hops between cores (neurons are not placed)",
    "static": "static power",
}


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes
    ----------
    lines : tuple of str
    plots : mapping of file name to what draws it
    """

    lines: tuple[str, ...]
    plots: dict[str, Callable[[], Figure]] = field(default_factory=dict)


@dataclass(frozen=True)
class Spread:
    """A mean over seeds.

    Attributes
    ----------
    mean : float
    std : float
        Standard deviation of a sample, n - 1 in the denominator; NaN for one seed.
    n : int
    """

    mean: float
    std: float
    n: int


def spread(values: Iterable[float]) -> Spread:
    """Mean and standard deviation."""
    array = np.array(list(values), dtype=np.float64)
    std = float(array.std(ddof=1)) if len(array) > 1 else math.nan
    return Spread(float(array.mean()), std, len(array))


def shown(value: Spread, form: Callable[[float], str], unit: str = "") -> str:
    """``mean ± std`` in one format; the mean alone for one seed."""
    deviation = "" if value.n == 1 else f" ± {form(value.std)}"
    return f"{form(value.mean)}{deviation}{unit}"


def percentage(value: Spread) -> str:
    """A fraction, as a percentage with two decimals."""
    return shown(value, lambda number: f"{100 * number:.2f}", " %")


def points(value: Spread) -> str:
    """A difference of accuracies, in percentage points with its sign."""
    deviation = "" if value.n == 1 else f" ± {100 * value.std:.2f}"
    return f"{100 * value.mean:+.2f}{deviation}"


def counted(value: Spread) -> str:
    """A number of events per sample, thousands separated."""
    return shown(value, lambda number: f"{number:,.0f}" if value.mean >= 100 else f"{number:.1f}")


def energy(value: Spread) -> str:
    """Joules, with the deviation as a percentage of the mean."""
    if value.n == 1 or value.mean == 0:
        return joules(value.mean)
    return f"{joules(value.mean)} ± {100 * value.std / value.mean:.1f} %"


def times(value: float | None) -> str:
    """A ratio, such as ``18.3 x``."""
    return ABSENT if value is None else f"{three_digits(value)} x"


def table(head: Cells, rows: Iterable[Cells]) -> Iterator[str]:
    """A table whose first column is text and whose others are numbers; a line between comes after it."""
    yield _row(head)
    yield "|" + "|".join([":--", *["--:"] * (len(head) - 1)]) + "|"
    yield from (_row(row) for row in rows)
    yield ""


def _row(cells: Cells) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def facts(
    document: Document, measured: Sequence[dict[str, Any]], target: str = "", left_out: str = ""
) -> Iterator[str]:
    """How a section's figures came about, and what they leave out.

    Parameters
    ----------
    document : Document
    measured : sequence of dict
        Figures of ensembles, as :func:`experiments.study.summary.measure` gives them.
    target, left_out : str
        What was run on what, and what the figures leave out, where there are no such figures.
    """
    if document.setting != "full":
        yield "**The small setting, a test of the machinery: these figures say nothing.**"
        yield ""
    yield f"- Setting: {_setting(document)}."
    yield f"- {_seeds(document)}"
    yield f"- {target or _measured(measured)}"
    if any(row.variant == "model" for row in document.rows):
        yield f"- The model: {document.subject}."
    yield (
        f"- Made by `{document.command}` in {duration(document.wall_s)} on {document.machine}; what another "
        "study had trained already took no time."
    )
    yield f"- Left out: {left_out or _left_out(measured)}."
    if document.data_note:
        yield f"- Data: {document.data_note}"
    yield ""


def _setting(document: Document) -> str:
    base = f"`examples/{document.example}/experiment.toml`"
    if not document.changes:
        return f"{base} as it is"
    changes = ", ".join(f"`{key}` = {_value(value)}" for key, value in sorted(document.changes.items()))
    return f"{base} with {changes}"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} {_value(inner)}" for key, inner in value.items()) + "}"
    return "none" if value is None else str(value)


def _seeds(document: Document) -> str:
    seeds = ", ".join(str(seed) for seed in document.seeds)
    if len(document.seeds) == 1:
        return f"Seed {seeds} alone: no spread is known."
    return f"Seeds {seeds}; ± is the standard deviation over {len(document.seeds)} seeds."


def _measured(measured: Sequence[dict[str, Any]]) -> str:
    samples = _range([figures["samples"] for figures in measured])
    steps = _range([figures["timesteps"] for figures in measured])
    unit = "step" if steps == "1" else "steps"
    bits = _range([figures["weight_bits"] for figures in measured])
    checked = _range([figures["verified_samples"] or 0 for figures in measured])
    names = {figures["verified_against"] for figures in measured} - {None}
    oracle = " and ".join(sorted(names)) or "lava"
    compared = (
        "none of them compared with `lava`"
        if checked == "0"
        else f"in each row {checked} of them run on `{oracle}` too, equal in every bit"
    )
    return f"Target `loihi`, {bits}-bit weights, {steps} time {unit}, {samples} test samples; {compared}."


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _left_out(measured: Sequence[dict[str, Any]]) -> str:
    names = sorted({name for figures in measured for name in figures["energy_excludes"]})
    parts = [EXCLUDED.get(name, name) for name in names]
    energy_parts = f"of the energy, {' and '.join(parts)}; " if parts else ""
    return f"{energy_parts}reading the images in, and what a board needs beside its cores"


def duration(seconds: float) -> str:
    """In the unit that suits."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def picture(name: str, text: str) -> Iterator[str]:
    """A plot, with the text that stands for it."""
    yield f"![{text}](results/{name})"
    yield ""
