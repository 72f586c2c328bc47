"""Map every layer of Intel's core tables by the strategy ``intel`` and write the table into docs/mapping.md.

usage: python scripts/write_mapping_table.py [--check]

The layers have made weights of the networks' shapes and widths. ``--check`` writes nothing; it exits with 1
if the page would change.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from intel_core_tables import OTHERS, PILOTNET, Extent, Row
from pages import between, keep

from sne_deploy.chips.chip import Chip, load_chip
from sne_deploy.ir.program import NeuronGroup, Program, ProgramInput, Synapse
from sne_deploy.ir.weights import ConvWeights, DenseWeights, Weights
from sne_deploy.mapping.mapper import map_programs
from sne_deploy.mapping.memory import encodings_of, memory_bits
from sne_deploy.mapping.reach import reach

PAGE = Path(__file__).resolve().parents[1] / "docs" / "mapping.md"
WORD = 64


@dataclass(frozen=True)
class Mapped:
    """What the strategy made of a layer: as the columns of Intel's table."""

    cores: int
    tile: Extent | None
    words: int


def program(row: Row, chip: Chip) -> Program:
    """A Program of the layer alone."""
    values = {"du": 4095, "dv": 0, "vth_mant": 100, "bias_mant": 0, "v_init": 0}
    registers = {name: np.asarray(value, np.int32) for name, value in values.items()}
    group = NeuronGroup(
        row.layer, "lif", row.shape, bias_exp=0, depth=1, scale=1.0, v_reset=np.asarray(0.0), **registers
    )
    synapses = (Synapse("s", "input", row.layer, weights(row)),) if row.inputs else ()
    entry = ProgramInput("input", (synapses[0].weights.shape[1] if synapses else 1,), "spikes")
    return Program(
        row.network, "fixed", 4, entry, (group,), synapses, (row.layer,), "count", (), None, 1e-3,
        formats=chip.registers,
    )  # fmt: skip


def weights(row: Row) -> Weights:
    """Even weights of the row's width, a third of them 0, and one at the lower end."""
    rng = np.random.default_rng(0)
    shape = (row.shape[0], row.inputs, *[row.kernel] * 2) if row.kernel else (row.shape[0], row.inputs)
    top = 2 ** (row.bits - 1)
    values = 2 * rng.integers(-top, top, shape) * (rng.random(shape) < 2 / 3)
    values.flat[:2] = -2 * top, 2
    if not row.kernel:
        return DenseWeights(values)
    c, h, w = row.shape
    high, wide = ((n - 1) * s + row.kernel for n, s in zip((h, w), row.stride, strict=True))
    return ConvWeights(values, (row.inputs, high, wide), (c, h, w), row.stride)


def mapped(row: Row) -> Mapped:
    """The layer on a chip with the synaptic memory that the compiler reckoned with."""
    chip = load_chip("loihi2")
    memory = chip.limits.synapse_memory_per_core
    limits = chip.limits.model_copy(
        update={"synapse_memory_per_core": memory.model_copy(update={"value": row.limit * WORD})}
    )
    chip = chip.model_copy(update={"limits": limits})
    made = program(row, chip)
    placement = map_programs([made], chip, "intel")
    (group,) = placement.groups
    stored = np.zeros(len(placement.cores), np.int64)
    for synapse in made.synapses:
        where = group.core_of, len(placement.cores)
        reached = reach(synapse.weights, *where)
        stored += memory_bits(synapse, *where, chip, reached, encodings_of("intel"))
    used = (stored // WORD).tolist()
    tile = None if row.tile is None else (group.tile[0], group.tile[1], group.tile[2])
    return Mapped(len(used), tile, max(used) if row.tile else sum(used) // len(used))


def comparison(row: Row) -> tuple[str, list[bool]]:
    """A layer's line of the table, and whether cores, tile and words are Intel's."""
    found = mapped(row)
    pairs = [(row.cores, found.cores), (row.tile, found.tile), (row.words, found.words)]
    cells = [f"{_text(a)} | {_text(b)}{'' if a == b else ' (differs)'}" for a, b in pairs]
    line = f"| {row.network}, {row.layer} | {_text(row.shape)} | {' | '.join(cells)} |"
    return line, [a == b for a, b in pairs]


def table() -> str:
    """Layer by layer, Intel's table and what the strategy makes of it."""
    head = "| network, layer | shape | cores: Intel's | ours | tile: Intel's | ours | words: Intel's | ours |"
    rows = (*PILOTNET, *OTHERS)
    lines, right = zip(*map(comparison, rows), strict=True)
    cores, tiles, words = (sum(each) for each in zip(*right, strict=True))
    maps = sum(row.tile is not None for row in rows)
    return "\n".join((head, "|" + " --- |" * 8, *lines)) + (
        f"\n\nOf {len(rows)} layers {cores} have Intel's number of cores and {words} its words; of "
        f"{maps} maps {tiles - (len(rows) - maps)} have its tile."
    )


def _text(value: object) -> str:
    return "" if value is None else " x ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def page() -> str:
    """The page with the table in its place."""
    return between(PAGE.read_text("utf-8"), "write_mapping_table.py", table())


if __name__ == "__main__":
    sys.exit(keep(PAGE, page()))
