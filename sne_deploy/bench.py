"""How fast the installed targets run a model: each engine, and the whole call around it.

The *engine* is ``Executable.run`` of every student on inputs that are encoded already. The *call* is
``Compiled.run``: checking the data, encoding, the engine, the head and the report, without and with the
floating-point reference that a fixed-point run is compared with. All students run on all samples. Everything
is measured in turns, round by round, after a run that warms it up, so that other load meets all alike.
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import statistics
import time
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from sne_deploy.backend import Executable, RunOptions, backend_names, load_backend
from sne_deploy.errors import InputError, SneError

if TYPE_CHECKING:
    from rich.console import Group

    from sne_deploy.model.ensemble import Ensemble

Array = npt.NDArray[Any]
Say = Callable[[str], None]
Key = TypeVar("Key", bound=Hashable)

SCHEMA_VERSION = 2
GROWTH = 4
"""From one number of samples that is tried to the next."""
ENGINE, CALL, REFERENCE = "engine", "call", "call, reference"


@dataclass(frozen=True)
class BenchOptions:
    """What is measured.

    Attributes
    ----------
    targets : tuple of str
        Empty: all that are installed; what refuses the model is then left out, with its reason.
    rounds : int
    seconds : float
        About how long one measurement may take: a slow target gets fewer of the samples.
    weight_bits, seed : int or None, int
        As of :func:`sne_deploy.compile`.
    threads : int or None
        PyTorch's, which target ``loihi`` takes over; None: as they are.
    """

    targets: tuple[str, ...] = ()
    rounds: int = 5
    seconds: float = 2.0
    weight_bits: int | None = None
    seed: int = 0
    threads: int | None = None


@dataclass(frozen=True)
class Spread:
    """Median, lowest and highest of a few values."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class TargetResult:
    """One target, or the reason why it was not measured.

    ``us``: microseconds per sample and step of ``engine``, ``call`` and, in fixed point, ``call, reference``;
    ``ratio``: the same, divided by the engine's within a round; ``fallbacks``: slower ways that the engine
    took instead of the chosen one, with how often.
    """

    target: str
    precision: str | None = None
    samples: int = 0
    us: Mapping[str, Spread] = field(default_factory=dict)
    ratio: Mapping[str, Spread] = field(default_factory=dict)
    fallbacks: Mapping[str, int] = field(default_factory=dict)
    reason: str | None = None


@dataclass(frozen=True)
class _Ready:
    """A target that has compiled the model and found its number of samples."""

    precision: str
    samples: int
    runs: Mapping[str, Callable[[], object]]
    executables: Sequence[Executable]


def in_turns(runs: Mapping[Key, Callable[[], object]], rounds: int) -> dict[Key, list[float]]:
    """Seconds of each run in every round; who comes first changes from round to round."""
    seconds: dict[Key, list[float]] = {key: [] for key in runs}
    keys = list(runs)
    for turn in range(rounds):
        first = turn % len(keys)
        for key in keys[first:] + keys[:first]:
            seconds[key].append(_timed(runs[key]))
    return seconds


def measure(ensemble: Ensemble, x: Array, options: BenchOptions, say: Say = lambda _: None) -> dict[str, Any]:
    """Measure the targets on a model.

    Parameters
    ----------
    ensemble : Ensemble
    x : array of shape (N, *input_shape), or (N, T, *input_shape) where the model takes spikes
    options : BenchOptions
    say : callable
        Is told what happens.

    Returns
    -------
    dict
        ``machine``, ``timesteps``, ``rounds`` and ``targets``: every :class:`TargetResult` as a dict.

    Raises
    ------
    InputError
        No target can run the model, or an option is out of its range.
    SneError
        A target that ``options`` names refuses the model, or a run failed.
    """
    if options.rounds < 1 or options.seconds <= 0:
        raise InputError(f"{options.rounds} rounds of {options.seconds} s: give at least 1 and more than 0")
    if options.threads is not None:
        import torch

        torch.set_num_threads(options.threads)
    ready: dict[str, _Ready] = {}
    results: dict[str, TargetResult] = {}
    with ExitStack() as resources:
        for target in options.targets or backend_names():
            say(f"{target}: compiling, and a first run")
            try:
                ready[target] = _prepared(ensemble, target, x, options, resources)
            except SneError as error:
                if options.targets:
                    raise
                results[target] = TargetResult(target, reason=str(error))
        if not ready:
            reasons = (f"{result.target}: {result.reason}" for result in results.values())
            raise InputError(f"no installed target runs this model: {'; '.join(reasons)}")
        say(f"{options.rounds} rounds")
        runs = {(target, what): run for target, found in ready.items() for what, run in found.runs.items()}
        seconds = in_turns(runs, options.rounds)
        for target, found in ready.items():
            own = {what: seconds[target, what] for what in found.runs}
            results[target] = _result(target, found, own, ensemble.timesteps)
    return {
        "schema_version": SCHEMA_VERSION,
        "date": dt.datetime.now(dt.timezone.utc).date().isoformat(),
        "machine": describe_machine(),
        "timesteps": ensemble.timesteps,
        "rounds": options.rounds,
        "targets": [asdict(results[target]) for target in sorted(results)],
    }


def _prepared(
    ensemble: Ensemble, target: str, x: Array, options: BenchOptions, resources: ExitStack
) -> _Ready:
    """Compile, and find a number of samples that takes about as long as it may."""
    import sne_deploy as sne
    from sne_deploy.data.encode import encode
    from sne_deploy.model.policy import ActivationPolicy

    compiled = partial(
        sne.compile,
        ensemble,
        target,
        policy=ActivationPolicy(),
        seed=options.seed,
        weight_bits=options.weight_bits,
    )
    plain = resources.enter_context(compiled(fidelity=False))
    backend, run_options = load_backend(target), RunOptions()
    executables = [resources.enter_context(backend.compile(one, run_options)) for one in plain.programs]

    def engine(inputs: Array) -> None:
        for executable in executables:
            executable.run(inputs)

    inputs = encode(ensemble.encoder, x, ensemble.timesteps, options.seed)
    engine(inputs[:1])
    samples, limit = 1, options.seconds / GROWTH
    while samples < len(x) and min(_timed(partial(engine, inputs[:samples])) for _ in range(2)) < limit:
        samples = min(GROWTH * samples, len(x))
    part = x[:samples]
    runs: dict[str, Callable[[], object]] = {ENGINE: partial(engine, inputs[:samples])}
    runs[CALL] = partial(plain.run, part)
    if plain.precision == "fixed":
        runs[REFERENCE] = partial(resources.enter_context(compiled(fidelity=True)).run, part)
    for run in runs.values():
        run()
    return _Ready(plain.precision, samples, runs, executables)


def _timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _result(target: str, ready: _Ready, seconds: Mapping[str, list[float]], steps: int) -> TargetResult:
    rows = ready.samples * steps
    engine = seconds[ENGINE]
    return TargetResult(
        target,
        ready.precision,
        ready.samples,
        us={what: Spread.of((1e6 / rows * np.array(found)).tolist()) for what, found in seconds.items()},
        ratio={what: Spread.of(np.divide(found, engine).tolist()) for what, found in seconds.items()},
        fallbacks=_fallbacks(ready.executables),
    )


def _fallbacks(executables: Sequence[Executable]) -> dict[str, int]:
    """What the executables count of the slower ways that they took, where they count it."""
    found: Counter[str] = Counter()
    for executable in executables:
        found.update(getattr(executable, "fallbacks", {}))
    return dict(found)


def describe_machine() -> dict[str, Any]:
    """Processor, cores that this process may use, memory, system, and the load of the last minute."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(pages / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "load": round(os.getloadavg()[0], 2),
    }


# --- the table --------------------------------------------------------------------------------------


def number(value: float) -> str:
    """Three significant digits, without exponent, thousands separated."""
    if value == 0:
        return "0"
    digits = max(0, 3 - len(f"{abs(value):.0f}")) if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}"


def spread_text(spread: Mapping[str, float]) -> str:
    """``1.23 (1.20 to 1.31)``."""
    return f"{number(spread['median'])} ({number(spread['low'])} to {number(spread['high'])})"


def bench_view(document: Mapping[str, Any]) -> Group:
    """What :func:`measure` found, for the terminal."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    machine = document["machine"]
    table = Table(box=box.SIMPLE_HEAD)
    for head in ("target", "", "samples", "us per sample and step", "x engine"):
        table.add_column(head, justify="right" if head not in ("target", "") else "left")
    notes = []
    for result in document["targets"]:
        for what, us in result["us"].items():
            name, samples = (result["target"], f"{result['samples']:,}") if what == ENGINE else ("", "")
            table.add_row(name, what, samples, spread_text(us), spread_text(result["ratio"][what]))
        notes += [f"{result['target']}: {n} times {way}" for way, n in result["fallbacks"].items()]
        if result["reason"] is not None:
            notes.append(f"{result['target']}: not measured: {result['reason']}")
    head = (
        f"{machine['cpu']}, {machine['cores']} cores, load {machine['load']}; {document['timesteps']} steps, "
        f"median (lowest to highest) of {document['rounds']} rounds"
    )
    return Group(Text(head), table, *map(Text, notes))
