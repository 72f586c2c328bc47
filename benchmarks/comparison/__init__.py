"""The benchmark behind ``sne bench``: speed and memory of target ``loihi`` against everything comparable.

Importing this package imports nothing heavy.
"""

from __future__ import annotations

from benchmarks.comparison.page import performance_page
from benchmarks.comparison.run import BenchOptions, run_bench, write_document
from benchmarks.comparison.tables import bench_view

__all__ = ["BenchOptions", "bench_view", "performance_page", "run_bench", "write_document"]
