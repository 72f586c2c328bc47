"""How plots look, and how they become files that are the same for the same rows."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

from experiments.results.text import Spread

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CREATOR = f"matplotlib {mpl.__version__}"
BLUE, ORANGE, GREEN, PURPLE, GREY, PINK = "#0060a8", "#d1600a", "#1a8a5f", "#8a4fa3", "#6b6b6b", "#b8327a"
COLOURS = (GREY, ORANGE, GREEN, BLUE, PURPLE, PINK)
STYLE: Any = {
    "svg.hashsalt": "sne-deploy",
    "svg.fonttype": "path",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.dpi": 100,
}
WIDTH = 7.0
"""Inches: 700 px."""


def drawn(
    draw: Callable[[Sequence[Axes]], None], columns: int = 1, rows: int = 1, height: float = 3.2, **more: Any
) -> Figure:
    """Make a figure in the page's style, with axes that ``draw`` fills."""
    defaults: Any = dict(mpl.rcParamsDefault)
    with mpl.rc_context(defaults | STYLE | {"backend": "Agg"}):
        figure: Figure
        figure, axes = plt.subplots(
            rows, columns, figsize=(WIDTH, height), layout="constrained", squeeze=False, **more
        )
        draw(list(axes.flat))
        figure.canvas.draw()
    plt.close(figure)
    return figure


def svg(figure: Figure) -> str:
    """The figure's file: no date, names that depend on the content alone."""
    buffer = io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": CREATOR})
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def bars(
    axes: Axes,
    x: Sequence[float | Spread],
    y: Sequence[Spread],
    *,
    color: str,
    fmt: str,
    label: str,
    **more: Any,
) -> None:
    """Means over seeds with their deviations, where there are several seeds."""
    alone = all(one.n == 1 for one in y)
    sideways = [one for one in x if isinstance(one, Spread)]
    axes.errorbar(
        [one.mean if isinstance(one, Spread) else one for one in x],
        [one.mean for one in y],
        xerr=None if alone or not sideways else [one.std for one in sideways],
        yerr=None if alone else [one.std for one in y],
        fmt=fmt, color=color, elinewidth=0.8, capsize=2, label=label, **more,
    )  # fmt: skip


def curve(
    axes: Axes,
    rows: Sequence[Mapping[str, Any]],
    cost: Callable[[Any], float],
    mark: str,
    color: str,
    label: str,
    key: str = "accuracy",
    **more: Any,
) -> None:
    """Accuracies of rows against what each costs."""
    axes.plot([cost(row) for row in rows], [row[key] for row in rows], mark, color=color, label=label, **more)


def percent_axis(axes: Axes, label: str = "accuracy (%)") -> None:
    """Fractions on the y axis as percentages."""
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}"))
    if label:
        axes.set_ylabel(label)


def thousands(value: float, _: Any = None) -> str:
    """Axis labels such as 20 k and 3 M."""
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def log_axis(axes: Axes, label: str) -> None:
    """A logarithmic x axis whose numbers can be read: at 1, 2 and 5 where there is room."""
    axes.set_xscale("log")
    axes.margins(x=0.06)
    low, high = axes.get_xlim()
    decades = math.log10(high / low)
    subs = (1.0,) if decades > 3 else (1.0, 3.0) if decades > 1.3 else (1.0, 2.0, 5.0)
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_major_formatter(FuncFormatter(thousands))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(label)
