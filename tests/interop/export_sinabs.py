"""Record Sinabs' spikes beside the NIR graphs that ``sinabs.nir.to_nir`` writes.

Sinabs 3.1.3 asks for nir <= 1.0.4, whose writer refuses a convolution without ``input_shape``; so the graph's
own ``infer_types`` is called between ``to_nir`` and ``nir.write``.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import sinabs
import sinabs.layers as sl
import torch
from recording import SAMPLES, TIMESTEPS, Recording, main, random_spikes, random_weights, tune
from sinabs.activation import MembraneReset, MembraneSubtract, MultiSpike, SingleSpike
from sinabs.nir import to_nir
from torch import nn

warnings.simplefilter("ignore", DeprecationWarning)  # nirtorch's own: extract_nir_graph
torch.set_num_threads(1)
TAU, TAU_OUT, TAU_SYN = 8.0, 4.0, 3.0
"""In steps: Sinabs has no other unit of time."""
SIZES = (24, 32, 12)
ZERO = {"spike_fn": SingleSpike, "reset_fn": MembraneReset()}
SUBTRACT = {"spike_fn": SingleSpike, "reset_fn": MembraneSubtract()}
MULTI = {"spike_fn": MultiSpike, "reset_fn": MembraneSubtract()}
Build = Callable[[np.random.Generator], tuple[str, nn.Sequential]]


def alpha(tau: float) -> float:
    """What is left of a membrane after one step."""
    return math.exp(-1.0 / tau)


def euler_step(tau: float) -> float:
    """The dt at which forward Euler with this tau decays as Sinabs' exponential does in one step."""
    return tau * (1.0 - alpha(tau))


def weighted(rng: np.random.Generator, layer: nn.Module, mean: float) -> nn.Module:
    """Random weights, and small biases where the layer has some."""
    layer.weight.data = torch.from_numpy(random_weights(rng, tuple(layer.weight.shape), mean))
    if layer.bias is not None:
        layer.bias.data = torch.from_numpy(rng.uniform(-0.02, 0.02, len(layer.bias)).astype(np.float32))
    return layer


def run(network: nn.Sequential, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """What every stateful layer gives, (N, T, ...)."""
    kept: dict[str, np.ndarray] = {}
    sinabs.reset_states(network)
    x = torch.from_numpy(inputs.astype(np.float32))
    squeezed = isinstance(network[1], sl.reshape.SqueezeMixin)
    x = x.flatten(0, 1) if squeezed else x
    with torch.no_grad():
        for index, module in enumerate(network):
            x = module(x)
            if isinstance(module, sl.StatefulLayer):
                values = x.reshape(SAMPLES, TIMESTEPS, *x.shape[1 if squeezed else 2 :]).numpy()
                kept[str(index)] = _as_recorded(module, values)
    return kept


def _as_recorded(module: nn.Module, values: np.ndarray) -> np.ndarray:
    if not module.does_spike:
        return values
    return values.astype(np.uint8 if module.spike_fn is MultiSpike else bool)


def tune_all(network: nn.Sequential, inputs: np.ndarray, target: float) -> None:
    """Scale the weights before each spiking layer until it fires as wanted."""
    before: nn.Module | None = None
    for index, module in enumerate(network):
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.Conv1d)):
            before = module
        elif isinstance(module, sl.StatefulLayer) and module.does_spike and before is not None:
            tune(
                partial(_scaled_rate, network, before, before.weight.data.clone(), str(index), inputs), target
            )


def _scaled_rate(
    network: nn.Sequential,
    layer: nn.Module,
    weight: torch.Tensor,
    node: str,
    inputs: np.ndarray,
    scale: float,
) -> float:
    layer.weight.data = weight * scale
    return float(run(network, inputs)[node].mean())


def record(
    seed: int,
    build: Build,
    reset: str,
    dt_s: float = 1.0,
    target: float = 0.15,
    shape: tuple[int, ...] = SIZES[:1],
    **about: Any,
) -> Recording:
    """Build, tune, export, run."""
    text, network = build(np.random.default_rng([seed, 0]))
    inputs = random_spikes(seed, shape)
    run(network, inputs)  # gives the layers their shape
    tune_all(network, inputs, target)
    sample = torch.zeros(SAMPLES, TIMESTEPS, *shape)
    if isinstance(network[1], sl.reshape.SqueezeMixin):
        sample = sample.flatten(0, 1)
    graph = to_nir(network, sample)
    graph.infer_types()
    return Recording(text, graph, inputs, run(network, inputs), dt_s, reset, ">=", seed, **about)


def convolutional(rng: np.random.Generator, **options: Any) -> tuple[str, nn.Sequential]:
    """Two convolutions with a sum pooling between them, and a dense layer."""

    def iaf(threshold: float) -> nn.Module:
        return sl.IAFSqueeze(batch_size=SAMPLES, spike_threshold=torch.tensor(threshold), **options)

    network = nn.Sequential(
        weighted(rng, nn.Conv2d(2, 4, 3, stride=1, padding=1, bias=False), 0.3),
        iaf(1.0),
        sl.SumPool2d(2),
        weighted(rng, nn.Conv2d(4, 4, (3, 2), padding=(1, 0)), 0.1),
        iaf(0.9),
        nn.Flatten(),
        weighted(rng, nn.Linear(48, 12, bias=False), 0.1),
        iaf(1.1),
    )
    text = (
        f"Conv2d(2, 4, 3, padding=1, bias=False), IAFSqueeze({_shown(options)}), SumPool2d(2), "
        "Conv2d(4, 4, (3, 2), padding=(1, 0)), IAFSqueeze, Flatten(), Linear(48, 12, bias=False), IAFSqueeze"
    )
    return text, network


def dense_iaf(
    rng: np.random.Generator, mean: float = 0.3, squeezed: bool = True, **options: Any
) -> tuple[str, nn.Sequential]:
    """Two dense layers of IAF, with thresholds of their own for every neuron."""
    n_in, n_hidden, n_out = SIZES
    kind = partial(sl.IAFSqueeze, batch_size=SAMPLES) if squeezed else sl.IAF

    def iaf(size: int) -> nn.Module:
        threshold = torch.from_numpy(rng.uniform(0.8, 1.2, size).astype(np.float32))
        return kind(spike_threshold=threshold, **options)

    network = nn.Sequential(
        weighted(rng, nn.Linear(n_in, n_hidden), mean),
        iaf(n_hidden),
        weighted(rng, nn.Linear(n_hidden, n_out), mean),
        iaf(n_out),
    )
    name = "IAFSqueeze" if squeezed else "IAF"
    return f"Linear(24, 32), {name}({_shown(options)}), Linear(32, 12), {name}", network


def dense_lif(
    rng: np.random.Generator, taus: tuple[float, float] = (TAU, TAU), readout: bool = False, **options: Any
) -> tuple[str, nn.Sequential]:
    """Two dense layers of LIF, and a leaky readout."""
    n_in, n_hidden, n_out = SIZES
    squeezed = {"batch_size": SAMPLES}
    modules = [
        weighted(rng, nn.Linear(n_in, n_hidden), 0.3),
        sl.LIFSqueeze(tau_mem=taus[0], **squeezed, **options),
        weighted(rng, nn.Linear(n_hidden, n_out), 0.3),
        sl.LIFSqueeze(tau_mem=taus[1], **squeezed, **options),
    ]
    first, second = (f"LIFSqueeze(tau_mem={tau}, {_shown(options)})" for tau in taus)
    text = f"Linear(24, 32), {first}, Linear(32, 12), {second}"
    if readout:
        modules += [
            weighted(rng, nn.Linear(n_out, 5), 0.0),
            sl.ExpLeakSqueeze(tau_mem=taus[1], norm_input=True, **squeezed),
        ]
        text += f", Linear(12, 5), ExpLeakSqueeze(tau_mem={taus[1]}, norm_input=True)"
    return text, nn.Sequential(*modules)


def _shown(options: dict[str, Any]) -> str:
    return ", ".join(f"{key}={getattr(value, '__name__', value)}" for key, value in options.items())


RECORDINGS: dict[str, Callable[[], Recording]] = {
    "conv_zero": lambda: record(121, partial(convolutional, **ZERO), "value", shape=(2, 8, 8)),
    "conv_subtract": lambda: record(122, partial(convolutional, **SUBTRACT), "subtract", shape=(2, 8, 8)),
    "iaf_zero": lambda: record(23, partial(dense_iaf, **ZERO), "value"),
    "iaf_subtract": lambda: record(24, partial(dense_iaf, **SUBTRACT), "subtract"),
    "lif_zero": lambda: record(25, partial(dense_lif, readout=True, **ZERO), "value", dt_s=euler_step(TAU)),
    "lif_subtract": lambda: record(
        26, partial(dense_lif, readout=True, **SUBTRACT), "subtract", dt_s=euler_step(TAU)
    ),
    "fault_exponential": lambda: record(
        27,
        partial(dense_lif, taus=(TAU, TAU_OUT), **ZERO),
        "value",
        fault="Sinabs decays by exp(-1 / tau) per step, NIR's forward Euler at dt = 1 by 1 - 1 / tau, and "
        "with different tau in the layers no dt makes them equal",
        repair={"nodes": {"1": {"tau": 1 / (1 - alpha(TAU))}, "3": {"tau": 1 / (1 - alpha(TAU_OUT))}}},
    ),
    "fault_multi_spike": lambda: record(
        28,
        partial(convolutional, **MULTI),
        "subtract",
        target=0.25,
        shape=(2, 8, 8),
        fault="Sinabs' default spike function gives as many spikes in a step as thresholds fit into v",
        repair={"multi_spike": True},
    ),
    "fault_min_v_mem": lambda: record(
        29,
        partial(dense_iaf, mean=0.0, min_v_mem=-0.5, **SUBTRACT),
        "subtract",
        fault="min_v_mem=-0.5, the lowest value of a membrane, is not written",
        repair={"v_floor": -0.5},
    ),
    "fault_norm_input": lambda: record(
        30,
        partial(dense_lif, norm_input=False, **ZERO),
        "value",
        dt_s=euler_step(TAU),
        fault="norm_input=False adds the whole input to the membrane, but r = 1 is written",
        repair={"nodes": {node: {"r": 1 / (1 - alpha(TAU))} for node in ("1", "3")}},
    ),
    "fault_tau_syn": lambda: record(
        31,
        partial(dense_lif, tau_syn=TAU_SYN, **ZERO),
        "value",
        dt_s=euler_step(TAU),
        fault="tau_syn is not written: a LIF instead of a CubaLIF",
        repair={
            "nodes": {
                node: {
                    "type": "CubaLIF",
                    "tau_mem": TAU,
                    "tau_syn": euler_step(TAU) / (1 - alpha(TAU_SYN)),
                    "w_in": alpha(TAU_SYN) / (1 - alpha(TAU_SYN)),
                }
                for node in ("1", "3")
            }
        },
    ),
    "fault_reset_value": lambda: record(
        32,
        partial(dense_iaf, spike_fn=SingleSpike, reset_fn=MembraneReset(-0.05)),
        "value",
        fault="MembraneReset(-0.05) is not written; in Sinabs it adds -0.05 to every membrane at every step, "
        "whether the neuron spiked or not",
        repair={"added": -0.05},
    ),
    "fault_time_axis": lambda: record(
        33,
        partial(dense_iaf, squeezed=False, **ZERO),
        "value",
        fault="layers that are not ...Squeeze take (N, T, ...), and to_nir drops the first axis alone: the "
        "input and output shapes begin with the 40 steps",
    ),
}

if __name__ == "__main__":
    main("sinabs", ["nirtorch", "torch", "sinabs"], RECORDINGS, __file__)
