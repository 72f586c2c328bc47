"""Record Rockpool's spikes beside the NIR graphs that ``rockpool.nn.modules.torch.nir.to_nir`` writes.

Neurons give one spike in a step at most (``max_spikes_per_dt=1``) and have no bias, which NIR or the export
lose. The export leaves tensors in some nodes, at which ``nir.write`` fails: they are made NumPy arrays here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import nir
import numpy as np
import torch
from layers import SIZES, tuned, weights
from recording import Recording, main, random_spikes
from rockpool.nn.combinators import Sequential
from rockpool.nn.modules import ExpSynTorch, LIFNeuronTorch, LIFTorch, LinearTorch
from rockpool.nn.modules.torch.nir import to_nir
from rockpool.parameters import Constant

warnings.simplefilter("ignore", DeprecationWarning)  # nirtorch's own
torch.set_num_threads(1)
DT_S = 2e-3


def lif(size: int, tau_mem: Any, tau_syn: Any, **more: Any) -> Any:
    """Neurons with a synaptic current."""
    return LIFTorch(
        (size,),
        tau_mem=Constant(_per_neuron(tau_mem, size)),
        tau_syn=Constant(_per_neuron(tau_syn, size)[:, None]),
        bias=Constant(0.0),
        threshold=Constant(torch.ones(size)),
        dt=DT_S,
        **{"max_spikes_per_dt": 1, **more},
    )


def neuron(size: int, tau_mem: Any, _: Any) -> Any:
    """Neurons without one."""
    return LIFNeuronTorch(
        (size,),
        tau_mem=Constant(_per_neuron(tau_mem, size)),
        bias=Constant(0.0),
        threshold=Constant(torch.ones(size)),
        dt=DT_S,
        max_spikes_per_dt=1,
    )


def _per_neuron(tau: Any, size: int) -> torch.Tensor:
    """One time constant for all, or from the first to the second of a range."""
    low, high = tau if isinstance(tau, tuple) else (tau, tau)
    return torch.linspace(low, high, size)


def record(
    seed: int,
    kind: Callable[..., Any],
    taus: Sequence[tuple[Any, Any]],
    text: str,
    readout: Any = None,
    **about: Any,
) -> Recording:
    """Build, tune, export, run."""
    rng = np.random.default_rng([seed, 0])
    inputs, sizes = random_spikes(seed, SIZES[:1]), SIZES
    options = about.pop("cell", {})
    modules: list[Any] = []
    for before, after, (tau_mem, tau_syn) in zip(sizes, sizes[1:], taus, strict=False):
        modules += [LinearTorch((before, after), has_bias=False), kind(after, tau_mem, tau_syn, **options)]
    if readout is not None:
        modules += [
            LinearTorch((SIZES[-1], 5), has_bias=False),
            ExpSynTorch((5,), tau=Constant(readout), dt=DT_S),
        ]
    matrices = weights(rng, (*SIZES, 5) if readout is not None else SIZES)
    nodes = [f"{index}_{type(module).__name__}" for index, module in enumerate(modules) if index % 2]

    def run(matrices: list[Any], _: list[Any]) -> dict[str, Any]:
        for layer, matrix in zip(modules[::2], matrices, strict=True):
            layer.weight = torch.nn.Parameter(torch.from_numpy(np.ascontiguousarray(matrix.T)))
        x, kept = torch.from_numpy(inputs.astype(np.float32)), {}
        with torch.no_grad():
            for index, module in enumerate(modules):
                module.reset_state()
                x, _, _ = module(x)
                if index % 2:
                    kept[nodes[index // 2]] = _recorded(x.numpy(), type(module), options)
        return kept

    tuned(run, matrices, [], nodes[: len(taus)], about.pop("target", 0.15))
    outputs = run(matrices, [])
    graph = to_nir(Sequential(*modules), torch.zeros(1, 1, SIZES[0]))
    for node in graph.nodes.values():
        for field, value in vars(node).items():
            if isinstance(value, torch.Tensor):
                full = np.broadcast_to(
                    value.detach().numpy(), (5,) if isinstance(node, nir.LI) else value.shape
                )
                setattr(node, field, full.copy())
    return Recording(
        ", ".join(text.format(*pair) for pair in taus),
        graph,
        inputs,
        outputs,
        DT_S,
        reset="subtract",
        fires_at=">=",
        seed=seed,
        options={"convention": "rockpool"},
        **about,
    )


def _recorded(values: Any, kind: Any, options: dict[str, Any]) -> Any:
    if kind is ExpSynTorch:
        return values
    return values.astype(np.uint8 if "max_spikes_per_dt" in options else bool)


def repaired(tau_mem: float, tau_syn: float) -> dict[str, float]:
    """Constants whose forward Euler step is a Rockpool neuron's."""
    left, left_syn = (float(np.exp(-DT_S / tau)) for tau in (tau_mem, tau_syn))
    return {
        "tau_mem": DT_S / (1 - left),
        "r": 1 / (1 - left),
        "tau_syn": DT_S / (1 - left_syn),
        "w_in": left_syn / (1 - left_syn),
    }


TAUS = [(0.02, 0.01), (0.03, 0.005)]
RECORDINGS: dict[str, Callable[[], Recording]] = {
    "fault_lif": lambda: record(
        72,
        lif,
        TAUS,
        "LIFTorch(tau_mem={}, tau_syn={})",
        fault="w_in is not written, decays are exponential, and r is tau exp(-dt / tau) / dt where an input "
        "counts exp(-dt / tau_syn)",
        repair={
            "nodes": dict(zip(("1_LIFTorch", "3_LIFTorch"), (repaired(*pair) for pair in TAUS), strict=True))
        },
    ),
}
LIVE: dict[str, Callable[[], Recording]] = {
    "lif_equal": lambda: record(71, lif, [(0.02, 0.02), (0.01, 0.01)], "LIFTorch(tau_mem={}, tau_syn={})"),
    "neuron": lambda: record(73, neuron, [(0.02, None), (0.01, None)], "LIFNeuronTorch(tau_mem={})"),
    "readout": lambda: record(
        74, lif, [(0.02, 0.01), (0.02, 0.01)], "LIFTorch(tau_mem={}, tau_syn={}), ExpSynTorch", readout=0.015
    ),
    "fault_multi_spike": lambda: record(
        76,
        lif,
        [(0.02, 0.01), (0.02, 0.01)],
        "LIFTorch(tau_mem={}, tau_syn={}, max_spikes_per_dt=100)",
        cell={"max_spikes_per_dt": 100},
        target=0.28,
        fault="neurons give several spikes in a step",
        repair={"multi_spike": True},
    ),
    "lif_per_neuron": lambda: record(
        75, lif, [((0.01, 0.05), (0.004, 0.02)), ((0.01, 0.03), 0.01)], "LIFTorch(tau_mem={}, tau_syn={})"
    ),
}

if __name__ == "__main__":
    main("rockpool", ["rockpool", "torch", "nirtorch"], RECORDINGS, __file__, LIVE)
