"""The time step that a graph's constants imply, and the manner in which they hold it.

Tools with a step of their own write it into constants. An input that counts in full at every step has
r = tau / dt, w_in = tau_syn / dt or, without a leak, r = 1 / dt (snnTorch, mlx-snn and SpikingJelly:
dt = 1e-4 s; Sinabs counts in steps: dt = 1). Rockpool's decay is exponential: r = tau exp(-dt / tau) / dt.
Spyx, and old versions of snnTorch, write r = 1 - dt / tau.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import nir
import numpy as np
import numpy.typing as npt

from sne_deploy.frontend.nir.arrays import as_array
from sne_deploy.frontend.nir.flatten import expand

Array = npt.NDArray[Any]
AGREE = 1e-3
"""Constants that differ by less, relatively, were made with one dt: tools compute them in float32."""
Manner = Literal["full", "decayed", "beta", "unit"]
_USUAL_STEPS_S = (1.0, 1e-3, 1e-4)


@dataclass(frozen=True)
class Implied:
    """What gains tell.

    Attributes
    ----------
    dt_s : float or None
        None where they imply no step, or several.
    manner : str
        ``full``: r = tau / dt; ``decayed``: r = tau exp(-dt / tau) / dt; ``beta``: r = 1 - dt / tau.
    """

    dt_s: float | None = None
    manner: Manner = "full"


def leaks(node: Any) -> tuple[tuple[str, str], ...]:
    """The fields of a node's time constants, and of the gains that go with them."""
    if hasattr(node, "tau"):
        return (("tau", "r"),)
    return (("tau_mem", "r"), ("tau_syn", "w_in")) if hasattr(node, "tau_mem") else ()


def values(node: Any, field: str) -> Array:
    """A field as float64, one axis."""
    return as_array(getattr(node, field)).astype(np.float64).reshape(-1)


def time_constants(graph: nir.NIRGraph) -> Iterator[tuple[str, str, Array]]:
    """Node, field and values, in seconds, of every time constant."""
    for name, node in expand(graph).nodes.items():
        for field, _ in leaks(node):
            yield name, field, values(node, field)


def implied_step(graph: nir.NIRGraph) -> Implied:
    """The one dt, in seconds, that the constants imply."""
    nodes = expand(graph).nodes.values()
    pairs = [pair for node in nodes for pair in _gains(node)]
    if all(np.isinf(tau).all() or not tau.size for tau, _ in pairs):
        pairs += [pair for node in nodes for pair in _leakless(node)]
    else:  # beside others, r = 1 is what an exporter writes that has not thought of dt
        pairs += [(tau, gain) for node in nodes for tau, gain in _leakless(node) if not np.all(gain == 1)]
    if not any(gain.size for _, gain in pairs):
        return Implied()
    tau, gain = (np.concatenate([pair[index] for pair in pairs]) for index in (0, 1))
    leaky = np.isfinite(tau)
    shortest = min((float(tau.min()) for _, _, tau in time_constants(graph)), default=np.inf)
    beta = _beta_step([pair for node in nodes for pair in _gains(node, ("r",))], shortest)
    if beta is not None:
        return Implied(beta, "beta")
    with np.errstate(divide="ignore", invalid="ignore"):
        euler = _unanimous(np.where(leaky, tau, 1.0) / gain, shortest)
        steps = np.where(leaky, tau * _product_log(1 / gain), 1 / gain)
    exponential = _unanimous(steps, shortest) if leaky.any() else None
    several = float(gain.max()) > float(gain.min()) * (1 + AGREE)
    if exponential is not None and (
        (several and euler is None) or (_is_round(exponential) and not _is_round(euler))
    ):
        return Implied(exponential, "decayed")
    return Implied(euler)


def step_in(graph: nir.NIRGraph, manner: Manner, ones: bool) -> tuple[bool, float | None]:
    """The step that the constants imply if they are written in one manner.

    Parameters
    ----------
    graph : nir.NIRGraph
    manner : {"full", "decayed", "beta", "unit"}
        ``unit``: r = 1 everywhere.
    ones : bool
        Whether r = 1 of a neuron without a leak implies a step of 1, too.

    Returns
    -------
    fits : bool
        Whether they can be.
    dt_s : float or None
        None where they can be, and imply nothing.
    """
    nodes = expand(graph).nodes.values()
    leaky = [pair for node in nodes for pair in _gains(node, ("r",))]
    leakless = [(tau, r) for node in nodes for tau, r in _leakless(node) if ones or not np.all(r == 1)]
    tau, r = (np.concatenate([np.zeros(0), *(pair[index] for pair in leaky)]) for index in (0, 1))
    if manner == "unit":
        return not tau.size and not any(np.any(r != 1) for _, r in leakless), None
    with np.errstate(all="ignore"):
        steps = {"full": tau / r, "decayed": tau * _product_log(1 / r), "beta": (1 - r) * tau}[manner]
        steps = np.concatenate([steps, *(1 / r for _, r in leakless)])
    if not steps.size:
        return True, None
    step, seen = _unanimous(steps, np.inf), implied_step(graph)
    if step is None or (seen.manner != manner and _is_round(seen.dt_s) and not _is_round(step)):
        return False, None
    return True, step


def _leakless(node: Any) -> Iterator[tuple[Array, Array]]:
    if isinstance(node, (nir.IF, nir.I)):
        r = values(node, "r")
        yield np.full(r.shape, np.inf), r


def _gains(node: Any, fields: tuple[str, ...] = ("r", "w_in")) -> Iterator[tuple[Array, Array]]:
    """Time constants and gains of those neurons whose gain is not 1 by default."""
    for tau_name, gain_name in leaks(node):
        if gain_name in fields:
            tau, gain = np.broadcast_arrays(values(node, tau_name), values(node, gain_name))
            yield tau[gain != 1], gain[gain != 1]


def _beta_step(pairs: list[tuple[Array, Array]], shortest_s: float) -> float | None:
    """The dt for which every r is 1 - dt / tau; of one r alone only a step that tools use."""
    tau, r = (np.concatenate([np.zeros(0), *(pair[index] for pair in pairs)]) for index in (0, 1))
    if not tau.size or not ((r > 0) & (r < 1)).all():
        return None
    step = _unanimous((1 - r) * tau, shortest_s)
    several = float(r.max()) > float(r.min()) * (1 + 10 * AGREE)
    usual = step is not None and bool(np.isclose(step, _USUAL_STEPS_S, rtol=AGREE, atol=0).any())
    return step if several or usual else None


def _unanimous(steps_s: Array, shortest_s: float) -> float | None:
    """The one value of them all, if it can be a time step."""
    if steps_s.size == 0 or not (np.isfinite(steps_s).all() and (steps_s > 0).all()):
        return None
    low, high = float(steps_s.min()), float(steps_s.max())
    if high > low * (1 + AGREE) or low > shortest_s * (1 + AGREE):
        return None
    middle = float(np.median(steps_s))
    short = float(f"{middle:.3g}")
    return short if abs(middle / short - 1) < AGREE / 10 else middle


def _is_round(step_s: float | None) -> bool:
    """Whether it has two digits, as steps that people choose have."""
    return step_s is not None and float(f"{step_s:.2g}") == step_s


def _product_log(y: Array) -> Array:
    """Solve x exp(x) = y for y > 0, by Newton's method, which converges from above in a few steps."""
    x = np.log1p(y)
    for _ in range(30):
        x = x - (x - y * np.exp(-x)) / (1 + x)
    return np.asarray(x)
