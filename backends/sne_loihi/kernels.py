"""Loihi's arithmetic, compiled: one pass over a group's neurons does the update, the spikes and the counts.

What a neuron does in a step is its model's ``update``, in ``neurons/``.
Samples are independent: each thread runs its own (kernels release the interpreter's lock), and results do
not depend on how they are spread.

Everything compiled is in this file, but for ``vectors`` and the updates: numba's cache notices a change of
this file only.
"""
# Numba removes the branches on arguments that are None:
# mypy: disable-error-code="possibly-undefined, no-untyped-call"

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import FunctionType
from typing import Any

import numba as nb
import numpy as np

from sne_deploy.runtime.jit import kept_njit
from sne_loihi.vectors import LANES, MASK_BITS, add_four_rows, add_row, copy_bytes, lowest_bit, spike_mask

_i32 = np.int32

DENSE, COLUMNS, CONV = 0, 1, 2
"""Forms of a synapse that :func:`gather` knows."""

_update: Any = None
_outside: Any = None
"""Stand for a model's functions in the kernels that are compiled for each model, see :func:`compiled`."""

LINK = np.dtype([(name, np.int64) for name in (
    "start", "n_in", "lag", "shift", "form", "base", "width",
)])  # fmt: skip
"""A synapse between groups of :func:`run_cycles`: its source's first neuron and number of neurons, its lag
and shift, and what :func:`gather` needs."""


@nb.njit(inline="always")
def gather_dense(listed, total, rows, base, width, acc):  # type: ignore[no-untyped-def]
    """Add row i onto acc for each of ``total`` listed inputs; ``rows``: int16, row 0 at ``base``."""
    k = 0
    while k + 4 <= total:
        a, b = base + listed[k] * width, base + listed[k + 1] * width
        c, d = base + listed[k + 2] * width, base + listed[k + 3] * width
        for j in range(0, width, LANES):
            add_four_rows(acc, j, rows, a + j, b + j, c + j, d + j)
        k += 4
    while k < total:
        a = base + listed[k] * width
        for j in range(0, width, LANES):
            add_row(acc, j, rows, a + j)
        k += 1


@nb.njit(inline="always")
def gather_columns(listed, total, indptr, base, indices, values, acc):  # type: ignore[no-untyped-def]
    """Add weights onto acc along the columns of the listed inputs; ``indptr``: column 0 at ``base``."""
    for k in range(total):
        i = base + listed[k]
        for entry in range(indptr[i], indptr[i + 1]):
            acc[indices[entry]] += _i32(values[entry])


@nb.njit(inline="always")
def gather_conv(listed, total, rows, indptr, indices, origins, base, width, acc):  # type: ignore[no-untyped-def]
    """Scatter a convolution onto maps of (places, channels).

    ``rows``: int16, a row of ``width`` per input channel and tap. ``origins``: int32, from index ``base``,
    for each input its place, where its channel's rows begin, and the first output channel of its group. From
    place p, the taps that stay inside the map are ``indices[2 e]`` for e in ``indptr[p]`` to
    ``indptr[p + 1]``; they end at ``indices[2 e + 1]`` of acc, channel 0.
    """
    for k in range(total):
        origin = base + 3 * listed[k]
        place, row, first = nb.int64(origins[origin]), nb.int64(origins[origin + 1]), origins[origin + 2]
        for entry in range(indptr[place], indptr[place + 1]):
            start = row + indices[2 * entry] * width
            at = indices[2 * entry + 1] + first
            for j in range(0, width, LANES):
                add_row(acc, at + j, rows, start + j)


@nb.njit(inline="always")
def list_spikes(sent, at, n_in, listed):  # type: ignore[no-untyped-def]
    """Write which of ``n_in`` bytes from index ``at`` are spikes to int64 (n_in,); returns how many."""
    total = 0
    whole = n_in // MASK_BITS * MASK_BITS
    for block in range(0, whole, MASK_BITS):
        mask = spike_mask(sent, at + block)
        while mask != 0:
            listed[total] = block + lowest_bit(mask)
            mask &= mask - np.uint64(1)
            total += 1
    for i in range(whole, n_in):
        if sent[at + i]:
            listed[total] = i
            total += 1
    return total


@nb.njit
def gather(sent, at, n_in, form, base, rows, indptr, indices, values, origins, width, listed, acc):  # type: ignore[no-untyped-def]
    """Add one step's spikes (uint8, from index ``at``) through one synapse onto int32 (n_out + LANES,).

    ``listed``: int64 (n_in,), overwritten.
    """
    total = list_spikes(sent, at, n_in, listed)
    if form == DENSE:
        gather_dense(listed, total, rows, base, width, acc)
    elif form == COLUMNS:
        gather_columns(listed, total, indptr, base, indices, values, acc)
    else:
        gather_conv(listed, total, rows, indptr, indices, origins, base, width, acc)


@kept_njit()
def add_events(sent, events, buffer):  # type: ignore[no-untyped-def]
    """Add one synapse's input onto a buffer of rows: uint8 (R, n_in) onto int32 (R, n_out)."""
    form, base, rows, indptr, indices, values, origins, width = events
    acc = np.empty(buffer.shape[1] + LANES, np.int32)
    n_in = sent.shape[1]
    listed = np.empty(n_in, np.int64)
    flat = sent.reshape(-1)
    for r in range(buffer.shape[0]):
        acc[:] = 0
        gather(flat, r * n_in, n_in, form, base, rows, indptr, indices, values, origins, width, listed, acc)
        for j in range(buffer.shape[1]):
            buffer[r, j] += acc[j]


@kept_njit()
def agree(sent, probed, sums, probe):  # type: ignore[no-untyped-def]
    """Whether probed . sent = probe . sums in every row, modulo 2^32: uint8 (R, n_in), int32 (R, n_out)."""
    for r in range(sums.shape[0]):
        difference = _i32(0)
        for j in range(sums.shape[1]):
            difference = _i32(difference + _i32(sums[r, j] * probe[j]))
        for i in range(sent.shape[1]):
            difference = _i32(difference - _i32(_i32(sent[r, i]) * probed[i]))
        if difference != 0:
            return False
    return True


@nb.njit(inline="always")
def pad_map(sent, start, maps, padding, channels_last, padded):  # type: ignore[no-untyped-def]
    """Copy the map from index ``start`` into one with a border of zeros, channels innermost."""
    channels, height, width = maps
    for y in range(height):
        to = ((y + padding[0]) * (width + 2 * padding[1]) + padding[1]) * channels
        if channels_last:
            row, begin = width * channels, start + y * width * channels
            whole = row // LANES * LANES
            for k in range(0, whole, LANES):
                copy_bytes(padded, to + k, sent, begin + k)
            for k in range(whole, row):
                padded[to + k] = sent[begin + k]
            continue
        for c in range(channels):
            begin = start + (c * height + y) * width
            for x in range(width):
                padded[np.uint64(to + c + x * channels)] = sent[np.uint64(begin + x)]


@kept_njit()
def cut_patches(sent, maps, padding, taps, stride, dilation, places, channels_last, padded, patches):  # type: ignore[no-untyped-def]
    """What a convolution looks at, a row for each place of its output: places, columns, channels innermost.

    ``sent``: uint8 (R, n_in), maps of (channels, height, width), innermost last or first. The other pairs are
    (down, across). ``padded``: uint8, room for a map with its border, and LANES more; ``patches``: uint8,
    R x places x taps x channels and LANES more, written in this order. Copies run over what comes after,
    which is written later.
    """
    channels, height, width = maps
    row = (width + 2 * padding[1]) * channels
    flat = sent.reshape(-1)
    at = 0
    padded[:] = 0
    for r in range(sent.shape[0]):
        pad_map(flat, r * channels * height * width, maps, padding, channels_last, padded)
        for y in range(places[0]):
            for x in range(places[1]):
                for i in range(taps[0]):
                    begin = (y * stride[0] + i * dilation[0]) * row + x * stride[1] * channels
                    if dilation[1] == 1:
                        for k in range(0, taps[1] * channels, LANES):
                            copy_bytes(patches, at + k, padded, begin + k)
                        at += taps[1] * channels
                        continue
                    for j in range(taps[1]):
                        for k in range(0, channels, LANES):
                            copy_bytes(patches, at + k, padded, begin + j * dilation[1] * channels + k)
                        at += channels


@kept_njit()
def count_spikes(spikes, steps, counts):  # type: ignore[no-untyped-def]
    """Spikes per sample and neuron in the first ``steps`` steps: uint8 (B, T, n) -> int32 (B, n)."""
    for b in range(spikes.shape[0]):
        counts[b] = 0
        for t in range(steps):
            for j in range(spikes.shape[2]):
                counts[b, j] += _i32(spikes[b, t, j])


def step_neurons(size, drive, at, u, v, registers, sent, spikes, outside, to, counted):  # type: ignore[no-untyped-def]
    """Update neurons ``at`` to ``at + size`` in place; returns (active neurons, spikes).

    ``drive``: int32 (size,). ``u``, ``v``: int32. ``spikes``: uint8, written from index ``sent``.
    ``outside``: int64; where ``counted``, how many have u corrected and v clipped is added from index ``to``.
    Indices are unsigned, since signed ones might count from the end: no vector would be loaded. Nothing is
    sliced: a slice counts references, which threads share.
    """
    active = _i32(0)
    fired = _i32(0)
    wraps = _i32(0)
    clips = _i32(0)
    for j in range(size):
        k = np.uint64(at + j)
        old_u, old_v, a = u[k], v[k], drive[j]
        active += _i32((a | old_u | old_v) != 0)
        if counted:
            wrapped, clipped = _outside(old_u, old_v, a, registers, k)
            wraps += _i32(wrapped)
            clips += _i32(clipped)
        new_u, new_v, spike = _update(old_u, old_v, a, registers, k)
        spikes[np.uint64(sent + j)] = spike
        fired += _i32(spike)
        u[k] = new_u
        v[k] = new_v
    if counted:
        outside[to] += wraps
        outside[to + 1] += clips
    return active, fired


def step_group(size, drive, at, u, v, registers, sent, spikes, outside, to):  # type: ignore[no-untyped-def]
    """:func:`step_neurons` in two versions; ``outside`` of size 0: nothing is counted there."""
    if len(outside) == 0:
        return step_neurons(size, drive, at, u, v, registers, sent, spikes, outside, to, False)
    return step_neurons(size, drive, at, u, v, registers, sent, spikes, outside, to, True)


@nb.njit(inline="always")
def count(size, spikes, sent, counts, at):  # type: ignore[no-untyped-def]
    """Add uint8 spikes from index ``sent`` to int32 counts from index ``at``."""
    for j in range(size):
        counts[np.uint64(at + j)] += _i32(spikes[np.uint64(sent + j)])


@nb.njit(inline="always")
def keep_states(size, u, v, at, us, vs, to):  # type: ignore[no-untyped-def]
    """Copy u and v from index ``at`` to index ``to``."""
    for j in range(size):
        us[np.uint64(to + j)] = u[np.uint64(at + j)]
        vs[np.uint64(to + j)] = v[np.uint64(at + j)]


def run_samples(a_in, sent, events, shift, constant, registers, v_init, results, states):  # type: ignore[no-untyped-def]
    """What :func:`run_groups` (without ``sent``) and :func:`run_groups_on_events` do."""
    spikes, counts, active, fired = results[0].reshape(-1), results[1].reshape(-1), results[2], results[3]
    outside = results[4].reshape(-1)
    if sent is not None:
        form, base, rows, indptr, indices, values, origins, width = events
        arrived, n_in = sent.reshape(-1), sent.shape[2]
        listed = np.empty(n_in, np.int64)
    if states is not None:
        us, vs = states[0].reshape(-1), states[1].reshape(-1)
    batch, steps, n = results[0].shape
    drive = np.empty(n + LANES, np.int32)
    counts[:] = 0
    for b in range(batch):
        u = np.zeros(n, np.int32)
        v = v_init.copy()
        same = constant[b] if constant.shape[0] > 1 else constant[0]
        total_active = 0
        total_fired = 0
        for t in range(steps):
            row = b * steps + t
            if sent is not None:
                drive[:] = 0
                gather(
                    arrived, row * n_in, n_in,
                    form, base, rows, indptr, indices, values, origins, width, listed, drive,
                )  # fmt: skip
                for j in range(n):
                    drive[j] = _i32(_i32(drive[j] << shift) + same[j])
            elif a_in is not None:
                for j in range(n):
                    drive[j] = _i32(_i32(a_in[b, t, j] << shift) + same[j])
            else:
                for j in range(n):
                    drive[j] = same[j]
            now_active, now_fired = step_group(n, drive, 0, u, v, registers, row * n, spikes, outside, 2 * b)
            count(n, spikes, row * n, counts, b * n)
            total_active += now_active
            total_fired += now_fired
            if states is not None:
                keep_states(n, u, v, 0, us, vs, row * n)
        active[b] = total_active
        fired[b] = total_fired


def run_groups(a_in, shift, constant, registers, v_init, results, states):  # type: ignore[no-untyped-def]
    """Run one spiking group over whole samples whose synaptic input is already there.

    Parameters
    ----------
    a_in : int32 (B, T, n), or None
        Synaptic sums before ``<< shift``; None where only the constant drives the group.
    shift : int32
    constant : int32 (1 or B, n)
        Added at every step, after the shift.
    registers : int32 (m, n)
    v_init : int32 (n,)
    results : tuple, written
        Spikes, uint8 (B, T, n); spikes per neuron, int32 (B, n); neuron updates with input or state, and
        spikes, both int64 (B,). Updates that correct u and that clip v, int64 (B, 2), added to what is there;
        (0, 2): not counted.
    states : tuple, written, or None
        u and v after each step, int32 (B, T, n).
    """
    run_samples(a_in, None, None, shift, constant, registers, v_init, results, states)


def run_groups_on_events(sent, events, shift, constant, registers, v_init, results, states):  # type: ignore[no-untyped-def]
    """As :func:`run_groups`, with the synaptic input of each step gathered just before it is used.

    ``sent``: uint8 (B, T, n_in); ``events``: the form, base, rows, indptr, indices, values, origins and width
    of the synapse. Nothing of size (B, T, n) but the spikes is ever in memory.
    """
    run_samples(None, sent, events, shift, constant, registers, v_init, results, states)


def run_readouts(a_in, shift, constant, registers, v_init, results, states):  # type: ignore[no-untyped-def]
    """Run one readout group: as :func:`run_groups` without threshold.

    ``results``: v at the last step, int32, its sum, int64, and its maximum, int32, all (B, n); neuron updates
    with input or state, int64 (B,); and as there, what is corrected and clipped.
    """
    last, total, highest, active, outside = results
    batch, n = last.shape
    for b in range(batch):
        u = np.zeros(n, np.int32)
        v = v_init.copy()
        same = constant[b] if constant.shape[0] > 1 else constant[0]
        total_active = 0
        for t in range(a_in.shape[1]):
            now_active = 0
            for j in range(n):
                a = _i32(_i32(a_in[b, t, j] << shift) + same[j])
                if len(outside) > 0:
                    wraps, saturates = _outside(u[j], v[j], a, registers, j)
                    outside[b, 0] += wraps
                    outside[b, 1] += saturates
                now_active += (a | u[j] | v[j]) != 0
                u[j], v[j], _ = _update(u[j], v[j], a, registers, j)
                total[b, j] = v[j] if t == 0 else total[b, j] + v[j]
                highest[b, j] = v[j] if t == 0 else max(highest[b, j], v[j])
            total_active += now_active
            if states is not None:
                states[0][b, t] = u
                states[1][b, t] = v
        last[b] = v
        active[b] = total_active


def run_cycles(a_in, constant, starts, first, links, joined, registers, v_init, results, states):  # type: ignore[no-untyped-def]
    """Run groups that drive themselves and each other: at every step, one after the other.

    Arrays over neurons hold those of all groups. A flat array holds each group's (B, T, n) after that of the
    one before.

    Parameters
    ----------
    a_in : int32, flat, or None
        What comes from outside, shifted.
    constant, registers, v_init
        As for :func:`run_groups`.
    starts, first : int64 (groups + 1,)
        The first neuron of each group, and the first link onto it.
    links : LINK (synapses,)
    joined : tuple
        rows, indptr, indices, values, origins of all links.
    results : tuple, written
        Spikes, uint8, flat; spikes per neuron, int32 (B, n); neuron updates with input or state, and spikes,
        both int64 (groups, B); updates that correct u and that clip v, int64 (groups or 0, B, 2), added to
        what is there.
    states : tuple, written, or None
        u and v after each step, int32, flat.
    """
    rows, indptr, indices, values, origins = joined
    spikes, counts, active, fired = results[0], results[1].reshape(-1), results[2], results[3]
    outside = results[4].reshape(-1)
    batch, n = results[1].shape
    steps = spikes.shape[0] // max(batch * n, 1)
    drive, acc = np.empty(n, np.int32), np.empty(n + LANES, np.int32)
    listed = np.empty(n, np.int64)
    counts[:] = 0
    active[:] = 0
    fired[:] = 0
    for b in range(batch):
        u = np.zeros(n, np.int32)
        v = v_init.copy()
        same = constant[b] if constant.shape[0] > 1 else constant[0]
        for t in range(steps):
            for k in range(starts.shape[0] - 1):
                low, size = starts[k], starts[k + 1] - starts[k]
                here = (low * batch + b * size) * steps + t * size
                for j in range(size):
                    drive[j] = same[np.uint64(low + j)]
                if a_in is not None:
                    for j in range(size):
                        drive[j] += a_in[np.uint64(here + j)]
                for e in range(first[k], first[k + 1]):
                    n_in, before = links[e].n_in, t - links[e].lag
                    if before < 0:
                        continue
                    for j in range(size + LANES):
                        acc[j] = 0
                    gather(
                        spikes, (links[e].start * batch + b * n_in) * steps + before * n_in, n_in,
                        links[e].form, links[e].base, rows, indptr, indices, values, origins, links[e].width,
                        listed, acc,
                    )  # fmt: skip
                    shift = _i32(links[e].shift)
                    for j in range(size):
                        drive[j] += _i32(acc[j] << shift)
                now_active, now_fired = step_group(
                    size, drive, low, u, v, registers, here, spikes, outside, 2 * (k * batch + b)
                )
                count(size, spikes, here, counts, b * n + low)
                active[k, b] += now_active
                fired[k, b] += now_fired
                if states is not None:
                    keep_states(size, u, v, low, states[0], states[1], here)


@dataclass(frozen=True)
class Compiled:
    """The kernels that contain the update of a neuron model."""

    run_groups: Any
    run_groups_on_events: Any
    run_readouts: Any
    run_cycles: Any


@nb.njit(inline="always")
def _never_outside(u, v, a_in, registers, k):  # type: ignore[no-untyped-def]  # noqa: ARG001
    return False, False


@cache
def compiled(update: Any, outside: Any = None) -> Compiled:
    """Compile the kernels with a model's functions in them, or take them from numba's cache.

    Their names bear a digest of the functions' file, since numba looks for changes of this one alone.
    """
    digest = sha256(Path(update.py_func.__code__.co_filename).read_bytes()).hexdigest()[:16]
    label = f"{update.py_func.__module__}_{update.py_func.__name__}_{digest}".replace(".", "_")
    namespace = {**globals(), "_update": update, "_outside": outside or _never_outside}

    def add(function: Any, decorate: Any) -> Any:
        made = FunctionType(function.__code__, namespace, function.__name__)
        made.__qualname__ = f"{function.__name__}_{label}"
        namespace[function.__name__] = decorate(made)
        return namespace[function.__name__]

    inlined = nb.njit(inline="always")
    add(step_neurons, inlined)
    add(step_group, inlined)
    add(run_samples, nb.njit)
    kernels = (run_groups, run_groups_on_events, run_readouts, run_cycles)
    return Compiled(*(add(kernel, kept_njit()) for kernel in kernels))
