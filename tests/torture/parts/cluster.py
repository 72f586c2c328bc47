"""Workers of a Dask cluster, and its scheduler, lost while a run needs them."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from sne_deploy.runtime.work import kept_files
from tests.dask_processes import Cluster, kill
from tests.torture.part import Part, Trial

DIGITS = Path(__file__).parents[3] / "examples" / "digits" / "model.pt"
WORKERS = 2
TIMES = 10
"""The digits' test set is run so many times over: seconds for these workers."""
TIMEOUT_S = 8
SAID_WITHIN_S = 10.0
"""After the last worker's death."""
EVERY = 7
"""Of so many trials, the last three lose all workers for a time, all for good, and the scheduler."""
TOO_LATE = "it ended before it was hit"
SOON_S = 0.01
_COMMAND = """\
import sys
from sne_deploy import start
from sne_deploy.runtime import kept, slices
kept.KEEP_S, slices.SLICE_BYTES = 0.0, 2**20
sys.exit(start.compile_main())
"""
"""The command, with slices that are kept at once, and several of them."""


class _Run:
    """The command on a cluster, once its workers are at work for it.

    Parameters
    ----------
    cluster : Cluster
    folder : Path
        Has the data; gets the results.
    *more : str
        Further options.
    again : bool
        Whether it goes on with what another has kept.
    """

    def __init__(self, cluster: Cluster, folder: Path, *more: str, again: bool = False) -> None:
        data = f"{folder / 'x.npy'}:{folder / 'y.npy'}"
        self.out = folder / "out"
        if not again:
            shutil.rmtree(self.out, ignore_errors=True)
        self.goes_on = bool(again and kept_files(self.out / "work"))
        arguments = [str(DIGITS), "--target", "loihi", "--data", data, "--out", str(self.out)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", _COMMAND, *arguments, "--scheduler", cluster.address, *more],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        cluster.wait_for_work(self.process)
        self.at_work = time.monotonic()

    def hit_after(self, seconds: float) -> bool:
        """Wait; whether there still is something to hit."""
        time.sleep(seconds)
        return self.process.poll() is None

    def said(self) -> Iterator[str]:
        """Lines on stderr, as they come, but that of what was written."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if not line.startswith("Written: "):
                yield line.strip()
        self.process.wait()

    def result(self) -> dict[str, Any]:
        """What must be the same for every run: the report but its provenance, and each sample's class."""
        report = json.loads((self.out / "report.json").read_text())
        del report["provenance"]
        with np.load(self.out / "predictions.npz") as kept:
            return {"report": report, **{name: array.tolist() for name, array in kept.items()}}

    def found(self, lines: Sequence[str], texts: Sequence[str], wanted: dict[str, Any] | None) -> str:
        """What is not as it should be: lines with these texts, and results or else status 1."""
        status = self.process.returncode
        same = len(lines) == len(texts) and all(text in line for text, line in zip(texts, lines, strict=True))
        if not same or status != (wanted is None):
            return f"status {status}: {' | '.join(lines)}"
        return "" if wanted is None or self.result() == wanted else "other results"


def _run(indices: Sequence[int], seed: int) -> Iterator[Trial]:
    from sne_deploy.data import digits_split

    x, y = digits_split()[2:]
    with tempfile.TemporaryDirectory() as name, Cluster(WORKERS) as cluster:
        folder = Path(name)
        np.save(folder / "x.npy", np.concatenate([x] * TIMES))
        np.save(folder / "y.npy", np.concatenate([y] * TIMES))
        plain = _Run(cluster, folder)
        lines = list(plain.said())
        seconds = time.monotonic() - plain.at_work
        if plain.process.returncode or lines:
            raise RuntimeError(f"the run without harm failed: {lines}")
        wanted = plain.result()
        for index in indices:
            rng = random.Random(f"{seed} {index}")
            harm = _HARMS.get(index % EVERY, _some)
            moment = rng.uniform(0, 0.4) * seconds
            trial = harm(cluster, folder, wanted, index, rng, moment)
            _refill(cluster)
            while trial.found == TOO_LATE and moment > SOON_S:
                moment /= 4
                trial = harm(cluster, folder, wanted, index, rng, moment)
                _refill(cluster)
            yield trial


def _refill(cluster: Cluster) -> None:
    while len(cluster.workers) < WORKERS:
        cluster.add_worker()
    cluster.wait_for(WORKERS)


def _some(
    cluster: Cluster, folder: Path, wanted: dict[str, Any], index: int, rng: random.Random, moment: float
) -> Trial:
    run = _Run(cluster, folder)
    hit = run.hit_after(moment)
    for _ in range(rng.randint(1, WORKERS - 1)):
        cluster.kill_worker(rng.randrange(len(cluster.workers)))
        time.sleep(rng.uniform(0, 0.3))
    found = run.found(list(run.said()), [], wanted)
    return Trial("some of the workers", index, found if hit else TOO_LATE)


def _all_for_a_time(
    cluster: Cluster, folder: Path, wanted: dict[str, Any], index: int, _: random.Random, moment: float
) -> Trial:
    run = _Run(cluster, folder)
    hit = run.hit_after(moment)
    lines, said_s = _lose_all(cluster, run)
    cluster.add_worker()
    lines += run.said()
    found = run.found(lines, ["has no workers left; waiting for ever", "going on"], wanted)
    return _trial("all workers, one comes", index, found if hit else TOO_LATE, said_s)


def _all(
    cluster: Cluster, folder: Path, wanted: dict[str, Any], index: int, _: random.Random, moment: float
) -> Trial:
    run = _Run(cluster, folder, "--timeout", str(TIMEOUT_S))
    hit = run.hit_after(moment)
    lines, said_s = _lose_all(cluster, run)
    lines += run.said()
    texts = ["has no workers left; waiting up to", f"has no workers left, for the {TIMEOUT_S} s of --timeout"]
    found = run.found(lines, texts, None) or _resumed(cluster, folder, wanted)
    return _trial("all workers for good", index, found if hit else TOO_LATE, said_s)


def _scheduler(
    cluster: Cluster, folder: Path, wanted: dict[str, Any], index: int, _: random.Random, moment: float
) -> Trial:
    run = _Run(cluster, folder)
    hit = run.hit_after(moment)
    kill(cluster.scheduler)
    killed = time.monotonic()
    lines = list(run.said())
    said_s = time.monotonic() - killed
    found = run.found(lines, ["error: the Dask scheduler at"], None)
    while cluster.workers:
        cluster.kill_worker(0)
    cluster.start_scheduler()
    found = found or _resumed(cluster, folder, wanted)
    return _trial("the scheduler", index, found if hit else TOO_LATE, said_s)


def _resumed(cluster: Cluster, folder: Path, wanted: dict[str, Any]) -> str:
    """What is wrong with the same command, once there are workers again."""
    _refill(cluster)
    run = _Run(cluster, folder, again=True)
    return run.found(list(run.said()), ["going on with"] if run.goes_on else [], wanted)


def _lose_all(cluster: Cluster, run: _Run) -> tuple[list[str], float]:
    """Kill all; the first line that is said then, and after how many seconds."""
    while cluster.workers:
        cluster.kill_worker(0)
    killed = time.monotonic()
    return [next(run.said(), "")], time.monotonic() - killed


def _trial(case: str, index: int, found: str, said_s: float) -> Trial:
    late = "" if said_s <= SAID_WITHIN_S else f"said after {said_s:.1f} s"
    return Trial(case, index, found or late, {"seconds until said": round(said_s, 1)})


_HARMS = {EVERY - 3: _all_for_a_time, EVERY - 2: _all, EVERY - 1: _scheduler}

PART = Part(
    name="cluster",
    promise="A run on a Dask cluster that loses workers gives the same report; one that has lost all says so "
    "within ten seconds and goes on when one comes, or ends after `--timeout`; one that has lost the "
    "scheduler ends; the same command then goes on with what was kept, to the same report. Each is said in "
    "one line.",
    how=f"The digits are run {TIMES} times over by {WORKERS} workers of a scheduler on this machine. Once "
    "the workers are at work for the command, and at a random moment from then on, some, all, or the "
    "scheduler are killed by SIGKILL. Report, classes, status and every line on stderr are looked at.",
    run=_run,
    short=1,
    full=35,
    missing=lambda: "" if find_spec("distributed") else "needs distributed",
    found=(
        (
            "A worker stopped for good while one of our threads ended and Dask's profiler looked at all of "
            "them, an error of Python before 3.11.9; to Dask it was busy, and the run waited. Our threads "
            "stay now, and docs/cluster.md says how to start workers without the profiler."
        ),
    ),
)
