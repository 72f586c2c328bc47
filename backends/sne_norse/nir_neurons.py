"""NIR's neurons as compiled ones, integrated as NIR defines them.

State starts at v_leak (IF: v_reset, or 0 where a spike subtracts; I: 0), the current at 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.neurons.resets import reset_of
from sne_norse.neurons import Neurons, each

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

    def leaky(self, current: tuple[Array, ...] | None, tau_s: Any, **firing: Any) -> Neurons:
        """Neurons with a leak."""
        r, v_leak = self.all("r", "v_leak")
        return Neurons(v_leak, current, (self.fraction(tau_s), r, v_leak), **firing)

    def current(self) -> tuple[Array, ...]:
        """Of the synapse."""
        return self.fraction(self.node.tau_syn), *self.all("w_in")

    def firing(self) -> dict[str, Any]:
        """Threshold, reset value where there is one, and whether a spike subtracts at the next step."""
        reset = reset_of(self.name, self.node)
        names = ("v_threshold", "v_reset") if reset.mode == "value" else ("v_threshold",)
        return {"firing": self.all(*names), "later": reset.delayed}

    def perfect(self, firing: tuple[Array, ...] | None = None, **later: Any) -> Neurons:
        """Neurons without a leak; they start where a spike sets them."""
        v_init = firing[1] if firing is not None and len(firing) == 2 else each(0.0, self.shape)
        return Neurons(v_init, None, (self.dt_s * self.all("r")[0],), firing, **later)


NODES: Mapping[str, Callable[[Fields], Neurons]] = {
    "LIF": lambda fields: fields.leaky(None, fields.node.tau, **fields.firing()),
    "LI": lambda fields: fields.leaky(None, fields.node.tau),
    "CubaLIF": lambda fields: fields.leaky(fields.current(), fields.node.tau_mem, **fields.firing()),
    "CubaLI": lambda fields: fields.leaky(fields.current(), fields.node.tau_mem),
    "IF": lambda fields: fields.perfect(**fields.firing()),
    "I": Fields.perfect,
}
"""Makes the neurons of a node, by the name of its type."""
