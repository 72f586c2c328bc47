"""The networks that are measured, with thresholds tuned so that hidden neurons fire at a stated rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.backend import RunOptions, load_backend
from sne_deploy.chips.chip import DEFAULT_CHIP, load_chip
from sne_deploy.errors import SneError
from sne_deploy.ir.program import NeuronGroup, Program, ProgramInput, Synapse
from sne_deploy.ir.weights import ConvWeights, DenseWeights, Weights

Array = npt.NDArray[Any]

RATE = 0.10
"""Spikes per neuron and step that the thresholds are tuned for."""
RATE_LOW, RATE_HIGH = 0.05, 0.15
"""What the tuned rate must lie between."""
VTH_MAX = 131071
TUNING_SAMPLES = 16
CURRENT_DECAY, VOLTAGE_DECAY = 1000, 1024


@dataclass(frozen=True, eq=False)
class Case:
    """A network, tuned for ``input_rate``: the probability of a spike per input and step."""

    name: str
    description: str
    program: Program
    input_rate: float

    @property
    def key(self) -> str:
        """Name and activity."""
        return f"{self.name} at {100 * self.input_rate:g} %"

    @property
    def synapses(self) -> int:
        """Existing synapses: multiply-adds of one step of a dense computation."""
        return int(sum(synapse.weights.matrix().nnz for synapse in self.program.synapses))

    def inputs(self, samples: int, seed: int) -> Array:
        """Bernoulli spikes, uint8 (N, T, *shape)."""
        return bernoulli(self.program, samples, self.input_rate, seed)


def bernoulli(program: Program, samples: int, rate: float, seed: int) -> Array:
    """Random spikes, uint8 (N, T, *shape); sample n is the same for every N."""
    shape = (program.timesteps, *program.input.shape)
    spikes = np.empty((samples, *shape), np.uint8)
    for n in range(samples):
        spikes[n] = np.random.default_rng((seed, n)).random(shape, np.float32) < rate
    return spikes


# --- networks ---------------------------------------------------------------------------------------


def dense_network(sizes: tuple[int, ...], timesteps: int, seed: int) -> Program:
    """Dense layers, each followed by neurons with synaptic current."""
    rng = np.random.default_rng(seed)
    layers = [(DenseWeights(_even(rng, (n_out, n_in))), (n_out,)) for n_in, n_out in pairwise(sizes)]
    return _chain((sizes[0],), layers, timesteps)


def conv_network(
    shape: tuple[int, int, int], channels: tuple[int, ...], timesteps: int, seed: int
) -> Program:
    """3x3 convolutions of stride 2 and padding 1, then a dense layer of 10."""
    rng = np.random.default_rng(seed)
    layers: list[tuple[Weights, tuple[int, ...]]] = []
    before = shape
    for c_out in channels:
        after = (c_out, (before[1] + 1) // 2, (before[2] + 1) // 2)
        kernel = _even(rng, (c_out, before[0], 3, 3))
        layers.append((ConvWeights(kernel, before, after, stride=(2, 2), padding=(1, 1)), after))
        before = after
    layers.append((DenseWeights(_even(rng, (10, int(np.prod(before))))), (10,)))
    return _chain(shape, layers, timesteps)


def recurrent_network(n_in: int, hidden: int, n_out: int, timesteps: int, seed: int) -> Program:
    """A recurrent hidden layer between two dense ones."""
    program = dense_network((n_in, hidden, n_out), timesteps, seed)
    loop = DenseWeights(_even(np.random.default_rng((seed, 1)), (hidden, hidden)))
    name = program.groups[0].name
    return replace(
        program, synapses=(*program.synapses, Synapse("loop", name, name, loop, within_sample=True))
    )


def _even(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Weights of mixed sign as Loihi holds them: even, 8 bits."""
    return (rng.integers(-127, 128, shape) * 2).astype(np.int32)


def _chain(
    shape: tuple[int, ...], layers: Sequence[tuple[Weights, tuple[int, ...]]], timesteps: int
) -> Program:
    groups, synapses, source = [], [], "input"
    for index, (weights, after) in enumerate(layers, 1):
        groups.append(_group(f"layer{index}", after, index))
        synapses.append(Synapse(f"synapse{index}", source, groups[-1].name, weights))
        source = groups[-1].name
    return Program(
        name="bench",
        precision="fixed",
        timesteps=timesteps,
        input=ProgramInput("input", shape, "spikes"),
        groups=tuple(groups),
        synapses=tuple(synapses),
        outputs=(source,),
        readout="count",
        hosts=(),
        graph=None,  # made here, not compiled from a graph
        dt_s=1e-3,
        formats=load_chip(DEFAULT_CHIP).registers,
    )


def _group(name: str, shape: tuple[int, ...], depth: int) -> NeuronGroup:
    registers = {
        "du": CURRENT_DECAY, "dv": VOLTAGE_DECAY, "vth_mant": VTH_MAX, "bias_mant": 0, "v_init": 0,
    }  # fmt: skip
    arrays: dict[str, Any] = {key: np.asarray(value, np.int32) for key, value in registers.items()}
    return NeuronGroup(
        name, "cuba_lif", shape, bias_exp=0, depth=depth, scale=1.0, v_reset=np.zeros(()), **arrays
    )


FULL: dict[str, tuple[str, Callable[..., Program], tuple[Any, ...]]] = {
    "a": ("784-128-64-10 dense, T = 32", dense_network, ((784, 128, 64, 10), 32)),
    "b": (
        "3x32x32, 3x3 stride 2 to 16, 48, 80 channels, dense 10, T = 16",
        conv_network,
        ((3, 32, 32), (16, 48, 80), 16),
    ),
    "c": ("3072-2048-1024-10 dense, T = 16", dense_network, ((3072, 2048, 1024, 10), 16)),
    "d": ("128-256 recurrent-10, T = 32", recurrent_network, (128, 256, 10, 32)),
}
QUICK: dict[str, tuple[str, Callable[..., Program], tuple[Any, ...]]] = {
    "a": ("24-16-12-10 dense, T = 6", dense_network, ((24, 16, 12, 10), 6)),
    "b": ("2x8x8, 3x3 stride 2 to 4, 6 channels, dense 10, T = 5", conv_network, ((2, 8, 8), (4, 6), 5)),
    "c": ("40-32-24-10 dense, T = 4", dense_network, ((40, 32, 24, 10), 4)),
    "d": ("12-20 recurrent-10, T = 6", recurrent_network, (12, 20, 10, 6)),
}


def network(name: str, seed: int, *, quick: bool) -> Program:
    """One of the networks, before its thresholds are tuned."""
    _, build, sizes = (QUICK if quick else FULL)[name]
    return build(*sizes, seed)


def make_case(name: str, input_rate: float, seed: int, *, quick: bool) -> Case:
    """Build a network and tune it for an activity."""
    description = (QUICK if quick else FULL)[name][0]
    return Case(name, description, tuned(network(name, seed, quick=quick), input_rate, seed), input_rate)


# --- thresholds -------------------------------------------------------------------------------------


def tuned(program: Program, input_rate: float, seed: int) -> Program:
    """Give every group one threshold at which it fires at about :data:`RATE`; deterministic.

    Groups are tuned in order on target ``loihi``, each alone on the spikes of the one before.

    Raises
    ------
    SneError
        No threshold gives a rate in the range.
    """
    sent = bernoulli(program, TUNING_SAMPLES, input_rate, seed)
    groups = []
    for group in program.groups:
        found, sent = _tuned_group(_alone(program, group), sent)
        groups.append(replace(group, vth_mant=found))
    return replace(program, groups=tuple(groups))


def _alone(program: Program, group: NeuronGroup) -> Program:
    incoming = program.synapses_into(group.name)
    source = next(synapse.source for synapse in incoming if not synapse.within_sample)
    shape = program.input.shape if source == program.input.name else program.group(source).shape
    return replace(
        program,
        input=ProgramInput(source, shape, "spikes"),
        groups=(replace(group, depth=1),),
        synapses=incoming,
        outputs=(group.name,),
    )


def _tuned_group(program: Program, sent: Array) -> tuple[Array, Array]:
    """The threshold of a Program's only group, and its spikes at it: geometric bisection."""
    low, high = 1, VTH_MAX
    best = (2.0, 0, sent)
    for _ in range(12):
        vth = round(float(np.sqrt(low * high)))
        spikes = _spikes(program, vth, sent)
        rate = float(spikes.mean())
        best = min(best, (abs(rate - RATE), vth, spikes), key=lambda found: found[0])
        if best[0] < 0.1 * RATE:
            break
        low, high = (vth, high) if rate > RATE else (low, vth)
    rate = float(best[2].mean())
    if not RATE_LOW <= rate <= RATE_HIGH:
        raise SneError(
            f"group {program.outputs[0]!r}: no threshold gives a rate in {RATE_LOW} to {RATE_HIGH}; "
            f"the nearest is {rate:.3f} at {best[1]}"
        )
    return np.asarray(best[1], np.int32), best[2]


def _spikes(program: Program, vth: int, sent: Array) -> Array:
    group = replace(program.groups[0], vth_mant=np.asarray(vth, np.int32))
    with load_backend("loihi").compile(replace(program, groups=(group,)), RunOptions()) as executable:
        recorded = executable.run(sent, record="spikes").layers[0].recorded_spikes
    if recorded is None:
        raise SneError(f"group {group.name!r}: target loihi recorded no spikes")
    return recorded.astype(np.uint8)
