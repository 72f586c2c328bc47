"""Files of every kind that is read, made bad in any way."""

from __future__ import annotations

import gc
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tests.torture.files.fork import HELD, outcome
from tests.torture.files.kind import Kind
from tests.torture.files.kinds import kinds
from tests.torture.files.mutate import mutated
from tests.torture.part import Part, Trial


def _run(indices: Sequence[int], seed: int) -> Iterator[Trial]:
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(name)
        known = kinds(folder)
        gc.collect()
        gc.freeze()
        for kind, good in known.items():
            found = _read(good, good.seeds[0], folder)
            assert found == "result", f"{kind}, not mutated: {found}"
        for index in indices:
            kind = list(known)[index % len(known)]
            start = time.monotonic()
            found = _read(known[kind], mutated(known[kind], np.random.default_rng((seed, index))), folder)
            figures = {"seconds": round(time.monotonic() - start, 2)}
            held = found in HELD
            yield Trial(kind, index, "" if held else found, figures, ended=found if held else "")


def _read(kind: Kind, data: bytes, folder: Path) -> str:
    """In a folder that has nothing else in it."""
    with tempfile.TemporaryDirectory(dir=folder) as alone:
        path = Path(alone) / kind.name
        path.write_bytes(data)
        return outcome(kind, path)


PART = Part(
    name="mutated",
    promise="A file of any kind that is read, however bad, is a result, or status 2 with one line that no "
    "terminal obeys, within 20 s of processor time and 1 GiB. What a run has kept is taken as it was "
    "written, or done again: no damage gets from it into a report.",
    how="Good files of every kind are damaged in their bytes, in the entries of their archives, checksums "
    "mended, or in their words and lines; one warm process forks for each, and the fork reads it as the "
    "command would, with those limits set.",
    run=_run,
    short=20,
    full=20_000,
    found=(
        (
            "The kept state of a training whose archive names another alignment or byte order, or a text "
            "that is not UTF-8, was an internal error: torch says so in many ways, and each is now one line."
        ),
        (
            "A reason that another reader quoted from a file went to the terminal with its control "
            "characters: every line of an error is now made visible where it is printed."
        ),
        (
            "A report whose times had no floor at all was an internal error; its schema asks for one now. "
            "Each of a report's values replaced by 18 odd ones found nothing else in what prints it."
        ),
        (
            "Details of a run whose metrics had no number for a student were an internal error of the page, "
            "as were a mesh without rows, a layer of a student that is not there, no policies and a "
            "threshold without a value: a test puts each sort of their values out of place now."
        ),
        (
            "A kept slice of samples or rounds that was changed, its checksums with it, got into the report "
            "where shapes and names were right: each file has a seal now, of every bit of it and of what the "
            "run was made with."
        ),
    ),
)
