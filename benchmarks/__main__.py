"""Measure target loihi against Lava, netx, nengo-loihi, Norse and plain PyTorch: ratios within one run.

``python -m benchmarks [--out FILE.json] [--page FILE.md]``; ``--from-json FILE.json --page FILE.md`` writes
the page from the figures of an earlier run.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.comparison import NETWORKS, BenchOptions, bench, bench_view


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure or read, write, and print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("performance.json"), help="JSON file to write")
    parser.add_argument("--page", type=Path, help="Markdown file to write the tables to as well")
    parser.add_argument("--from-json", type=Path, help="measure nothing: take the figures of an earlier run")
    parser.add_argument("--network", nargs="+", default=NETWORKS, help=f"of {', '.join(NETWORKS)}")
    parser.add_argument("--contestant", nargs="+", help="by key; loihi always takes part")
    parser.add_argument("--quick", action="store_true", help="tiny networks: shows that it works")
    parser.add_argument("--no-scaling", action="store_true", help="leave out how time and memory grow")
    parser.add_argument("--threads", type=int, default=2, help="of every contestant")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    options = BenchOptions(
        networks=tuple(given.network),
        contestants=tuple(given.contestant) if given.contestant else None,
        quick=given.quick,
        threads=given.threads,
        seed=given.seed,
        scaling=not given.no_scaling,
    )
    document = bench(options, out=given.out, page=given.page, from_json=given.from_json)
    Console(width=120).print(bench_view(document))


if __name__ == "__main__":
    main()
