"""Pages that a script makes: written anew, or, with ``--check``, only compared."""

from __future__ import annotations

import sys
from pathlib import Path

from sne_deploy.files import write_whole

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
    print(f"written: {write_whole(page, made.encode())}")
    return 0
