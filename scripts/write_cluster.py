"""Write docs/cluster.md and its plot: measured costs from docs/cluster.json, and what is simulated from them.

usage: python scripts/write_cluster.py [--check]
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from pages import filled, keep, table  # noqa: E402

from benchmarks.cluster_simulation import BOUND, Case, Outcome, simulate  # noqa: E402
from sne_deploy.runtime.execution import CHUNK_BYTES  # noqa: E402
from sne_deploy.runtime.slices import SLICE_BYTES  # noqa: E402

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAGE = ROOT / "docs" / "cluster.md"
PLOT = ROOT / "docs" / "pictures" / "cluster.svg"
TEXT = Path(__file__).with_name("cluster_page.md")
WORKERS = (1, 2, 10, 30, 100, 300, 1000)
STUDENTS = 4
UNDECIDED = 0.3
"""Of a stage's samples, in the simulated cascade."""


def cases(costs: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What is simulated, by the name of its column."""
    fast = costs["work"]["ms_per_sample"]
    return {
        f"{fast:.2g} ms (`loihi`), 100,000 samples": {"samples": 100_000, "ms_per_sample": fast},
        "10 ms, 100,000 samples": {"samples": 100_000, "ms_per_sample": 10.0},
        "1 s, 10,000 samples": {"samples": 10_000, "ms_per_sample": 1000.0},
        "1 s, 10,000 samples, cascade": {
            "samples": 10_000,
            "ms_per_sample": 1000.0,
            "cascade": UNDECIDED,
        },
    }


def page(costs: dict[str, Any], found: dict[str, list[Outcome]]) -> str:
    """The page's text."""
    messages, work, runs = costs["messages"], costs["work"], costs["runs"]
    made = {
        "SLICE": f"{SLICE_BYTES >> 20} MiB",
        "CHUNK": f"{CHUNK_BYTES >> 20} MiB",
        "COSTS": table(
            ("", "ms per unit", "ms per MB of it", "ms per sample", "ms for a student that is new"),
            [
                *(
                    (f"{who}, messages", f"{messages['ms_per_unit'][who]:.2f}", f"{ms:.2f}", "", "")
                    for who, ms in messages["ms_per_mb"].items()
                ),
                (
                    "worker, simulation",
                    f"{work['ms_per_unit']:.2f}",
                    "",
                    f"{work['ms_per_sample']:.4f}",
                    f"{work['ms_first']:.0f}",
                ),
            ],
        ),
        "COMMAND": costs["command"],
        "STUDENTS": str(work["students"]),
        "PROGRAM": f"{work['bytes_program'] / 1e3:.0f} kB",
        "SAMPLE": f"{work['bytes_per_sample']} bytes",
        "RUNS": table(
            ("", "median", "fastest", "slowest"),
            [
                (f"`{way}`" if "," not in way else way, *(f"{value:.2f}" for value in _middle(seconds)))
                for way, seconds in runs["seconds"].items()
            ],
        ),
        "SAMPLES": f"{runs['samples']:,}",
        "ROUNDS": "one round" if runs["rounds"] == 1 else f"{runs['rounds']} rounds of one after the other",
        "CORES": str(runs["cores"]),
        "LOAD": f"{runs['load']:g}",
        "SIMULATED": table(
            ("workers", *found),
            [
                (
                    f"{workers:,}",
                    *(f"{each[row].efficiency:.1%}, {each[row].binds}" for each in found.values()),
                )
                for row, workers in enumerate(WORKERS)
            ],
        ),
        "BOUND": f"{BOUND:.0%}",
        "UNIT_MS": f"{messages['ms_per_unit']['scheduler']:.1f}",
    }
    return filled(TEXT.read_text("utf-8"), made)


def _middle(seconds: Sequence[float]) -> tuple[float, float, float]:
    return statistics.median(seconds), min(seconds), max(seconds)


def plot(found: dict[str, list[Outcome]]) -> str:
    """Efficiency against workers, a line for each case."""
    from experiments.results.plots import COLOURS, drawn, svg

    def draw(axes: Sequence[Axes]) -> None:
        for (name, outcomes), colour in zip(found.items(), COLOURS, strict=False):
            efficiencies = [100 * outcome.efficiency for outcome in outcomes]
            axes[0].plot(WORKERS, efficiencies, "o-", color=colour, label=name.replace("`", ""))
        axes[0].set(xscale="log", xlabel="workers", ylabel="efficiency, %", ylim=(0, 105))
        axes[0].legend(title="a student's sample takes", title_fontsize=8)

    return svg(drawn(draw))


def simulated(costs: dict[str, Any]) -> dict[str, list[Outcome]]:
    """Each case with each number of workers."""
    return {
        name: [simulate(Case(students=STUDENTS, workers=workers, **given), costs) for workers in WORKERS]
        for name, given in cases(costs).items()
    }


def main() -> int:
    """The exit status."""
    costs = json.loads((ROOT / "docs" / "cluster.json").read_text("utf-8"))
    found = simulated(costs)
    return max(keep(PAGE, page(costs, found)), keep(PLOT, plot(found)))


if __name__ == "__main__":
    sys.exit(main())
