"""The site builds without a warning, asks nobody for anything, and has every page in its tree."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, PAGES, README

LOADED = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed)\b[^>]*?\bsrc=\"([^\"]*)\""
    r"|<link\b(?=[^>]*rel=\"(?:stylesheet|preload|preconnect|dns-prefetch|(?:shortcut )?icon)\")"
    r"[^>]*?href=\"([^\"]*)\"",
    re.DOTALL,
)
IN_STYLE = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")
ELSEWHERE = re.compile(r"(?:[a-z]+:)?//")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make docs` makes."""
    folder = tmp_path_factory.mktemp("site")
    options = ["-q", "-W", "--keep-going", "-d", folder / "doctrees"]
    command = [sys.executable, "-m", "sphinx", *options, DOCS, folder / "html"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stderr
    return folder / "html"


def test_every_page_is_there(site: Path) -> None:
    for page in PAGES:
        if page != README:
            assert (site / page.relative_to(DOCS).with_suffix(".html")).is_file(), page


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(PAGES)  # the index, the search
    loaded = {
        one for page in pages for pair in LOADED.findall(page.read_text("utf-8")) for one in pair if one
    }
    assert any(one.endswith(".css") or ".css?" in one for one in loaded)
    assert not [one for one in loaded if ELSEWHERE.match(one)]
    styles = [style.read_text("utf-8") for style in site.rglob("*.css")]
    used = {one for style in styles for pair in IN_STYLE.findall(style) for one in pair if one}
    assert not [one for one in used if ELSEWHERE.match(one)]


def test_the_reference_has_what_the_docstrings_say(site: Path) -> None:
    page = (site / "python" / "compiling.html").read_text("utf-8")
    assert 'id="sne_deploy.compile"' in page
    assert "Bits of a fixed-point weight" not in page  # of the command's help
    assert "Of a fixed-point weight" in page
