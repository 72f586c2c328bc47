"""Energy by layer and kind: the ensemble, its students, their layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sne_deploy.energy.accounting import Counts, Part, Prices, Traffic, energy_parts
from sne_deploy.page.details.energy import LayerCountsModel, StudentCountsModel
from sne_deploy.page.details.model import Details
from sne_deploy.page.figure import SCHEMA, Absent, Figure
from sne_deploy.page.figures.axes import JOULES, headed_rows
from sne_deploy.report.schema import ReportModel
from sne_deploy.report.units import joules, percent

NAME, TITLE = "energy", "Where the energy goes"
ROW_PX = 22
_NAMES: dict[Part, str] = {
    "synops": "SynOps",
    "updates": "neuron updates",
    "spikes": "messages",
    "hops": "links that messages cross",
    "host": "host arithmetic",
    "static": "leakage and the embedded processors, which are lines of power of their own",
}
LEAST = 0.002
"""Of the whole, which a layer must take to have a bar of its own."""
MAX_LAYERS = 40
"""Of those, the ones that take most have one."""


@dataclass(frozen=True)
class Use:
    """What one layer, or what is computed on the host, takes of an inference of the ensemble.

    Attributes
    ----------
    student : str or None
        None: what belongs to no student.
    name : str
    joules : dict of part to float
        What is modelled.
    """

    student: str | None
    name: str
    joules: dict[Part, float]

    @property
    def total(self) -> float:
        """Of all parts."""
        return sum(self.joules.values())


@dataclass(frozen=True)
class Bar:
    """What is drawn together: below which heading, its name, how often it runs, what it sums."""

    heading: str
    name: str
    ran: float
    uses: list[Use]


def energy(report: ReportModel, details: Details) -> Figure | Absent:
    """Draw what each layer takes, stacked by kind."""
    if not details.layer_counts:
        return Absent(NAME, TITLE, "counts by layer are not there")
    if report.ensemble.energy_per_sample_j.total is None:
        return Absent(NAME, TITLE, "no sample was run, so that no energy is known")
    uses = uses_of(report, details.layer_counts)
    rows = list(_rows(report, uses))
    kinds = _kinds(report)
    there = [kinds[part] for part in kinds if any(row["kind"] == kinds[part] for row in rows)]
    spec = {
        "$schema": SCHEMA,
        "data": {"values": rows},
        "facet": headed_rows("of", labelLimit=330),
        "spec": {"height": {"step": ROW_PX}, "mark": {"type": "bar"}, "encoding": _encoding(there)},
        "resolve": {"scale": {"y": "independent"}},
        "spacing": 16,
    }
    return Figure(NAME, TITLE, _caption(report), _description(report, uses), spec)


def _encoding(kinds: list[str]) -> dict[str, Any]:
    return {
        "y": {"field": "part", "type": "nominal", "sort": {"field": "place", "op": "min"}, "title": None},
        "x": {
            "field": "energy_j",
            "type": "quantitative",
            "title": "energy of an inference",
            "axis": {"labelExpr": JOULES, "tickCount": 5},
        },
        "color": {
            "field": "kind",
            "type": "nominal",
            "scale": {"domain": kinds},
            "title": None,
            "legend": {"orient": "bottom"},
        },
        "order": {"field": "rank", "type": "quantitative"},
        "tooltip": [{"field": name} for name in ("part", "kind", "energy", "share", "when it runs")],
    }


def uses_of(report: ReportModel, counted: tuple[StudentCountsModel, ...]) -> tuple[Use, ...]:
    """Every layer's and the host's; they add up to the report's energy of the ensemble, part by part."""
    price, samples = Prices(report.hardware.constants), report.data.samples
    mac_j = price("host.mac") / samples
    found = []
    for student, counts in zip(report.students, counted, strict=True):
        if student.totals.host_macs:
            found.append(Use(student.name, "input, on the host", {"host": student.totals.host_macs * mac_j}))
        found += [Use(student.name, layer.name, _joules(layer, price, samples)) for layer in counts.layers]
    for name, macs in (report.shared.total_host_macs_of or {}).items():
        if macs:
            found.append(Use(None, f"{name}, on the host", {"host": macs * mac_j}))
    return tuple(found)


def _joules(layer: LayerCountsModel, price: Prices, samples: int) -> dict[Part, float]:
    counts = Counts(
        synops=layer.synops,
        spikes=layer.spikes,
        input_spikes=0,
        updates_active=layer.updates_active,
        updates_idle=layer.updates_idle,
        host_macs=0,
        samples_run=samples,
    )
    traffic = None
    if layer.messages is not None and layer.hops_east_west is not None and layer.hops_north_south is not None:
        traffic = Traffic(layer.messages, 0, 0, 0, 0, layer.hops_east_west, layer.hops_north_south, 0)
    parts = energy_parts(counts, price, samples, traffic)
    return {name: value for name, value in parts.items() if value is not None and name != "host"}


def _kinds(report: ReportModel) -> dict[Part, str]:
    sent = "spikes" if report.ensemble.traffic is None else "messages"
    return {
        "synops": "SynOps",
        "updates": "neuron updates",
        "spikes": sent,
        "hops": "links",
        "host": "host arithmetic",
    }


def _bars(report: ReportModel, uses: tuple[Use, ...]) -> Iterator[Bar]:
    """The ensemble by student, then each student by layer."""
    whole = sum(use.total for use in uses)
    heading = f"ensemble: {joules(whole)}"
    most = sorted(uses, key=lambda use: -use.total)[:MAX_LAYERS]
    shown = {id(use) for use in most if use.total >= LEAST * whole}
    by_student = {each.name: [use for use in uses if use.student == each.name] for each in report.students}
    ran = {each.name: each.active_fraction for each in report.students}
    yield from (Bar(heading, name, ran[name], own) for name, own in by_student.items())
    yield from (Bar(heading, use.name, 1.0, [use]) for use in uses if use.student is None)
    for name, own in by_student.items():
        if not any(id(use) in shown for use in own):
            continue
        takes = joules(sum(use.total for use in own))
        heading = f"{name}: {takes}, on {percent(ran[name])} of samples"
        yield from (Bar(heading, use.name, ran[name], [use]) for use in own if id(use) in shown)
        rest = [use for use in own if id(use) not in shown]
        if rest:
            label = rest[0].name if len(rest) == 1 else f"{len(rest)} others"
            yield Bar(heading, label, ran[name], rest)


def _rows(report: ReportModel, uses: tuple[Use, ...]) -> Iterator[dict[str, Any]]:
    whole = sum(use.total for use in uses)
    for place, bar in enumerate(_bars(report, uses)):
        for rank, (part, kind) in enumerate(_kinds(report).items()):
            value = sum(use.joules.get(part, 0.0) for use in bar.uses)
            if value:
                yield {
                    "of": bar.heading,
                    "part": bar.name,
                    "place": place,
                    "kind": kind,
                    "rank": rank,
                    "energy_j": value,
                    "energy": joules(value),
                    "share": percent(value / whole),
                    "when it runs": joules(value / bar.ran) if bar.ran else joules(None),
                }


def _caption(report: ReportModel) -> str:
    excluded = report.ensemble.energy_per_sample_j.total_excludes
    said = [
        f"Means of an inference of the ensemble, over {report.data.samples:,} samples.",
        "The bars of each part add up to the energy above them.",
        "SynOps stand at the layer where spikes arrive, messages and links at the one that sends them.",
        "Students that take next to nothing are not drawn by layer.",
    ]
    if report.ensemble.traffic is None:
        said.append("Without a placement on cores, spikes stand for messages, and links are not counted.")
    missing = [_NAMES[part] for part in excluded]
    if missing:
        said.append(f"Not in this energy: {', '.join(missing)}.")
    return " ".join(said)


def _description(report: ReportModel, uses: tuple[Use, ...]) -> str:
    whole, kinds = sum(use.total for use in uses), _kinds(report)
    parts = {kind: sum(use.joules.get(part, 0.0) for use in uses) for part, kind in kinds.items()}
    shares = [f"{kind} {percent(value / whole)}" for kind, value in parts.items() if value and whole]
    most = max(uses, key=lambda use: use.total)
    of = "" if most.student is None else f" of student {most.student}"
    return (
        f"Of {joules(whole)} an inference: {', '.join(shares)}. {most.name}{of} takes the most, "
        f"{joules(most.total)}."
    )
