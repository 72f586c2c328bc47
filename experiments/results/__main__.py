"""Write docs/results.md and its plots from the rows in docs/results.

usage: python -m experiments.results [--check]

``--check`` writes nothing; it exits with 1 if a file would change. Plots that another version of matplotlib
drew are not compared, and it says so.
"""

from __future__ import annotations

import sys
from pathlib import Path

from experiments.reproduction.rows import read_documents
from experiments.results.page import DOCS, files
from experiments.results.plots import CREATOR
from sne_deploy.errors import SneError
from sne_deploy.files import ensure_folder, write_whole


def write(docs: Path) -> None:
    """Write the page and its plots; plots that no section shows any more are removed."""
    folder = ensure_folder(docs / "results")
    written = set()
    for path, text in files(read_documents(docs / "results"), docs):
        written.add(write_whole(path, text.encode()))
        print(f"written: {path}")
    for path in set(folder.glob("*.svg")) - written:
        path.unlink()
        print(f"removed: {path}")


def stale(docs: Path) -> list[str]:
    """What would change, in words."""
    made = dict(files(read_documents(docs / "results"), docs))
    found = []
    for path, text in made.items():
        there = path.read_text("utf-8") if path.exists() else None
        if there is None or (there != text and not _of_another_version(path, there)):
            found.append(f"{path.relative_to(docs)} differs; run python -m experiments.results")
    extra = sorted(set((docs / "results").glob("*.svg")) - set(made))
    return found + [f"{path.relative_to(docs)} is shown nowhere" for path in extra]


def _of_another_version(path: Path, text: str) -> bool:
    other = path.suffix == ".svg" and CREATOR not in text
    if other:
        print(f"{path.name}: not compared: not drawn by {CREATOR}")
    return other


def main(arguments: list[str], docs: Path = DOCS) -> int:
    """Write, or compare."""
    try:
        if arguments == ["--check"]:
            problems = stale(docs)
            print("\n".join(problems) or "up to date")
            return 1 if problems else 0
        if arguments:
            print(__doc__)
            return 2
        write(docs)
    except SneError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
