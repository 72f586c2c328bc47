"""Our processes against Lava's own: spikes, u and v equal bit for bit at every step."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from sne_deploy.backend import RunOptions
from sne_deploy.ir.program import ALWAYS_ON, NeuronGroup, Program, ProgramInput, Synapse
from sne_deploy.ir.weights import ConvWeights, DenseWeights, SparseWeights
from sne_lava import LavaBackend
from tests.chip_registers import LOIHI1

SCRIPT = Path(__file__).with_name("stock_networks.py")
RANGES = {"mixed": (-128, 128, 2), "excitatory": (0, 256, 1), "inhibitory": (-255, 1, 1)}


def group(rng, name, shape, depth, regime):
    size = int(np.prod(shape))
    du, dv, vth, bias, exponent = {
        "wrap": ((0, 40), (0, 50), (100000, 131071), (-4096, 4095), 7),  # u wraps and v saturates
        "quiet": ((4095, 4095), (0, 4095), (0, 3000), (0, 0), 0),
        "mixed": ((0, 4095), (0, 4095), (10, 9000), (-300, 300), 3),
    }[regime]

    def draw(low, high):
        return rng.integers(low, high + 1, size).astype(np.int32)

    return NeuronGroup(
        name, "cuba_lif", shape, draw(*du), draw(*dv), draw(*vth), draw(*bias), exponent,
        np.zeros((), np.int32), depth, 1.0, np.zeros(()),
    )  # fmt: skip


def weights(rng, shape, mode):
    low, high, factor = RANGES[mode]
    return (rng.integers(low, high, shape) * factor * (rng.random(shape) < 0.7)).astype(np.int32)


def make(seed, regime, exponent, mode, recurrent):
    """Input 2x5x6 -> strided, padded convolution -> dense, with a sparse skip, a bias axon and a cycle."""
    rng = np.random.default_rng(seed)
    kernel = weights(rng, (3, 2, 3, 3), mode)
    conv = ConvWeights(kernel, (2, 5, 6), (3, 3, 3), stride=(2, 2), padding=(1, 1))
    groups = (group(rng, "a", (3, 3, 3), 1, regime), group(rng, "b", (12,), 2, regime))
    synapses = [
        Synapse("conv", "input", "a", conv, exponent, mode),
        Synapse("axon", ALWAYS_ON, "a", DenseWeights(weights(rng, (27, 1), "mixed")), 2, "mixed"),
        Synapse("dense", "a", "b", DenseWeights(weights(rng, (12, 27), mode)), exponent, mode),
        Synapse("sparse", "a", "b", SparseWeights(sparse.csr_matrix(weights(rng, (12, 27), mode))), 1, mode),
    ]
    if recurrent:
        loop = DenseWeights(weights(rng, (12, 12), mode))
        synapses.append(Synapse("loop", "b", "b", loop, exponent, mode, within_sample=True))
    program = Program(
        f"{regime}-{mode}", "fixed", 7, ProgramInput("input", (2, 5, 6), "spikes"), groups,
        tuple(synapses), ("b",), "count", (), None, 1e-3, formats=LOIHI1,
    )  # fmt: skip
    samples = 1 if recurrent else 2  # stock Lava has no gate: it would carry spikes into the next sample
    return program, (rng.random((samples, 7, 2, 5, 6)) < 0.5).astype(np.uint8)


CASES = [
    make(1, "wrap", 7, "mixed", recurrent=False),
    make(2, "wrap", 7, "excitatory", recurrent=True),
    make(3, "wrap", 6, "inhibitory", recurrent=False),
    make(4, "quiet", 0, "mixed", recurrent=True),
    make(5, "mixed", 3, "mixed", recurrent=False),
    make(6, "mixed", 1, "excitatory", recurrent=False),
]


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    """What stock Lava does with every case; in a child, because Lava forks and configures logging."""
    folder = tmp_path_factory.mktemp("stock")
    (folder / "cases").write_bytes(pickle.dumps(CASES))
    command = [sys.executable, str(SCRIPT), str(folder / "cases"), str(folder / "results")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return pickle.loads((folder / "results").read_bytes())


@pytest.mark.parametrize("index", range(len(CASES)))
def test_equal_to_stock_processes(stock, index):
    program, inputs = CASES[index]
    with LavaBackend().compile(program, RunOptions()) as compiled:
        trace = compiled.run(inputs, record="all")
    steps = len(inputs) * program.timesteps
    for neurons, layer in zip(program.groups, trace.layers, strict=True):
        spikes, u, v = (x[neurons.depth : neurons.depth + steps] for x in stock[index][neurons.name])
        np.testing.assert_array_equal(layer.recorded_spikes.reshape(steps, -1), spikes)
        np.testing.assert_array_equal(layer.recorded_u.reshape(steps, -1), u)
        np.testing.assert_array_equal(layer.recorded_v.reshape(steps, -1), v)


def test_the_cases_reach_the_extremes(stock):
    """Otherwise equality would say little."""
    u = np.concatenate([x[1].ravel() for case in stock for x in case.values()])
    v = np.concatenate([x[2].ravel() for case in stock for x in case.values()])
    spikes = np.concatenate([x[0].ravel() for case in stock for x in case.values()])
    assert np.abs(u).max() > 2**22
    assert np.abs(v).max() == 2**23 - 1
    assert 0.01 < spikes.mean() < 0.9
