"""Extreme trajectories of neurons, in a number of steps that does not grow with the sample's.

The lowest and the highest trajectory of a neuron, of (u, v), take the same step again and again. One that
repeats is at its end, and one that moves evenly is moved by many steps at once:

- In registers, where u rests and v moves by d: a step F is monotone and moves two states no further apart, so
  ``F(v) - v`` cannot rise with v; where it is d at v and at ``v + k d``, it is d in between, and k steps are
  exactly ``k d``. The same for u, where v rests.
- In real numbers, a step is an affine map until a reset begins or ends, and k of them are its k-th power.
  Where the direction is the same at both ends there was no turn: u never turns, v at most once.

The integers are those of a plain loop over all steps; real numbers are, to the last bit in the first PLAIN
steps and to rounding beyond.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.neurons.dynamics import Dynamics

Array = npt.NDArray[Any]

BEYOND = 2**40
"""Registers are clipped here, far outside every one of them, so that their products stay in int64."""
PLAIN = 1024
"""Steps that are taken one by one before any are taken at once."""
_PAUSE, _LONGEST_PAUSE = 32, 1024
"""Steps from one attempt to take many at once to the next; twice as many after one without success."""
_RESTS = 1e-14
"""A real number that moves by less than this, of its own size, rests."""
_SAME = 1e-9
"""Largest difference, of the size of what is subtracted, of two real steps by the same map."""


@dataclass(frozen=True, eq=False)
class Drive:
    """A group whose ``a_in`` is in a range; states are arrays of shape (2, n), the lowest first."""

    model: Dynamics
    a_in: Array
    """In units of u."""

    def start(self) -> tuple[Array, Array]:
        """U and v at the beginning of a sample."""
        u, v = self.model.start()
        return np.stack([u, u]), np.stack([v, v])

    def step(self, u: Array, v: Array) -> tuple[Array, Array, Array]:
        """U, v before the reset and v after it."""
        model = self.model
        u = model.current(u, self.a_in)
        v = model.membrane(v, u)
        before = model.waited(v[0], v[1])
        after = np.stack(model.after_reset(*before))
        if model.formats is not None:
            u, after = np.clip(u, -BEYOND, BEYOND), np.clip(after, -BEYOND, BEYOND)
        return u, np.stack(before), after


@dataclass(frozen=True, eq=False)
class Reached:
    """Smallest and largest u, and v, so far: arrays of shape (2, n)."""

    u: Array
    v: Array

    def with_(self, u: Array, v: Array) -> Reached:
        """With another state."""
        return Reached(_outer(self.u, u), _outer(self.v, v))


def extremes(model: Dynamics, low: Array, high: Array, timesteps: int) -> Reached:
    """What a group reaches whose ``a_in`` is in [low, high] at every one of so many steps."""
    drive = Drive(model, np.stack([model.entering(low), model.entering(high)]))
    u, v = drive.start()
    reached = Reached(u, v)
    for number in range(min(timesteps, PLAIN)):
        was = u, v
        u, before, v = drive.step(u, v)
        reached = reached.with_(u, before)
        if number % _PAUSE == 0 and np.array_equal(u, was[0]) and np.array_equal(v, was[1]):
            return reached
    return _far(drive, u, v, reached, timesteps - PLAIN) if timesteps > PLAIN else reached


def _far(drive: Drive, u: Array, v: Array, reached: Reached, timesteps: int) -> Reached:
    """The rest of the way, every neuron by its own clock."""
    left = np.full(u.shape[1], timesteps)
    pause, wait = _PAUSE, 0
    while bool(np.any(left > 0)):
        if wait == 0:
            u, v, after = _leap(drive, u, v, left)
            pause = _PAUSE if bool(np.any(after < left)) else min(2 * pause, _LONGEST_PAUSE)
            left, wait = after, pause
        wait -= 1
        next_u, before, next_v = drive.step(u, v)
        going = left > 0
        if bool(np.all(going)):
            reached = reached.with_(next_u, before)
        else:
            reached = reached.with_(np.where(going, next_u, reached.u), np.where(going, before, reached.v))
            next_u, next_v = np.where(going, next_u, u), np.where(going, next_v, v)
        rests = _rests(drive, next_u, u) & _rests(drive, next_v, v)
        u, v = next_u, next_v
        left = np.where(np.all(rests, axis=0), 0, np.maximum(left - 1, 0))
    return reached


def _leap(drive: Drive, u: Array, v: Array, left: Array) -> tuple[Array, Array, Array]:
    """As many steps at once as can be, by powers of two; one is left at least, to show what is reached."""
    try_leap = _real_leap if drive.model.formats is None else _whole_leap
    for exponent in reversed(range(int(np.max(left)).bit_length())):
        count = 2**exponent
        may = left > count
        if bool(np.any(may)):
            to_u, to_v, found = try_leap(drive, u, v, count)
            found &= may
            u, v = np.where(found, to_u, u), np.where(found, to_v, v)
            left = np.where(found, left - count, left)
    return u, v, left


def _whole_leap(drive: Drive, u: Array, v: Array, count: int) -> tuple[Array, Array, Array]:
    """States after so many steps by the same distance, and which neurons take them."""
    at_u, here, at_v = drive.step(u, v)
    move_u, move_v = at_u - u, at_v - v
    inside = (np.abs(move_u) <= 2 * BEYOND // count) & (np.abs(move_v) <= 2 * BEYOND // count)
    to_u, to_v = u + count * np.where(inside, move_u, 0), v + count * np.where(inside, move_v, 0)
    at_u, there, at_v = drive.step(to_u, to_v)
    even = inside & (at_u - to_u == move_u) & (at_v - to_v == move_v) & ((move_u == 0) | (move_v == 0))
    # A soft reset of the highest lowers the lowest: that must not begin or end on the way.
    same = drive.model.above(here[1]) == drive.model.above(there[1])
    return to_u, to_v, np.all(even, axis=0) & same


def _real_leap(drive: Drive, u: Array, v: Array, count: int) -> tuple[Array, Array, Array]:
    """The same, by the power of an affine map."""
    keep_u, keep_v = (np.broadcast_to(kept, u.shape) for kept in (drive.model.keep_u, drive.model.keep_v))
    at_u, _, at_v = drive.step(u, v)
    offset = at_v - keep_v * v - at_u
    still = _rests(drive, at_v, v)
    once = _Affine(keep_u, at_u - keep_u * u, keep_u, keep_v, at_u - keep_u * u + offset)
    to_u, to_v = once.power(count).of(u, v)
    to_v = np.where(still, v, to_v)
    then_u, _, then_v = drive.step(to_u, to_v)
    size = np.abs(to_v) + np.abs(then_v) + np.abs(then_u)
    same = np.abs(then_v - keep_v * to_v - then_u - offset) <= _SAME * size
    ahead = (at_v - v) * (then_v - to_v) >= 0
    return to_u, to_v, np.all(np.where(still, _rests(drive, then_v, to_v), same & ahead), axis=0)


@dataclass(frozen=True, eq=False)
class _Affine:
    """``u <- a u + b; v <- c u + d v + e``."""

    a: Array
    b: Array
    c: Array
    d: Array
    e: Array

    def of(self, u: Array, v: Array) -> tuple[Array, Array]:
        """The state after it."""
        return self.a * u + self.b, self.c * u + self.d * v + self.e

    def power(self, count: int) -> _Affine:
        """It, a power of two times."""
        found = self
        while count > 1:
            f, count = found, count // 2
            b, e = f.of(f.b, f.e)
            found = _Affine(f.a * f.a, b, f.c * f.a + f.d * f.c, f.d * f.d, e)
        return found


def _rests(drive: Drive, after: Array, before: Array) -> Array:
    if drive.model.formats is not None:
        return np.asarray(after == before)
    return np.asarray(np.abs(after - before) <= _RESTS * np.abs(before))


def _outer(reached: Array, state: Array) -> Array:
    return np.stack([np.minimum(reached[0], state[0]), np.maximum(reached[1], state[1])])
