"""A figure: a Vega-Lite specification with its data, which page, notebook and file show alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sne_deploy.brief import briefly

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
"""Names the version that a specification is of; nothing fetches it."""


@briefly
@dataclass(frozen=True, repr=False)
class Figure:
    """One figure.

    Attributes
    ----------
    name : str
        As in :data:`sne_deploy.page.figures.table.FIGURES`.
    title : str
        Plain text, as are caption and description: names in them come from files that nobody vouches for.
    caption : str
        What is shown, and what is left out.
    description : str
        The chief figures in words, for who cannot see it.
    spec : mapping
        Vega-Lite 6, data inline, without width, background, colours of text and fonts: the page's theme
        gives these. No expressions made of names: a name is data.
    """

    name: str
    title: str
    caption: str
    description: str
    spec: Mapping[str, Any]


@briefly
@dataclass(frozen=True, repr=False)
class Absent:
    """A figure that this run cannot have.

    Attributes
    ----------
    name, title : str
    reason : str
        What is missing, and what would bring it.
    """

    name: str
    title: str
    reason: str
