"""Networks that end in a linear map: what it sends at each step is read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sne_deploy.ir.readout import Readout
from sne_deploy.model.layers.layer import Layer
from sne_deploy.model.layers.registry import LAYER_KINDS, layer_label, option
from sne_deploy.neurons.table import CELLS


def with_readout(layers: Sequence[Layer]) -> tuple[tuple[Layer, ...], Readout, tuple[str, ...]]:
    """The layers, ended by neurons that can be read; how they are read by default; notes of what was added.

    Behind neurons, a linear map at the end gets integrators that keep nothing: an LIBoxCell whose time
    constant is the step. Its membrane is what the map sends, at every step, so no loss comes of it; the mean
    over the steps is read, whose class is that of the sum.

    Parameters
    ----------
    layers : sequence of Layer
        Valid ones.
    """
    cells = [layer for layer in layers if LAYER_KINDS[layer.kind].neuron]
    last = next(
        (layer for layer in reversed(layers) if not LAYER_KINDS[layer.kind].sends_what_it_takes), None
    )
    timed = [layer for layer in cells if layer.kind in CELLS]
    if last is None or not timed or LAYER_KINDS[last.kind].neuron:
        spiking = not cells or LAYER_KINDS[cells[-1].kind].spiking
        return tuple(layers), "count" if spiking else "v_last", ()
    dt_s = float(option(timed[-1], "dt"))  # type: ignore[arg-type]  # validated: a number
    tensors = {"tau_mem_inv": np.array(_inverse(dt_s)), "v_leak": np.array(0.0)}
    added = Layer("LIBoxCell", {"dt": dt_s, "name": "readout"}, tensors)
    note = (
        f"the network ends in a linear map ({layer_label(last)}): its output at each step is read, and "
        "averaged over the steps; give readout='v_last' for the last step's or 'v_max' for the largest"
    )
    return (*layers, added), "v_mean", (note,)


def _inverse(step: float) -> float:
    """1 / step, or the number beside it that gives 1 when it is multiplied with the step."""
    found = 1.0 / step
    beside = (found, float(np.nextafter(found, np.inf)), float(np.nextafter(found, 0)))
    return next((value for value in beside if value * step == 1.0), found)
