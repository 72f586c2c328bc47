"""A report in a few lines, for ``repr`` and notebooks: students, ensemble, teacher, and the chief figures."""

from __future__ import annotations

from html import escape

from sne_deploy.report.file import Report
from sne_deploy.report.table import COUNTS, ENERGIES, Row, report_rows, report_title
from sne_deploy.report.units import joules, percent, printable, seconds, three_digits

_MOST_ROWS, _MOST_WARNINGS = 8, 2
_HEADS = (*COUNTS, ENERGIES[0])
_STYLE = (
    ".sne-result table{border-collapse:collapse}"
    ".sne-result th,.sne-result td{padding:.15em .8em;text-align:right}"
    ".sne-result th:first-child,.sne-result td:first-child{text-align:left}"
    ".sne-result tr.ensemble{font-weight:bold}.sne-result tr.teacher{opacity:.7}"
)


def summary_text(report: Report) -> str:
    """At most 20 lines, each of bounded length."""
    rows, left_out = _shown(report)
    cells = [("", *_HEADS), *((row.name, *row.counts, row.energies[0]) for row in rows)]
    names = max(len(_cut(line[0], 24)) for line in cells)
    widths = [max(len(line[k]) for line in cells) for k in range(1, len(cells[0]))]
    lines = [_cut(report_title(report), 110), *(_cut(text, 110) for text in (report.dead or ())[:1])]
    for name, *values in cells:
        figures = "  ".join(value.rjust(width) for value, width in zip(values, widths, strict=True))
        lines.append(f"  {_cut(name, 24):{names}}  {figures}")
    if left_out:
        lines.append(f"  and {left_out:,} more students")
    lines += [f"{name}: {text}" for name, text in _figures(report)]
    warnings = report.warnings[len(report.dead or ()) :]
    lines += [f"warning: {_cut(text, 100)}" for text in warnings[:_MOST_WARNINGS]]
    if len(warnings) > _MOST_WARNINGS:
        lines.append(f"and {len(warnings) - _MOST_WARNINGS:,} more warnings: print(result.table())")
    return "\n".join(lines)


def summary_html(report: Report) -> str:
    """The same as a table for a notebook; names stay text."""
    rows, left_out = _shown(report)
    parts = [f"<p><b>{_text(report_title(report))}</b></p>"]
    parts += [f'<p style="color:#c00">{_text(text)}</p>' for text in report.dead or ()]
    heads = "".join(f"<th>{head}</th>" for head in ("per sample", *_HEADS))
    body = "".join(_row(row) for row in rows)
    parts.append(f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>")
    if left_out:
        parts.append(f"<p>and {left_out:,} more students</p>")
    chief = "".join(f"<li>{name}: {_text(text)}</li>" for name, text in _figures(report))
    warnings = [f"<li>warning: {_text(text)}</li>" for text in report.warnings[len(report.dead or ()) :]]
    left = len(warnings) - _MOST_WARNINGS
    warnings = warnings[:_MOST_WARNINGS] + ([f"<li>and {left:,} more warnings</li>"] if left > 0 else [])
    notes = f"<ul>{chief}{''.join(warnings)}</ul>"
    return f'<style>{_STYLE}</style><div class="sne-result">{"".join(parts)}{notes}</div>'


def _shown(report: Report) -> tuple[tuple[Row, ...], int]:
    """Rows of the first students, the ensemble and the teacher; how many students are left out."""
    rows, students = report_rows(report), len(report.students)
    shown = students if students <= _MOST_ROWS else _MOST_ROWS - 1
    return (*rows[:shown], *rows[students:]), students - shown


def _figures(report: Report) -> list[tuple[str, str]]:
    """What the table has no column for, where it is known."""
    found = []
    power = report.ensemble.power
    if power is not None and power.neurocore is not None and power.neurocore.energy_interval_j is not None:
        low, high = power.neurocore.energy_interval_j
        found.append(("neurocores", f"{joules(power.neurocore.energy_j)} ({joules(low)} to {joules(high)})"))
    if report.mapping is not None:
        cores, chips = (
            f"{number:,} {what}{'' if number == 1 else 's'}"
            for number, what in ((report.mapping.cores, "core"), (report.mapping.chips, "chip"))
        )
        latency = seconds(report.ensemble.latency_s)
        found.append(("on the chip", f"{cores} on {chips}, latency {latency}"))
    if report.teacher is not None and report.teacher.ratio_ops is not None:
        ratio = three_digits(report.teacher.ratio_ops)
        found.append(("teacher", f"{ratio} x the ensemble's operations"))
    if report.fidelity is not None:
        found.append(
            ("fidelity", f"the same class as in floating point on {percent(report.fidelity.agreement)}")
        )
    return found


def _row(row: Row) -> str:
    cells = "".join(f"<td>{_text(cell)}</td>" for cell in (row.name, *row.counts, row.energies[0]))
    kind = {"bold": "ensemble", "dim": "teacher"}.get(row.style, "student")
    return f'<tr class="{kind}">{cells}</tr>'


def _text(text: str) -> str:
    return escape(_cut(text, 500))


def _cut(text: str, length: int) -> str:
    shown = printable(text)
    return shown if len(shown) <= length else f"{shown[: length - 4]} ..."
