"""Loihi's arithmetic, compiled: one pass over a group's neurons does the update, the spikes and the counts.

All arithmetic is 32-bit two's complement, as in Lava's bit-accurate models. ``x f >> 12`` with |x| < 2^31
and 0 <= f <= 4096 is computed exactly in 32 bits as ``(x >> 12) f + ((x & 4095) f >> 12)``.
Samples are independent, so they are spread over threads; results do not depend on how.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

_i32 = np.int32
_HALF = np.int32(2**23)
_FULL = np.int32(2**24)
_V_MAX = np.int32(2**23 - 1)


@nb.njit(inline="always")
def decayed(x: Any, factor: Any) -> Any:
    """sign(x) (|x| factor >> 12), rounding toward zero."""
    size = _i32(abs(x))
    kept = _i32(_i32(_i32(size >> 12) * factor) + _i32(_i32(_i32(size & 4095) * factor) >> 12))
    return kept if x >= 0 else _i32(-kept)


@nb.njit(inline="always")
def updated_current(u: Any, a_in: Any, keep_u: Any) -> Any:
    """Return u after one step, with its single correction by 2^24."""
    u = _i32(decayed(u, keep_u) + _i32(a_in << 6))
    if u > _HALF:
        return _i32(u - _FULL)
    if u <= -_HALF:
        return _i32(u + _FULL)
    return u


@nb.njit(inline="always")
def updated_voltage(v: Any, u: Any, bias: Any, keep_v: Any) -> Any:
    """Return v after one step, before the threshold, saturated."""
    v = _i32(_i32(decayed(v, keep_v) + u) + bias)
    return _i32(min(max(v, -_V_MAX), _V_MAX))


@nb.njit(inline="always")
def step_neurons(a_in, u, v, keep_u, keep_v, bias, vth, spikes):  # type: ignore[no-untyped-def]
    """Update n neurons in place; returns (active neurons, spikes).

    ``a_in``, ``u``, ``v``, ``keep_u``, ``keep_v``, ``bias``, ``vth``: int32 (n,); ``spikes``: uint8 (n,),
    written. A readout has a threshold that v cannot pass.
    """
    active = _i32(0)
    fired = _i32(0)
    for j in range(u.shape[0]):
        old_u, old_v, a = u[j], v[j], a_in[j]
        active += _i32((a | old_u | old_v) != 0)
        new_u = updated_current(old_u, a, keep_u[j])
        new_v = updated_voltage(old_v, new_u, bias[j], keep_v[j])
        spike = new_v > vth[j]
        spikes[j] = spike
        fired += _i32(spike)
        u[j] = new_u
        v[j] = _i32(0) if spike else new_v
    return active, fired


@nb.njit(parallel=True, cache=True)
def run_groups(a_in, shift, constant, keep_u, keep_v, bias, vth, v_init, spikes, counts, active, fired):  # type: ignore[no-untyped-def]
    """Run one spiking group over whole samples whose synaptic input is already there.

    Parameters
    ----------
    a_in : int32 (B, T, n), or None
        Synaptic sums before ``<< shift``; None where only the constant drives the group.
    shift : int32
    constant : int32 (1 or B, n)
        Added at every step, after the shift.
    keep_u, keep_v, bias, vth, v_init : int32 (n,)
    spikes : uint8 (B, T, n), written
    counts : int32 (B, n), written
        Spikes per neuron.
    active, fired : int64 (B,), written
        Neuron updates with input or state; spikes.
    """
    batch, steps, n = spikes.shape
    for b in nb.prange(batch):
        u = np.zeros(n, np.int32)
        v = v_init.copy()
        drive = np.empty(n, np.int32)
        same = constant[b] if constant.shape[0] > 1 else constant[0]
        total_active = 0
        total_fired = 0
        counts[b] = 0
        for t in range(steps):
            if a_in is None:
                drive[:] = same
            else:
                for j in range(n):
                    drive[j] = _i32(_i32(a_in[b, t, j] << shift) + same[j])
            now_active, now_fired = step_neurons(drive, u, v, keep_u, keep_v, bias, vth, spikes[b, t])
            for j in range(n):
                counts[b, j] += _i32(spikes[b, t, j])
            total_active += now_active
            total_fired += now_fired
        active[b] = total_active
        fired[b] = total_fired


@nb.njit(parallel=True, cache=True)
def run_readouts(a_in, shift, constant, keep_u, keep_v, bias, v_init, last, total, highest, active):  # type: ignore[no-untyped-def]
    """Run one readout group: as :func:`run_groups` without threshold.

    ``last``, ``highest``: int32 (B, n); ``total``: int64 (B, n); ``active``: int64 (B,); all written.
    """
    batch, n = last.shape
    steps = a_in.shape[1]
    for b in nb.prange(batch):
        u = np.zeros(n, np.int32)
        v = v_init.copy()
        same = constant[b] if constant.shape[0] > 1 else constant[0]
        total_active = 0
        for t in range(steps):
            now_active = 0
            for j in range(n):
                a = _i32(_i32(a_in[b, t, j] << shift) + same[j])
                now_active += (a | u[j] | v[j]) != 0
                u[j] = updated_current(u[j], a, keep_u[j])
                v[j] = updated_voltage(v[j], u[j], bias[j], keep_v[j])
                total[b, j] = v[j] if t == 0 else total[b, j] + v[j]
                highest[b, j] = v[j] if t == 0 else max(highest[b, j], v[j])
            total_active += now_active
        last[b] = v
        active[b] = total_active


@nb.njit(parallel=True, cache=True)
def step_groups(drive, u, v, keep_u, keep_v, bias, vth, spikes, active, fired):  # type: ignore[no-untyped-def]
    """One step of one group for all samples; state kept by the caller.

    ``drive``, ``u``, ``v``: int32 (B, n); ``spikes``: uint8 (B, n), written; ``active``, ``fired``:
    int64 (B,), added to.
    """
    for b in nb.prange(drive.shape[0]):
        now_active, now_fired = step_neurons(drive[b], u[b], v[b], keep_u, keep_v, bias, vth, spikes[b])
        active[b] += now_active
        fired[b] += now_fired


DENSE, COLUMNS, CONV = 0, 1, 2
"""Forms of a synapse that :func:`gather` knows."""


@nb.njit(inline="always")
def gather_dense(sent, rows, acc):  # type: ignore[no-untyped-def]
    """Add rows[i] onto acc for every i that spiked; ``rows``: int16 (n_in, n_out)."""
    for i in range(sent.shape[0]):
        if sent[i]:
            for j in range(acc.shape[0]):
                acc[j] += _i32(rows[i, j])


@nb.njit(inline="always")
def gather_columns(sent, indptr, indices, values, acc):  # type: ignore[no-untyped-def]
    """Add weights onto acc along column i for every i that spiked."""
    for i in range(sent.shape[0]):
        if sent[i]:
            for k in range(indptr[i], indptr[i + 1]):
                acc[indices[k]] += _i32(values[k])


@nb.njit(inline="always")
def gather_conv(sent, taps, geometry, acc):  # type: ignore[no-untyped-def]
    """Scatter a convolution; maps are (h, w, c), ``taps`` int16 (c_in, k_h, k_w, c_out / groups)."""
    in_w, c_in, out_h, out_w, c_out, s_h, s_w, p_h, p_w, d_h, d_w, groups = geometry
    k_h, k_w, width = taps.shape[1], taps.shape[2], taps.shape[3]
    c_in_group = c_in // groups
    for i in range(sent.shape[0]):
        if not sent[i]:
            continue
        place, c = i // c_in, i % c_in
        y_in, x_in = place // in_w, place % in_w
        first = (c // c_in_group) * width
        for ky in range(k_h):
            y = y_in + p_h - ky * d_h
            if y < 0 or y % s_h != 0 or y // s_h >= out_h:
                continue
            for kx in range(k_w):
                x = x_in + p_w - kx * d_w
                if x < 0 or x % s_w != 0 or x // s_w >= out_w:
                    continue
                start = ((y // s_h) * out_w + x // s_w) * c_out + first
                for j in range(width):
                    acc[start + j] += _i32(taps[c, ky, kx, j])


@nb.njit
def gather(sent, form, rows, indptr, indices, values, taps, geometry, acc):  # type: ignore[no-untyped-def]
    """Add one step's spikes (uint8 (n_in,)) through one synapse onto ``acc`` (int32 (n_out,))."""
    if form == DENSE:
        gather_dense(sent, rows, acc)
    elif form == COLUMNS:
        gather_columns(sent, indptr, indices, values, acc)
    else:
        gather_conv(sent, taps, geometry, acc)


@nb.njit(parallel=True, cache=True)
def run_groups_on_events(  # type: ignore[no-untyped-def]
    sent, form, rows, indptr, indices, values, taps, geometry,
    shift, constant, keep_u, keep_v, bias, vth, v_init, spikes, counts, active, fired,
):  # fmt: skip
    """As :func:`run_groups`, with the synaptic input of each step gathered just before it is used.

    ``sent``: uint8 (B, T, n_in). Nothing of size (B, T, n) but the spikes is ever in memory.
    """
    batch, steps, n = spikes.shape
    for b in nb.prange(batch):
        u = np.zeros(n, np.int32)
        v = v_init.copy()
        drive = np.empty(n, np.int32)
        same = constant[b] if constant.shape[0] > 1 else constant[0]
        total_active = 0
        total_fired = 0
        counts[b] = 0
        for t in range(steps):
            drive[:] = 0
            gather(sent[b, t], form, rows, indptr, indices, values, taps, geometry, drive)
            for j in range(n):
                drive[j] = _i32(_i32(drive[j] << shift) + same[j])
            now_active, now_fired = step_neurons(drive, u, v, keep_u, keep_v, bias, vth, spikes[b, t])
            for j in range(n):
                counts[b, j] += _i32(spikes[b, t, j])
            total_active += now_active
            total_fired += now_fired
        active[b] = total_active
        fired[b] = total_fired


@nb.njit(parallel=True, cache=True)
def add_events(  # type: ignore[no-untyped-def]
    sent, form, rows, indptr, indices, values, taps, geometry, shift, buffer
):
    """Add one synapse's input onto a buffer of rows: uint8 (R, n_in) onto int32 (R, n_out)."""
    for r in nb.prange(buffer.shape[0]):
        acc = np.zeros(buffer.shape[1], np.int32)
        gather(sent[r], form, rows, indptr, indices, values, taps, geometry, acc)
        for j in range(buffer.shape[1]):
            buffer[r, j] += _i32(acc[j] << shift)


@nb.njit(parallel=True, cache=True)
def count_spikes(spikes, steps, counts):  # type: ignore[no-untyped-def]
    """Spikes per sample and neuron in the first ``steps`` steps: uint8 (B, T, n) -> int32 (B, n)."""
    for b in nb.prange(spikes.shape[0]):
        counts[b] = 0
        for t in range(steps):
            for j in range(spikes.shape[2]):
                counts[b, j] += _i32(spikes[b, t, j])
