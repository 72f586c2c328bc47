"""Skip connections: layers whose maps take spikes of an earlier cell, and add to what comes in.

``over`` is how many layers of neurons a skip passes: 1 takes the spikes of the cell before the last one. It
stands directly before the cell that it goes to, and is a second synapse into that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, cast

from sne_deploy.model.layers.geometry import Shape
from sne_deploy.model.layers.layer import Layer
from sne_deploy.model.layers.layer_rules import conv_shape, linear_shape
from sne_deploy.neurons.table import CELLS

T = TypeVar("T")
SKIPS = {"SkipConv2d": conv_shape, "SkipLinear": linear_shape}
"""Their kinds, and what gives the shape of their map."""


def over(layer: Layer) -> int:
    """How many layers of neurons a skip passes."""
    return cast("int", layer.options["over"])


def source_of(layers: int, sent: Sequence[T]) -> T | None:
    """Of what each cell so far has sent, what a skip over so many takes; None where there are too few."""
    return sent[-1 - layers] if len(sent) > layers else None


def skip_problem(layer: Layer, shape: Shape, sent: Sequence[Shape | None], beside: Sequence[Layer]) -> str:
    """What is wrong with a skip onto a shape, or "".

    Parameters
    ----------
    layer : Layer
        Of a kind in ``SKIPS``.
    shape : tuple of int
        Of what comes in.
    sent : sequence of shapes
        Of the spikes of each cell before it; None of one that never spikes.
    beside : sequence of Layer
        Those behind it.
    """
    behind = next((one for one in beside if one.kind not in (*SKIPS, "Dropout")), None)
    if behind is None or behind.kind not in CELLS or CELLS[behind.kind].recurrent:
        return "put it directly before a cell without recurrent weights, which its synapses go to"
    others = [one for one in beside[: beside.index(behind)] if one.kind in SKIPS and over(one) == over(layer)]
    if others:
        return f"there are two over {over(layer)} before one cell; one is enough"
    source = source_of(over(layer), sent)
    if source is None:
        return (
            f"over={over(layer)} takes the spikes of the cell before the last {over(layer)}; "
            f"{len(sent)} are before it, and that one spikes not or is not there; set over to fewer"
        )
    try:
        made = SKIPS[layer.kind](layer, source)
    except ValueError as error:
        return f"of the spikes that it takes: {error}"
    if made != shape:
        return (
            f"it makes shape {made} of spikes of shape {source}, but {shape} comes in beside it; change its "
            "stride, kernel or padding"
        )
    return ""
