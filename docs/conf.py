"""The site: `make docs`. Its pages are the Markdown files here, which are as readable without it."""

from __future__ import annotations

import re
from importlib.metadata import version as installed
from pkgutil import resolve_name
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docutils.nodes import Element, TextElement
    from sphinx.application import Sphinx

project = "sne-deploy"
author = "the authors of sne-deploy"
release = version = installed("sne-deploy")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc", "sphinx_copybutton"]
exclude_patterns = ["_build"]
nitpicky = True
smartquotes = False  # else `--out` in a sentence becomes a dash
show_warning_types = True

myst_heading_anchors = 4  # the anchors that GitHub gives, which links use
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say what types are, in words
autosummary_generate = False
numpydoc_class_members_toctree = False
numpydoc_show_class_members = False  # autodoc lists them, once

html_theme = "furo"  # no fonts and no scripts from elsewhere
html_title = f"sne-deploy {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
pygments_style = "friendly"
pygments_dark_style = "native"
copybutton_exclude = ".linenos, .gp, .go"


def _contents(_: Sphinx, page: str, source: list[str]) -> None:
    """Make tables of contents of an index's lists of links: what is read without the site is its tree."""
    if page.rsplit("/", maxsplit=1)[-1] != "index":
        return
    parts = re.split(r"^## (.+)$", source[0], flags=re.MULTILINE)
    for caption, text in [("", parts[0]), *zip(parts[1::2], parts[2::2], strict=True)]:
        links = re.findall(r"^- \[(.+?)\]\(([\w/]+)\.md\)", text, re.MULTILINE)
        if links:
            rows = "\n".join(f"{title.replace('`', '')} <{target}>" for title, target in links)
            options = ":hidden:\n" + (f":caption: {caption}\n" if caption else "")
            source[0] += f"\n```{{toctree}}\n{options}\n{rows}\n```\n"


def _outside(_: Sphinx, page: str, source: list[str]) -> None:
    """A Markdown file beside docs/ is no page of the site: its link becomes its path in the repository."""
    if "/" not in page:
        source[0] = re.sub(r"\[([^\]]+)\]\(\.\./([\w/.-]+\.md)\)", r"\1 (`\2`)", source[0])


def _inner_name(_: Sphinx, __: object, node: Element, content: TextElement) -> TextElement | None:
    """A name that these pages do not describe is left without a link, if it exists."""
    target = node["reftarget"]
    if node.get("refdomain") != "py" or not target.startswith("sne_deploy."):
        return None
    try:
        resolve_name(target)
    except (ImportError, AttributeError):
        return None
    return content


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _contents)
    app.connect("source-read", _outside)
    app.connect("missing-reference", _inner_name)
