"""``sne bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sne_deploy.cli import options as opt
from sne_deploy.cli.output import show


def bench_command(
    out: Annotated[Path, typer.Option(help="JSON file to write.")] = Path("performance.json"),
    page: Annotated[Path | None, typer.Option(help="Markdown file to write the tables to as well.")] = None,
    from_json: Annotated[
        Path | None, typer.Option(help="Measure nothing: take the figures of an earlier run.")
    ] = None,
    networks: Annotated[
        list[str] | None, typer.Option("--network", help="One of the networks; may be repeated.")
    ] = None,
    contestants: Annotated[
        list[str] | None, typer.Option("--contestant", help="One of the contestants; may be repeated.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Tiny networks: shows that it works.")] = False,
    scaling: Annotated[bool, typer.Option(help="Also measure how time and memory grow.")] = True,
    threads: Annotated[int, typer.Option(help="Threads of every contestant.", min=1)] = 2,
    seed: opt.Seed = 0,
    debug: opt.Debug = False,  # noqa: ARG001
) -> None:
    """Measure target loihi against Lava, others and plain PyTorch: ratios within one run."""
    from benchmarks.comparison.command import bench
    from benchmarks.comparison.run import NETWORKS, BenchOptions
    from benchmarks.comparison.tables import bench_view

    options = BenchOptions(
        networks=tuple(networks or NETWORKS),
        contestants=tuple(contestants) if contestants else None,
        quick=quick,
        threads=threads,
        seed=seed,
        scaling=scaling,
    )
    show(bench_view(bench(options, out=out, page=page, from_json=from_json)))
