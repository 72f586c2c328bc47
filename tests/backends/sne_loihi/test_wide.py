"""Layers wider than the blocks that the kernels work in, against integer products; loops against steps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from sne_deploy.backend import RunOptions
from sne_deploy.bench.networks import recurrent_network, tuned
from sne_deploy.ir.program import Synapse
from sne_deploy.ir.weights import ConvWeights, DenseWeights, SparseWeights
from sne_loihi import LoihiBackend, kernels
from sne_loihi.layout import Layout
from sne_loihi.operators import Operator


def even(rng, shape):
    return (rng.integers(-127, 128, shape) * 2).astype(np.int32)


def dense(rng, n_in, n_out):
    return DenseWeights(even(rng, (n_out, n_in))), Layout(n_in), Layout(n_out)


def scattered(rng, n_in, n_out):
    weights = even(rng, (n_out, n_in)) * (rng.random((n_out, n_in)) < 0.1)
    return SparseWeights(sparse.csr_matrix(weights)), Layout(n_in), Layout(n_out)


def conv(rng, groups, per_group, channels_last, stride, padding, dilation):
    c_in, c_out = 3 * groups, per_group * groups
    in_shape = (c_in, 9, 7)
    reach = [2 * d + 1 for d in dilation]
    size = [(n + 2 * p - r) // s + 1 for n, p, r, s in zip(in_shape[1:], padding, reach, stride, strict=True)]
    weights = ConvWeights(
        even(rng, (c_out, 3, 3, 3)), in_shape, (c_out, *size), stride, padding, dilation, groups
    )
    source = Layout(weights.shape[1], c_in if channels_last else 1)
    return weights, source, Layout(weights.shape[0], c_out)


def check(operator, rng, rate):
    """Every form of an operator against the sparse product, in 64 bits."""
    n_out, n_in = operator.matrix.shape
    sent = (rng.random((9, n_in)) < rate).astype(np.uint8)
    expected = (operator.matrix.astype(np.int64) @ sent.T.astype(np.int64)).T
    before = rng.integers(-1000, 1000, (9, n_out)).astype(np.int32)
    buffer = before.copy()
    kernels.add_events(sent, *operator.events, np.int32(0), buffer)
    assert np.array_equal(buffer - before, expected)
    if operator.product is not None:
        sums, shift = operator.product.apply(sent)
        assert np.array_equal(sums << np.int32(shift), expected)
    if operator.convolution is not None:
        assert np.array_equal(operator.convolution.apply(sent), expected)


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("n_out", [1, 15, 16, 17, 130])
@pytest.mark.parametrize("n_in", [1, 63, 64, 65, 200])
@pytest.mark.parametrize("kind", [dense, scattered])
def test_dense_and_scattered(kind, n_in, n_out, rate):
    rng = np.random.default_rng((n_in, n_out, int(100 * rate)))
    weights, source, target = kind(rng, n_in, n_out)
    check(Operator.of(Synapse("s", "i", "o", weights), source, target), rng, rate)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    groups=st.integers(1, 3),
    per_group=st.sampled_from((1, 5, 16, 18, 48)),
    channels_last=st.booleans(),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    rate=st.sampled_from((0.02, 0.3, 1.0)),
)
def test_convolutions(seed, groups, per_group, channels_last, stride, padding, dilation, rate):
    rng = np.random.default_rng(seed)
    weights, source, target = conv(rng, groups, per_group, channels_last, stride, padding, dilation)
    operator = Operator.of(Synapse("s", "i", "o", weights), source, target)
    assert operator.conv is not None
    check(operator, rng, rate)


@pytest.mark.parametrize("delay", [0, 1, 3])
def test_a_loop_is_what_its_steps_are(delay):
    """The kernel of a group with a loop, against the groups that run step by step to record their states."""
    program = recurrent_network(70, 100, 10, 12, 0)
    forward, last, loop = program.synapses
    loop = Synapse("loop", loop.source, loop.target, loop.weights, 1, delay=delay, gated=True)
    program = tuned(type(program)(**{**vars(program), "synapses": (forward, last, loop)}), 0.3, 0)
    inputs = (np.random.default_rng(1).random((9, 12, 70)) < 0.3).astype(np.uint8)
    executable = LoihiBackend().compile(program, RunOptions())
    fast, stepped = executable.run(inputs, "spikes"), executable.run(inputs, "all")
    assert fast.layers[0].spikes.sum() > 0
    for quick, slow in zip(fast.layers, stepped.layers, strict=True):
        assert np.array_equal(quick.recorded_spikes, slow.recorded_spikes)
        for field in ("synops", "spikes", "updates_active", "updates_idle"):
            assert np.array_equal(getattr(quick, field), getattr(slow, field)), field


def test_threads_and_chunks_change_nothing():
    import torch

    program = tuned(recurrent_network(70, 100, 10, 12, 0), 0.3, 0)
    inputs = (np.random.default_rng(1).random((11, 12, 70)) < 0.3).astype(np.uint8)
    before, found = torch.get_num_threads(), []
    try:
        for threads, stream in ((1, None), (2, None), (3, 2), (2, 1)):
            torch.set_num_threads(threads)
            done = []
            options = RunOptions(stream=stream, progress=lambda *now, done=done: done.append(now))
            found.append(LoihiBackend().compile(program, options).run(inputs))
            assert torch.get_num_threads() == threads
            assert [now[1] for now in done] == sorted(now[1] for now in done)
            assert done[-1] == ("bench", 11, 11)
    finally:
        torch.set_num_threads(before)
    for trace in found[1:]:
        assert np.array_equal(trace.raw_outputs, found[0].raw_outputs)
        assert np.array_equal(trace.synops, found[0].synops)
