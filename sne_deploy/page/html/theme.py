"""Colours and type, once: for the page's style sheet and, as Vega's configuration, for every figure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", sans-serif'
MONO = 'ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace'


@dataclass(frozen=True)
class Theme:
    """The colours of one mode.

    Attributes
    ----------
    paper, panel, ink, soft, line, accent, alarm, alarm_paper : str
        Background, that of panels, text, lesser text, rules, the one accent, and what is wrong.
    categories : tuple of str
        Told apart by colour-blind readers, and each with a contrast of 3 or more on ``paper``.
    ramp : tuple of str
        From nothing, which is close to the background, to most.
    diverging : tuple of str
    """

    paper: str
    panel: str
    ink: str
    soft: str
    line: str
    accent: str
    alarm: str
    alarm_paper: str
    categories: tuple[str, ...]
    ramp: tuple[str, ...]
    diverging: tuple[str, ...]


LIGHT = Theme(
    paper="#ffffff",
    panel="#f5f7f9",
    ink="#16202a",
    soft="#566370",
    line="#d9dfe5",
    accent="#0b62a8",
    alarm="#a8201a",
    alarm_paper="#fdf0ee",
    categories=("#0b62a8", "#d5660f", "#12866a", "#a9459a", "#8a7200", "#4f9bc7", "#7d3c1f", "#6b7782"),
    ramp=("#eff4f9", "#c4dbee", "#86b6dc", "#4089c2", "#0b62a8", "#083a66"),
    diverging=("#b3500b", "#e9a46b", "#f3f4f5", "#7fb1da", "#0b62a8"),
)
DARK = Theme(
    paper="#12181e",
    panel="#1a222a",
    ink="#e6ebf0",
    soft="#a3b0bc",
    line="#313c47",
    accent="#6db7f2",
    alarm="#ff9c8f",
    alarm_paper="#351c1b",
    categories=("#5fb0f0", "#f39a4a", "#3fc79c", "#dd8fd0", "#d9c650", "#9ad1f0", "#d98c66", "#98a6b3"),
    ramp=("#1c2732", "#20425f", "#2a659a", "#4890cb", "#86bfee", "#d3eaff"),
    diverging=("#f39a4a", "#8f6136", "#242d36", "#35689a", "#86bfee"),
)
THEMES = {"light": LIGHT, "dark": DARK}


def style_variables(theme: Theme) -> str:
    """The colours as properties of a style sheet: ``--ink`` and its like."""
    plain = {name: colour for name, colour in asdict(theme).items() if isinstance(colour, str)}
    return "".join(f"--{name.replace('_', '-')}:{colour};" for name, colour in plain.items())


def vega_config(theme: Theme) -> dict[str, Any]:
    """Everything about a figure that is not the figure: type, colours, rules. Specifications hold none."""
    # A figure has its description; that of each mark would be read out after it.
    text = {
        "aria": False,
        "labelColor": theme.soft,
        "titleColor": theme.soft,
        "labelFontSize": 12,
        "titleFontSize": 12,
    }
    weight = {"titleFontWeight": 500}
    return {
        "background": "transparent",
        "font": FONT,
        "padding": 4,
        "axis": {
            **text,
            **weight,
            "domainColor": theme.line,
            "gridColor": theme.line,
            "gridOpacity": 0.6,
            "tickColor": theme.line,
            "labelLimit": 160,
            "titlePadding": 8,
        },
        "axisBand": {"grid": False},
        "legend": {**text, **weight, "labelLimit": 160, "symbolSize": 90},
        "header": {**text, **weight, "labelLimit": 220},
        "title": {"color": theme.ink, "fontSize": 13, "fontWeight": 600, "anchor": "start"},
        "text": {"color": theme.ink, "fontSize": 12},
        "mark": {"color": theme.accent, "aria": False},
        "rule": {"color": theme.soft},
        "tick": {"color": theme.accent},
        "point": {"size": 70},
        "arc": {"stroke": theme.paper},
        "view": {"stroke": None},
        "range": {
            "category": list(theme.categories),
            "ordinal": {"scheme": list(theme.ramp[1:])},
            "heatmap": list(theme.ramp),
            "ramp": list(theme.ramp),
            "diverging": list(theme.diverging),
        },
    }
