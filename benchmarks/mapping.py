"""What mapping costs against a network's size: ``python -m benchmarks.mapping [CHIP]``.

Networks of growing size, as Programs: stacked convolutions, bands of sparse weights, many students. Prints
neurons, synapses, cores, chips, seconds of processor time and the largest memory of the process so far.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import sparse

from sne_deploy.chips.chip import load_chip
from sne_deploy.ir.program import NeuronGroup, Program, ProgramInput, Synapse
from sne_deploy.ir.weights import ConvWeights, DenseWeights, SparseWeights, Weights
from sne_deploy.mapping.mapper import map_programs

Shape = tuple[int, ...]


def chain(name: str, layers: list[tuple[Weights, Shape]], chip: str) -> Program:
    """Groups one after the other, from input spikes."""
    groups, synapses, source = [], [], "input"
    zero = np.asarray(0, np.int32)
    for k, (weights, shape) in enumerate(layers):
        target = f"g{k}"
        registers: dict[str, Any] = {
            "du": zero + 4095,
            "dv": zero,
            "vth_mant": zero + 100,
            "bias_mant": zero,
            "v_init": zero,
        }
        groups.append(
            NeuronGroup(
                target, "lif", shape, bias_exp=0, depth=k + 1, scale=1.0, v_reset=np.zeros(()), **registers
            )
        )
        synapses.append(Synapse(f"s{k}", source, target, weights))
        source = target
    entry, formats = ProgramInput("input", (layers[0][0].shape[1],), "spikes"), load_chip(chip).registers
    return Program(
        name, "fixed", 4, entry, tuple(groups), tuple(synapses), (source,), "count", (), None, 1e-3,
        formats=formats,
    )  # fmt: skip


def networks(chip: str) -> Iterator[tuple[str, list[Program]]]:
    """By name, the smallest of each kind first."""
    rng = np.random.default_rng(0)
    for layers in (1, 4, 16):
        shape = (12, 72, 72)
        kernels = [(rng.integers(-100, 100, (12, 12, 3, 3)) * 2).astype(np.int32) for _ in range(layers)]
        maps: list[tuple[Weights, Shape]] = [
            (ConvWeights(kernel, shape, shape, padding=(1, 1)), shape) for kernel in kernels
        ]
        yield f"{layers} convolutions", [chain("a", maps, chip)]
    for layers in (1, 3, 10):
        size, fan_in = 100_000, 100
        sources = np.sort((np.arange(size)[:, None] + np.arange(fan_in)) % size, axis=1).astype(np.int32)
        ends = np.arange(0, size * fan_in + 1, fan_in, dtype=np.int32)
        band = sparse.csr_matrix(
            (np.full(size * fan_in, 4, np.int32), sources.reshape(-1), ends), (size, size)
        )
        yield f"{layers} bands", [chain("a", [(SparseWeights(band), (size,))] * layers, chip)]
    for students in (10, 50, 200):
        dense = [(rng.integers(-100, 100, shape) * 2).astype(np.int32) for shape in ((64, 784), (10, 64))]
        pair: list[tuple[Weights, Shape]] = [(DenseWeights(each), (len(each),)) for each in dense]
        yield f"{students} students", [chain(f"s{k}", pair, chip) for k in range(students)]


def synapses_of(program: Program) -> int:
    """Stored weights, a convolution's taps beyond the border included."""
    total = 0
    for synapse in program.synapses:
        weights = synapse.weights
        per_row = weights.kernel[0].size if isinstance(weights, ConvWeights) else 0
        total += per_row * weights.shape[0] or weights.values.size
    return total


def main() -> None:
    """Print a line for each network."""
    chip = sys.argv[1] if len(sys.argv) > 1 else "loihi2"
    for name, programs in networks(chip):
        started = time.process_time()
        placed = map_programs(programs, load_chip(chip))
        spent = time.process_time() - started
        neurons = sum(group.size for program in programs for group in program.groups)
        synapses = sum(synapses_of(program) for program in programs)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{name:16} {neurons:>9,} neurons {synapses:>11,} synapses {len(placed.cores):>5} cores "
            f"{placed.chips:>3} chips {spent:6.2f} s {peak:6.0f} MiB",
            flush=True,
        )


if __name__ == "__main__":
    main()
