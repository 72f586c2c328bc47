"""Numbers and tables as Markdown, and what every section says of how its figures came about."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.reproduction.rows import Document
from sne_deploy.report.units import joules, three_digits

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ABSENT = "-"
EXCLUDED = {
    "hops": "hops between cores (neurons are not placed)",
    "static": "static power",
}
DRAINED = "neuron updates in the steps in which a network drains"
"""What no energy has: a sample is charged with its own steps, as where the next one follows at once."""


ENSEMBLE = (
    "Konstantaropoulos et al. 2025",
    """O. Konstantaropoulos, T. Mallios, M. Papadopouli: Dynamic Activation with Knowledge Distillation for \
Energy-Efficient Spiking NN Ensembles, arXiv:2502.14023, 2025. <https://arxiv.org/abs/2502.14023>""",
)
TEMPERATURES = (
    "Lee et al. 2021",
    """D. Lee, S. Park, J. Kim, W. Doh, S. Yoon: Energy-efficient Knowledge Distillation for Spiking Neural \
Networks, arXiv:2106.07172v1, 2021 (its first author withdrew it from arXiv in 2022). \
<https://arxiv.org/abs/2106.07172v1>""",
)
"""What the text calls a publication, and where it stands."""
OPERATIONS_FEWER, OPERATIONS_DROP_POINTS = 20, 2
"""ENSEMBLE, abstract: up to N times fewer operations than the teacher at such a drop, on CIFAR-10."""
PARTITION_POINTS = 2.4
"""ENSEMBLE, abstract: up to N points by an informed partition over others, on CIFAR-10."""
SPIKES_FEWER_PERCENT, TEMPERATURES_POINTS = 65, 0.09
"""TEMPERATURES, abstract: fewer spikes and more accuracy than conventional distillation, up to, on MNIST."""


@dataclass(frozen=True)
class Section:
    """A part of the page; its plots are a mapping of file name to what draws it."""

    lines: tuple[str, ...]
    plots: dict[str, Callable[[], Figure]] = field(default_factory=dict)


def section(lines: Iterator[str], document: Document, plot: Callable[[Document], Figure]) -> Section:
    """Lines and the document's plot."""
    return Section(tuple(lines), {f"{document.name}.svg": partial(plot, document)})


@dataclass(frozen=True)
class Spread:
    """A mean over n seeds, with the standard deviation of a sample (n - 1 below); NaN for one seed."""

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


def percent(value: float | None) -> str:
    """A fraction of samples, with two decimals."""
    return ABSENT if value is None else f"{100 * value:.2f} %"


def times(value: float | None) -> str:
    """A ratio, such as ``18.3 x``."""
    return ABSENT if value is None else f"{three_digits(value)} x"


def facts(
    document: Document, measured: Sequence[dict[str, Any]], target: str = "", left_out: str = ""
) -> Iterator[str]:
    """How a section's figures came about, and what they leave out.

    ``measured``: figures as :func:`experiments.study.summary.measure` gives them; where there are none,
    ``target`` says what was run on what, and ``left_out`` what the figures leave out.
    """
    if document.setting != "full":
        yield "**The small setting, a test of the machinery: these figures say nothing.**\n"
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
    base = f"`{document.base or f'examples/{document.example}/experiment.toml'}`"
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
    energy_parts = ", ".join([*parts, DRAINED])
    return f"of the energy, {energy_parts}; reading the images in, and what a board needs beside its cores"


def duration(seconds: float) -> str:
    """In the unit that suits."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def picture(name: str, text: str) -> Iterator[str]:
    """A plot, with the text that stands for it."""
    yield f"![{text}](results/{name})\n"
