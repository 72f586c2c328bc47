"""How close fixed point stays to floating point on other frameworks' NIR graphs.

``python -m benchmarks.nir_fidelity [--paper FOLDER] [--json FILE] [--page FILE] [--from-json FILE]``

The graphs of ``tests/interop/data`` run on the inputs that their frameworks recorded; with ``--paper``, the
NIR paper's convolutional and recurrent network (``cnn_sinabs.nir``, ``braille_noDelay_bias_zero.nir``) run on
made-up events. Floating point is target norse, with the graph's exact timing; fixed point is target loihi
with 8 bits per weight, then with two synapses per weight (16), and its first samples are compared bit for bit
with lava. Everything is seeded: the same figures every time.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

import sne_deploy as sne
from benchmarks.event_data import bursts, classes, saccades
from experiments.markdown import table
from sne_deploy.files import write_whole
from sne_deploy.frontend.nir.file import read_nir, write_nir
from tests.interop.stored import Stored, load, names

Array = npt.NDArray[Any]
SEED = 0
VERIFIED = 2
PAPER = (("cnn_sinabs", 1.0, 50), ("braille_noDelay_bias_zero", 1e-4, 500))
"""Graph, dt in seconds, samples."""


@dataclass(frozen=True)
class Case:
    """A graph with its input; ``outputs`` are a framework's own spikes by layer, where it recorded them."""

    name: str
    path: Path
    dt_s: float
    reset: str
    x: Array
    outputs: dict[str, Array] | None


@dataclass(frozen=True)
class Row:
    """Figures of one graph at one width of weights; rates are of all layers together."""

    name: str
    dt_s: float
    reset: str
    samples: int
    timesteps: int
    float_differing: int | None
    weight_bits: int
    worst_layer: str
    worst_agreement: float
    rate_error: float
    class_agreement: float | None
    float_classes: int | None
    synops_per_sample: float
    verified_samples: int


def cases(paper: Path | None, folder: Path) -> Iterator[Case]:
    """The paper's graphs, then the recorded ones."""
    for name, dt_s, samples in PAPER if paper is not None else ():
        x = saccades(samples, SEED) if name == "cnn_sinabs" else bursts(samples, SEED)
        yield Case(name, Path(paper or "") / f"{name}.nir", dt_s, "value", x, None)
    for name in names(fault=False):
        stored = load(name)
        spikes = {node: values for node, values in stored.outputs.items() if values.dtype == bool}
        yield Case(
            name, _with_reset(stored, folder), stored.rules.dt_s, stored.about["reset"], stored.inputs, spikes
        )


def _with_reset(stored: Stored, folder: Path) -> Path:
    """The recorded graph, with the reset that its framework applied in the nodes' metadata."""
    reset = stored.about["reset"]
    manner = {"reset": "subtract"} if reset in ("subtract", "subtract_delayed") else {}
    delayed = {"reset_delayed": True} if reset == "subtract_delayed" else {}
    graph = read_nir(stored.path)
    for node in graph.nodes.values():
        if isinstance(node, (nir.LIF, nir.CubaLIF, nir.IF)):
            node.metadata = {**node.metadata, **manner, **delayed}
    path = folder / f"{stored.name}.nir"
    write_nir(path, graph)
    return path


def measure(case: Case) -> Iterator[Row]:
    """Floating point once, then fixed point at both widths."""
    ensemble = sne.load(case.path, timesteps=case.x.shape[1], dt_s=case.dt_s)
    with sne.compile(ensemble, "norse") as compiled:
        real = compiled.run(case.x, record="spikes")
    differing = None
    if case.outputs is not None:
        pairs = [(real.students[0].spikes[node], values) for node, values in case.outputs.items()]
        differing = sum(int(np.count_nonzero(ours != theirs)) for ours, theirs in pairs)
    for bits in (8, 16):
        with sne.compile(ensemble, "loihi", weight_bits=bits) as compiled:
            result = compiled.run(case.x, verify=VERIFIED)
        yield _row(case, bits, result, real.logits, differing)


def _row(case: Case, bits: int, result: sne.Result, real: Array, differing: int | None) -> Row:
    (student,) = result.report.students
    layers = [layer for layer in student.layers if layer.spike_agreement is not None and layer.rate_float]
    worst = min(layers, key=lambda layer: layer.spike_agreement or 0.0)
    total = sum((layer.rate_float or 0.0) * np.prod(layer.shape) for layer in layers)
    change = sum(((layer.rate or 0.0) - (layer.rate_float or 0.0)) * np.prod(layer.shape) for layer in layers)
    decides = case.outputs is None  # the recorded networks are small and random: nothing to decide
    wanted, found = classes(real), classes(result.logits)
    return Row(
        name=case.name,
        dt_s=case.dt_s,
        reset=case.reset,
        samples=len(case.x),
        timesteps=case.x.shape[1],
        float_differing=differing,
        weight_bits=bits,
        worst_layer=worst.name,
        worst_agreement=worst.spike_agreement or 0.0,
        rate_error=float(change / total),
        class_agreement=float(np.mean((wanted == found) & (wanted >= 0))) if decides else None,
        float_classes=len(set(wanted[wanted >= 0].tolist())) if decides else None,
        synops_per_sample=student.synops_per_sample or 0.0,
        verified_samples=VERIFIED,
    )


INTRODUCTION = """# How close fixed point stays on other frameworks' graphs

Generated by `python -m benchmarks.nir_fidelity`, from the seeded runs that the module describes.

*Differing spikes*: target norse against what the framework itself recorded, in all layers, samples and steps.
*Worst layer*: the part of the spikes that fixed and floating point have in common, in the layer where it is
least. *Spikes*: how many more or fewer there are in fixed point, in all layers. *Same class*: samples whose
output neuron with the most spikes is the same; silence and ties count as disagreement, in floating point too;
in brackets, the classes that occur; the small recorded networks decide nothing. A spike that comes a step
late counts as two that differ, and networks without leak never forget one: their rates say more.

The first {verified} samples of every run in fixed point were equal to Lava's, bit for bit. With two synapses
per weight (`--weight-bits 16`) every synaptic operation is counted.
"""
HEAD = (
    "graph", "reset", "dt", "samples, steps", "differing spikes", "bits", "worst layer", "spikes",
    "same class", "SynOps",
)  # fmt: skip


def page(rows: list[Row]) -> str:
    """The figures as Markdown."""
    cells = [
        (
            f"`{row.name}`",
            row.reset.replace("_", ", "),
            f"{row.dt_s:g} s",
            f"{row.samples}, {row.timesteps}",
            "not recorded" if row.float_differing is None else f"{row.float_differing:,}",
            str(row.weight_bits),
            f"{100 * row.worst_agreement:.1f} % (`{row.worst_layer}`)",
            f"{100 * row.rate_error:+.2f} %",
            "-"
            if row.class_agreement is None
            else f"{100 * row.class_agreement:.1f} % ({row.float_classes})",
            f"{row.synops_per_sample:,.0f}",
        )
        for row in rows
    ]
    return "\n".join([INTRODUCTION.format(verified=VERIFIED), *table(HEAD, cells)])


def main() -> None:
    """Measure or read, then write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--paper", type=Path, help="folder with the NIR paper's graphs")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    parser.add_argument("--page", type=Path, help="Markdown file to write the table to")
    parser.add_argument("--from-json", type=Path, help="measure nothing; take these figures")
    options = parser.parse_args()
    if options.from_json is not None:
        rows = [Row(**row) for row in json.loads(options.from_json.read_text())]
    else:
        with tempfile.TemporaryDirectory() as folder:
            rows = [row for case in cases(options.paper, Path(folder)) for row in measure(case)]
    texts = {
        options.json: json.dumps([asdict(row) for row in rows], indent=1) + "\n",
        options.page: page(rows),
    }
    for path, text in texts.items():
        if path is not None:
            write_whole(path, text.encode())
    if options.page is None:
        print(page(rows))


if __name__ == "__main__":
    main()
