"""``python -m tests.mutants [NAME ...]``: is each named fault of :mod:`tests.mutants.faults` noticed?

A fault is one replacement in one file of the wheel. It is made in a copy of the code, whose tests run there;
a fault is noticed if one of the tests that it names fails. In a copy without a fault, the same tests pass.
Exit status 1 where a fault is not noticed, or no longer fits the code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.mutants.faults import FAULTS, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
COPIED = ("sne_deploy", "backends")
LIMIT_S = 600


@contextmanager
def copy_of_the_code() -> Iterator[Path]:
    """The wheel's code copied, with its compiled kernels; all else is linked."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        folder = Path(name)
        for entry in ROOT.iterdir():
            if entry.name in COPIED:
                shutil.copytree(entry, folder / entry.name)
            elif not entry.name.startswith("."):
                (folder / entry.name).symlink_to(entry)
        yield folder


def failed_test(folder: Path, tests: tuple[str, ...]) -> str | None:
    """The first test that fails in the copy; None where all pass."""
    paths = os.pathsep.join(str(folder / place) for place in (".", "backends"))
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    if done.returncode == 0:
        return None
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if done.returncode != 1 or not failed:
        raise SystemExit(
            f"{' '.join(tests)}: no test failed, but pytest ended with {done.returncode}:\n{done.stdout}"
        )
    return failed[0].split(" - ")[0]


def noticed_by(fault: Fault) -> str | None:
    """The test that notices a fault, if one does."""
    with copy_of_the_code() as folder:
        path = folder / fault.file
        text = path.read_text("utf-8")
        if text.count(fault.old) != 1:
            raise SystemExit(f"{fault.name}: {fault.file} has {text.count(fault.old)} times {fault.old!r}")
        path.write_text(text.replace(fault.old, fault.new), "utf-8")
        return failed_test(folder, fault.tests)


def failed_without_a_fault(test: str) -> str | None:
    """The test that fails in an unchanged copy, if one does."""
    with copy_of_the_code() as folder:
        return failed_test(folder, (test,))


def main(names: list[str]) -> int:
    """Try all faults, or the named ones, as many at a time as there are processors."""
    unknown = set(names) - {fault.name for fault in FAULTS}
    if unknown:
        raise SystemExit(f"unknown: {', '.join(sorted(unknown))}")
    faults = [fault for fault in FAULTS if not names or fault.name in names]
    tests = sorted({test for fault in faults for test in fault.tests})
    started, missed = time.monotonic(), 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found_by, failed = pool.map(noticed_by, faults), pool.map(failed_without_a_fault, tests)
        for fault, found in zip(faults, found_by, strict=True):
            missed += found is None
            print(f"{fault.name:32} {'NOT NOTICED' if found is None else found}", flush=True)
        broken = [test for test in failed if test is not None]
    print(f"{len(faults) - missed} of {len(faults)} noticed, {time.monotonic() - started:.0f} s")
    if broken:
        print(f"without a fault fail: {', '.join(broken)}")
    return int(missed > 0 or bool(broken))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
