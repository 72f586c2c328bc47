"""Pages that a script makes: filled, and written anew or, with ``--check``, only compared."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sne_deploy.files import write_whole

CHECK = "--check"


def checking() -> bool:
    """Whether the script was asked to compare its page alone."""
    return CHECK in sys.argv[1:]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def filled(text: str, parts: Mapping[str, object]) -> str:
    """A page's text with each ``{NAME}`` replaced by its part, one after the other."""
    for name, part in parts.items():
        text = text.replace(f"{{{name}}}", str(part))
    return text


def between(text: str, script: str, made: str) -> str:
    """A page's text with what a script makes of it in its place, between the two comments that name it."""
    begin, end = f"<!-- begin: written by scripts/{script} -->\n", "\n<!-- end -->"
    before, rest = text.split(begin, 1)
    return before + begin + made + end + rest.split(end, 1)[1]


def keep(page: Path, made: str) -> int:
    """Write the page, or compare it; the script's exit status."""
    if checking():
        same = page.read_text("utf-8") == made
        print("up to date" if same else f"{page} differs; run python scripts/{Path(sys.argv[0]).name}")
        return 0 if same else 1
    print(f"written: {write_whole(page, made.encode())}")
    return 0
