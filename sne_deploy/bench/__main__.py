"""``python -m sne_deploy.bench``: the benchmark from a checkout, as ``sne bench``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console

from sne_deploy.bench.page import performance_page
from sne_deploy.bench.run import NETWORKS, BenchOptions, run_bench, write_document
from sne_deploy.bench.tables import bench_view
from sne_deploy.files import atomic_path


def main() -> None:
    """Measure, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("performance.json"), help="JSON file to write")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--contestants", nargs="+", default=None)
    parser.add_argument("--quick", action="store_true", help="tiny networks: shows that it works")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-scaling", action="store_true")
    parser.add_argument("--page", type=Path, help="also write the tables as Markdown")
    parser.add_argument("--from-json", type=Path, help="measure nothing: take what was measured before")
    given = parser.parse_args()
    document = json.loads(given.from_json.read_text()) if given.from_json else _measured(given)
    if given.page is not None:
        with atomic_path(given.page) as temporary:
            temporary.write_text(performance_page(document))
    Console(width=130).print(bench_view(document))


def _measured(given: argparse.Namespace) -> dict[str, Any]:
    options = BenchOptions(
        networks=tuple(given.networks),
        contestants=None if given.contestants is None else tuple(given.contestants),
        quick=given.quick,
        threads=given.threads,
        seed=given.seed,
        scaling=not given.no_scaling,
    )
    with Console(stderr=True).status("starting") as status:
        document = run_bench(options, status.update)
    write_document(document, given.out)
    return document


if __name__ == "__main__":
    main()
