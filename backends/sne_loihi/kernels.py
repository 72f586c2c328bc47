"""Loihi's arithmetic, compiled: one pass over a group's neurons does the update, the spikes and the counts.

All arithmetic is 32-bit two's complement, as in Lava's bit-accurate models. ``x f >> 12`` with |x| < 2^31
and 0 <= f <= 4096 is computed exactly in 32 bits as ``(x >> 12) f + ((x & 4095) f >> 12)``.
Samples are independent: each thread runs its own (kernels release the interpreter's lock), and results do
not depend on how they are spread.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from sne_loihi.vectors import LANES, MASK_BITS, add_four_rows, add_row, lowest_bit, spike_mask

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
def step_neurons(a_in, u, v, keep_u, keep_v, bias, vth, vsub, spikes):  # type: ignore[no-untyped-def]
    """Update n neurons in place; returns (active neurons, spikes).

    ``a_in``, ``u``, ``v``, ``keep_u``, ``keep_v``, ``bias``, ``vth``: int32 (n,); ``spikes``: uint8 (n,),
    written. ``vsub``: int32 (n,), what a spike subtracts from v, or None: then it sets v to 0. A readout has
    a threshold that v cannot pass.
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
        if vsub is None:
            v[j] = _i32(0) if spike else new_v
        else:
            v[j] = _i32(new_v - vsub[j]) if spike else new_v
    return active, fired


@nb.njit(nogil=True, cache=True)
def run_groups(a_in, shift, constant, keep_u, keep_v, bias, vth, vsub, v_init, spikes, counts, active, fired):  # type: ignore[no-untyped-def]
    """Run one spiking group over whole samples whose synaptic input is already there.

    Parameters
    ----------
    a_in : int32 (B, T, n), or None
        Synaptic sums before ``<< shift``; None where only the constant drives the group.
    shift : int32
    constant : int32 (1 or B, n)
        Added at every step, after the shift.
    keep_u, keep_v, bias, vth, v_init : int32 (n,)
    vsub : int32 (n,), or None
        As in :func:`step_neurons`.
    spikes : uint8 (B, T, n), written
    counts : int32 (B, n), written
        Spikes per neuron.
    active, fired : int64 (B,), written
        Neuron updates with input or state; spikes.
    """
    batch, steps, n = spikes.shape
    for b in range(batch):
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
            now_active, now_fired = step_neurons(drive, u, v, keep_u, keep_v, bias, vth, vsub, spikes[b, t])
            for j in range(n):
                counts[b, j] += _i32(spikes[b, t, j])
            total_active += now_active
            total_fired += now_fired
        active[b] = total_active
        fired[b] = total_fired


@nb.njit(nogil=True, cache=True)
def run_readouts(a_in, shift, constant, keep_u, keep_v, bias, v_init, last, total, highest, active):  # type: ignore[no-untyped-def]
    """Run one readout group: as :func:`run_groups` without threshold.

    ``last``, ``highest``: int32 (B, n); ``total``: int64 (B, n); ``active``: int64 (B,); all written.
    """
    batch, n = last.shape
    steps = a_in.shape[1]
    for b in range(batch):
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


@nb.njit(nogil=True, cache=True)
def step_groups(drive, u, v, keep_u, keep_v, bias, vth, vsub, spikes, active, fired):  # type: ignore[no-untyped-def]
    """One step of one group for all samples; state kept by the caller.

    ``drive``, ``u``, ``v``: int32 (B, n); ``spikes``: uint8 (B, n), written; ``active``, ``fired``:
    int64 (B,), added to.
    """
    for b in range(drive.shape[0]):
        now_active, now_fired = step_neurons(drive[b], u[b], v[b], keep_u, keep_v, bias, vth, vsub, spikes[b])
        active[b] += now_active
        fired[b] += now_fired


DENSE, COLUMNS, CONV = 0, 1, 2
"""Forms of a synapse that :func:`gather` knows."""


@nb.njit(inline="always")
def gather_dense(listed, total, rows, width, acc):  # type: ignore[no-untyped-def]
    """Add row i onto acc for each of ``total`` listed inputs; ``rows``: int16 (n_in width,)."""
    k = 0
    while k + 4 <= total:
        a, b, c, d = listed[k] * width, listed[k + 1] * width, listed[k + 2] * width, listed[k + 3] * width
        for j in range(0, width, LANES):
            add_four_rows(acc, j, rows, a + j, b + j, c + j, d + j)
        k += 4
    while k < total:
        a = listed[k] * width
        for j in range(0, width, LANES):
            add_row(acc, j, rows, a + j)
        k += 1


@nb.njit(inline="always")
def gather_columns(listed, total, indptr, indices, values, acc):  # type: ignore[no-untyped-def]
    """Add weights onto acc along the columns of the listed inputs."""
    for k in range(total):
        i = listed[k]
        for entry in range(indptr[i], indptr[i + 1]):
            acc[indices[entry]] += _i32(values[entry])


@nb.njit(inline="always")
def gather_conv(listed, total, rows, indptr, indices, origins, width, acc):  # type: ignore[no-untyped-def]
    """Scatter a convolution onto maps of (places, channels).

    ``rows``: int16, a row of ``width`` per input channel and tap. ``origins``: int32, for each input its
    place, its channel's first row, and the first output channel of its group. From place p, the taps that
    stay inside the map are ``indices[2 e]`` for e in ``indptr[p]`` to ``indptr[p + 1]``; they end at
    ``indices[2 e + 1]`` of acc, channel 0.
    """
    for k in range(total):
        origin = 3 * listed[k]
        place, row, first = nb.int64(origins[origin]), nb.int64(origins[origin + 1]), origins[origin + 2]
        for entry in range(indptr[place], indptr[place + 1]):
            start = (row + indices[2 * entry]) * width
            at = indices[2 * entry + 1] + first
            for j in range(0, width, LANES):
                add_row(acc, at + j, rows, start + j)


@nb.njit(inline="always")
def list_spikes(sent, listed):  # type: ignore[no-untyped-def]
    """Write the indices of the spikes in uint8 (n_in,) to int64 (n_in,), and return how many there are."""
    total = 0
    whole = sent.shape[0] // MASK_BITS * MASK_BITS
    for block in range(0, whole, MASK_BITS):
        mask = spike_mask(sent, block)
        while mask != 0:
            listed[total] = block + lowest_bit(mask)
            mask &= mask - np.uint64(1)
            total += 1
    for i in range(whole, sent.shape[0]):
        if sent[i]:
            listed[total] = i
            total += 1
    return total


@nb.njit
def gather(sent, form, rows, indptr, indices, values, origins, width, listed, acc):  # type: ignore[no-untyped-def]
    """Add one step's spikes (uint8 (n_in,)) through one synapse onto ``acc`` (int32, n_out and LANES more).

    ``listed``: int64 (n_in,), overwritten.
    """
    total = list_spikes(sent, listed)
    if form == DENSE:
        gather_dense(listed, total, rows, width, acc)
    elif form == COLUMNS:
        gather_columns(listed, total, indptr, indices, values, acc)
    else:
        gather_conv(listed, total, rows, indptr, indices, origins, width, acc)


@nb.njit(nogil=True, cache=True)
def run_groups_on_events(  # type: ignore[no-untyped-def]
    sent, form, rows, indptr, indices, values, origins, width,
    shift, constant, keep_u, keep_v, bias, vth, vsub, v_init, spikes, counts, active, fired,
):  # fmt: skip
    """As :func:`run_groups`, with the synaptic input of each step gathered just before it is used.

    ``sent``: uint8 (B, T, n_in). Nothing of size (B, T, n) but the spikes is ever in memory.
    """
    batch, steps, n = spikes.shape
    for b in range(batch):
        u = np.zeros(n, np.int32)
        v = v_init.copy()
        drive = np.empty(n + LANES, np.int32)
        listed = np.empty(sent.shape[2], np.int64)
        same = constant[b] if constant.shape[0] > 1 else constant[0]
        total_active = 0
        total_fired = 0
        counts[b] = 0
        for t in range(steps):
            drive[:] = 0
            gather(sent[b, t], form, rows, indptr, indices, values, origins, width, listed, drive)
            for j in range(n):
                drive[j] = _i32(_i32(drive[j] << shift) + same[j])
            now_active, now_fired = step_neurons(drive, u, v, keep_u, keep_v, bias, vth, vsub, spikes[b, t])
            for j in range(n):
                counts[b, j] += _i32(spikes[b, t, j])
            total_active += now_active
            total_fired += now_fired
        active[b] = total_active
        fired[b] = total_fired


@nb.njit(nogil=True, cache=True)
def run_loops_on_events(  # type: ignore[no-untyped-def]
    a_in, form, rows, indptr, indices, values, origins, width, shift, lag,
    constant, keep_u, keep_v, bias, vth, vsub, v_init, spikes, counts, active, fired,
):  # fmt: skip
    """As :func:`run_groups` for a group that also drives itself through one synapse, ``lag`` steps later.

    ``a_in``: int32 (B, T, n), complete, or None; the other arrays are those of the loop.
    """
    batch, steps, n = spikes.shape
    for b in range(batch):
        u = np.zeros(n, np.int32)
        v = v_init.copy()
        drive = np.empty(n + LANES, np.int32)
        listed = np.empty(n, np.int64)
        same = constant[b] if constant.shape[0] > 1 else constant[0]
        total_active = 0
        total_fired = 0
        counts[b] = 0
        for t in range(steps):
            drive[:] = 0
            if t >= lag:
                before = spikes[b, t - lag]
                gather(before, form, rows, indptr, indices, values, origins, width, listed, drive)
            for j in range(n):
                drive[j] = _i32(_i32(drive[j] << shift) + same[j])
            if a_in is not None:
                for j in range(n):
                    drive[j] += a_in[b, t, j]
            now_active, now_fired = step_neurons(drive, u, v, keep_u, keep_v, bias, vth, vsub, spikes[b, t])
            for j in range(n):
                counts[b, j] += _i32(spikes[b, t, j])
            total_active += now_active
            total_fired += now_fired
        active[b] = total_active
        fired[b] = total_fired


@nb.njit(nogil=True, cache=True)
def add_events(  # type: ignore[no-untyped-def]
    sent, form, rows, indptr, indices, values, origins, width, shift, buffer
):
    """Add one synapse's input onto a buffer of rows: uint8 (R, n_in) onto int32 (R, n_out)."""
    acc = np.empty(buffer.shape[1] + LANES, np.int32)
    listed = np.empty(sent.shape[1], np.int64)
    for r in range(buffer.shape[0]):
        acc[:] = 0
        gather(sent[r], form, rows, indptr, indices, values, origins, width, listed, acc)
        for j in range(buffer.shape[1]):
            buffer[r, j] += _i32(acc[j] << shift)


@nb.njit(nogil=True, cache=True)
def count_spikes(spikes, steps, counts):  # type: ignore[no-untyped-def]
    """Spikes per sample and neuron in the first ``steps`` steps: uint8 (B, T, n) -> int32 (B, n)."""
    for b in range(spikes.shape[0]):
        counts[b] = 0
        for t in range(steps):
            for j in range(spikes.shape[2]):
                counts[b, j] += _i32(spikes[b, t, j])
