"""Measuring: the best batch size of each contestant, then all of them in turns, round by round."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.contestants import Contestant, Measure, Timing, UnavailableError
from benchmarks.networks import Case
from sne_deploy.backend import RunOptions, load_backend
from sne_deploy.bench import Spread
from sne_deploy.errors import RunError
from sne_deploy.runtime.trace import Trace

Array = npt.NDArray[Any]
Say = Callable[[str], None]
REFERENCE = "loihi"


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    batches: tuple[int, ...] = (1, 16, 64, 256, 1024)  # tried by those that take any
    rounds: int = 7
    slow_rounds: int = 3  # of those that take no batches
    least_s: float = 0.25  # a measurement is the median of runs that take so long together
    sweep_limit_s: float = 6.0  # no larger batch is tried once one takes so long
    slow_s: float = 2.0  # one measurement of the slow ones, which sets their number of samples; 0: the most
    max_samples: int = 64  # the most of them


QUICK_EFFORT = Effort((1, 8), rounds=2, slow_rounds=1, least_s=0.0, slow_s=0.0, max_samples=2)


@dataclass
class _Entry:
    """A contestant at one case, while it is measured."""

    contestant: Contestant
    measure: Measure | None = None
    samples: int = 0
    sweep: dict[int, float] = field(default_factory=dict)
    rounds: dict[int, float] = field(default_factory=dict)
    startups: list[float] = field(default_factory=list)
    exact: bool | None = None
    reason: str | None = None


def measure_case(
    case: Case, contestants: Sequence[Contestant], effort: Effort, seed: int, say: Say
) -> dict[str, Any]:
    """Measure all contestants at one case.

    Of ``results``, one per contestant: ``us`` are microseconds per sample and step, ``ratio`` is to ``loihi``
    within a round (median, low, high); ``exact``: its counts are those of ``loihi``, null where it has none;
    ``reason``: why it was not measured.
    """
    entries = [_Entry(contestant) for contestant in contestants]
    samples = max(effort.max_samples, 2)
    with load_backend(REFERENCE).compile(case.program, RunOptions()) as executable:
        trace = executable.run(case.inputs(samples, seed))
    for entry in entries:
        say(f"{case.key}: {entry.contestant.label}")
        _guarded(entry, partial(_choose, case=case, effort=effort, seed=seed))
    for turn in range(effort.rounds):
        for entry in entries:
            if entry.measure is not None and (entry.contestant.batched or turn < effort.slow_rounds):
                say(f"{case.key}: round {turn + 1} of {effort.rounds}, {entry.contestant.label}")
                expected = trace.raw_outputs if entry.contestant.integers else None
                _guarded(entry, partial(_measure, turn=turn, effort=effort, expected=expected))
    steps = case.program.timesteps
    reference = next(entry.rounds for entry in entries if entry.contestant.key == REFERENCE)
    return {
        "name": case.name,
        "description": case.description,
        "input_rate": case.input_rate,
        "timesteps": steps,
        "synapses": case.synapses,
        "rates": rates(case.program, trace, samples),
        "results": [_result(entry, steps, reference) for entry in entries],
    }


def rates(program: Any, trace: Trace, samples: int) -> dict[str, float]:
    """Spikes per neuron and step of each group."""
    sizes = [samples * program.timesteps * group.size for group in program.groups]
    return {layer.name: float(layer.spikes.sum() / n) for layer, n in zip(trace.layers, sizes, strict=True)}


def _guarded(entry: _Entry, work: Callable[[_Entry], None]) -> None:
    """Leave a contestant out where it cannot be measured, with its reason."""
    try:
        work(entry)
    except (UnavailableError, RunError) as error:
        entry.measure, entry.reason = None, str(error)


def _choose(entry: _Entry, case: Case, effort: Effort, seed: int) -> None:
    """Warm up, and find the batch size (or the number of samples) to measure with."""
    measure = entry.contestant.ready(case, seed)
    if entry.contestant.batched:
        for batch in effort.batches:
            measure(batch)
            seconds = min(measure(batch).seconds for _ in range(3))
            entry.sweep[batch] = seconds / batch
            if seconds > effort.sweep_limit_s:
                break
        entry.samples = min(entry.sweep, key=lambda batch: entry.sweep[batch])
    else:
        entry.samples = effort.max_samples
        if effort.slow_s:
            entry.samples = max(2, min(effort.max_samples, int(effort.slow_s / measure(1).seconds)))
    entry.measure = measure


def _measure(entry: _Entry, turn: int, effort: Effort, expected: Array | None) -> None:
    assert entry.measure is not None  # noqa: S101  chosen before
    found: list[Timing] = [entry.measure(entry.samples)]
    while entry.contestant.batched and sum(timing.seconds for timing in found) < effort.least_s:
        found.append(entry.measure(entry.samples))
    entry.rounds[turn] = statistics.median(timing.seconds for timing in found) / entry.samples
    entry.startups += [timing.startup_s for timing in found if timing.startup_s is not None]
    counts = found[-1].counts
    if expected is not None and counts is not None:
        compared = min(len(counts), len(expected))
        entry.exact = np.array_equal(counts[:compared], expected[:compared]) and entry.exact is not False


def _result(entry: _Entry, steps: int, reference: dict[int, float]) -> dict[str, Any]:
    per_step = [1e6 * seconds / steps for seconds in entry.rounds.values()]
    ratios = [seconds / reference[turn] for turn, seconds in entry.rounds.items() if turn in reference]
    return {
        "contestant": entry.contestant.key,
        "label": entry.contestant.label,
        "us": asdict(Spread.of(per_step)) if per_step else None,
        "ratio": asdict(Spread.of(ratios)) if ratios else None,
        "rounds": len(per_step),
        "samples": entry.samples or None,
        "sweep_us": {str(batch): 1e6 * s / steps for batch, s in entry.sweep.items()},
        "startup_s": statistics.median(entry.startups) if entry.startups else None,
        "exact": entry.exact,
        "reason": entry.reason,
    }
