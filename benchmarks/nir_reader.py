"""What reading a good ``.nir`` file in a limited child process costs, against reading it in this process.

``python -m benchmarks.nir_reader [FILE.nir ...] [--rounds N] [--out FILE.json]``

Four readers take turns on the same files, in an order that changes every round:

- ``read_nir``: ours: a child process with limits opens the file; fields and shapes are checked here.
- ``read_hdf5``: its first part alone: the child, and the arrays received from it.
- ``nir.read``: the ``nir`` package, with its type check, without limits.
- ``h5py``: every data set of the file as an array, and nothing else.

Files are written by ``write_nir`` (gzip and shuffle, as for every graph it writes): chains of random weights
of several sizes, and a long chain of small nodes. The file is in the system's cache. Times are medians in
milliseconds, with the lowest and the highest; ratios are medians of the ratios within a round. Processor
time, the child's included, says more than wall time where the machine is busy.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np

from sne_deploy.frontend.hdf5.file import read_hdf5
from sne_deploy.frontend.nir.file import read_nir, write_nir

WIDTHS = {
    "1 kB": (8, 16, 8),
    "100 kB": (100, 200, 30),
    "1 MB": (500, 480, 20),
    "10 MB": (2000, 1200, 80),
    "100 MB": (6000, 4000, 250),
}
"""Sizes of float32 weights, and the layers' widths."""
LONG = 250
"""Pairs of a matrix and neurons, eight wide each."""


def main() -> int:
    """Measure, print, and write as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="more files to read")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = {**written(Path(folder)), **{path.name: path for path in options.files}}
        load = os.getloadavg()
        results = {name: measured(path, options.rounds) for name, path in files.items()}
    versions = f"Python {platform.python_version()}, h5py {h5py.__version__}, nir {nir.version}"
    print(f"{platform.machine()}, {os.cpu_count()} cores, {versions}, HDF5 {h5py.version.hdf5_version}")
    print(f"load {load[0]:.2f} before; {options.rounds} rounds")
    for what in ("wall", "processor"):
        print(f"\n{what} time\n")
        print("\n".join(table(results, what)))
    if options.out:
        options.out.write_text(json.dumps({"load": load, "files": results}, indent=1) + "\n")
    return 0


def written(folder: Path) -> dict[str, Path]:
    """The benchmark's own files."""
    rng = np.random.default_rng(0)
    graphs = {name: chain(widths, rng) for name, widths in WIDTHS.items()}
    graphs[f"{2 * LONG} nodes"] = chain((8,) * (LONG + 1), rng)
    for index, graph in enumerate(graphs.values()):
        write_nir(folder / f"{index}.nir", graph)
    return {name: folder / f"{index}.nir" for index, name in enumerate(graphs)}


def chain(widths: tuple[int, ...], rng: np.random.Generator) -> nir.NIRGraph:
    """Linear and LIF in turns."""
    nodes: dict[str, Any] = {"input": nir.Input(np.array(widths[:1]))}
    for index, (n_in, n_out) in enumerate(pairwise(widths)):
        weight = rng.standard_normal((n_out, n_in), dtype=np.float32)
        ones = np.ones(n_out, np.float32)
        nodes[f"fc{index}"] = nir.Linear(weight)
        nodes[f"lif{index}"] = nir.LIF(ones / 50, ones, ones * 0, ones, ones * 0)
    nodes["output"] = nir.Output(np.array(widths[-1:]))
    return nir.NIRGraph(nodes, list(pairwise(nodes)), metadata={"dt_s": 0.001}, type_check=False)


def with_h5py(path: Path) -> dict[str, Any]:
    """All data sets."""
    arrays: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            arrays[name] = item[()]

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return arrays


READERS: dict[str, Callable[[Path], Any]] = {
    "read_nir": read_nir,
    "read_hdf5": lambda path: read_hdf5(path, ("node", "version")),
    "nir.read": nir.read,
    "h5py": with_h5py,
}


def measured(path: Path, rounds: int) -> dict[str, Any]:
    """Times of each reader in milliseconds, one per round; a reader that refuses the file has none."""
    readers = {}
    for name, read in READERS.items():
        try:
            read(path)  # the file and the code are in memory from here on
        except Exception as error:  # noqa: BLE001  # other tools' errors are of any kind
            print(f"{path.name}: {name}: {type(error).__name__}: {str(error)[:100]}")
        else:
            readers[name] = read
    times: dict[str, dict[str, list[float]]] = {
        what: {name: [] for name in readers} for what in ("wall", "processor")
    }
    for turn in range(rounds):
        names = list(readers)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = time.perf_counter(), processor_s()
            readers[name](path)
            times["wall"][name].append(1e3 * (time.perf_counter() - start[0]))
            times["processor"][name].append(1e3 * (processor_s() - start[1]))
    arrays = with_h5py(path)
    stored = sum(getattr(array, "nbytes", 0) for array in arrays.values())
    return {"file_bytes": path.stat().st_size, "array_bytes": stored, "data_sets": len(arrays), "ms": times}


def processor_s() -> float:
    """Of this process and of its children that have ended."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in usage)


def table(results: dict[str, dict[str, Any]], what: str) -> list[str]:
    """Markdown."""
    heads = ["file", "bytes", "data sets", *(f"{reader} ms" for reader in READERS)]
    heads += ["read_nir / nir.read", "read_nir / h5py", "read_nir - nir.read ms"]
    lines = [f"| {' | '.join(heads)} |", f"|:--|{'--:|' * (len(heads) - 1)}"]
    for name, result in results.items():
        times = result["ms"][what]
        cells = [name, f"{result['file_bytes']:,}", f"{result['data_sets']:,}"]
        cells += [spread(times.get(reader, [])) for reader in READERS]
        for other in ("nir.read", "h5py"):
            pairs = zip(times.get("read_nir", []), times.get(other, []), strict=False)
            cells.append(spread([ours / theirs for ours, theirs in pairs]))
        pairs = zip(times.get("read_nir", []), times.get("nir.read", []), strict=False)
        cells.append(spread([ours - theirs for ours, theirs in pairs]))
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def spread(values: list[float]) -> str:
    """Median (lowest to highest); a dash for none."""
    if not values:
        return "-"
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


if __name__ == "__main__":
    raise SystemExit(main())
