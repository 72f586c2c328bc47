"""Record snnTorch's spikes beside the NIR graphs that ``snntorch.export_nir`` writes.

Every parameter is a tensor with one value per neuron, and the batch is named in ``ignore_dims``: with nir
1.0.6 and later the export refuses scalar parameters and unnamed batches.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import snntorch as snn
import torch
from recording import Recording, main, random_spikes, random_weights, tune
from snntorch.export_nir import export_to_nir
from torch import nn

warnings.simplefilter("ignore", DeprecationWarning)  # nirtorch's own: extract_nir_graph
torch.set_num_threads(1)
DT_S = 1e-4
"""Fixed in snntorch/export_nir.py."""
SIZES = (24, 32, 12)


def uniform(rng: np.random.Generator, low: float, high: float, shape: tuple[int, ...]) -> torch.Tensor:
    """One parameter per neuron."""
    return torch.from_numpy(rng.uniform(low, high, shape).astype(np.float32))


def linear(rng: np.random.Generator, n_in: int, n_out: int, mean: float, bias: bool = True) -> nn.Linear:
    """Random weights, and small biases."""
    layer = nn.Linear(n_in, n_out, bias=bias)
    layer.weight.data = torch.from_numpy(random_weights(rng, (n_out, n_in), mean))
    if bias:
        layer.bias.data = uniform(rng, -0.05, 0.05, (n_out,))
    return layer


def neuron(rng: np.random.Generator, kind: str, shape: tuple[int, ...], **options: Any) -> nn.Module:
    """A cell with its own decay and threshold for every neuron."""
    decays = {"beta": uniform(rng, 0.7, 0.95, shape)}
    if kind in ("Synaptic", "RSynaptic"):
        decays["alpha"] = uniform(rng, 0.4, 0.8, shape)
    return getattr(snn, kind)(**decays, threshold=uniform(rng, 0.8, 1.2, shape), init_hidden=True, **options)


def run(network: nn.Sequential, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """The spikes of every cell, bool (N, T, ...)."""
    spikes: dict[str, list[torch.Tensor]] = {}
    hooks = []
    for index, module in enumerate(network):
        if isinstance(module, snn.SpikingNeuron):
            module.reset_mem()
            name = f"{index}.lif" if hasattr(module, "recurrent") else str(index)
            spikes[name] = []
            hooks.append(module.register_forward_hook(partial(_keep, spikes[name])))
    with torch.no_grad():
        for step in torch.from_numpy(inputs.astype(np.float32)).swapaxes(0, 1):
            network(step)
    for hook in hooks:
        hook.remove()
    return {name: torch.stack(steps, 1).numpy().astype(bool) for name, steps in spikes.items()}


def _keep(steps: list[torch.Tensor], _module: nn.Module, _inputs: Any, output: Any) -> None:
    steps.append(output[0] if isinstance(output, tuple) else output)


def tune_all(network: nn.Sequential, inputs: np.ndarray, target: float) -> None:
    """Scale the weights before each cell until it fires as wanted."""
    before: nn.Module | None = None
    for index, module in enumerate(network):
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            before = module
        elif isinstance(module, snn.SpikingNeuron) and before is not None:
            tune(partial(_scaled_rate, network, before, before.weight.data.clone(), index, inputs), target)


def _scaled_rate(
    network: nn.Sequential,
    layer: nn.Module,
    weight: torch.Tensor,
    index: int,
    inputs: np.ndarray,
    scale: float,
) -> float:
    layer.weight.data = weight * scale
    outputs = run(network, inputs)
    return float(outputs[f"{index}.lif" if f"{index}.lif" in outputs else str(index)].mean())


def record(
    seed: int,
    build: Callable[[np.random.Generator], tuple[str, nn.Sequential]],
    reset: str,
    target: float = 0.15,
    shape: tuple[int, ...] = SIZES[:1],
    **about: Any,
) -> Recording:
    """Build, tune, export, run."""
    text, network = build(np.random.default_rng([seed, 0]))
    inputs = random_spikes(seed, shape)
    tune_all(network, inputs, target)
    graph = export_to_nir(network, torch.zeros(1, *shape), ignore_dims=[0])
    return Recording(text, graph, inputs, run(network, inputs), DT_S, reset, ">", seed, **about)


def dense(
    rng: np.random.Generator, kinds: tuple[str, str], mean: float, **options: Any
) -> tuple[str, nn.Sequential]:
    """Two layers of cells; the cells get the options."""
    n_in, n_hidden, n_out = SIZES
    cells = [
        neuron(rng, kind, (size,), output=last, **_recurrent(rng, kind, size), **options)
        for kind, size, last in zip(kinds, (n_hidden, n_out), (False, True), strict=True)
    ]
    for cell in cells:
        _weigh_recurrence(rng, cell)
    shown = ", ".join(f"{key}={value!r}" for key, value in options.items())
    first, second = (
        f"{kind}({how}{shown})" if kind.startswith("R") else f"{kind}({shown})"
        for kind, how in zip(kinds, (f"linear_features={n_hidden}, ", "all_to_all=False, V, "), strict=True)
    )
    text = f"Linear({n_in}, {n_hidden}), {first}, Linear({n_hidden}, {n_out}), {second}"
    return text, nn.Sequential(
        linear(rng, n_in, n_hidden, mean), cells[0], linear(rng, n_hidden, n_out, mean), cells[1]
    )


def _recurrent(rng: np.random.Generator, kind: str, size: int) -> dict[str, Any]:
    if not kind.startswith("R"):
        return {}
    if size == SIZES[1]:
        return {"linear_features": size}
    return {"all_to_all": False, "V": uniform(rng, -0.5, 0.5, (size,))}


def _weigh_recurrence(rng: np.random.Generator, cell: nn.Module) -> None:
    recurrent = getattr(cell, "recurrent", None)
    if isinstance(recurrent, nn.Linear):
        size = recurrent.in_features
        recurrent.weight.data = torch.from_numpy(random_weights(rng, (size, size), -0.1) * np.float32(0.5))
        recurrent.bias.data = uniform(rng, -0.05, 0.05, (size,))


def convolutional(rng: np.random.Generator, padding: int = 0) -> tuple[str, nn.Sequential]:
    """Convolution, average pooling, dense layer."""
    conv = nn.Conv2d(2, 4, 3, padding=1, bias=False)
    conv.weight.data = torch.from_numpy(random_weights(rng, (4, 2, 3, 3)))
    pool = nn.AvgPool2d(4, padding=padding)
    reset = {"reset_mechanism": "zero"}
    network = nn.Sequential(
        conv,
        neuron(rng, "Leaky", (4, 8, 8), **reset),
        pool,
        nn.Flatten(),
        linear(rng, 16, 12, 0.3, bias=False),
        neuron(rng, "Leaky", (12,), output=True, **reset),
    )
    leaky = "Leaky(reset_mechanism='zero')"
    text = (
        f"Conv2d(2, 4, 3, padding=1, bias=False), {leaky}, AvgPool2d(4, padding={padding}), Flatten(), "
        f"Linear(16, 12, bias=False), {leaky}"
    )
    return text, network


def perfect(rng: np.random.Generator) -> tuple[str, nn.Sequential]:
    """Two layers of integrate and fire: beta = 1."""
    text, network = dense(rng, ("Leaky", "Leaky"), 0.3, reset_mechanism="zero")
    for index in (1, 3):
        network[index].beta = torch.ones_like(network[index].beta)
    return text.replace("Leaky(", "Leaky(beta=1, "), network


def cells(first: str, second: str, mechanism: str, delay: bool, mean: float = 0.3) -> Callable[..., Any]:
    """A dense network of these cells."""
    return partial(dense, kinds=(first, second), mean=mean, reset_mechanism=mechanism, reset_delay=delay)


ZERO_LATE = (
    "reset 'zero' with reset_delay=True: the membrane of these cells is 0 in the step after a spike, "
    "whatever arrives in it; NIR's reset has no such step"
)
TWICE = (
    "reset 'subtract' with reset_delay=False: where v is still above the threshold after the subtraction, "
    "snnTorch subtracts it a second time in the next step"
)
RECORDINGS: dict[str, Callable[[], Recording]] = {
    "leaky_zero": lambda: record(1, cells("Leaky", "Leaky", "zero", False), "value"),
    "leaky_zero_delay": lambda: record(2, cells("Leaky", "Leaky", "zero", True), "value"),
    "leaky_subtract": lambda: record(303, cells("Leaky", "Leaky", "subtract", False, 1.0), "subtract"),
    "leaky_subtract_delay": lambda: record(4, cells("Leaky", "Leaky", "subtract", True), "subtract_delayed"),
    "synaptic_zero": lambda: record(5, cells("Synaptic", "Synaptic", "zero", False), "value"),
    "synaptic_subtract": lambda: record(6, cells("Synaptic", "Synaptic", "subtract", False, 1.0), "subtract"),
    "synaptic_subtract_delay": lambda: record(
        7, cells("Synaptic", "Leaky", "subtract", True), "subtract_delayed"
    ),
    "rleaky_zero": lambda: record(8, cells("RLeaky", "RLeaky", "zero", False), "value"),
    "rleaky_subtract": lambda: record(9, cells("RLeaky", "RLeaky", "subtract", False, 1.0), "subtract"),
    "rsynaptic_subtract_delay": lambda: record(
        10, cells("RSynaptic", "RSynaptic", "subtract", True), "subtract_delayed"
    ),
    "conv_zero": lambda: record(11, convolutional, "value", shape=(2, 8, 8)),
    "fault_synaptic_zero_delay": lambda: record(
        12, cells("Synaptic", "Synaptic", "zero", True), "zero_delayed", fault=ZERO_LATE
    ),
    "fault_rsynaptic_zero_delay": lambda: record(
        13, cells("RSynaptic", "RLeaky", "zero", True), "zero_delayed", fault=ZERO_LATE
    ),
    "fault_subtract_twice": lambda: record(
        14,
        cells("Leaky", "Leaky", "subtract", False, 0.0),
        "subtract",
        fault=TWICE,
        repair={"subtract_twice": True},
    ),
    "fault_beta_one": lambda: record(
        16,
        perfect,
        "value",
        fault="beta = 1, a neuron without leak, is written as LIF with tau = r = infinity",
        repair={"nodes": {node: {"type": "IF", "r": 1 / DT_S} for node in ("1", "3")}},
    ),
    "fault_pool_padding": lambda: record(
        115,
        partial(convolutional, padding=1),
        "value",
        shape=(2, 8, 8),
        fault="AvgPool2d(padding=1) is written with padding 0",
        repair={"nodes": {"2": {"padding": 1}}},
    ),
}

if __name__ == "__main__":
    main("snntorch", ["nirtorch", "torch", "snntorch"], RECORDINGS, __file__)
