"""Measure target loihi against Lava, netx, nengo-loihi, Norse and plain PyTorch: ratios within one run.

``python -m benchmarks [--out FILE.json] [--page FILE.md]``; ``--from-json FILE.json --page FILE.md`` writes
the page from the figures of an earlier run. Without ``--page`` it is printed.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks.contestants import CONTESTANTS
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.measure import QUICK_EFFORT, Effort, measure_case
from benchmarks.networks import FULL, make_case
from benchmarks.page import performance_page
from benchmarks.profiling import profile_case
from benchmarks.scaling import measure_scaling, measure_startup
from sne_deploy.files import read_regular, write_whole
from sne_deploy.text import one_line

SCHEMA_VERSION = 1
MAX_BYTES = 2**26
_NOT_FIGURES = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What the page makes of a document that was edited."""
RATES = (0.1, 0.5)
"""Probabilities of a spike per input and step."""


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What the user asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    keys = [contestant.key for contestant in CONTESTANTS]
    parser.add_argument("--out", type=Path, default=Path("performance.json"), help="JSON file to write")
    parser.add_argument("--page", type=Path, help="Markdown file to write the tables to")
    parser.add_argument("--from-json", type=Path, help="measure nothing: take the figures of an earlier run")
    parser.add_argument("--network", nargs="+", choices=list(FULL), default=list(FULL))
    parser.add_argument("--rate", nargs="+", type=float, default=RATES, help="of the input's spikes")
    parser.add_argument("--contestant", nargs="+", choices=keys, default=keys, help="loihi always takes part")
    parser.add_argument("--quick", action="store_true", help="tiny networks: shows that it works")
    parser.add_argument("--no-scaling", action="store_true", help="leave out how time and memory grow")
    parser.add_argument("--threads", type=int, default=2, help="of every contestant")
    parser.add_argument("--seed", type=int, default=0, help="of networks and inputs")
    return parser.parse_args(arguments)


def run(given: argparse.Namespace, say: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Measure: the document that the page is made of; see :func:`benchmarks.measure.measure_case`."""
    chosen = [one for one in CONTESTANTS if one.key in given.contestant or one.key == "loihi"]
    effort = QUICK_EFFORT if given.quick else Effort()
    before, began = _load(), time.perf_counter()
    torch.set_num_threads(given.threads)
    say("start-up")
    startup = measure_startup(given.seed)
    cases, profiles = [], []
    for name in given.network:
        for rate in given.rate:
            case = make_case(name, rate, given.seed, quick=given.quick)
            cases.append(measure_case(case, chosen, effort, given.seed + 1, say))
            say(f"{case.key}: profile")
            profiles.append(profile_case(case, cases[-1]["results"][0]["samples"], given.seed + 1))
    scaling = {}
    if not given.no_scaling:
        scaling = measure_scaling(given.seed, given.threads, quick=given.quick, say=say)
    return {
        "schema_version": SCHEMA_VERSION,
        "date": dt.datetime.now(dt.timezone.utc).date().isoformat(),
        "quick": given.quick,
        "seed": given.seed,
        "threads": given.threads,
        "batches": list(effort.batches),
        "machine": describe_machine(),
        "versions": describe_versions(),
        "load_before": before,
        "load_after": _load(),
        "wall_s": time.perf_counter() - began,
        "startup": startup,
        "cases": cases,
        "profile": profiles,
        "scaling": scaling,
    }


def _load() -> list[float]:
    return [round(value, 2) for value in os.getloadavg()]


def read(path: Path) -> dict[str, Any]:
    """The figures of an earlier run, of which a page can be made; else the command ends with one line."""
    try:
        document: dict[str, Any] = json.loads(read_regular(path, MAX_BYTES))
        performance_page(document)
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        print(f"error: {one_line(f'{path}: not the figures of a run: {reason}')}", file=sys.stderr)
        raise SystemExit(2) from None
    return document


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure or read; write."""
    given = parsed(arguments)
    if given.from_json is not None:
        document = read(given.from_json)
    else:
        with Console(stderr=True).status("starting") as status:
            document = run(given, status.update)
        write_whole(given.out, (json.dumps(document, indent=1, allow_nan=False) + "\n").encode())
    if given.page is None:
        print(performance_page(document))
        return
    write_whole(given.page, performance_page(document).encode())


if __name__ == "__main__":
    main()
