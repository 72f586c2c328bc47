"""An ensemble in a notebook: what it is in a few lines, and the graph of each student."""

from __future__ import annotations

from html import escape

from sne_deploy.display import html
from sne_deploy.errors import SneError
from sne_deploy.model.ensemble import Ensemble
from sne_deploy.report.units import printable

MAX_HTML_BYTES = 200_000
"""Of all of it; a picture that would not fit is left out, and said to be."""
_MOST = 12
_PAPER = "background:#fff;color:#111;overflow:auto"  # pictures are drawn for paper, in a dark notebook too


@html.register
def ensemble_html(ensemble: Ensemble) -> str:
    """Facts, and a picture for each of the first students, the first one open."""
    from sne_deploy.inspect.collect import outline_ensemble  # what draws is loaded when something is drawn
    from sne_deploy.inspect.pictures import student_picture, totals

    try:
        found = outline_ensemble(ensemble)
    except SneError as error:
        return f"<pre>{escape(repr(ensemble))}\n{escape(str(error))}</pre>"
    facts = "".join(f"<li>{escape(printable(f'{label}: {text}'))}</li>" for label, text in found.facts)
    parts = [f"<b>Ensemble of {len(found.students)}</b><ul>{facts}</ul>"]
    size = len(parts[0])
    for number, student in enumerate(found.students[:_MOST]):
        heading = escape(f"{printable(student.name)}: {', '.join(totals(student))}")
        try:
            picture = student_picture(student)
        except SneError as error:
            picture = f"<p>{escape(str(error))}</p>"
        if size + len(picture) > MAX_HTML_BYTES - 5_000:
            picture = "<p>too large to be drawn here: sne inspect MODEL --svg FOLDER</p>"
        opened = " open" if number == 0 else ""
        drawing = f'<div style="{_PAPER}">{picture}</div>'
        parts.append(f"<details{opened}><summary>{heading}</summary>{drawing}</details>")
        size += len(parts[-1])
    if len(found.students) > _MOST:
        parts.append(f"<p>and {len(found.students) - _MOST:,} more students</p>")
    return "".join(parts)
