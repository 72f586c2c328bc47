"""A few mutated files of every kind; ``make fuzz`` reads 4,000."""

from __future__ import annotations

import subprocess
import sys

from tests.effort import examples


def test_mutated_files_are_a_result_or_one_line():
    command = [sys.executable, "-m", "tests.mutated_files", str(examples(9)), "7"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert found.returncode == 0, found.stdout + found.stderr
