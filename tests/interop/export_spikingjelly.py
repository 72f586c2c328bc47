"""Record SpikingJelly's spikes beside the NIR graphs that its ``nir_exchange`` writes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from recording import Recording, main, random_spikes, random_weights, tune
from spikingjelly.activation_based import base, functional, layer, neuron, nir_exchange
from torch import nn

torch.set_num_threads(1)
DT_S = 1e-4
"""The default of ``export_to_nir``; any other gives the same fractions per step."""
SIZES = (24, 32, 12)
Build = Callable[[np.random.Generator], tuple[str, nn.Sequential]]


def weighted(rng: np.random.Generator, module: nn.Module, mean: float = 0.3) -> nn.Module:
    """Random weights, and small biases where the layer has some."""
    module.weight.data = torch.from_numpy(random_weights(rng, tuple(module.weight.shape), mean))
    if module.bias is not None:
        module.bias.data = torch.from_numpy(rng.uniform(-0.02, 0.02, len(module.bias)).astype(np.float32))
    return module


def run(network: nn.Sequential, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """The spikes of every neuron layer, bool (N, T, ...); nodes are called ``_0``, ``_1``, ..."""
    functional.reset_net(network)
    spikes: dict[str, list[torch.Tensor]] = {}
    with torch.no_grad():
        for step in torch.from_numpy(inputs.astype(np.float32)).swapaxes(0, 1):
            x = step
            for index, module in enumerate(network):
                x = module(x)
                if isinstance(module, base.MemoryModule):
                    spikes.setdefault(f"_{index}", []).append(x)
    functional.reset_net(network)
    return {name: torch.stack(steps, 1).numpy().astype(bool) for name, steps in spikes.items()}


def tune_all(network: nn.Sequential, inputs: np.ndarray, target: float) -> None:
    """Scale the weights before each neuron layer until it fires as wanted."""
    before: nn.Module | None = None
    for index, module in enumerate(network):
        if hasattr(module, "weight"):
            before = module
        elif isinstance(module, base.MemoryModule) and before is not None:
            node = f"_{index}"
            tune(partial(_scaled_rate, network, before, before.weight.data.clone(), node, inputs), target)


def _scaled_rate(
    network: nn.Sequential,
    module: nn.Module,
    weight: torch.Tensor,
    node: str,
    inputs: np.ndarray,
    scale: float,
) -> float:
    module.weight.data = weight * scale
    return float(run(network, inputs)[node].mean())


def record(
    seed: int,
    build: Build,
    shape: tuple[int, ...] = SIZES[:1],
    tuned: bool = True,
    **about: Any,
) -> Recording:
    """Build, tune, export, run."""
    text, network = build(np.random.default_rng([seed, 0]))
    inputs = random_spikes(seed, shape)
    if tuned:
        tune_all(network, inputs, 0.15)
    graph = nir_exchange.export_to_nir(network, torch.zeros(1, *shape), dt=DT_S)
    return Recording(text, graph, inputs, run(network, inputs), DT_S, "value", ">=", seed, **about)


def dense(
    rng: np.random.Generator, first: Callable[[], nn.Module], second: Callable[[], nn.Module]
) -> tuple[str, nn.Sequential]:
    """Two dense layers of neurons."""
    n_in, n_hidden, n_out = SIZES
    network = nn.Sequential(
        weighted(rng, layer.Linear(n_in, n_hidden)),
        first(),
        weighted(rng, layer.Linear(n_hidden, n_out, bias=False)),
        second(),
    )
    return _text(network), network


def convolutional(rng: np.random.Generator, **options: Any) -> tuple[str, nn.Sequential]:
    """A convolution with a stride, average pooling, a dense layer."""
    network = nn.Sequential(
        weighted(rng, layer.Conv2d(2, 6, 3, stride=2, padding=1, bias=False)),
        neuron.IFNode(**options),
        layer.AvgPool2d(2),
        weighted(rng, layer.Conv2d(6, 6, 2)),
        neuron.LIFNode(tau=2.5, **options),
        layer.Flatten(),
        weighted(rng, layer.Linear(24, 12)),
        neuron.IFNode(**options),
    )
    return _text(network), network


def conv1d(rng: np.random.Generator) -> tuple[str, nn.Sequential]:
    """A convolution in one dimension, with stride, padding and dilation."""
    network = nn.Sequential(
        weighted(rng, layer.Conv1d(3, 5, 3, stride=2, padding=2, dilation=2)),
        neuron.LIFNode(tau=3.0),
        layer.Flatten(),
        weighted(rng, layer.Linear(40, 12)),
        neuron.LIFNode(tau=2.0),
    )
    return _text(network), network


def on_a_grid(rng: np.random.Generator) -> tuple[str, nn.Sequential]:
    """Weights in eighths, so that membranes meet the threshold exactly."""
    network = nn.Sequential(
        layer.Linear(24, 32, bias=False), neuron.IFNode(), layer.Linear(32, 12, bias=False), neuron.IFNode()
    )
    for index in (0, 2):
        weight = network[index].weight
        weight.data = torch.from_numpy(
            rng.choice([-1, 0, 0, 1, 1], tuple(weight.shape)).astype(np.float32) / 8
        )
    return _text(network) + ", weights of -1/8, 0 and 1/8", network


def _text(network: nn.Sequential) -> str:
    return ", ".join(_shown(module) for module in network)


def _shown(module: nn.Module) -> str:
    if not isinstance(module, neuron.BaseNode):
        return str(module).replace(", step_mode=s", "")
    fields = ("tau", "decay_input", "c_decay", "v_decay", "v_threshold", "v_reset")
    values = {name: getattr(module, name) for name in fields if hasattr(module, name)}
    if isinstance(module, neuron.ParametricLIFNode):
        values["tau"] = round(1.0 / float(torch.sigmoid(module.w)), 6)
    return f"{type(module).__name__}({', '.join(f'{name}={value}' for name, value in values.items())})"


IF, LIF, PLIF, CUBA = neuron.IFNode, neuron.LIFNode, neuron.ParametricLIFNode, neuron.CUBALIFNode
RECORDINGS: dict[str, Callable[[], Recording]] = {
    "conv": lambda: record(141, convolutional, shape=(2, 12, 12)),
    "conv_v_reset": lambda: record(
        42, partial(convolutional, v_reset=-0.2, v_threshold=0.8), shape=(2, 12, 12)
    ),
    "conv1d": lambda: record(43, conv1d, shape=(3, 16)),
    "if": lambda: record(44, partial(dense, first=partial(IF, v_reset=0.25), second=partial(IF, 0.7))),
    "lif": lambda: record(145, partial(dense, first=partial(LIF, 4.0), second=partial(LIF, 2.5))),
    "lif_undecayed": lambda: record(
        146,
        partial(
            dense, first=partial(LIF, 4.0, decay_input=False), second=partial(LIF, 2.5, decay_input=False)
        ),
    ),
    "lif_v_reset": lambda: record(
        47,
        partial(
            dense,
            first=partial(LIF, 4.0, v_reset=-0.3),
            second=partial(LIF, 2.5, decay_input=False, v_reset=0.2),
        ),
    ),
    "plif": lambda: record(
        48, partial(dense, first=partial(PLIF, 3.0), second=partial(PLIF, 2.0, decay_input=False))
    ),
    "cuba": lambda: record(
        149,
        partial(
            dense,
            first=partial(CUBA, c_decay=0.6, v_decay=0.8, v_threshold=1.0, v_reset=0.0),
            second=partial(CUBA, c_decay=0.5, v_decay=0.75, v_threshold=0.5, v_reset=0.0),
        ),
    ),
    "fault_cuba_start": lambda: record(
        50,
        partial(
            dense,
            first=partial(CUBA, c_decay=0.6, v_decay=0.9, v_threshold=1.0, v_reset=-0.6),
            second=partial(CUBA, c_decay=0.5, v_decay=0.9, v_threshold=0.5, v_reset=-0.6),
        ),
        fault="CUBALIFNode decays to 0, which is written as v_leak, but starts at v_reset",
        repair={"start": "v_reset"},
    ),
    "fault_ties": lambda: record(
        51,
        on_a_grid,
        tuned=False,
        fault="SpikingJelly fires at v >= v_threshold, NIR at v > v_threshold; with weights on a grid, "
        "membranes meet the threshold",
    ),
}

if __name__ == "__main__":
    main("spikingjelly", ["nirtorch", "torch", "spikingjelly"], RECORDINGS, __file__)
