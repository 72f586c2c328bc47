"""Run `sne explore` on the committed digits model and put what it prints into docs/exploring.md.

usage: python scripts/write_exploring.py
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from pages import keep

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "exploring.md"
BEGIN, END = "<!-- written by scripts/write_exploring.py -->\n", "<!-- end -->"
COMMAND = ["explore", "examples/digits/model.pt", "--target-accuracy", "98%"]


def main() -> int:
    """Write the block between the markers, or compare it."""
    program = Path(sys.executable).with_name("sne")
    done = subprocess.run([program, *COMMAND], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    block = f"{BEGIN}\n    sne {' '.join(COMMAND)}\n\n```text\n{done.stdout}```\n\n{END}"
    page = PAGE.read_text("utf-8")
    changed, found = re.subn(
        re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: block, page, flags=re.DOTALL
    )
    if found != 1:
        raise SystemExit(f"{PAGE}: {found} blocks, expected one")
    return keep(PAGE, changed)


if __name__ == "__main__":
    sys.exit(main())
