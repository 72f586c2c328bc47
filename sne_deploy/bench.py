"""How fast the installed targets run a model: each engine, and the whole call around it.

The *engine* is ``Executable.run`` of every student on inputs that are encoded already. The *call* is
``Compiled.run``: checking the data, encoding, the engine, the head and the report, without and with the
floating-point reference that a fixed-point run is compared with. All students run on all samples. Everything
is measured in turns, round by round, after a run that warms it up, so that other load meets all alike. What
was interrupted goes on after its last whole round (:mod:`sne_deploy.runtime.rounds`).
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import statistics
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from sne_deploy.backend import Executable, RunOptions, backend_names, load_backend
from sne_deploy.errors import InputError, SneError
from sne_deploy.runtime.rounds import Measured, Rounds

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
    fidelity : bool
        Measure the call with the floating-point reference, too.
    """

    targets: tuple[str, ...] = ()
    rounds: int = 5
    seconds: float = 2.0
    weight_bits: int | None = None
    seed: int = 0
    threads: int | None = None
    fidelity: bool = True


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


def in_turns(runs: Mapping[Key, Callable[[], object]], turns: range) -> Iterator[dict[Key, float]]:
    """Seconds of each run, round by round; who comes first changes from round to round."""
    keys = list(runs)
    for turn in turns:
        first = turn % len(keys)
        yield {key: _timed(runs[key]) for key in keys[first:] + keys[:first]}


def measure(
    ensemble: Ensemble,
    x: Array,
    options: BenchOptions,
    say: Say = lambda _: None,
    work: Path | None = None,
    *,
    resume: bool = True,
) -> dict[str, Any]:
    """Measure the targets on a model.

    Parameters
    ----------
    ensemble : Ensemble
    x : array of shape (N, *input_shape), or (N, T, *input_shape) where the model takes spikes
    options : BenchOptions
    say : callable
        Is told what happens.
    work : Path or None
        A folder in which whole rounds are kept, where they take long: the same call goes on there after an
        interruption. It stays there.
    resume : bool
        Whether it goes on there; else what is kept is thrown away, once every target is ready.

    Returns
    -------
    dict
        ``machine``, ``timesteps``, ``rounds``, ``sittings`` (how many rounds were measured without an
        interruption, one number each) and ``targets``: every :class:`TargetResult` as a dict.

    Raises
    ------
    InputError
        No target can run the model, an option is out of its range, or what is kept is of another measurement.
    SneError
        A target that ``options`` names refuses the model, or a run failed.
    """
    if options.rounds < 1 or options.seconds <= 0:
        raise InputError(f"{options.rounds} rounds of {options.seconds} s: give at least 1 and more than 0")
    if options.threads is not None:
        import torch

        torch.set_num_threads(options.threads)
    with ExitStack() as resources:
        rounds = _opened(ensemble, x, options, work, resources, resume=resume)
        ready, results = _all_prepared(ensemble, x, options, say, rounds.samples, resources)
        rounds.begin({target: found.samples for target, found in ready.items()})
        say(f"{options.rounds} rounds")
        runs = {(target, what): run for target, found in ready.items() for what, run in found.runs.items()}
        for took in in_turns(runs, range(len(rounds.measured.rounds), options.rounds)):
            seconds: dict[str, dict[str, float]] = {target: {} for target in ready}
            for target, what in runs:
                seconds[target][what] = took[target, what]
            rounds.add(seconds, {target: _fallbacks(found.executables) for target, found in ready.items()})
        measured = rounds.measured.first(options.rounds)
        for target, found in ready.items():
            results[target] = _result(target, found.precision, measured, ensemble.timesteps)
    return {
        "schema_version": SCHEMA_VERSION,
        "date": dt.datetime.now(dt.timezone.utc).date().isoformat(),
        "machine": describe_machine(),
        "timesteps": ensemble.timesteps,
        "rounds": options.rounds,
        "sittings": [len(sitting.rounds) for sitting in measured.sittings],
        "targets": [asdict(results[target]) for target in sorted(results)],
    }


def _opened(
    ensemble: Ensemble,
    x: Array,
    options: BenchOptions,
    folder: Path | None,
    resources: ExitStack,
    *,
    resume: bool,
) -> Rounds:
    """The rounds that are there, in a folder that is locked until ``resources`` are closed."""
    if folder is None:
        return Rounds(None)
    from sne_deploy.runtime.fingerprint import digest
    from sne_deploy.runtime.packages import versions_that_decide
    from sne_deploy.runtime.work import Work, digest_of_model

    def described() -> dict[str, str]:
        import torch

        machine, targets = describe_machine(), options.targets or backend_names()
        return {
            "model": digest_of_model(ensemble),
            "data": digest(x),
            "targets": ", ".join(targets),
            "seconds": f"{options.seconds:g}",
            "weight bits": str(options.weight_bits),
            "seed": str(options.seed),
            "threads": str(torch.get_num_threads()),
            "fidelity": str(options.fidelity),
            "processor": f"{machine['cpu']}, {machine['cores']} cores",
            **versions_that_decide(targets),
        }

    return Rounds(resources.enter_context(Work(folder, described, None if resume else folder)))


def _all_prepared(
    ensemble: Ensemble,
    x: Array,
    options: BenchOptions,
    say: Say,
    known: Mapping[str, int],
    resources: ExitStack,
) -> tuple[dict[str, _Ready], dict[str, TargetResult]]:
    """The targets that can run the model, and why the others cannot."""
    ready: dict[str, _Ready] = {}
    refused: dict[str, TargetResult] = {}
    for target in options.targets or backend_names():
        say(f"{target}: compiling, and a first run")
        try:
            ready[target] = _prepared(ensemble, target, x, options, resources, known.get(target))
        except SneError as error:
            if options.targets:
                raise
            refused[target] = TargetResult(target, reason=str(error))
    if not ready:
        reasons = (f"{result.target}: {result.reason}" for result in refused.values())
        raise InputError(f"no installed target runs this model: {'; '.join(reasons)}")
    return ready, refused


def _prepared(
    ensemble: Ensemble, target: str, x: Array, options: BenchOptions, resources: ExitStack, known: int | None
) -> _Ready:
    """Compile, and find a number of samples that takes about as long as it may, where none is known."""
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
    samples, limit = known or 1, options.seconds / GROWTH
    while not known and samples < len(x) and _twice(partial(engine, inputs[:samples])) < limit:
        samples = min(GROWTH * samples, len(x))
    part = x[:samples]
    runs: dict[str, Callable[[], object]] = {ENGINE: partial(engine, inputs[:samples])}
    runs[CALL] = partial(plain.run, part)
    if plain.precision == "fixed" and options.fidelity:
        runs[REFERENCE] = partial(resources.enter_context(compiled(fidelity=True)).run, part)
    for run in runs.values():
        run()
    return _Ready(plain.precision, samples, runs, executables)


def _timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _twice(run: Callable[[], object]) -> float:
    return min(_timed(run) for _ in range(2))


def _result(target: str, precision: str, measured: Measured, steps: int) -> TargetResult:
    samples, own = measured.samples[target], [each[target] for each in measured.rounds]
    seconds = {what: [each[what] for each in own] for what in own[0]}
    rows, engine = samples * steps, seconds[ENGINE]
    return TargetResult(
        target,
        precision,
        samples,
        us={what: Spread.of((1e6 / rows * np.array(found)).tolist()) for what, found in seconds.items()},
        ratio={what: Spread.of(np.divide(found, engine).tolist()) for what, found in seconds.items()},
        fallbacks=measured.fallbacks(target),
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


def _sittings(rounds: Sequence[int]) -> str:
    return f", interrupted after {' and '.join(map(str, rounds[:-1]))}" if rounds[1:] else ""


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
        f"median (lowest to highest) of {document['rounds']} rounds{_sittings(document['sittings'])}"
    )
    return Group(Text(head), table, *map(Text, notes))
