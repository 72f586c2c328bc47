"""What a graph's constants tell of the time step that it was made with, and of known faults of exporters.

Tools with a step of their own write it into constants: a neuron whose input counts in full at every step has
r = tau / dt, w_in = tau_syn / dt or, without a leak, r = 1 / dt (snnTorch and SpikingJelly: dt = 1e-4 s;
Sinabs counts in steps: dt = 1). Rockpool's decay is exponential: r = tau exp(-dt / tau) / dt.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from sne_deploy.errors import GraphError
from sne_deploy.frontend.nir.arrays import as_array
from sne_deploy.frontend.nir.flatten import expand

Array = npt.NDArray[Any]
_AGREE = 1e-3
"""Constants that differ by less, relatively, were made with one dt: tools compute them in float32."""
_CONTRADICT = 0.01
_MANY_STEPS = 1e4
_ROUNDING = 1e-6
"""dt / tau may exceed 1 by so much: time constants may be float32."""


def time_step_hint(graph: nir.NIRGraph) -> float | None:
    """The dt, in seconds, that the graph's own constants imply; None where they imply none, or several."""
    return _implied(graph)[0]


def check_time_step(graph: nir.NIRGraph, dt_s: float) -> tuple[str, ...]:
    """What there is to say about a time step.

    Raises
    ------
    GraphError
        A time constant is shorter than dt; names the node, the factor and the likely cause.
    """
    hint, exponential = _implied(graph)
    constants = list(_time_constants(graph))
    _check_long_enough(constants, dt_s, hint)
    notes = []
    if hint is not None and abs(dt_s / hint - 1) > _CONTRADICT:
        notes.append(
            f"dt is {dt_s:g} s, but the graph's own constants (tau / r, tau_syn / w_in, 1 / r) imply "
            f"{hint:g} s: inputs count {dt_s / hint:.3g} times what they would then; if that is not meant, "
            f"give --dt-s {hint:g}"
        )
    elif exponential:
        notes.append(
            "r is tau exp(-dt / tau) / dt, as Rockpool writes it: it was trained with a decay of "
            "exp(-dt / tau) per step, where NIR's equations at this dt give 1 - dt / tau"
        )
    elif constants and min(float(tau.min()) for _, _, tau in constants) > _MANY_STEPS * dt_s:
        name, field, tau = constants[0]
        notes.append(
            f"node {name!r}: {field} is {tau.flat[0]:g} s, {tau.flat[0] / dt_s:.3g} steps of {dt_s:g} s, "
            "next to no decay; tools that count time in steps (Sinabs, Spyx) need --dt-s 1"
        )
    return (*notes, *_norse_gains(graph, dt_s, hint))


def _norse_gains(graph: nir.NIRGraph, dt_s: float, hint: float | None) -> Iterator[str]:
    """Nodes as Norse's own export writes them: with gains of 1, whatever its step."""
    nodes = expand(graph).nodes
    bare = [name for name, node in nodes.items() if isinstance(node, nir.IF) and _ones(node, "r")]
    if bare and hint is None and dt_s != 1:
        yield (
            f"{_listed(bare)} (IF): r is 1, so an input adds {dt_s:g} of itself per step; Norse's own export "
            "writes r = 1 for any dt and means all of it: if it wrote this, export with sne-deploy"
        )
    synaptic = {
        name: float(_values(node, "tau_syn").min())
        for name, node in nodes.items()
        if isinstance(node, (nir.CubaLIF, nir.CubaLI)) and _ones(node, "r") and _ones(node, "w_in")
    }
    if synaptic and min(synaptic.values()) > dt_s * (1 + _ROUNDING):
        yield (
            f"{_listed(list(synaptic))} (CubaLIF, CubaLI): w_in and r are 1, so an input adds dt / tau_syn, "
            f"{dt_s / min(synaptic.values()):.3g} of itself or less, to the current; Norse's own export "
            "writes w_in = 1 and means all of it: if it wrote this, export with sne-deploy"
        )


def _ones(node: Any, field: str) -> bool:
    return bool(np.all(_values(node, field) == 1))


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"node{'s' * (len(names) > 1)} {', '.join(map(repr, names[:5]))}{more}"


def _check_long_enough(constants: list[tuple[str, str, Array]], dt_s: float, hint: float | None) -> None:
    short = [entry for entry in constants if dt_s / float(entry[2].min()) > 1 + _ROUNDING]
    if not short:
        return
    name, field, tau = min(short, key=lambda entry: float(entry[2].min()))
    shortest = float(tau.min())
    if hint is not None and hint <= shortest * (1 + _ROUNDING):
        remedy = f"the graph's constants imply dt = {hint:g} s: give --dt-s {hint:g}"
    elif shortest >= dt_s * dt_s * (1 - _ROUNDING):
        remedy = (
            f"give --dt-s of at most {shortest:g}, or, if Norse 1.1.0's own export wrote it, which multiplies"
            f" time constants by dt, multiply them by {1 / dt_s:g} or export with sne-deploy"
        )
    else:
        remedy = f"give --dt-s of at most {shortest:g}"
    raise GraphError(
        f"node {name!r}: {field} {shortest:g} s is {dt_s / shortest:.3g} times shorter than dt = {dt_s:g} s; "
        f"{remedy}"
    )


def _time_constants(graph: nir.NIRGraph) -> Iterator[tuple[str, str, Array]]:
    """Node, field and values, in seconds, of every time constant."""
    for name, node in expand(graph).nodes.items():
        for field in ("tau", "tau_mem", "tau_syn"):
            if hasattr(node, field):
                yield name, field, _values(node, field)


def _implied(graph: nir.NIRGraph) -> tuple[float | None, bool]:
    """The implied dt, and whether it is that of exponential decays."""
    pairs = [pair for node in expand(graph).nodes.values() for pair in _gains(node)]
    if not any(gain.size for _, gain in pairs):
        return None, False
    tau, gain = (np.concatenate([pair[index] for pair in pairs]) for index in (0, 1))
    leaky = np.isfinite(tau)
    shortest = min((float(tau.min()) for _, _, tau in _time_constants(graph)), default=np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        euler = _unanimous(np.where(leaky, tau, 1.0) / gain, shortest)
        steps = np.where(leaky, tau * _product_log(1 / gain), 1 / gain)
    exponential = _unanimous(steps, shortest) if leaky.any() else None
    several = float(gain.max()) > float(gain.min()) * (1 + _AGREE)
    if exponential is not None and (
        (several and euler is None) or (_is_round(exponential) and not (euler and _is_round(euler)))
    ):
        return exponential, True
    return euler, False


def _gains(node: Any) -> Iterator[tuple[Array, Array]]:
    """Time constants (infinite without a leak) and gains of those neurons whose gain is not 1 by default."""
    if isinstance(node, (nir.IF, nir.I)):
        r = _values(node, "r")
        yield np.full(r.shape, np.inf), r
    names = [("tau", "r")] if hasattr(node, "tau") else [("tau_mem", "r"), ("tau_syn", "w_in")]
    for tau_name, gain_name in names if hasattr(node, names[0][0]) else ():
        tau, gain = np.broadcast_arrays(_values(node, tau_name), _values(node, gain_name))
        yield tau[gain != 1], gain[gain != 1]


def _values(node: Any, field: str) -> Array:
    return as_array(getattr(node, field)).astype(np.float64).reshape(-1)


def _unanimous(steps_s: Array, shortest_s: float) -> float | None:
    """The one value of them all, if it can be a time step."""
    if steps_s.size == 0 or not (np.isfinite(steps_s).all() and (steps_s > 0).all()):
        return None
    low, high = float(steps_s.min()), float(steps_s.max())
    if high > low * (1 + _AGREE) or low > shortest_s * (1 + _AGREE):
        return None
    middle = float(np.median(steps_s))
    short = float(f"{middle:.3g}")
    return short if abs(middle / short - 1) < _AGREE / 10 else middle


def _is_round(step_s: float) -> bool:
    """Whether it has two digits, as steps that people choose have."""
    return float(f"{step_s:.2g}") == step_s


def _product_log(y: Array) -> Array:
    """Solve x exp(x) = y for y > 0, by Newton's method, which converges from above in a few steps."""
    x = np.log1p(y)
    for _ in range(30):
        x = x - (x - y * np.exp(-x)) / (1 + x)
    return np.asarray(x)
