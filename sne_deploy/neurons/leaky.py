"""What the leaky models share: fractions per step, thresholds and resets, and gains.

With a = dt / tau (or tau_mem) and b = dt / tau_syn, both in (0, 1]; v is integrated with the *new* I.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sne_deploy.errors import GraphError
from sne_deploy.neurons.model import Array, Gain, Values
from sne_deploy.neurons.resets import reset_of

FIRES = {"v_th": "v_threshold", "v_reset": "v_reset"}
"""A cell's parameters of firing, and the fields of a NIR node that they are."""


def fraction(name: str, what: str, tau_s: Array, dt_s: float) -> Array:
    """A step as a fraction of a time constant.

    Raises
    ------
    GraphError
        It is not in (0, 1].
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        found = dt_s / np.asarray(tau_s, dtype=np.float64)
    outside = ~((found > 0) & (found <= 1.0 + 1e-6))
    if bool(np.any(outside)):
        worst = float(found[outside].flat[0])
        raise GraphError(
            f"node {name!r}: dt/{what} is {worst:g}, outside (0, 1]; give {what} of at least dt = {dt_s:g} s"
        )
    return np.minimum(found, 1.0)


def membrane(name: str, node: Any, dt_s: float) -> Values:
    """A leaky membrane whose input is its current: u = a r x."""
    a = fraction(name, "tau", node.tau, dt_s)
    return {"a": a, "gain": a * node.r, "v_leak": node.v_leak}


def membrane_with_current(name: str, node: Any, dt_s: float) -> Values:
    """A leaky membrane behind a synaptic current: u = a r I."""
    a = fraction(name, "tau_mem", node.tau_mem, dt_s)
    b = fraction(name, "tau_syn", node.tau_syn, dt_s)
    return {"a": a, "b": b, "gain": a * node.r * (b * node.w_in), "v_leak": node.v_leak}


def firing(name: str, node: Any, a: Array | float) -> Values:
    """Threshold and reset of a spiking node.

    A subtracting reset and none ignore v_reset: the state is relative to 0. Subtracting v_th at the next
    step, after the decay, is subtracting v_th / (1 - a) at once.
    """
    threshold = np.asarray(node.v_threshold, dtype=np.float64)
    reset = reset_of(name, node)
    if reset.mode == "value":
        return {"v_th": threshold, "v_reset": np.asarray(node.v_reset), "reset_delayed": reset.delayed}
    if reset.mode == "none":
        return {"v_th": threshold, "v_reset": 0.0, "v_sub": 0.0}
    if reset.delayed and bool(np.any(np.asarray(a) == 1)):
        raise GraphError(
            f"node {name!r}: reset_delayed has no meaning where dt/tau is 1, nothing is left of v by then; "
            "leave it out of the metadata"
        )
    return {"v_th": threshold, "v_reset": 0.0, "v_sub": threshold / (1 - a) if reset.delayed else threshold}


def _array(value: Any) -> Array:
    return np.asarray(value, dtype=np.float64)


MEMBRANE_GAIN = Gain("r", lambda node, _: _array(node.r), lambda _fields, shape, _: {"r": np.ones(shape)})
CURRENT_GAIN = Gain(
    "r * w_in * dt / tau_syn",
    lambda node, dt_s: _array(node.r) * node.w_in * dt_s / node.tau_syn,
    lambda fields, shape, dt_s: {"r": np.ones(shape), "w_in": fields["tau_syn"] / dt_s},
)
"""w_in = tau_syn / dt makes every spike add its whole weight to I, as Norse does."""
PERFECT_GAIN = Gain(
    "r * dt",
    lambda node, dt_s: _array(node.r) * dt_s,
    lambda _fields, shape, dt_s: {"r": np.full(shape, 1.0 / dt_s)},
)
