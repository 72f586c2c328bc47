"""The kernel of the leaky models: LIF, CubaLIF, IF, LI, CubaLI.

All arithmetic is 32-bit two's complement, as in Lava's bit-accurate models. ``x f >> 12`` with |x| < 2^31
and 0 <= f <= 4096 is computed exactly in 32 bits as ``(x >> 12) f + ((x & 4095) f >> 12)``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from sne_deploy.ir.program import NeuronGroup
from sne_loihi.neurons import Kernel

Array = npt.NDArray[Any]

_i32 = np.int32
_HALF = np.int32(2**23)
_FULL = np.int32(2**24)
V_MAX = np.int32(2**23 - 1)
_NEVER = np.int32(2**31 - 1)
KEEP_U, KEEP_V, BIAS, VTH, VSUB = range(5)
"""Rows of the registers."""
HARD, LATER = np.int32(-1), np.int32(-2)
"""In the row VSUB: a spike sets v to 0, at once or in place of the next step."""


@nb.njit(forceinline=True)
def decayed(x: Any, factor: Any) -> Any:
    """sign(x) (|x| factor >> 12), rounding toward zero."""
    size = _i32(abs(x))
    kept = _i32(_i32(_i32(size >> 12) * factor) + _i32(_i32(_i32(size & 4095) * factor) >> 12))
    return kept if x >= 0 else _i32(-kept)


@nb.njit(forceinline=True)
def raw_current(u: Any, a_in: Any, keep_u: Any) -> Any:
    """Return u after one step, before it is corrected."""
    return _i32(decayed(u, keep_u) + _i32(a_in << 6))


@nb.njit(forceinline=True)
def updated_current(u: Any, a_in: Any, keep_u: Any) -> Any:
    """Return u after one step, with its single correction by 2^24."""
    u = raw_current(u, a_in, keep_u)
    if u > _HALF:
        return _i32(u - _FULL)
    if u <= -_HALF:
        return _i32(u + _FULL)
    return u


@nb.njit(forceinline=True)
def raw_voltage(v: Any, u: Any, bias: Any, keep_v: Any) -> Any:
    """Return v after one step, before it saturates."""
    return _i32(_i32(decayed(v, keep_v) + u) + bias)


@nb.njit(forceinline=True)
def updated_voltage(v: Any, u: Any, bias: Any, keep_v: Any) -> Any:
    """Return v after one step, before the threshold, saturated."""
    v = raw_voltage(v, u, bias, keep_v)
    return _i32(min(max(v, -V_MAX), V_MAX))


@nb.njit(forceinline=True)
def update(u: Any, v: Any, a_in: Any, registers: Any, k: Any) -> Any:
    """One step of a neuron whose spike sets v to 0."""
    u = updated_current(u, a_in, registers[KEEP_U, k])
    v = updated_voltage(v, u, registers[BIAS, k], registers[KEEP_V, k])
    spike = v > registers[VTH, k]
    return u, _i32(0) if spike else v, spike


@nb.njit(forceinline=True)
def update_soft(u: Any, v: Any, a_in: Any, registers: Any, k: Any) -> Any:
    """One step of a neuron whose spike may subtract from v, or set it a step later."""
    vsub = registers[VSUB, k]
    waits = (vsub == LATER) & (v > registers[VTH, k])
    u = updated_current(u, a_in, registers[KEEP_U, k])
    v = updated_voltage(v, u, registers[BIAS, k], registers[KEEP_V, k])
    v = _i32(0) if waits else v
    spike = v > registers[VTH, k]
    reset = _i32(0) if vsub == HARD else _i32(v - max(vsub, _i32(0)))
    return u, reset if spike else v, spike


@nb.njit(forceinline=True)
def outside(u: Any, v: Any, a_in: Any, registers: Any, k: Any) -> Any:
    """Whether one step corrects u, and clips v."""
    waits = (registers[VSUB, k] == LATER) & (v > registers[VTH, k])
    raw = raw_current(u, a_in, registers[KEEP_U, k])
    u = updated_current(u, a_in, registers[KEEP_U, k])
    v = raw_voltage(v, u, registers[BIAS, k], registers[KEEP_V, k])
    return raw != u, (not waits) & ((v > V_MAX) | (v < -V_MAX))


def _decayed_device(x: Any, factor: Any) -> Any:
    wide = x.long()
    return (wide.sign() * ((wide.abs() * factor) >> 12)).int()


def update_device(u: Any, v: Any, a_in: Any, registers: Any) -> tuple[Any, Any, Any]:
    """The same of tensors, whose products take 64 bits."""
    vth, vsub = registers[VTH], registers[VSUB]
    waits = (vsub == int(LATER)) & (v > vth)
    _, u, v = _raw_device(u, v, a_in, registers)
    v = v.clamp(-int(V_MAX), int(V_MAX)).masked_fill(waits, 0)
    spikes = v > vth
    reset = (v - vsub.clamp(min=0)).masked_fill(vsub == int(HARD), 0)
    return u, reset.where(spikes, v), spikes


def outside_device(u: Any, v: Any, a_in: Any, registers: Any) -> tuple[Any, Any]:
    """Whether one step corrects u, and clips v, of tensors."""
    waits = (registers[VSUB] == int(LATER)) & (v > registers[VTH])
    raw, u, v = _raw_device(u, v, a_in, registers)
    return raw != u, (v.abs() > int(V_MAX)) & ~waits


def _raw_device(u: Any, v: Any, a_in: Any, registers: Any) -> tuple[Any, Any, Any]:
    """U before and after its correction, and v before it saturates."""
    raw = _decayed_device(u, registers[KEEP_U]) + (a_in << 6)
    u = raw - int(_FULL) * (raw > int(_HALF)).int() + int(_FULL) * (raw <= -int(_HALF)).int()
    return raw, u, _decayed_device(v, registers[KEEP_V]) + u + registers[BIAS]


def _subtracted(group: NeuronGroup) -> Any:
    if group.vsub_mant is None:
        return LATER if group.reset_delayed else HARD
    return np.asarray(group.vsub_mant, np.int32) << np.int32(6)


def _registers(group: NeuronGroup, expand: Callable[[Any], Array]) -> Sequence[Array]:
    return (
        np.int32(4095) - expand(group.du),
        np.int32(4096) - expand(group.dv),
        expand(group.bias_mant) << np.int32(group.bias_exp),
        expand(group.vth_mant) << np.int32(6) if group.spiking else expand(_NEVER),
        expand(_subtracted(group)),
    )


def kernel_of(groups: Sequence[NeuronGroup]) -> Kernel:
    """The kernel of groups that run together: the simple one where every spike sets v to 0 at once."""
    soft = any(group.vsub_mant is not None or group.reset_delayed for group in groups)
    return Kernel(update_soft if soft else update, update_device, _registers, outside, outside_device)
