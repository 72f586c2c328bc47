"""One benchmark run, from networks to a document."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sne_deploy.errors import InputError
from sne_deploy.files import atomic_path

SCHEMA_VERSION = 1
RATES = (0.1, 0.5)
NETWORKS = ("a", "b", "c", "d")


@dataclass(frozen=True)
class BenchOptions:
    """What is measured.

    Attributes
    ----------
    networks : tuple of str
        Out of a, b, c, d.
    rates : tuple of float
        Probabilities of a spike per input and step.
    contestants : tuple of str, or None
        Their keys; None: all. ``loihi`` always takes part.
    quick : bool
        Tiny networks and few rounds: shows that everything works, not how fast it is.
    threads : int
        For everybody.
    seed : int
        Of the networks and the inputs.
    scaling : bool
        Also how the cost of ``loihi`` grows.
    """

    networks: tuple[str, ...] = NETWORKS
    rates: tuple[float, ...] = RATES
    contestants: tuple[str, ...] | None = None
    quick: bool = False
    threads: int = 2
    seed: int = 0
    scaling: bool = True


def run_bench(options: BenchOptions, say: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Measure.

    Parameters
    ----------
    options : BenchOptions
    say : callable
        Is told what is being measured.

    Returns
    -------
    dict
        The document: ``machine``, ``versions``, ``load_before``, ``load_after``, ``startup``, ``cases``,
        ``profile``, ``scaling``; see :func:`benchmarks.comparison.measure.measure_case`.

    Raises
    ------
    InputError
        An unknown network or contestant, or no threads.
    """
    from benchmarks.comparison import machine
    from benchmarks.comparison.measure import QUICK_EFFORT, Effort, measure_case
    from benchmarks.comparison.networks import make_case
    from benchmarks.comparison.profiling import profile_case
    from benchmarks.comparison.scaling import measure_scaling
    from benchmarks.comparison.startup import measure_startup

    chosen = _contestants(options)
    before, began = machine.load(), time.perf_counter()
    machine.set_threads(options.threads)
    say("start-up")
    startup = measure_startup(options.seed)
    effort = QUICK_EFFORT if options.quick else Effort()
    cases, profiles = [], []
    for name in options.networks:
        for rate in options.rates:
            case = make_case(name, rate, options.seed, quick=options.quick)
            cases.append(measure_case(case, chosen, effort, options.seed + 1, say))
            say(f"{case.key}: profile")
            profiles.append(profile_case(case, cases[-1]["results"][0]["samples"], options.seed + 1))
    scaling = {}
    if options.scaling:
        scaling = measure_scaling(options.seed, options.threads, quick=options.quick, say=say)
    return {
        "schema_version": SCHEMA_VERSION,
        "date": dt.datetime.now(dt.timezone.utc).date().isoformat(),
        "quick": options.quick,
        "seed": options.seed,
        "threads": options.threads,
        "batches": list(effort.batches),
        "machine": machine.describe_machine(),
        "versions": machine.describe_versions(),
        "load_before": before,
        "load_after": machine.load(),
        "wall_s": time.perf_counter() - began,
        "startup": startup,
        "cases": cases,
        "profile": profiles,
        "scaling": scaling,
    }


def write_document(document: dict[str, Any], path: str | Path) -> None:
    """Write JSON, whole or not at all.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")


def _contestants(options: BenchOptions) -> list[Any]:
    from benchmarks.comparison.contestants import CONTESTANTS

    known = {contestant.key: contestant for contestant in CONTESTANTS}
    wanted = tuple(known) if options.contestants is None else options.contestants
    for what, values, allowed in (
        ("network", options.networks, NETWORKS),
        ("contestant", wanted, tuple(known)),
    ):
        unknown = [value for value in values if value not in allowed]
        if unknown:
            raise InputError(f"unknown {what} {', '.join(unknown)}; choose from {', '.join(allowed)}")
    if options.threads < 1:
        raise InputError(f"threads {options.threads} must be at least 1")
    return [known[key] for key in known if key in wanted or key == "loihi"]
