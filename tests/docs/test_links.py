"""Every link between Markdown files holds as GitHub reads them: files, images, headings; nothing is asked."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, PAGES, ROOT, name

FENCED = re.compile(r"^(```+).*?^\1$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(<?([^()<>\s]+)>?(?: \"[^\"]*\")?\)")
HEADING = re.compile(r"^#{1,6} (.+?)\s*#*$", re.MULTILINE)
FILES = re.compile(
    r"`((?:sne_deploy|backends|examples|docs|scripts|tests|benchmarks|experiments)/[\w./-]+\.\w+)`"
)


@cache
def tracked() -> frozenset[str]:
    """What is in the repository; where there is none, what lies in the folder."""
    found = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    lines = found.stdout.splitlines() if found.returncode == 0 else map(name, ROOT.rglob("*"))
    return frozenset(lines)


def all_pages() -> list[Path]:
    """All but what scripts make pages of, whose links are the pages'."""
    others = [ROOT / path for path in tracked() if path.endswith(".md") and not path.startswith("scripts/")]
    return sorted({*PAGES, *(page for page in others if page.is_file())})


def prose(page: Path) -> str:
    return CODE.sub("", FENCED.sub("", page.read_text("utf-8")))


@cache
def anchors(page: Path) -> frozenset[str]:
    """GitHub's anchors: lower case, marks left out, blanks as dashes, the second of a name with -1."""
    found: dict[str, int] = {}
    made: set[str] = set()
    for heading in HEADING.findall(FENCED.sub("", page.read_text("utf-8"))):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        count = found[slug] = found.get(slug, -1) + 1
        made.add(f"{slug}-{count}" if count else slug)
    return frozenset(made)


@pytest.mark.parametrize("page", all_pages(), ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = [link for link in LINK.findall(prose(page)) if not leads_somewhere(page, link)]
    assert not broken


def leads_somewhere(page: Path, link: str) -> bool:
    if re.match(r"https?://|mailto:", link):
        return True
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists() or not target.is_relative_to(ROOT):
        return False
    return not anchor or (target.suffix == ".md" and anchor in anchors(target))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_file_that_is_named_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    made = set(re.findall(r"^`([\w/]+\.py)`:$", text, re.MULTILINE)) | set(
        re.findall(r"^\| `([\w/]+\.\w+)` \| the (?:model|test|cell)", text, re.MULTILINE)
    )
    missing = {path for path in FILES.findall(text) if not (ROOT / path).is_file()} - made
    assert not missing


def test_a_broken_link_is_found() -> None:
    page = DOCS / "index.md"
    assert leads_somewhere(page, "energy.md#a-synaptic-operation")
    assert leads_somewhere(page, "../README.md")
    for link in ("no_such.md", "energy.md#no-such-heading", "../../etc/passwd", "#nowhere"):
        assert not leads_somewhere(page, link), link
