"""Which tensors of a student become weights of synapses, where each synapse's weight is one of theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sne_deploy.distill.simulate import flat_layers, is_neuron
from sne_deploy.errors import UnsupportedError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class WeightTensor:
    """A map's tensors, by their names in the network.

    Attributes
    ----------
    weight : str
    bias : str or None
    taps : float
        Product of the average pools before it: what a synapse's weight is, per weight of the tensor.
    """

    weight: str
    bias: str | None
    taps: float


def weight_tensors(network: nn.Module) -> list[WeightTensor]:
    """List the weights of a student without batch norm, in order.

    Raises
    ------
    UnsupportedError
        Behind the first neurons, maps in a row add up to other weights than their own; lists them all.
    """
    walk = _Walk({id(module): name for name, module in network.named_modules()})
    for layer in flat_layers(network):
        walk.visit(layer)
    if walk.problems:
        raise UnsupportedError("quantisation-aware training", walk.problems)
    return walk.found


class _Walk:
    """A student's layers one by one, from the neurons before a map to those behind it."""

    def __init__(self, names: dict[int, str]) -> None:
        self._names = names
        self.found: list[WeightTensor] = []
        self.problems: list[str] = []
        self._on_host = True
        self._taps = 1.0
        self._map: str | None = None

    def visit(self, layer: nn.Module) -> None:
        """Take the next layer."""
        from torch import nn

        name = self._names[id(layer)]
        if is_neuron(layer):
            if hasattr(layer, "recurrent_weights"):
                self._add(layer, name, "input_weights")
            self._on_host, self._taps, self._map = False, 1.0, None
            if hasattr(layer, "recurrent_weights"):
                self._add(layer, name, "recurrent_weights")
                self._map = None
        elif isinstance(layer, nn.AvgPool2d):
            self._pool(layer, name)
        elif isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d)):
            self._add(layer, name, "weight")

    def _add(self, layer: nn.Module, name: str, weight: str) -> None:
        if self._map is not None:
            self._refuse(f"{name} ({type(layer).__name__}) follows {self._map} without neurons between them")
        bias = f"{name}.bias".lstrip(".") if getattr(layer, "bias", None) is not None else None
        self.found.append(WeightTensor(f"{name}.{weight}".lstrip("."), bias, self._taps))
        self._map = name

    def _pool(self, pool: nn.AvgPool2d, name: str) -> None:
        kernel, stride = _pair(pool.kernel_size), _pair(pool.stride)
        if self._map is not None:
            self._refuse(f"{name} (AvgPool2d) follows {self._map}: put it before the map, or neurons between")
        elif kernel[0] > stride[0] or kernel[1] > stride[1]:
            self._refuse(
                f"{name} (AvgPool2d): windows of {kernel} at strides of {stride} overlap; do not let them"
            )
        self._taps *= 1.0 / (kernel[0] * kernel[1])

    def _refuse(self, problem: str) -> None:
        if not self._on_host:
            self.problems.append(problem)


def _pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])
