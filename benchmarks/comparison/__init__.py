"""Speed and memory of target ``loihi`` against everything comparable: ``python -m benchmarks``."""

from __future__ import annotations

from benchmarks.comparison.command import bench
from benchmarks.comparison.page import performance_page
from benchmarks.comparison.run import NETWORKS, BenchOptions, run_bench, write_document
from benchmarks.comparison.tables import bench_view

__all__ = [
    "NETWORKS", "BenchOptions", "bench", "bench_view", "performance_page", "run_bench", "write_document",
]  # fmt: skip
