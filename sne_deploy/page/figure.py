"""A figure: a Vega-Lite specification with its data, which page, notebook and file show alike."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sne_deploy.brief import briefly
from sne_deploy.files import write_whole
from sne_deploy.page.html.theme import LIGHT, vega_config

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
"""Names the version that a specification is of; nothing fetches it."""
_MIME_TYPES = tuple(f"application/vnd.vegalite.v{version}+json" for version in (6, 5))
"""What notebooks know Vega-Lite by: version 5 draws these figures too."""
_WIDTH_PX = 620
NOT_KEPT = "it needs details.json beside report.json, which an older run did not write; run the model again"
"""The reason of a figure of a run without details."""


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

    def standalone(self) -> dict[str, Any]:
        """The specification with a width and light colours of its own, as Vega-Lite draws it anywhere.

        Returns
        -------
        dict
        """
        config = vega_config(LIGHT) | {"background": LIGHT.paper}
        return {"config": config, **_with_width(self.spec, _WIDTH_PX)}

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write :meth:`standalone` as JSON, which Vega's editor and command line, and Altair, read.

        Parameters
        ----------
        path : path

        Returns
        -------
        Path
            The file.

        Raises
        ------
        OutputError
            The file cannot be written.
        """
        text = json.dumps(self.standalone(), indent=1, allow_nan=False) + "\n"
        return write_whole(path, text.encode())

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        spec = self.standalone()
        return {**dict.fromkeys(_MIME_TYPES, spec), "text/plain": f"{self.title}. {self.description}"}


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


def _with_width(spec: Mapping[str, Any], width: float) -> dict[str, Any]:
    """The specification with a width in each of its views that has none."""
    for joined in ("vconcat", "hconcat", "concat"):
        if joined in spec:
            columns = {"vconcat": 1, "hconcat": len(spec[joined])}.get(joined, spec.get("columns", 1))
            return {**spec, joined: [_with_width(part, width / columns) for part in spec[joined]]}
    if "spec" in spec:
        return {**spec, "spec": _with_width(spec["spec"], width / spec.get("columns", 1))}
    return {"width": int(width), **spec}
