"""The page's tables, warnings and provenance, in the words and numbers of the table on the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from sne_deploy.energy.processor import ARITHMETIC
from sne_deploy.page.details.model import Details
from sne_deploy.page.html.markup import Html, joined, table, tag, value
from sne_deploy.page.html.neurobench import neurobench_section
from sne_deploy.page.html.page import Section
from sne_deploy.report.chip_view import chip_tables
from sne_deploy.report.comparison_table import HEADS, comparison_rows
from sne_deploy.report.file import Report
from sne_deploy.report.notes import report_notes, summed_up
from sne_deploy.report.table import COUNTS, ENERGIES, report_rows
from sne_deploy.report.units import ABSENT, printable
from sne_deploy.report.verdict import rate

_PATHS = (
    "accuracy",
    None,
    "synops_per_sample",
    "spikes_per_sample",
    "energy_per_sample_j.total",
    "energy_per_sample_j.synops",
    "energy_per_sample_j.updates",
    None,
    "energy_per_sample_j.host",
)
_TEACHER_PATHS = ("accuracy", None, "macs", None, "energy_j", None, None, None, None)
_ELSEWHERE = {"warning", "assumed", "compare", "constants"}
"""Notes that have a section of their own."""


def sections(report: Report, details: Details | None) -> tuple[Section, ...]:
    """Everything below the figures, in the order of the page."""
    found = [_students(report), _processors(report), _chip(report), _warnings(report)]
    found += [neurobench_section(details), _notes(report), _constants(report), _provenance(report)]
    return tuple(section for section in found if section is not None)


def _students(report: Report) -> Section:
    heads = ("per sample", *COUNTS, *(("energy", *(f"({name})" for name in ENERGIES[1:]))))
    names = [f"students.{index}" for index in range(len(report.students))] + ["ensemble", "teacher"]
    rows = []
    for row, name in zip(report_rows(report), names, strict=False):
        paths = _TEACHER_PATHS if name == "teacher" else _PATHS
        cells = zip((*row.counts, *row.energies), paths, strict=True)
        rows.append([row.name, *(_cell(shown, name, path) for shown, path in cells)])
    styles = [*(None for _ in report.students), "sum", "aside"][: len(rows)]
    remark = (
        "Means over the samples on which a student ran; (synops), (updates), (sent) and (host) are parts of "
        "the energy. A student's accuracy is its own."
    )
    content = joined(
        [
            table("Students, ensemble and teacher", heads, rows, styles=styles),
            tag("p", remark, class_="remark"),
        ]
    )
    return Section("students", "Students, ensemble and teacher", content, "Students")


def _cell(shown: str, name: str, path: str | None) -> str:
    return shown if path is None or shown == ABSENT else value(shown, f"{name}.{path}")


def _processors(report: Report) -> Section:
    title = "Other processors"
    if report.comparison is None:
        hint = (
            "No processor was chosen. sne report FOLDER --compare all --html compares, without running again."
        )
        return Section("processors", title, tag("p", hint, class_="absent"), "Processors")
    model, parts = report.comparison, []
    for network in model.networks:
        at = "" if model.rate_per_s is None else f", at {rate(model.rate_per_s)}"
        name = f"{network.name}, {network.macs:,} MAC{at}"
        rows = comparison_rows(model, network)
        parts.append(tag("h3", name))
        if rows:
            kinds = {each.name: each.kind for each in model.processors}
            styles = ["aside" if kinds[row.processor] == ARITHMETIC else None for row in network.rows]
            parts.append(table(name, ("per inference", *HEADS), rows, words=(0, 1, 5), styles=styles))
    said = {printable(network.verdict) for network in model.networks}
    notes = [text for label, text in report_notes(report) if label == "compare" and text not in said]
    parts += [tag("p", text, class_="remark") for text in notes]
    sources = tag("ul", *(tag("li", f"{each.name}: {'; '.join(each.sources)}") for each in model.processors))
    parts.append(tag("details", tag("summary", "Sources of the processors' figures"), sources))
    return Section("processors", title, joined(parts), "Processors")


def _chip(report: Report) -> Section | None:
    """Cores, time and the three lines of power."""
    tables = [
        table(
            lines.title.strip(),
            (lines.title, *lines.heads),
            [(name, *cells) for name, cells in lines.rows],
            words=_words(lines.heads),
            styles=["sum" if row is lines.rows[-1] and row[0] == "ensemble" else None for row in lines.rows],
        )
        for lines in chip_tables(report)
    ]
    return Section("on-chip", "On the chip", joined(tables), "Chip") if tables else None


def _words(heads: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(index for index, head in enumerate(("", *heads)) if head in ("", "waits for"))


def _warnings(report: Report) -> Section | None:
    dead = report.dead or ()
    told = [*dead, *summed_up(report.warnings[len(dead) :])]
    assumed = [f"Assumed: {text.removeprefix('assumed, ')}" for text in report.assumed or ()]
    if not told and not assumed:
        return Section("warnings", "Warnings", tag("p", "None.", class_="absent"))
    items = (tag("li", text) for text in (*told, *assumed))
    return Section("warnings", "Warnings", tag("ol", *items, class_="warnings"), "Warnings")


def _notes(report: Report) -> Section:
    notes = [(label, text) for label, text in report_notes(report) if label not in _ELSEWHERE]
    return Section("notes", "What the figures are", tag("dl", *_labelled(notes), class_="notes"), "Notes")


def _labelled(notes: list[tuple[str, str]]) -> Iterator[Html]:
    """Each label once."""
    before = None
    for label, text in notes:
        if label != before:
            yield tag("dt", label)
        yield tag("dd", text)
        before = label


def _constants(report: Report) -> Section:
    hardware = report.hardware
    rows = [
        (
            name,
            value(f"{each.value:g}", f"hardware.constants.{name}.value"),
            each.unit,
            each.source,
            each.note or "",
        )
        for name, each in hardware.constants.items()
    ]
    name = f"Constants of {hardware.name}"
    heads = ("constant", "value", "unit", "source", "note")
    content = table(name, heads, rows, words=(0, 2, 3, 4))
    return Section("constants", "Constants and their sources", content, "Constants")


def _provenance(report: Report) -> Section:
    found = report.provenance
    parts = []
    if found.command is not None:
        parts += [
            tag("h3", "The command that made it"),
            tag("pre", tag("code", found.command, id="command")),
            tag("button", "Copy", type="button", data_copies="command", aria_label="Copy the command"),
        ]
    seed = "none" if found.seed is None else str(found.seed)
    facts = [
        ("model", report.model),
        ("target", f"{report.target}, {report.precision}, {report.hardware.name}"),
        ("data", f"{report.data.name}, {report.data.samples:,} samples, {report.data.timesteps} steps"),
        ("seed", seed),
        ("time", f"{found.wall_s:.3g} s"),
        *(("versions", f"{name} {version}") for name, version in found.versions.items()),
    ]
    parts.append(tag("dl", *_labelled(facts), class_="notes"))
    return Section("provenance", "Where this comes from", joined(parts), "Provenance")
