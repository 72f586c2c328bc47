"""Hours of mixed use in one process: what grows?"""

from __future__ import annotations

import ctypes
import gc
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.torture.part import Part, Trial
from tests.torture.slope import growth

DIGITS = Path(__file__).parents[3] / "examples" / "digits" / "model.pt"
WARM = 0.2
"""Of the time and of the rounds, in which caches fill and allocators find their size: not measured."""
LEAST_ROUNDS = 4
SELDOM = 6
"""Lava, netx and the search run in each sixth round."""
TOLERANCE = {"memory": 0.01, "allocated": 0.001, "blocks": 0.001}
"""Parts of themselves by which these may grow during the measurement; nothing else may at all."""
UNITS = {
    "memory": "KiB",
    "allocated": "KiB",
    "blocks": "alive",
    "descriptors": "open",
    "threads": "alive",
    "children": "alive",
    "files": "left",
}
"""Of what is measured: memory is what is resident, allocated what of it C's allocator has handed out, and
blocks are Python's. Where memory grows alone, the allocator keeps free pages."""


def _uses(folder: Path) -> tuple[list[Callable[[], None]], list[Callable[[], None]]]:
    """What a notebook might do again and again: in each round, and seldom."""
    import sne_deploy as sne
    from sne_deploy.data import digits_split
    from sne_deploy.report.file import load_report
    from tests.torture.files.student import small_ensemble, spikes_and_labels

    x, y = digits_split()[2:]
    small, spikes = small_ensemble(), spikes_and_labels()[0]

    def run(target: str, model: object, inputs: Any, labels: Any) -> Callable[[], None]:
        def use() -> None:
            with sne.compile(model, target) as compiled:
                result = compiled.run(inputs, labels)
            result.save(folder / target)
            assert str(result.table())
            assert result.to_dataframe().size
            assert load_report(folder / target) == result.report

        return use

    def kept() -> None:
        with sne.compile(DIGITS, "loihi", fidelity=False) as compiled:
            compiled.save(folder / "kept.sne")
        with sne.load_compiled(folder / "kept.sne") as again:
            assert again.run(x[:5]).predictions.shape == (5,)

    def refused() -> None:
        try:
            sne.load(folder / "loihi" / "report.json")
        except sne.SneError:
            return
        raise AssertionError("a report is no model")

    def explored() -> None:
        assert len(sne.explore(DIGITS, x[:60], y[:60], thresholds=5).points)

    often = [run("loihi", DIGITS, x[:50], y[:50]), run("norse", DIGITS, x[:20], y[:20]), kept, refused]
    seldom = [run(target, small, spikes, y[:3]) for target in ("lava", "netx")]
    return often, [*seldom, explored]


_C = ctypes.CDLL(None)


class MallInfo(ctypes.Structure):
    """What glibc's allocator says of itself: mallinfo(3)."""

    _fields_ = (
        ("heaps_bytes", ctypes.c_size_t),
        ("_numbers", ctypes.c_size_t * 3),
        ("mapped_bytes", ctypes.c_size_t),
        ("_fast", ctypes.c_size_t * 2),
        ("in_use_bytes", ctypes.c_size_t),
        ("_free", ctypes.c_size_t * 2),
    )


def allocated_kib() -> int:
    """What C's allocator has handed out, in its heaps and by mmap."""
    _C.mallinfo2.restype = MallInfo
    found = _C.mallinfo2()
    return int(found.in_use_bytes + found.mapped_bytes) // 1024


def _missing() -> str:
    return "" if hasattr(_C, "mallinfo2") else "the C library has no mallinfo2 (glibc 2.33)"


def _measured(folder: Path) -> dict[str, int]:
    gc.collect()
    own = Path("/proc/self")
    lines = (own / "smaps_rollup").read_text().splitlines()
    children = [task / "children" for task in (own / "task").iterdir()]
    return {
        "memory": next(int(line.split()[1]) for line in lines if line.startswith("Rss:")),
        "allocated": allocated_kib(),
        "blocks": sys.getallocatedblocks(),
        "descriptors": len(list((own / "fd").iterdir())),
        "threads": threading.active_count(),
        "children": sum(len(path.read_text().split()) for path in children),
        "files": sum(1 for _ in folder.rglob("*")),
    }


def _rounds(seconds: float, folder: Path, failures: list[str]) -> Iterator[tuple[float, dict[str, int]]]:
    """Hours since the begin, and what there is after each round; a use that fails is told, and ends none."""
    often, seldom = _uses(folder)
    start, number = time.monotonic(), 0
    while number < LEAST_ROUNDS or time.monotonic() - start < seconds:
        for use in [*(seldom if number % SELDOM == SELDOM - 1 else ()), *often]:
            try:
                use()
            except Exception as error:  # noqa: BLE001  # each is a failure of the campaign
                failures.append(f"round {number}: {type(error).__name__}: {error}")
        number += 1
        yield (time.monotonic() - start) / 3600, _measured(folder)


def _run(indices: Sequence[int], _seed: int) -> Iterator[Trial]:
    failures: list[str] = []
    with (
        tempfile.TemporaryDirectory() as name,
        tempfile.TemporaryFile() as kept,  # a list of them would grow
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        for hour, found in _rounds(len(indices), Path(name), failures):
            kept.write(np.array([hour, *(found[quantity] for quantity in UNITS)]).tobytes())
        kept.seek(0)
        rounds = np.frombuffer(kept.read()).reshape(-1, 1 + len(UNITS))
    yield Trial("use", 0, "; ".join(failures), {"failed": len(failures), "rounds": len(rounds)})
    seldom = SELDOM if len(rounds) > 2 * SELDOM else 1  # what runs seldom has run, too
    hours, *columns = rounds[max(seldom, int(WARM * len(rounds))) :].T.tolist()
    for (quantity, unit), values in zip(UNITS.items(), columns, strict=True):
        slope = growth(hours, values)
        most = TOLERANCE.get(quantity, 0.0) * values[0]
        grows = slope.low * (hours[-1] - hours[0]) > most
        figures = {"begin": int(values[0]), "end": int(values[-1]), "unit": unit, "rounds": len(rounds)}
        error = {
            "per hour": round(slope.per_hour, 1),
            "from": round(slope.low, 1),
            "to": round(slope.high, 1),
        }
        said = f"grows by {slope.low:.1f} to {slope.high:.1f} {unit} per hour" if grows else ""
        yield Trial(quantity, 0, said, {**figures, **error})


PART = Part(
    name="soak",
    promise="However long one process opens, runs, reports and searches, on every target, its memory, "
    "descriptors, threads and children, and the files that it leaves, do not grow.",
    how="Rounds of use on loihi and norse, of keeping and taking up, and of a refusal; in every sixth also "
    "lava, netx and a search. After the first fifth, what there is after each round gives a slope per hour: "
    "Theil and Sen's, with its interval of 95 %. It fails where all of that interval is growth: of memory by "
    "more than 1 % meanwhile, of what C's allocator and Python have handed out and not got back by more than "
    "0.1 %, of the others at all.",
    run=_run,
    short=5,
    full=7200,
    unit="seconds",
    missing=_missing,
    found=(
        (
            "What is resident grew by 9 MiB an hour, 8 KiB a round: C's allocator keeps pages that are free. "
            "What is handed out is measured beside it since then, and did not grow."
        ),
        (
            "A job on lava or netx left two patterns of file names in Python's caches, 2 KiB each time until "
            "these were full; what a job leaves is found without patterns now. This part's own list of what "
            "it measured grew, too."
        ),
        (
            "With twelve busy processes beside it, a kept graph was refused in two of 455 rounds: its "
            "reader had three times its processor time by the clock. It has ten times that now."
        ),
    ),
)
