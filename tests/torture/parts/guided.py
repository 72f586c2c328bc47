"""Mutated files again, as the code that they reach says."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.torture.part import Part, Trial

KINDS = (
    *("experiment.toml", "trained.json", "CIFAR-10", ".npz", "model.pt", "kept tensor", "MNIST", "chip.toml"),
    *("kept state", ".npy", "report.json", "processors.toml", "predictions.npz", "case.json", "details.json"),
    *("made_with.json", "kept rounds", "kept samples"),
)
RUNS = 2000
"""Inputs of a trial."""
CRASHES = Path("out/crashes")
MOST_SECONDS = 1800.0


def _missing() -> str:
    return "" if importlib.util.find_spec("atheris") else "atheris is not installed: pip install '.[fuzz]'"


def _run(indices: Sequence[int], seed: int) -> Iterator[Trial]:
    from tests.torture.files.kinds import kinds

    CRASHES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(name)
        known = kinds(folder)
        for index in indices:
            kind = KINDS[index % len(KINDS)]
            corpus = folder / "corpus"
            corpus.mkdir()
            for number, data in enumerate(known[kind].seeds):
                (corpus / f"good{number}").write_bytes(data)
            yield _fuzzed(kind, index, seed, corpus)
            shutil.rmtree(corpus)


def _fuzzed(kind: str, index: int, seed: int, corpus: Path) -> Trial:
    start = time.monotonic()
    number = str(1 + (seed * 1_000_003 + index) % (2**31 - 1))  # 0 lets libFuzzer choose
    command = [sys.executable, "-m", "tests.torture.guided_child", kind, str(RUNS), number]
    try:
        done = subprocess.run(
            [*command, str(corpus), str(CRASHES)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=MOST_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return Trial(kind, index, f"no end after {MOST_SECONDS:.0f} s")
    branches = [int(found) for found in re.findall(r" cov: (\d+) ", done.stderr)]
    made = re.findall(r"number_of_executed_units: (\d+)", done.stderr)
    found = ""
    if done.returncode != 0 or not made:
        kept = re.findall(r"Test unit written to (\S+)", done.stderr)
        said = re.findall(
            r"^(\w[\w.]*(?:Error|Exception|Interrupt)\b.*|SUMMARY: .*)$", done.stderr, re.MULTILINE
        )
        why = (said or done.stderr.splitlines()[-1:] or ["nothing was said"])[0]
        found = f"status {done.returncode}: {why[:300]}; {' '.join(kept)}"
    figures = {"inputs": int(made[0]) if made else 0, "branches": max(branches, default=0)}
    return Trial(kind, index, found, {**figures, "seconds": round(time.monotonic() - start, 1)})


PART = Part(
    name="guided",
    promise="The same for files that were made bad by what the code does with them: each is read, or refused "
    "with a SneError whose text no terminal obeys.",
    how=f"Atheris (libFuzzer) mutates files of each kind that Python reads, {RUNS:,} of them in a trial, and "
    "goes on from those that reach branches which none has reached before; half of the mutations know words, "
    "lines and archives. Every input that broke something is kept in tests/torture/corpus and is a test.",
    run=_run,
    short=1,
    full=10 * len(KINDS),
    missing=_missing,
    found=(
        (
            "The text of an error quoted names of arrays and keys with their control characters, which a "
            "script would print: every SneError's text is now visible by itself."
        ),
    ),
)
