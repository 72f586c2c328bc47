"""NIR's neurons with time made discrete: forward Euler at dt, v with the *new* I.

With a = dt / tau_mem and b = dt / tau_syn, both required in (0, 1]::

    CubaLIF, CubaLI   u = a r I      gain = a b r w_in
    LIF, LI           u = a r x      gain = a r,  b = 1
    IF, I             u = dt r x     gain = dt r, a = 0, b = 1
    Threshold         v = x          gain = 1,    a = 1, b = 1

State starts at v_leak (IF: at v_reset; I: at 0). A subtracting reset ignores v_reset: the state is relative
to 0. Subtracting v_th at the next step, after the decay, is subtracting v_th / (1 - a) at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from sne_deploy.errors import GraphError
from sne_deploy.frontend.nir.resets import reset_of
from sne_deploy.ir.network import NeuronKind, NeuronNode

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
_ONE, _ZERO = np.asarray(1.0), np.asarray(0.0)


def _fraction(name: str, what: str, tau_s: Array, dt_s: float) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        fraction = dt_s / np.asarray(tau_s, dtype=np.float64)
    outside = ~((fraction > 0) & (fraction <= 1.0 + 1e-6))
    if bool(np.any(outside)):
        worst = float(fraction[outside].flat[0])
        raise GraphError(
            f"node {name!r}: dt/{what} is {worst:g}, outside (0, 1]; give {what} of at least dt = {dt_s:g} s"
        )
    return np.minimum(fraction, 1.0)


def _flat(value: Array | float, size: int) -> Array:
    """float64, shape () where all equal, else (n,)."""
    flat = np.asarray(value, dtype=np.float64).reshape(-1)
    if flat.size == 1 or bool(np.all(flat == flat[0])):
        return np.asarray(flat[0])
    if flat.size != size:
        raise GraphError(f"a parameter has {flat.size} values for {size} neurons")
    return flat.copy()


def _neuron(name: str, kind: NeuronKind, shape: Shape, **parameters: Array | float) -> NeuronNode:
    size = int(np.prod(shape))
    return NeuronNode(name, kind, shape, **{key: _flat(value, size) for key, value in parameters.items()})


def _firing(name: str, node: Any, a: Array) -> dict[str, Array]:
    """Threshold and reset of a spiking node."""
    threshold = np.asarray(node.v_threshold, dtype=np.float64)
    reset = reset_of(name, node)
    if reset.mode == "value":
        return {"v_th": threshold, "v_reset": np.asarray(node.v_reset)}
    if reset.delayed and bool(np.any(a == 1)):
        raise GraphError(
            f"node {name!r}: reset_delayed has no meaning where dt/tau is 1, nothing is left of v by then; "
            "leave it out of the metadata"
        )
    return {"v_th": threshold, "v_reset": _ZERO, "v_sub": threshold / (1 - a) if reset.delayed else threshold}


def _lif(name: str, node: nir.LIF, shape: Shape, dt_s: float) -> NeuronNode:
    a = _fraction(name, "tau", node.tau, dt_s)
    fires = _firing(name, node, a)
    return _neuron(name, "lif", shape, a=a, b=_ONE, gain=a * node.r, v_leak=node.v_leak, **fires)


def _cuba_lif(name: str, node: nir.CubaLIF, shape: Shape, dt_s: float) -> NeuronNode:
    a = _fraction(name, "tau_mem", node.tau_mem, dt_s)
    b = _fraction(name, "tau_syn", node.tau_syn, dt_s)
    gain = a * node.r * (b * node.w_in)
    fires = _firing(name, node, a)
    return _neuron(name, "cuba_lif", shape, a=a, b=b, gain=gain, v_leak=node.v_leak, **fires)


def _if(name: str, node: nir.IF, shape: Shape, dt_s: float) -> NeuronNode:
    fires = _firing(name, node, _ZERO)
    return _neuron(name, "if", shape, a=_ZERO, b=_ONE, gain=dt_s * node.r, v_leak=fires["v_reset"], **fires)


def _li(name: str, node: nir.LI, shape: Shape, dt_s: float) -> NeuronNode:
    a = _fraction(name, "tau", node.tau, dt_s)
    rest = {"v_leak": node.v_leak, "v_th": _ZERO, "v_reset": node.v_leak}
    return _neuron(name, "li", shape, a=a, b=_ONE, gain=a * node.r, **rest)


def _cuba_li(name: str, node: nir.CubaLI, shape: Shape, dt_s: float) -> NeuronNode:
    a = _fraction(name, "tau_mem", node.tau_mem, dt_s)
    b = _fraction(name, "tau_syn", node.tau_syn, dt_s)
    gain = a * node.r * (b * node.w_in)
    rest = {"v_leak": node.v_leak, "v_th": _ZERO, "v_reset": node.v_leak}
    return _neuron(name, "cuba_li", shape, a=a, b=b, gain=gain, **rest)


def _integrator(name: str, node: nir.I, shape: Shape, dt_s: float) -> NeuronNode:
    rest = {"v_leak": _ZERO, "v_th": _ZERO, "v_reset": _ZERO}
    return _neuron(name, "li", shape, a=_ZERO, b=_ONE, gain=dt_s * node.r, **rest)


def _threshold(name: str, node: nir.Threshold, shape: Shape, _dt_s: float) -> NeuronNode:
    rest = {"v_leak": _ZERO, "v_reset": _ZERO}
    return _neuron(name, "lif", shape, a=_ONE, b=_ONE, gain=_ONE, v_th=node.threshold, **rest)


NEURON_NODES: dict[type, Callable[[str, Any, Shape, float], NeuronNode]] = {
    nir.LIF: _lif,
    nir.CubaLIF: _cuba_lif,
    nir.LI: _li,
    nir.CubaLI: _cuba_li,
    nir.IF: _if,
    nir.I: _integrator,
    nir.Threshold: _threshold,
}
"""From (name, node, shape, dt in seconds) to the neurons."""
