"""Section of noise: what the ensemble and its teacher lose on corrupted images, and who loses less."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from experiments.markdown import table
from experiments.reproduction.rows import Document
from experiments.results.text import (
    Section,
    Spread,
    counted,
    facts,
    percentage,
    picture,
    section,
    shown,
    spread,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
UNITS = {
    "gaussian": ("Gaussian noise", "sigma"),
    "salt_and_pepper": ("salt and pepper", "part of the pixels"),
    "occlusion": ("occluded square", "part of a side"),
    "contrast": ("contrast", "factor"),
}
"""Each sort's name, and what its strength is."""
CLEAN, ALL, CONTRAST = "clean", "all", "contrast"


def noise(document: Document) -> Section:
    """What the ensemble and its teacher lose on noisy images."""
    return section(_noise(document), document, _noise_plot)


def _noise(document: Document) -> Iterator[str]:
    figures = document.rows[0].figures
    rows, drops = figures["noise"], figures["mean_drops"]
    draws = len(_same(drops, drops[0]["family"]))
    yield (
        "The model with its own policy, and its teacher, on the same noisy test images, of values "
        "in [0, 1]. What is lost is relative to clean images: (clean - noisy) / clean.\n"
    )
    head = (
        "images", "strength", "teacher", "ensemble", "teacher loses", "ensemble loses", "students", "SynOps",
    )  # fmt: skip
    versions = dict.fromkeys((row["family"], row["strength"]) for row in rows)
    yield from table(head, [_row(_same(rows, *version)) for version in versions])
    yield "Mean loss over the strengths of each sort, and over the sorts:\n"
    families = list(dict.fromkeys(drop["family"] for drop in drops))
    means = [(_name(family), *_losses(_same(drops, family))) for family in families]
    yield from table(("", "teacher", "ensemble"), means)
    yield from _verdict(drops, families)
    yield from _silenced(rows)
    yield from picture(f"{document.name}.svg", "Accuracy of teacher and ensemble against strength of noise")
    drawn = (
        "one draw of the noise"
        if draws == 1
        else f"{draws} draws of the noise, ± is the standard deviation over them; contrast is not random"
    )
    target = (
        f"Target `loihi`, deployed integers; {rows[0]['samples']:,} test images; {drawn}. None of these runs "
        "was compared with `lava`: the model's own section says what was."
    )
    left_out = "other sorts of noise" + (", and how much draws of it differ" if draws == 1 else "")
    yield from facts(document, [], target, left_out)


def hardening(document: Document) -> Section:
    """What training with corruptions brings, and what it costs on clean images."""
    return Section(tuple(_hardening(document)))


def _hardening(document: Document) -> Iterator[str]:
    yield (
        "Teacher and students trained without corruptions among their augmentations, and with them; both "
        "under the same noise. The first column is accuracy on clean images, the others are mean losses "
        "relative to it.\n"
    )
    rows = {row.variant: row.figures for row in document.rows}
    drops = {name: figures["mean_drops"] for name, figures in rows.items()}
    families = list(dict.fromkeys(drop["family"] for drop in next(iter(drops.values()))))
    table_rows = [
        (
            f"{who}, {name} corruptions",
            percentage(_mean(figures["noise"][:1], f"{who}_accuracy")),
            *(_percent(_mean(_same(drops[name], family), f"{who}_drop")) for family in families),
        )
        for who in ("teacher", "ensemble")
        for name, figures in rows.items()
    ]
    yield from table(("", CLEAN, *map(_name, families)), table_rows)
    for name, figures in rows.items():
        own = figures["mean_drops"]
        yield f"Trained {name} corruptions: " + "".join(_verdict(own, families))
    samples = next(iter(rows.values()))["noise"][0]["samples"]
    target = f"Target `loihi`, deployed integers; {samples:,} test images; ± is over the draws of the noise."
    yield from facts(document, [], target, "other sorts of noise, and sorts that training had not seen")


def _same(rows: Sequence[Row], family: str, strength: float | None = None) -> list[Row]:
    """The draws of one sort of noise, or of one strength of it; what is not random has one."""
    found = [row for row in rows if row["family"] == family and strength in (None, row.get("strength"))]
    return found[:1] if family == CONTRAST else found


def _mean(rows: Sequence[Row], key: str) -> Spread:
    return spread(row[key] for row in rows)


def _name(family: str) -> str:
    return UNITS[family][0] if family in UNITS else family


def _losses(rows: Sequence[Row]) -> tuple[str, str]:
    teacher, ensemble = (_mean(rows, f"{who}_drop") for who in ("teacher", "ensemble"))
    return _percent(teacher), _percent(ensemble)


def _percent(value: Spread) -> str:
    return shown(value, lambda number: f"{100 * number:.1f}", " %")


def _row(rows: Sequence[Row]) -> tuple[str, ...]:
    """One strength, over its draws."""
    family = rows[0]["family"]
    clean = family == CLEAN
    return (
        *((CLEAN, "") if clean else (", ".join(UNITS[family]), f"{rows[0]['strength']:g}")),
        percentage(_mean(rows, "teacher_accuracy")),
        percentage(_mean(rows, "ensemble_accuracy")),
        *(("", "") if clean else _losses(rows)),
        f"{_mean(rows, 'mean_students').mean:.2f}",
        counted(_mean(rows, "synops")),
    )


def _verdict(drops: Sequence[Row], families: Sequence[str]) -> Iterator[str]:
    """Whether the ensemble loses less than its teacher in each family, by how much, draw by draw."""
    gained = {
        family: spread(one["teacher_drop"] - one["ensemble_drop"] for one in _same(drops, family))
        for family in families
        if family != ALL
    }
    less = [f"{_name(name)} ({_by(gain)})" for name, gain in gained.items() if gain.mean > 0]
    more = [f"{_name(name)} ({_by(gain)})" for name, gain in gained.items() if not gain.mean > 0]
    if not more:
        yield f"The ensemble's mean relative loss is smaller than its teacher's in each sort: {_and(less)}.\n"
        return
    found = f"smaller than its teacher's for {_and(less)}, but " if less else ""
    yield (
        f"The ensemble's mean relative loss is {found}not smaller for {_and(more)}: it does "
        "not withstand every sort better.\n"
    )


def _silenced(rows: Sequence[Row]) -> Iterator[str]:
    """The sorts that leave the students less to do than clean images, since neurons stay silent."""

    def each(row: Row) -> float:
        draws = _same(rows, row["family"], row["strength"])
        return _mean(draws, "synops").mean / _mean(draws, "mean_students").mean

    def distance(row: Row) -> float:
        return abs(_strength(row["family"], row) - _strength(row["family"], {"family": CLEAN}))

    clean = each(rows[0])
    strongest = {row["family"]: row for row in sorted(rows[1:], key=distance)}
    less = [
        f"{each(row):,.0f} with {_name(family)} at its strongest"
        for family, row in strongest.items()
        if each(row) < clean
    ]
    if less:
        yield (
            f"SynOps of each student that ran: {clean:,.0f} on clean images, {_and(less)}: with less input "
            "fewer neurons come to their thresholds.\n"
        )


def _by(gain: Spread) -> str:
    deviation = "" if gain.n == 1 else f" ± {100 * gain.std:.1f}"
    return f"by {100 * abs(gain.mean):.1f}{deviation} points"


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _noise_plot(document: Document) -> Figure:
    from experiments.results.plots import BLUE, GREY, bars, drawn, percent_axis

    rows = document.rows[0].figures["noise"]
    families = list(dict.fromkeys(row["family"] for row in rows if row["family"] != CLEAN))

    def draw(panels: Sequence[Axes]) -> None:
        for axes, family in zip(panels, families, strict=True):
            strength = partial(_strength, family)
            found = sorted((row for row in rows if row["family"] in (family, CLEAN)), key=strength)
            places = list(dict.fromkeys(map(strength, found)))
            for who, colour, mark in (("teacher", GREY, "*--"), ("ensemble", BLUE, "o-")):
                means = [
                    spread(row[f"{who}_accuracy"] for row in found if strength(row) == at) for at in places
                ]
                style: Any = {"fmt": mark, "color": colour, "label": who, "linewidth": 0.9}
                bars(axes, places, means, **style)
            if family == CONTRAST:
                axes.invert_xaxis()
            name, unit = UNITS[family]
            axes.set_title(name, loc="left")
            axes.set_xlabel(unit)
            axes.xaxis.get_major_locator().set_params(nbins=4)  # type: ignore[call-arg]
        percent_axis(panels[0])
        panels[0].legend(loc="lower left")

    return drawn(draw, columns=len(families), height=2.6, sharey=True)


def _strength(family: str, row: Row) -> float:
    """Clean images have a contrast of 1 and none of the others."""
    return (1.0 if family == CONTRAST else 0.0) if row["family"] == CLEAN else float(row["strength"])
