"""Norse's cells, compiled: all steps of a sample in one pass, one kernel per cell.

Operations, their order and their type are those of Norse's own functions (``norse.torch.functional``), so
that states and spikes are equal bit for bit where what enters is. A cell that is not in ``CELL_KERNELS`` runs
as Norse's own module.

A kernel takes ``(x, parameters, out)``: what enters, float64 (B, T, n), or (B, 1, n) where it is the same at
every step; what its row of the table makes of the layer; and what it sends, uint8 (B, T, n) for spikes and
float64 for membranes, written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from sne_deploy.model.ensemble import Layer
from sne_deploy.model.layers.registry import option

Array = npt.NDArray[Any]
Kernel = Callable[[Any, Any, Any], None]


@dataclass(frozen=True)
class CellKernel:
    """How a kind of cell runs.

    Attributes
    ----------
    parameters : callable
        ``parameters(layer, shape)``: the arrays that ``run`` takes.
    run : compiled function
    """

    parameters: Callable[[Layer, tuple[int, ...]], tuple[Array, ...]]
    run: Kernel


@nb.njit(nogil=True, cache=True)
def lif_box(x: Any, parameters: Any, out: Any) -> None:
    """``lif_box_feed_forward_step``."""
    gain, v_leak, v_th, v_reset = parameters
    moving = x.shape[1] > 1
    v = np.empty(v_leak.size)
    for b in range(out.shape[0]):
        v[:] = v_leak
        for t in range(out.shape[1]):
            row, to = x[b, t * moving], out[b, t]
            for j in range(v.size):
                decayed = v[j] + gain[j] * ((row[j] + v_leak[j]) - v[j])
                fired = decayed - v_th[j] > 0
                to[j] = fired
                v[j] = v_reset[j] if fired else decayed


@nb.njit(nogil=True, cache=True)
def lif(x: Any, parameters: Any, out: Any) -> None:
    """``lif_feed_forward_step``."""
    gain, v_leak, v_th, v_reset, loss = parameters
    moving = x.shape[1] > 1
    v, i = np.empty(v_leak.size), np.empty(v_leak.size)
    for b in range(out.shape[0]):
        v[:] = v_leak
        i[:] = 0.0
        for t in range(out.shape[1]):
            row, to = x[b, t * moving], out[b, t]
            for j in range(v.size):
                jumped = i[j] + row[j]
                decayed = v[j] + gain[j] * ((v_leak[j] - v[j]) + jumped)
                i[j] = jumped + loss[j] * jumped
                fired = decayed - v_th[j] > 0
                to[j] = fired
                v[j] = v_reset[j] if fired else decayed


@nb.njit(nogil=True, cache=True)
def lif_recurrent(x: Any, parameters: Any, out: Any) -> None:
    """``lif_step``, on ``x`` that has gone through the input weights."""
    gain, v_leak, v_th, v_reset, loss, weights = parameters
    moving = x.shape[1] > 1
    v, i, heard = np.empty(v_leak.size), np.empty(v_leak.size), np.empty(v_leak.size)
    for b in range(out.shape[0]):
        v[:] = v_leak
        i[:] = 0.0
        for t in range(out.shape[1]):
            row, to = x[b, t * moving], out[b, t]
            heard[:] = 0.0
            if t:
                for k in range(v.size):
                    if out[b, t - 1, k]:
                        from_k = weights[k]
                        for j in range(v.size):
                            heard[j] += from_k[j]
            for j in range(v.size):
                jumped = (i[j] + row[j]) + heard[j]
                decayed = v[j] + gain[j] * ((v_leak[j] - v[j]) + jumped)
                i[j] = jumped + loss[j] * jumped
                fired = decayed - v_th[j] > 0
                to[j] = fired
                v[j] = v_reset[j] if fired else decayed


@nb.njit(nogil=True, cache=True)
def iaf(x: Any, parameters: Any, out: Any) -> None:
    """``iaf_feed_forward_step``."""
    v_th, v_reset = parameters
    moving = x.shape[1] > 1
    v = np.empty(v_reset.size)
    for b in range(out.shape[0]):
        v[:] = v_reset
        for t in range(out.shape[1]):
            row, to = x[b, t * moving], out[b, t]
            for j in range(v.size):
                summed = v[j] + row[j]
                fired = summed - v_th[j] > 0
                to[j] = fired
                v[j] = v_reset[j] if fired else summed


@nb.njit(nogil=True, cache=True)
def li_box(x: Any, parameters: Any, out: Any) -> None:
    """``li_box_feed_forward_step``."""
    gain, v_leak = parameters
    moving = x.shape[1] > 1
    for b in range(out.shape[0]):
        for t in range(out.shape[1]):
            row, to = x[b, t * moving], out[b, t]
            v = out[b, t - 1] if t else v_leak
            for j in range(v.size):
                to[j] = v[j] + gain[j] * ((v_leak[j] - v[j]) + row[j])


@nb.njit(nogil=True, cache=True)
def li(x: Any, parameters: Any, out: Any) -> None:
    """``li_feed_forward_step``."""
    gain, v_leak, loss = parameters
    moving = x.shape[1] > 1
    i = np.empty(v_leak.size)
    for b in range(out.shape[0]):
        i[:] = 0.0
        for t in range(out.shape[1]):
            row, to = x[b, t * moving], out[b, t]
            v = out[b, t - 1] if t else v_leak
            for j in range(v.size):
                jumped = i[j] + row[j]
                to[j] = v[j] + gain[j] * ((v_leak[j] - v[j]) + jumped)
                i[j] = jumped + loss[j] * jumped


def _dt(layer: Layer) -> float:
    return float(option(layer, "dt"))  # type: ignore[arg-type]  # a number, by the registry


def _each(layer: Layer, shape: tuple[int, ...], name: str) -> Array:
    """A parameter of every neuron, float64 (n,)."""
    values = np.asarray(layer.tensors[name], np.float64)
    return np.ascontiguousarray(np.broadcast_to(values, shape)).reshape(-1)


def _gain(layer: Layer, shape: tuple[int, ...]) -> Array:
    return _dt(layer) * _each(layer, shape, "tau_mem_inv")


def _loss(layer: Layer, shape: tuple[int, ...]) -> Array:
    return -_dt(layer) * _each(layer, shape, "tau_syn_inv")


def _leaky(layer: Layer, shape: tuple[int, ...]) -> tuple[Array, ...]:
    return _gain(layer, shape), _each(layer, shape, "v_leak")


def _current(layer: Layer, shape: tuple[int, ...]) -> tuple[Array, ...]:
    return *_leaky(layer, shape), _loss(layer, shape)


def _firing(layer: Layer, shape: tuple[int, ...]) -> tuple[Array, ...]:
    return _each(layer, shape, "v_th"), _each(layer, shape, "v_reset")


def _leaky_firing(layer: Layer, shape: tuple[int, ...]) -> tuple[Array, ...]:
    return *_leaky(layer, shape), *_firing(layer, shape)


def _current_firing(layer: Layer, shape: tuple[int, ...]) -> tuple[Array, ...]:
    return *_leaky_firing(layer, shape), _loss(layer, shape)


def _recurrent(layer: Layer, shape: tuple[int, ...]) -> tuple[Array, ...]:
    weights = np.asarray(layer.tensors["recurrent_weights"], np.float64)
    return *_current_firing(layer, shape), np.ascontiguousarray(weights.T)


CELL_KERNELS: Mapping[str, CellKernel] = {
    "LIFBoxCell": CellKernel(_leaky_firing, lif_box),
    "LIFCell": CellKernel(_current_firing, lif),
    "LIFRecurrentCell": CellKernel(_recurrent, lif_recurrent),
    "IAFCell": CellKernel(_firing, iaf),
    "LIBoxCell": CellKernel(_leaky, li_box),
    "LICell": CellKernel(_current, li),
}
"""A kind of layer to how it runs."""
