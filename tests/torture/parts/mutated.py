"""Files of every kind that is read, made bad in any way."""

from __future__ import annotations

import gc
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tests.mutated_files import kinds, mutated, outcome
from tests.torture.part import Part, Trial


def _run(indices: Sequence[int], seed: int) -> Iterator[Trial]:
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(name)
        known = kinds(folder)
        gc.collect()
        gc.freeze()
        for kind, good in known.items():
            for data in good.seeds:
                path = folder / f"good{good.suffix}"
                path.write_bytes(data)
                found = outcome(good, path)
                assert found == "result", f"{kind}, not mutated: {found}"
        for index in indices:
            kind = list(known)[index % len(known)]
            path = folder / f"mutated{known[kind].suffix}"
            path.write_bytes(mutated(known[kind], np.random.default_rng((seed, index))))
            start = time.monotonic()
            found = outcome(known[kind], path)
            figures = {"seconds": round(time.monotonic() - start, 2)}
            held = found in ("result", "refused")
            yield Trial(kind, index, "" if held else found, figures, ended=found if held else "")


PART = Part(
    name="mutated",
    promise="A file of any kind that is read, however bad, is a result, or status 2 with one line that no "
    "terminal obeys, within 20 s of processor time and 1 GiB.",
    how="Good files of every kind are damaged in their bytes, in the entries of their archives, checksums "
    "mended, or in their words and lines; one warm process forks for each, and the fork reads it as the "
    "command would, with those limits set.",
    run=_run,
    short=9,
    full=20_000,
)
