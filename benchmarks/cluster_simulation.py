"""How a run on a Dask cluster goes with the number of workers: a simulation of events from measured costs."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sne_deploy.runtime.execution import CHUNK_BYTES
from sne_deploy.runtime.slices import SLICE_BYTES

LINK_BYTES_PER_S = 1.25e9
"""10 Gbit/s Ethernet, at the scheduler, through which inputs and results pass, and at each worker."""
LATENCY_S = 1e-4
"""Of a message on a local network, with its two ends."""


@dataclass(frozen=True)
class Case:
    """A run.

    Attributes
    ----------
    samples, students, workers : int
    ms_per_sample : float
        Of a student, on a worker.
    cascade : float or None
        The part of the samples that each student leaves undecided for the next, which starts when the last
        of them is there; None: all students run on all samples, at once.
    """

    samples: int
    students: int
    workers: int
    ms_per_sample: float
    cascade: float | None = None


@dataclass(frozen=True)
class Outcome:
    """How it went: the time that it took, and for how much of it each of those at work was busy."""

    seconds: float
    busy: Mapping[str, float]

    @property
    def efficiency(self) -> float:
        """For how much of the time the workers simulate samples."""
        return self.busy["samples"]

    @property
    def binds(self) -> str:
        """Who of client, scheduler and link is busy most of the time; if none, what workers mostly do."""
        alone = {name: self.busy[name] for name in ALONE}
        waiting = 1 - sum(self.busy[name] for name in ON_WORKERS)
        name, share = max(alone.items(), key=lambda item: item[1])
        on_workers = {**{each: self.busy[each] for each in ON_WORKERS}, "waiting": waiting}
        return name if share > BOUND else max(on_workers, key=lambda each: on_workers[each])


ALONE = ("client", "scheduler", "link")
ON_WORKERS = ("samples", "set-up")
"""What workers do: set-up makes a student ready that is new to a worker, and is each unit's own cost."""
BOUND = 0.7
"""Busy for more of the time than this: it binds."""


def simulate(case: Case, costs: Mapping[str, Any]) -> Outcome:
    """Slice by slice, stage by stage; client, scheduler and its link do one thing at a time."""
    per_slice = max(1, SLICE_BYTES // costs["work"]["bytes_per_sample"])
    cluster = _Cluster(case, costs)
    for start in range(0, case.samples, per_slice):
        size = min(per_slice, case.samples - start)
        if case.cascade is None:
            cluster.stage([size] * case.students)
            continue
        for student in range(case.students):
            cluster.stage([math.ceil(size * case.cascade**student)])
    at_once = {name: case.workers if name in ON_WORKERS else 1 for name in cluster.used}
    return Outcome(
        cluster.now, {name: used / cluster.now / at_once[name] for name, used in cluster.used.items()}
    )


class _Cluster:
    """Who is free when, and how long each has been busy."""

    def __init__(self, case: Case, costs: Mapping[str, Any]) -> None:
        self.case, self.work = case, costs["work"]
        self.per_unit, self.per_mb = costs["messages"]["ms_per_unit"], costs["messages"]["ms_per_mb"]
        self.now = 0.0
        self.free = dict.fromkeys(ALONE, 0.0)
        self.used = dict.fromkeys((*ALONE, *ON_WORKERS), 0.0)
        self.idle = [(0.0, worker) for worker in range(case.workers)]
        self.met: set[tuple[int, int]] = set()

    def stage(self, sizes: list[int]) -> None:
        """Run students on so many samples each; ends when the last result is there."""
        units = [(student, size) for student, samples in enumerate(sizes) for size in self._chunks(samples)]
        events: list[tuple[float, int, str, int, int]] = []
        for number, (student, size) in enumerate(units):
            sent = size * self.work["bytes_per_sample"]
            at = self._serve("client", self.now, sent, 0.5)
            heapq.heappush(events, (at, number, "given", student, size))
        last = self.now
        while events:
            at, number, kind, student, size = heapq.heappop(events)
            if kind == "given":
                sent = size * self.work["bytes_per_sample"]
                at = self._pass("link", self._serve("scheduler", at, sent, 0.5), 2 * sent / LINK_BYTES_PER_S)
                free, worker = heapq.heappop(self.idle)
                end = max(free, at + LATENCY_S) + self._computing(worker, student, size, sent)
                heapq.heappush(self.idle, (end, worker))
                heapq.heappush(events, (end, number, "done", student, size))
            elif kind == "done":
                back = size * self.work["bytes_per_result"]
                at = self._pass("link", self._serve("scheduler", at, back, 0.5), 2 * back / LINK_BYTES_PER_S)
                last = max(last, self._serve("client", at + LATENCY_S, back, 0.5))
        self.now = last

    def _chunks(self, samples: int) -> list[int]:
        """As `OnExecutor` cuts them."""
        most = max(1, CHUNK_BYTES // self.work["bytes_per_sample"])
        size = max(1, min(math.ceil(samples / self.case.workers), most))
        return [min(size, samples - start) for start in range(0, samples, size)]

    def _computing(self, worker: int, student: int, size: int, sent: float) -> float:
        ms: float = self.per_unit["worker"] + self.per_mb["worker"] * sent / 1e6 + self.work["ms_per_unit"]
        if (worker, student) not in self.met:
            self.met.add((worker, student))
            fetched = self.work["bytes_program"]  # from another worker
            ms += self.work["ms_first"] + self.per_mb["worker"] * fetched / 1e6
            ms += 1e3 * (LATENCY_S + fetched / LINK_BYTES_PER_S)
        samples_ms = size * self.case.ms_per_sample
        self.used["set-up"] += ms / 1e3
        self.used["samples"] += samples_ms / 1e3
        return (ms + samples_ms) / 1e3

    def _serve(self, who: str, at: float, sent: float, part: float) -> float:
        """One of the two halves of what a unit costs the client or the scheduler; when it is through."""
        return self._pass(who, at, (part * self.per_unit[who] + self.per_mb[who] * sent / 1e6) / 1e3)

    def _pass(self, who: str, at: float, seconds: float) -> float:
        self.free[who] = max(self.free[who], at) + seconds
        self.used[who] += seconds
        return self.free[who]
