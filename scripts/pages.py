"""Pages that a script makes: written anew, or, with ``--check``, only compared."""

from __future__ import annotations

import sys
from pathlib import Path

from sne_deploy.files import atomic_path

CHECK = "--check"


def checking() -> bool:
    """Whether the script was asked to compare its page alone."""
    return CHECK in sys.argv[1:]


def keep(page: Path, made: str) -> int:
    """Write the page, or compare it; the script's exit status."""
    if checking():
        same = page.read_text("utf-8") == made
        print("up to date" if same else f"{page} differs; run python scripts/{Path(sys.argv[0]).name}")
        return 0 if same else 1
    with atomic_path(page) as temporary:
        temporary.write_text(made, "utf-8")
    print(f"written: {page}")
    return 0
