"""Record Norse's spikes beside the NIR graphs that ``norse.torch.to_nir`` writes.

Every parameter is a tensor with one value per neuron: nir 1.0.8 does not write the scalars that Norse has by
default. The sample has no batch axis, which ``to_nir`` would take for a part of the shape. ``to_nir`` writes
tau = dt / tau_mem_inv, so its argument is dt=1 where the file shall have seconds, and dt=1000, one over the
step, where it shall have steps: an integrate-and-fire neuron is written with r = 1, right for no other unit.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import nir
import norse.torch as norse
import numpy as np
import torch
from norse.torch.functional.reset import reset_subtract
from recording import Recording, main, random_spikes, random_weights, tune
from torch import nn

warnings.simplefilter("ignore", DeprecationWarning)  # torch.jit, nirtorch.extract_nir_graph
torch.set_num_threads(1)
DT_S = 1e-3
"""The default step of Norse's cells."""
SIZES = (24, 32, 12)
Build = Callable[[np.random.Generator], tuple[str, list[nn.Module]]]
CELLS = (norse.LIFBoxCell, norse.LIFCell, norse.IAFCell, norse.LIBoxCell, norse.LICell)


def uniform(rng: np.random.Generator, low: float, high: float, shape: tuple[int, ...]) -> torch.Tensor:
    """One parameter per neuron."""
    return torch.from_numpy(rng.uniform(low, high, shape).astype(np.float32))


def weighted(rng: np.random.Generator, module: nn.Module, mean: float = 0.3) -> nn.Module:
    """Random weights, and small biases where the layer has some."""
    module.weight.data = torch.from_numpy(random_weights(rng, tuple(module.weight.shape), mean))
    if module.bias is not None:
        module.bias.data = uniform(rng, -0.02, 0.02, (len(module.bias),))
    return module


def lif_box(
    rng: np.random.Generator, shape: tuple[int, ...], v_reset: float = 0.0, **options: Any
) -> nn.Module:
    """dt / tau_mem between 0.1 and 0.4, rest and threshold of its own for every neuron."""
    return norse.LIFBoxCell(
        norse.LIFBoxParameters(
            tau_mem_inv=uniform(rng, 100, 400, shape),
            v_leak=uniform(rng, -0.1, 0.1, shape),
            v_th=uniform(rng, 0.8, 1.2, shape),
            v_reset=torch.full(shape, v_reset),
            **options,
        )
    )


def lif(rng: np.random.Generator, shape: tuple[int, ...]) -> nn.Module:
    """The same with a synaptic current."""
    return norse.LIFCell(
        norse.LIFParameters(
            tau_syn_inv=torch.full(shape, 250.0),
            tau_mem_inv=uniform(rng, 100, 400, shape),
            v_leak=torch.zeros(shape),
            v_th=uniform(rng, 0.8, 1.2, shape),
            v_reset=torch.zeros(shape),
        )
    )


def li_box(rng: np.random.Generator, shape: tuple[int, ...]) -> nn.Module:
    """A leaky readout."""
    return norse.LIBoxCell(
        norse.LIBoxParameters(
            tau_mem_inv=uniform(rng, 100, 400, shape), v_leak=uniform(rng, -0.1, 0.1, shape)
        )
    )


def iaf(rng: np.random.Generator, shape: tuple[int, ...]) -> nn.Module:
    """Integrate and fire."""
    return norse.IAFCell(norse.IAFParameters(v_th=uniform(rng, 0.8, 1.2, shape), v_reset=torch.zeros(shape)))


def dense(
    rng: np.random.Generator,
    first: Callable[..., nn.Module] = lif_box,
    second: Callable[..., nn.Module] = lif_box,
    readout: Callable[..., nn.Module] | None = None,
) -> tuple[str, list[nn.Module]]:
    """Two dense layers of cells, and a readout."""
    n_in, n_hidden, n_out = SIZES
    modules = [
        weighted(rng, nn.Linear(n_in, n_hidden)),
        first(rng, (n_hidden,)),
        weighted(rng, nn.Linear(n_hidden, n_out, bias=False)),
        second(rng, (n_out,)),
    ]
    if readout is not None:
        modules += [weighted(rng, nn.Linear(n_out, 5), 0.0), readout(rng, (5,))]
    return _text(modules), modules


def convolutional(rng: np.random.Generator) -> tuple[str, list[nn.Module]]:
    """Two convolutions; pooling and flattening would become None."""
    modules = [
        weighted(rng, nn.Conv2d(2, 4, 3, padding=1)),
        lif_box(rng, (4, 8, 8)),
        weighted(rng, nn.Conv2d(4, 6, 3, stride=2, padding=1, dilation=2), 0.1),
        lif_box(rng, (6, 3, 3)),
    ]
    return _text(modules), modules


def _text(modules: list[nn.Module]) -> str:
    return ", ".join(type(m).__name__ if isinstance(m, CELLS) else str(m) for m in modules)


def run(modules: list[nn.Module], inputs: np.ndarray) -> dict[str, np.ndarray]:
    """What every cell gives, (N, T, ...): bool spikes or float32 membranes."""
    network = norse.SequentialState(*modules, return_hidden=True)
    kept: dict[str, list[torch.Tensor]] = {str(i): [] for i, m in enumerate(modules) if isinstance(m, CELLS)}
    state = None
    with torch.no_grad():
        for step in torch.from_numpy(inputs.astype(np.float32)).swapaxes(0, 1):
            outputs, state = network(step, state)
            for name, values in kept.items():
                values.append(outputs[int(name)])
    arrays = {name: torch.stack(values, 1).numpy() for name, values in kept.items()}
    return {
        name: array if isinstance(modules[int(name)], (norse.LIBoxCell, norse.LICell)) else array.astype(bool)
        for name, array in arrays.items()
    }


def _scaled_rate(
    modules: list[nn.Module], index: int, weight: torch.Tensor, inputs: np.ndarray, scale: float
) -> float:
    modules[index].weight.data = weight * scale
    return float(run(modules, inputs)[str(index + 1)].mean())


def tune_all(modules: list[nn.Module], inputs: np.ndarray) -> None:
    """Scale the weights before each spiking cell until it fires as wanted."""
    for index, module in enumerate(modules[:-1]):
        if hasattr(module, "weight") and hasattr(modules[index + 1].p, "v_th"):
            tune(partial(_scaled_rate, modules, index, module.weight.data.clone(), inputs), 0.15)


def record(
    seed: int,
    build: Build,
    export_dt: float | None = 1.0,
    dt_s: float = DT_S,
    reset: str = "value",
    shape: tuple[int, ...] = SIZES[:1],
    batch: bool = False,
    **about: Any,
) -> Recording:
    """Build, tune, export, run. ``export_dt`` None leaves ``to_nir`` its default."""
    text, modules = build(np.random.default_rng([seed, 0]))
    inputs = random_spikes(seed, shape)
    tune_all(modules, inputs)
    sample = torch.zeros(8, *shape) if batch else torch.zeros(shape)
    options = {} if export_dt is None else {"dt": export_dt}
    graph = norse.to_nir(norse.SequentialState(*modules), sample, **options)
    shown = ", ".join(f"{key}={value}" for key, value in options.items())
    return Recording(
        f"{text}; to_nir({shown})",
        _written(graph),
        inputs,
        run(modules, inputs),
        dt_s,
        reset,
        ">",
        seed,
        **about,
    )


def _written(graph: nir.NIRGraph) -> nir.NIRGraph | bytes:
    """The graph, where nir writes it; else the file that nir leaves behind when it fails."""
    if (
        any(isinstance(node, nir.Conv2d) for node in graph.nodes.values())
        and None not in graph.nodes.values()
    ):
        graph.infer_types()  # nir does not write a convolution without input_shape
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.nir"
        try:
            nir.write(path, graph)
        except (AttributeError, TypeError):
            return path.read_bytes()
    return graph


RECORDINGS: dict[str, Callable[[], Recording]] = {
    "box": lambda: record(61, partial(dense, readout=li_box)),
    "box_subtract": lambda: record(
        62,
        partial(
            dense,
            first=partial(lif_box, reset_method=reset_subtract),
            second=partial(lif_box, reset_method=reset_subtract),
        ),
        reset="subtract",
    ),
    "conv": lambda: record(63, convolutional, shape=(2, 8, 8)),
    "iaf": lambda: record(64, partial(dense, first=iaf, second=iaf), dt_s=1.0),
    "box_iaf": lambda: record(65, partial(dense, first=lif_box, second=iaf, readout=li_box), 1000.0, 1.0),
    "fault_thousandth": lambda: record(
        66,
        dense,
        None,
        fault="to_nir multiplies time constants by its dt, 0.001 by default: they are 1000 times too small",
        repair={"dt_s": 1e-6},
    ),
    "fault_w_in": lambda: record(
        367,
        partial(dense, first=lif, second=lif),
        fault="w_in = 1 is written for LIFCell, whose current jumps by the whole weight: tau_syn / dt = 4",
        repair={"nodes": {node: {"w_in": 4.0} for node in ("1", "3")}},
    ),
    "fault_v_reset": lambda: record(
        68,
        partial(dense, first=partial(lif_box, v_reset=-0.3), second=partial(lif_box, v_reset=0.2)),
        fault="v_reset is not written",
        repair={"nodes": {"1": {"v_reset": -0.3}, "3": {"v_reset": 0.2}}},
    ),
    "fault_iaf_dt": lambda: record(
        69,
        partial(dense, first=lif_box, second=iaf),
        fault="r = 1 is written for IAFCell, right for a dt of 1 alone, beside a LIFBoxCell in seconds",
        repair={"nodes": {"3": {"r": 1000.0}}},
    ),
    "fault_batch_axis": lambda: record(
        70, dense, batch=True, fault="the sample's batch axis of 8 is a part of the input and output shapes"
    ),
    "fault_none": lambda: record(
        71,
        partial(dense, second=lif_box, readout=_li),
        fault="to_nir gives None for LICell, where nir.write fails: this is the file that it leaves behind",
    ),
}


def _li(_rng: np.random.Generator, shape: tuple[int, ...]) -> nn.Module:
    return norse.LICell(
        norse.LIParameters(torch.full(shape, 250.0), torch.full(shape, 200.0), torch.zeros(shape))
    )


if __name__ == "__main__":
    main("norse", ["nirtorch", "torch", "norse"], RECORDINGS, __file__)
