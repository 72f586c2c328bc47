"""The pages that people read, and the code in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [README, *sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)]
ELSEWHERE = {"docs/adding_a_neuron.md": "tests/neurons/test_adding_a_neuron.py"}
"""Pages whose code another test takes to pieces and runs."""
_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>not run|first): (?P<text>(?:(?!-->).)+?)\s*-->\n\n?)?"
    r"^```(?P<language>python|sh)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """Code of a page: run as it stands, in the page's order, unless a comment before it says why not.

    ``first``: what a comment before it has run first, and what the page's reader has already.
    """

    language: str
    code: str
    first: str
    not_run: str


def name(page: Path) -> str:
    """The page as others call it."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """Python and shell commands of a page, from the top."""
    return [
        Block(
            found["language"],
            found["code"],
            *((found["text"], "") if found["mark"] == "first" else ("", found["text"] or "")),
        )
        for found in _BLOCK.finditer(page.read_text("utf-8"))
    ]
