"""Linear maps of what was sent, compiled: only what is not 0 is multiplied, each row by itself.

A row is one step of one sample. Its sums run in the order of the sources, whatever rows are computed with it.
Sums of float32 weights over spikes are exact in float64 where their bits span no more than 53 places, and
then equal to Norse's bit for bit; else the two differ by rounding, as a product does between batch sizes.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from sne_deploy.runtime.jit import kept_njit

Array = Any


@kept_njit()
def multiply(sent: Array, weights: Array, bias: Array, out: Array) -> None:
    """``out = sent @ weights + bias``.

    Parameters
    ----------
    sent : uint8 or float64 array of shape (R, n_in)
    weights : float32 or float64 array of shape (n_in, n_out)
    bias : float64 array of shape (n_out,)
    out : float64 array of shape (R, n_out), written
    """
    rows, n_in = sent.shape
    listed, values = np.empty(n_in + 1, np.int64), np.empty(n_in + 1)
    for r in range(rows):
        row, to = sent[r], out[r]
        total = 0
        for k in range(n_in):  # without a branch, which random spikes would mispredict
            listed[total] = k
            values[total] = row[k]
            total += row[k] != 0
        for j in range(to.size):
            to[j] = bias[j]
        e = 0
        while e + 4 <= total:
            a, b, c, d = (
                weights[listed[e]],
                weights[listed[e + 1]],
                weights[listed[e + 2]],
                weights[listed[e + 3]],
            )
            p, q, s, u = values[e], values[e + 1], values[e + 2], values[e + 3]
            for j in range(to.size):
                to[j] = (((to[j] + p * a[j]) + q * b[j]) + s * c[j]) + u * d[j]
            e += 4
        while e < total:
            a, p = weights[listed[e]], values[e]
            for j in range(to.size):
                to[j] += p * a[j]
            e += 1


@nb.njit(inline="always")
def reached(size_in: Any, size_out: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    """Along an axis, the output under each tap of each input: int64 (size_in, kernel), -1 where none is."""
    outputs = np.full((size_in, kernel), -1)
    for at in range(size_in):
        for tap in range(kernel):
            shifted = at + padding - tap * dilation
            if 0 <= shifted < stride * size_out and shifted % stride == 0:
                outputs[at, tap] = shifted // stride
    return outputs


@nb.njit(inline="always")
def scatter(value: Any, ups: Any, lefts: Any, w_out: Any, taps: Any, first: Any, acc: Any) -> None:
    """Add a value times its taps, (k_h, k_w, width), onto acc, (h_out * w_out, c_out), from channel first."""
    width = taps.shape[2]
    for i in range(ups.size):
        if ups[i] < 0:
            continue
        for k in range(lefts.size):
            if lefts[k] < 0:
                continue
            to, tap = acc[ups[i] * w_out + lefts[k], first : first + width], taps[i, k]
            for j in range(width):
                to[j] += value * tap[j]


@kept_njit()
def convolve(sent: Array, taps: Array, bias: Array, geometry: Array, out: Array) -> None:
    """A two-dimensional convolution: every value that is not 0 is added onto the outputs that it reaches.

    Parameters
    ----------
    sent : uint8 or float64 array of shape (R, c_in, h_in, w_in)
    taps : float32 or float64 array of shape (c_in, k_h, k_w, c_out / groups)
    bias : float64 array of shape (c_out,)
    geometry : int64 array
        Stride, padding and dilation along height, then along width; groups.
    out : float64 array of shape (R, c_out, h_out, w_out), written
    """
    rows, c_in, h_in, w_in = sent.shape
    c_out, h_out, w_out = out.shape[1:]
    k_h, k_w, width = taps.shape[1:]
    stride_h, pad_h, dilation_h, stride_w, pad_w, dilation_w, groups = geometry
    ups = reached(h_in, h_out, k_h, stride_h, pad_h, dilation_h)
    lefts = reached(w_in, w_out, k_w, stride_w, pad_w, dilation_w)
    acc = np.empty((h_out * w_out, c_out))
    for r in range(rows):
        acc[:] = bias
        for c in range(c_in):
            first = c // (c_in // groups) * width
            for y in range(h_in):
                for x in range(w_in):
                    if sent[r, c, y, x]:
                        value = np.float64(sent[r, c, y, x])
                        scatter(value, ups[y], lefts[x], w_out, taps[c], first, acc)
        flat = out[r].reshape(c_out, h_out * w_out)
        for j in range(c_out):
            for place in range(h_out * w_out):
                flat[j, place] = acc[place, j]


@kept_njit()
def any_spike(sent: Array, geometry: Array, out: Array) -> None:
    """Whether there is a spike in each window: every spike marks the windows that it is in.

    Parameters
    ----------
    sent : uint8 array of shape (R, c, h_in, w_in)
    geometry : int64 array of shape (2, 4)
        Kernel, stride, padding and dilation along height, then along width.
    out : uint8 array of zeros of shape (R, c, h_out, w_out), written
    """
    rows, channels, h_in, w_in = sent.shape
    h_out, w_out = out.shape[2:]
    ups = reached(h_in, h_out, geometry[0, 0], geometry[0, 1], geometry[0, 2], geometry[0, 3])
    lefts = reached(w_in, w_out, geometry[1, 0], geometry[1, 1], geometry[1, 2], geometry[1, 3])
    for r in range(rows):
        for c in range(channels):
            to = out[r, c]
            for y in range(h_in):
                for x in range(w_in):
                    if sent[r, c, y, x]:
                        for i in range(ups.shape[1]):
                            for k in range(lefts.shape[1]):
                                if ups[y, i] >= 0 and lefts[x, k] >= 0:
                                    to[ups[y, i], lefts[x, k]] = 1


@kept_njit()
def count(sent: Array, steps: int, counts: Array) -> None:
    """Spikes of every neuron at the first steps of every sample.

    Parameters
    ----------
    sent : uint8 array of shape (B, T, n)
    steps : int
    counts : int32 array of shape (B, n), written
    """
    for b in range(sent.shape[0]):
        to = counts[b]
        to[:] = 0
        for t in range(steps):
            row = sent[b, t]
            for j in range(to.size):
                to[j] += np.int32(row[j])
