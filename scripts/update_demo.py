"""Run the demo's command and put what it prints into docs/get_started.md.

usage: python scripts/update_demo.py
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "get_started.md"
BEGIN = "<!-- demo: written by scripts/update_demo.py -->\n"
END = "<!-- end of demo -->"
COMMAND = ["examples/digits/model.pt", "--target", "lava", "--teacher", "examples/digits/teacher.onnx"]


def demo_output() -> str:
    """Run the command as `make demo` does; give its stdout."""
    program = Path(sys.executable).with_name("sne-compile")
    with tempfile.TemporaryDirectory() as out:
        done = subprocess.run(
            [program, *COMMAND, "--out", out], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
        )
    return done.stdout


def with_demo(page: str, output: str) -> str:
    """Put the output between the two markers."""
    block = f"{BEGIN}\n```text\n{output}```\n\n{END}"
    changed, found = re.subn(
        re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: block, page, flags=re.DOTALL
    )
    if found != 1:
        raise SystemExit(f"{PAGE}: {found} demo blocks, expected one")
    return changed


if __name__ == "__main__":
    PAGE.write_text(with_demo(PAGE.read_text("utf-8"), demo_output()), "utf-8")
    print(f"written: {PAGE}")
