"""Neurons over all steps in one pass, compiled, in float64: Norse's cells with Norse's bits, and NIR's nodes.

What is done at a step, in which order, is composed of parts that the tables choose; x is what enters::

    i   none           drive = x
        Norse          drive = i + x; then i <- drive + (-b) drive
        NIR            i <- i + b (w_in x - i); drive = i
    v   perfect        v <- v + gain drive
        leaky          v <- v + a ((v_leak - v) + r drive)
        LIFBoxCell     v <- v + a ((drive + v_leak) - v)
    spike where v > v_th, strictly: v <- v_reset, or v <- v - v_th, at once or at the next step, or nothing

With a = dt / tau (or tau_mem) and b = dt / tau_syn. Readouts send v.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from sne_deploy.runtime.jit import kept_njit

Array = npt.NDArray[Any]


@kept_njit()
def integrate(
    x: Any,
    v_init: Any,
    current: Any,
    membrane: Any,
    v_th: Any,
    v_reset: Any,
    v_sub: Any,
    later: Any,
    recurrent: Any,
    state: Any,
    out: Any,
) -> None:
    """Integrate neurons; numba compiles what the types of the arguments say, and no more.

    Parameters
    ----------
    x : float64 array of shape (B, S, n), or (B, 1, n) where it is the same at every step
    v_init : float64 array of shape (n,), as all parameters
    current : None, (-b,) for Norse or (b, w_in) for NIR
    membrane : (gain,), (a, r, v_leak), or (a, v_leak) for LIFBoxCell
    v_th : None where the neurons send v
    v_reset, v_sub : what a spike sets v to, or subtracts from it; None where it does not
    later : True, or None
        At the next step: ``v_reset`` in place of that step's v, where v was above ``v_th`` (a refractory
        step); ``v_sub`` from that step's v.
    recurrent : float64 array of shape (n, n), or None
        What a spike of neuron k adds to what enters at the next step: row k.
    state : float64 array of shape (4, B, n), changed, or None where samples start and nothing follows
        v, i, what the next step subtracts from v, and what spikes of the last step send to it.
    out : uint8 spikes or float64 array of shape (B, S, n), written
    """
    moving, n = x.shape[1] > 1, v_init.size
    for b in range(out.shape[0]):
        v = v_init.copy() if state is None else state[0, b]
        i = np.zeros(0 if current is None else n) if state is None else state[1, b]
        owed = np.zeros(0 if later is None else n) if state is None else state[2, b]
        heard = np.zeros(0 if recurrent is None else n) if state is None else state[3, b]
        for t in range(out.shape[1]):
            row, to = x[b, t * moving], out[b, t]
            for j in range(n):
                drive = row[j]
                if current is not None:
                    drive, i[j] = driven(j, drive, i, current, recurrent, heard)
                moved = integrated(j, drive, v[j], membrane)
                if later is not None:
                    moved = after_waiting(j, moved, v[j], v_th, v_reset, owed)
                if v_th is None:
                    v[j] = moved
                    to[j] = moved
                else:
                    fired = moved > v_th[j]
                    to[j] = fired
                    if later is None:
                        v[j] = after_spike(j, moved, fired, v_reset, v_sub)
                    else:
                        v[j] = moved
                        if v_sub is not None:
                            owed[j] = v_sub[j] if fired else 0.0
            if recurrent is not None:
                hear(to, recurrent, heard)


@nb.njit(nogil=True)
def driven(j: Any, x: Any, i: Any, current: Any, recurrent: Any, heard: Any) -> Any:
    """What drives v of neuron j, and its current after the step."""
    if len(current) == 1:
        drive = i[j] + x
        if recurrent is not None:
            drive += heard[j]
        return drive, drive + current[0][j] * drive
    drive = i[j] + current[0][j] * (current[1][j] * x - i[j])
    return drive, drive


@nb.njit(nogil=True)
def integrated(j: Any, drive: Any, v: Any, membrane: Any) -> Any:
    """The membrane of neuron j before a spike."""
    if len(membrane) == 1:
        return v + membrane[0][j] * drive
    if len(membrane) == 2:
        return v + membrane[0][j] * ((drive + membrane[1][j]) - v)
    return v + membrane[0][j] * ((membrane[2][j] - v) + membrane[1][j] * drive)


@nb.njit(nogil=True)
def after_spike(j: Any, v: Any, fired: Any, v_reset: Any, v_sub: Any) -> Any:
    """The membrane of neuron j at the end of a step."""
    if v_reset is not None:
        return v_reset[j] if fired else v
    if v_sub is not None:
        return v - v_sub[j] if fired else v
    return v


@nb.njit(nogil=True)
def after_waiting(j: Any, v: Any, before: Any, v_th: Any, v_reset: Any, owed: Any) -> Any:
    """The membrane of neuron j before a spike, with what the step before left to do."""
    if v_reset is not None:
        return v_reset[j] if before > v_th[j] else v
    return v - owed[j]


@nb.njit(nogil=True)
def hear(spikes: Any, recurrent: Any, heard: Any) -> None:
    """Sum what spikes send to the next step."""
    heard[:] = 0.0
    for k in range(spikes.size):
        if spikes[k]:
            row = recurrent[k]
            for j in range(heard.size):
                heard[j] += row[j]


@dataclass(frozen=True, eq=False)
class Firing:
    """When neurons spike, and what a spike does to v, as :func:`integrate` takes it."""

    v_th: Array
    v_reset: Array | None = None
    v_sub: Array | None = None
    later: bool = False


@dataclass(frozen=True, eq=False)
class Neurons:
    """A group of neurons, as :func:`integrate` takes it."""

    v_init: Array
    current: tuple[Array, ...] | None
    membrane: tuple[Array, ...]
    firing: Firing | None = None
    recurrent: Array | None = None

    def start(self, samples: int) -> Array:
        """The state before the first step."""
        state = np.zeros((4, samples, self.v_init.size))
        state[0] = self.v_init
        return state

    def run(self, state: Array | None, x: Array, steps: int) -> Array:
        """What is sent, (B, steps, *shape), on x, (B, steps or 1, *shape), from a state, which changes."""
        flat = np.ascontiguousarray(x, np.float64).reshape(*x.shape[:2], -1)
        out = np.empty((len(x), steps, flat.shape[2]), np.float64 if self.firing is None else np.uint8)
        how = self.firing
        fires = (
            (None,) * 4 if how is None else (how.v_th, how.v_reset, how.v_sub, True if how.later else None)
        )
        integrate(flat, self.v_init, self.current, self.membrane, *fires, self.recurrent, state, out)
        return out.reshape(len(x), steps, *x.shape[2:])


def each(values: Any, shape: tuple[int, ...]) -> Array:
    """A parameter of every neuron, float64 (n,)."""
    return np.array(np.broadcast_to(np.asarray(values, np.float64), shape)).reshape(-1)
