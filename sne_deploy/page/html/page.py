"""One self-contained HTML file: nothing is fetched, nothing in it but its own scripts runs."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from sne_deploy.page.figure import Absent, Figure
from sne_deploy.page.html.markup import Html, data_script, joined, named, tag
from sne_deploy.page.html.theme import DARK, FONT, LIGHT, MONO, THEMES, style_variables, vega_config
from sne_deploy.text import visible

HALF = frozenset({"confusion", "class_accuracy"})
"""Figures that stand beside another where there is room."""


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading.

    Attributes
    ----------
    anchor : str
        Its identifier, which ours alone choose.
    title : str
    content : Html
    listed : str or None
        What the list of contents calls it; None where that leaves it out.
    """

    anchor: str
    title: str
    content: Html
    listed: str | None = None


def page_html(
    title: str,
    what: str,
    lead: Html,
    parts: Sequence[Section | Sequence[Figure | Absent]],
    *,
    kind: str = "Report",
) -> str:
    """Put a page together.

    Parameters
    ----------
    title, what : str
        The heading, and the line below it.
    lead : Html
        What is said first: sentence and tiles.
    parts : sequence of Section or sequence of Figure and Absent
        In the order of the page.
    kind : str
        What the page is, above its heading.

    Returns
    -------
    str
        The text of an HTML file.
    """
    specs: list[dict[str, Any]] = []
    body = [_section(part) if isinstance(part, Section) else _figures(part, specs) for part in parts]
    head = tag(
        "header",
        tag(
            "div",
            tag("p", kind, class_="kind"),
            tag("button", "Light or dark", id="theme", type="button"),
            class_="top",
        ),
        tag("h1", named(title)),
        tag("p", what, class_="what"),
        _contents(parts),
    )
    foot = tag("footer", "Written by sne-deploy. This file fetches nothing and needs nothing beside it.")
    themes = {name: vega_config(theme) for name, theme in THEMES.items()}
    scripts = joined(Html(f"<script>{script}</script>") for script in _scripts())
    return joined(
        [
            Html("<!doctype html>\n"),
            Html('<html lang="en">'),
            _head(title),
            Html("<body>"),
            head,
            tag("main", lead, *body),
            foot,
            data_script("page-data", {"figures": specs, "themes": themes}),
            scripts,
            Html("</body></html>\n"),
        ]
    )


def _contents(parts: Sequence[Section | Sequence[Figure | Absent]]) -> Html:
    anchors = [
        (part.anchor, part.listed) if isinstance(part, Section) else ("figures", "Figures") for part in parts
    ]
    links = [tag("li", tag("a", name, href=f"#{anchor}")) for anchor, name in anchors if name]
    return tag("nav", tag("ul", *links), aria_label="Contents")


def _section(part: Section) -> Html:
    return tag(
        "section",
        tag("h2", part.title, id=part.anchor),
        part.content,
        aria_labelledby=part.anchor,
    )


def _figures(figures: Sequence[Figure | Absent], specs: list[dict[str, Any]]) -> Html:
    """The figures, whose specifications join ``specs``."""
    return tag("div", *(_figure(each, specs) for each in figures), class_="figures", id="figures")


def _figure(figure: Figure | Absent, specs: list[dict[str, Any]]) -> Html:
    name = f"figure-{figure.name}"
    heading = tag("h2", figure.title, id=name)
    place = "half" if figure.name in HALF else None
    if isinstance(figure, Absent):
        reason = tag("p", f"Not shown: {figure.reason}.", class_="absent")
        return tag("section", heading, reason, aria_labelledby=name, class_=place)
    specs.append(_plain(dict(figure.spec)))
    index = str(len(specs) - 1)
    return tag(
        "figure",
        heading,
        tag("div", role="img", aria_label=figure.description, class_="chart", data_figure=index),
        tag("figcaption", tag("p", figure.description), tag("p", figure.caption)),
        tag(
            "details",
            tag("summary", "The figure's data"),
            tag("div", class_="scrolls", role="region", aria_label=f"Data: {figure.title}", tabindex="0"),
            class_="data",
            data_data_of=index,
        ),
        aria_labelledby=name,
        class_=place,
    )


def _plain(value: Any) -> Any:
    """A specification whose text has no character that acts."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {visible(str(key)): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def _head(title: str) -> Html:
    style = _style()
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {' '.join(_digest(script) for script in _scripts())}",
            f"style-src {_digest(style)}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    return tag(
        "head",
        Html('<meta charset="utf-8">'),
        # The digests need no escaping, and a reader of this file is spared it.
        Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="color-scheme" content="light dark">'),
        Html('<link rel="icon" href="data:,">'),
        tag("title", named(title)),
        Html(f"<style>{style}</style>"),
    )


@cache
def _style() -> str:
    light, dark = style_variables(LIGHT), style_variables(DARK)
    variables = (
        f":root{{--font:{FONT};--mono:{MONO};{light}}}\n"
        f"@media (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{dark}}}}}\n"
        f":root[data-theme=dark]{{{dark}}}\n"
        "@media print{:root,:root:not([data-theme=light]),:root[data-theme=dark]{color-scheme:light;"
        f"{light}}}}}\n"
    )
    return variables + _file("html", "style.css")


@cache
def _scripts() -> tuple[str, ...]:
    """Vega, Vega-Lite, the interpreter (a module, which becomes a script here), and the page's own."""
    interpreter = (
        _file("vendor", "vega-interpreter.js")
        .replace("import {", "const {")
        .replace("} from 'vega-util';", "} = vega;")
        .replace(
            "export { expression as expressionInterpreter };", "vega.expressionInterpreter = expression;"
        )
    )
    libraries = (_file("vendor", "vega.min.js"), _file("vendor", "vega-lite.min.js"), f"{{{interpreter}}}")
    names = ("vega", "vega-lite", "vega-interpreter")
    licensed = (_licensed(name, library) for name, library in zip(names, libraries, strict=True))
    return *licensed, *(_file("html", name) for name in ("specs.js", "text.js", "page.js"))


def _licensed(name: str, script: str) -> str:
    """With the licence that goes with every copy, without the comment that names a source map to fetch."""
    lines = (line for line in script.split("\n") if not line.startswith("//# sourceMappingURL="))
    return f"/*! {name}\n{_file('vendor', f'LICENSE-{name}')}*/\n" + "\n".join(lines)


def _digest(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _file(folder: str, name: str) -> str:
    return files("sne_deploy.page").joinpath(folder, name).read_text(encoding="utf-8")
