"""LIFBox neurons over all steps in one pass, compiled: their spikes, and the gradient of their input.

Everything is per neuron: how neurons are spread over threads changes nothing. States are float32; series are
float32, or bfloat16 given as its bits (uint16, the upper half of a float32's). The operations of the forward
pass and their order are Norse's, and so are the spikes, bit for bit.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from numba.extending import overload

from sne_deploy.distill.students.surrogates import Rectangle, SuperSpike
from sne_deploy.runtime.jit import kept_njit

_f32, _u16, _u32 = np.float32, np.uint16, np.uint32
BLOCK = 512
"""Neurons whose states are kept at a time: they stay in the first cache."""


def _read(value: Any) -> Any:
    """A number of a series as float32."""
    raise NotImplementedError(value)


@overload(_read)
def _typed_read(value: Any) -> Any:
    def from_bits(value: Any) -> Any:
        return _u32(_u32(value) << _u32(16)).view(np.float32)

    def same(value: Any) -> Any:
        return value

    return from_bits if isinstance(value, nb.types.Integer) else same


def _write(series: Any, index: Any, value: Any) -> None:
    """Store a float32, rounded to even where the series is bfloat16."""
    raise NotImplementedError(series, index, value)


@overload(_write)
def _typed_write(series: Any, index: Any, value: Any) -> Any:  # noqa: ARG001  numba wants the same names
    if isinstance(series.dtype, nb.types.Integer):

        def rounded(series: Any, index: Any, value: Any) -> None:
            bits = _f32(value).view(np.uint32)
            series[index] = _u16((bits + _u32(0x7FFF) + ((bits >> _u32(16)) & _u32(1))) >> _u32(16))

        return rounded

    def exact(series: Any, index: Any, value: Any) -> None:
        series[index] = value

    return exact


def _passed(slope: Any, above: Any, gradient: Any) -> Any:
    """What a gradient of the spikes becomes, of the membrane above its threshold."""
    raise NotImplementedError(slope, above, gradient)


@overload(_passed)
def _typed_passed(slope: Any, above: Any, gradient: Any) -> Any:  # noqa: ARG001  numba wants the same names
    def super_spike(slope: Any, above: Any, gradient: Any) -> Any:
        root = slope.alpha * abs(above) + _f32(1)
        return gradient / (root * root)

    def rectangle(slope: Any, above: Any, gradient: Any) -> Any:
        return gradient * slope.height if abs(above) < slope.half else _f32(0)

    def triangle(slope: Any, above: Any, gradient: Any) -> Any:
        return gradient * (slope.height * max(_f32(0), _f32(1) - abs(above) / slope.half))

    kind = slope.instance_class
    return super_spike if kind is SuperSpike else rectangle if kind is Rectangle else triangle


@kept_njit()
def spikes(current: Any, out: Any, cell: Any, first: int, last: int) -> None:
    """Spikes of the neurons from ``first`` to ``last``.

    Parameters
    ----------
    current : array of shape (T, M), or (1, M) where it is the same at every step
    out : array of shape (T, M)
    cell : BoxConstants
    first, last : int
    """
    moving = 0 if current.shape[0] == 1 else 1
    v = np.empty(BLOCK, np.float32)
    for start in range(first, last, BLOCK):
        count = min(BLOCK, last - start)
        v[:] = cell.v_leak
        for step in range(out.shape[0]):
            row, to = current[step * moving], out[step]
            for i in range(count):
                decayed = v[i] + cell.gain * ((_read(row[start + i]) + cell.v_leak) - v[i])
                z = _f32(1) if decayed - cell.v_th > _f32(0) else _f32(0)
                _write(to, start + i, z)
                v[i] = (_f32(1) - z) * decayed + z * cell.v_reset


@kept_njit(error_model="numpy")  # a check for division by 0 would halve its speed
def gradients(current: Any, wanted: Any, out: Any, cell: Any, slope: Any, first: int, last: int) -> None:
    """Gradient of the current from that of the spikes.

    Parameters
    ----------
    current, cell, first, last : as :func:`spikes`
    wanted : array of shape (T, M)
        Gradient of the spikes.
    out : array like ``current``
        Gradient of the current; summed over the steps where it is the same at every one.
    slope : SuperSpike, Rectangle or Triangle
        A spike's gradient, of float32.
    """
    steps, gain, v_th = wanted.shape[0], cell.gain, cell.v_th
    if steps == 1:  # no state goes on: the same operations, without its arrays
        for i in range(first, last):
            v = cell.v_leak + gain * ((_read(current[0, i]) + cell.v_leak) - cell.v_leak)
            _write(out[0], i, _passed(slope, v - v_th, _read(wanted[0, i])) * gain)
        return
    moving = 0 if current.shape[0] == 1 else 1
    decayed = np.empty((steps, BLOCK), np.float32)
    behind, total = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    for start in range(first, last, BLOCK):
        count = min(BLOCK, last - start)
        behind[:] = cell.v_leak
        for step in range(steps):
            row = current[step * moving]
            for i in range(count):
                v = behind[i] + gain * ((_read(row[start + i]) + cell.v_leak) - behind[i])
                decayed[step, i] = v
                behind[i] = cell.v_reset if v - v_th > _f32(0) else v
        behind[:] = _f32(0)
        total[:] = _f32(0)
        for back in range(steps):
            step = steps - 1 - back
            row = wanted[step]
            for i in range(count):
                v = decayed[step, i]
                kept = _f32(0) if v - v_th > _f32(0) else _f32(1)
                of_spike = _read(row[start + i]) + behind[i] * (cell.v_reset - v)
                of_v = behind[i] * kept + _passed(slope, v - v_th, of_spike)
                behind[i] = of_v - of_v * gain
                total[i] += of_v * gain
            if moving:
                for i in range(count):
                    _write(out[step], start + i, total[i])
                total[:] = _f32(0)
        if not moving:
            for i in range(count):
                _write(out[0], start + i, total[i])
