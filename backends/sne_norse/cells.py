"""Norse's cells as compiled neurons: the operations and their order are those of ``norse.torch.functional``.

States and spikes are equal bit for bit where what enters is. A cell that is not in ``CELLS`` runs as its own
module, step by step, and is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.model.ensemble import Layer
from sne_deploy.model.layers.layer_rules import subtracts
from sne_deploy.model.layers.registry import option
from sne_norse.neurons import Firing, Neurons, each

Array = npt.NDArray[Any]
Parameters = Callable[..., tuple[Array, ...]]


def _parameters(layer: Layer, shape: tuple[int, ...]) -> tuple[Parameters, Array, Array, float]:
    """A function that gives parameters by name, one value per neuron; dt / tau_mem; ones; dt."""
    dt: Any = option(layer, "dt")

    def named(*names: str) -> tuple[Array, ...]:
        return tuple(each(layer.tensors[name], shape) for name in names)

    gain = dt * named("tau_mem_inv")[0] if "tau_mem_inv" in layer.tensors else np.ones(0)
    return named, gain, each(1.0, shape), dt


def _firing(layer: Layer, named: Parameters) -> Firing:
    v_th, v_reset = named("v_th", "v_reset")
    return Firing(v_th, v_sub=v_th) if subtracts(layer) else Firing(v_th, v_reset)


def _box(layer: Layer, shape: tuple[int, ...]) -> Neurons:
    named, gain, one, _ = _parameters(layer, shape)
    (v_leak,) = named("v_leak")
    if "v_th" not in layer.tensors:
        return Neurons(v_leak, None, (gain, one, v_leak))
    return Neurons(v_leak, None, (gain, v_leak), _firing(layer, named))


def _with_current(layer: Layer, shape: tuple[int, ...]) -> Neurons:
    named, gain, one, dt = _parameters(layer, shape)
    (v_leak, tau_syn_inv), fires = named("v_leak", "tau_syn_inv"), "v_th" in layer.tensors
    recurrent = layer.tensors.get("recurrent_weights")
    return Neurons(
        v_leak,
        (-dt * tau_syn_inv,),
        (gain, one, v_leak),
        _firing(layer, named) if fires else None,
        recurrent=None if recurrent is None else np.ascontiguousarray(recurrent.T, np.float64),
    )


def _perfect(layer: Layer, shape: tuple[int, ...]) -> Neurons:
    named, _, one, _ = _parameters(layer, shape)
    (v_reset,) = named("v_reset")
    return Neurons(v_reset, None, (one,), _firing(layer, named))


CELLS: Mapping[str, Callable[[Layer, tuple[int, ...]], Neurons]] = {
    "LIFBoxCell": _box,
    "LIBoxCell": _box,
    "LIFCell": _with_current,
    "LICell": _with_current,
    "LIFRecurrentCell": _with_current,
    "IAFCell": _perfect,
}
"""Makes the neurons of a layer whose output for one sample at one step has that shape."""
