"""What ``python -m benchmarks`` does: measure, or take an earlier run; write; give the tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.comparison.page import performance_page
from benchmarks.comparison.run import NETWORKS, BenchOptions, run_bench, write_document
from sne_deploy.errors import InputError
from sne_deploy.files import atomic_path


def bench(options: BenchOptions, *, out: Path, page: Path | None, from_json: Path | None) -> dict[str, Any]:
    """Measure (or read ``from_json``), write JSON and page atomically, and return the document.

    Raises
    ------
    InputError
        An unknown network, or an earlier run that cannot be read.
    OutputError
        A file cannot be written.
    """
    if unknown := sorted(set(options.networks) - set(NETWORKS)):
        raise InputError(f"unknown network {', '.join(unknown)}; known: {', '.join(NETWORKS)}")
    document = _measured(options, out) if from_json is None else _read(from_json)
    if page is not None:
        with atomic_path(page) as temporary:
            temporary.write_text(performance_page(document), encoding="utf-8")
    return document


def _measured(options: BenchOptions, out: Path) -> dict[str, Any]:
    from rich.console import Console

    with Console(stderr=True).status("starting") as status:
        document = run_bench(options, status.update)
    write_document(document, out)
    return document


def _read(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot read {path}: {error}; give a file that `python -m benchmarks` wrote"
        ) from error
    return document
