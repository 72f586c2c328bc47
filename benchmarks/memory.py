"""What compiling and running take in memory, beside what is said beforehand: a table in JSON.

``python -m benchmarks.memory [--out docs/memory.json] [NAME ...]``; ``python scripts/write_memory.py`` writes
the table into docs/limits.md.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path

from benchmarks.children import call
from benchmarks.memory_child import INPUTS, ROOT
from sne_deploy.files import write_whole


def main() -> None:
    """Measure, and keep."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(INPUTS)}; all by default")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "memory.json")
    given = parser.parse_args()
    rows = {name: call("benchmarks.memory_child", name) for name in given.names or INPUTS}
    document = {"command": "python -m benchmarks.memory", "python": platform.python_version(), "inputs": rows}
    write_whole(given.out, (json.dumps(document, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
