"""Tables of the written pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]], aligned: bool = True) -> Iterator[str]:
    """A table's lines, the first column text and the others numbers; an empty line comes after it."""
    yield _row(head)
    yield "|" + "|".join([":--", *["--:"] * (len(head) - 1)] if aligned else [" --- "] * len(head)) + "|"
    yield from map(_row, rows)
    yield ""


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
