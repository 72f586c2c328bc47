"""NIR's neurons as compiled ones, integrated as NIR defines them.

State starts at v_leak (IF: v_reset, or 0 where a spike does not set it; I: 0), the current at 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.neurons.resets import reset_of
from sne_norse.neurons import Firing, Neurons, each

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Fields:
    """A node's parameters, each one value per neuron."""

    name: str
    node: Any
    dt_s: float
    shape: tuple[int, ...]

    def all(self, *names: str) -> tuple[Array, ...]:
        """By their names."""
        return tuple(each(getattr(self.node, name), self.shape) for name in names)

    def fraction(self, tau_s: Any) -> Array:
        """The step as a fraction of tau, where rounding may bring a tau of dt above 1."""
        return each(np.minimum(self.dt_s / np.asarray(tau_s, dtype=np.float64), 1.0), self.shape)

    def leaky(self, current: tuple[Array, ...] | None, tau_s: Any, firing: Firing | None = None) -> Neurons:
        """Neurons with a leak."""
        r, v_leak = self.all("r", "v_leak")
        return Neurons(v_leak, current, (self.fraction(tau_s), r, v_leak), firing)

    def current(self) -> tuple[Array, ...]:
        """Of the synapse."""
        return self.fraction(self.node.tau_syn), *self.all("w_in")

    def firing(self) -> Firing:
        """The threshold, and what the node's metadata says that a spike does."""
        reset = reset_of(self.name, self.node)
        (v_th,) = self.all("v_threshold")
        v_reset = self.all("v_reset")[0] if reset.mode == "value" else None
        return Firing(v_th, v_reset, v_th if reset.mode == "subtract" else None, reset.delayed)

    def perfect(self, firing: Firing | None = None) -> Neurons:
        """Neurons without a leak; they start where a spike sets them."""
        v_reset = None if firing is None else firing.v_reset
        v_init = each(0.0, self.shape) if v_reset is None else v_reset
        return Neurons(v_init, None, (self.dt_s * self.all("r")[0],), firing)


NODES: Mapping[str, Callable[[Fields], Neurons]] = {
    "LIF": lambda fields: fields.leaky(None, fields.node.tau, fields.firing()),
    "LI": lambda fields: fields.leaky(None, fields.node.tau),
    "CubaLIF": lambda fields: fields.leaky(fields.current(), fields.node.tau_mem, fields.firing()),
    "CubaLI": lambda fields: fields.leaky(fields.current(), fields.node.tau_mem),
    "IF": lambda fields: fields.perfect(fields.firing()),
    "I": Fields.perfect,
}
"""Makes the neurons of a node, by the name of its type."""
