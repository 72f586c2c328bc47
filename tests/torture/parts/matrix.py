"""The same bits from every way to compute them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from tests.torture.part import Part, Trial

SAMPLES = {"loihi": 60, "netx": 3, "lava": 3, "norse": 60}
METHODS = (None, "events", "matrix", "patches", "convolution")
TOGETHER = 10
"""Trials of one process; it has one seed of hashes."""


def setting(seed: int, index: int) -> dict[str, Any]:
    """A point of the matrix."""
    rng = np.random.default_rng((seed, index))
    target = str(rng.choice(["loihi"] * 8 + ["norse"] + ["lava"]))
    extra: dict[str, Any] = {}
    if target == "loihi":
        extra["memory_bytes"] = int(2 ** rng.integers(10, 27))
        method = METHODS[int(rng.integers(len(METHODS)))]
        extra |= {} if method is None else {"method": method}
    return {
        **_plain(target, str(rng.choice(["static", "confidence"])), str(rng.choice(["counts", "spikes"]))),
        "order": int(rng.integers(1000)) if rng.random() < 0.7 else None,
        "threads": int(rng.integers(1, 7)),
        "workers": int(rng.integers(1, 4)) if rng.random() < 0.1 else None,
        "extra": extra,
    }


def _plain(target: str, policy: str, record: str) -> dict[str, Any]:
    """What all others of the same target, policy and record are compared with."""
    same = {"target": target, "policy": policy, "record": record, "samples": SAMPLES[target]}
    return {**same, "order": None, "threads": 1, "workers": None, "extra": {}}


def _run(indices: Sequence[int], seed: int) -> Iterator[Trial]:
    wanted: dict[str, str] = {}
    for group, members in groupby(indices, lambda index: index // TOGETHER):
        settings = {index: setting(seed, index) for index in members}
        plain = {
            index: _plain(*(made[name] for name in ("target", "policy", "record")))
            for index, made in settings.items()
        }
        new = {json.dumps(made): made for made in plain.values() if json.dumps(made) not in wanted}
        wanted |= dict(zip(new, _digests(list(new.values()), 0), strict=True))
        hashes = int(np.random.default_rng((seed, group)).integers(1, 2**32))
        found = _digests(list(settings.values()), hashes)
        for (index, made), got in zip(settings.items(), found, strict=True):
            differs = got != wanted[json.dumps(plain[index])]
            yield Trial(
                made["target"], index, f"{got}: {json.dumps(made)}, hash seed {hashes}" if differs else ""
            )


def _digests(settings: list[dict[str, Any]], hashes: int) -> list[str]:
    """One for each setting; of what went wrong, its last line."""
    if not settings:
        return []
    command = [sys.executable, "-m", "tests.torture.matrix_child", json.dumps(settings)]
    environment = {**os.environ, "PYTHONHASHSEED": str(hashes)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    said = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
    return found + [said] * (len(settings) - len(found))


PART = Part(
    name="matrix",
    promise="A run gives the same bits, in every sample's numbers and in the report, for any chunk, order of "
    "samples, number of threads and workers, way to sum a synapse, and seed of Python's hashes.",
    how="The digits are run in settings drawn at random, in processes with hash seeds drawn at random; a "
    "digest of outputs, predictions, operations, recorded spikes and the report but its provenance is "
    "compared with that of a plain run in another process.",
    run=_run,
    short=4,
    full=500,
    found=(
        (
            "Means of latency and period differed in the last bit with the order of the samples: they are "
            "now sums that are rounded once."
        ),
    ),
)
