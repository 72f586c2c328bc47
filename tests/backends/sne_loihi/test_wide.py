"""Layers wider than the blocks that the kernels work in, against integer products; cycles of such layers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from benchmarks.networks import recurrent_network, tuned
from sne_deploy.backend import RunOptions
from sne_deploy.ir.program import NeuronGroup, ProgramInput, Synapse
from sne_deploy.ir.weights import ConvWeights, DenseWeights, SparseWeights
from sne_loihi import LoihiBackend, kernels, products
from sne_loihi.operators import Operator
from sne_loihi.order import NeuronOrder
from tests.reference import assert_equal, simulate


def even(rng, shape):
    return (rng.integers(-127, 128, shape) * 2).astype(np.int32)


def dense(rng, n_in, n_out):
    return DenseWeights(even(rng, (n_out, n_in))), NeuronOrder(n_in), NeuronOrder(n_out)


def scattered(rng, n_in, n_out):
    weights = even(rng, (n_out, n_in)) * (rng.random((n_out, n_in)) < 0.1)
    return SparseWeights(sparse.csr_matrix(weights)), NeuronOrder(n_in), NeuronOrder(n_out)


def conv(rng, groups, per_group, channels_last, stride, padding, dilation):
    c_in, c_out = 3 * groups, per_group * groups
    in_shape = (c_in, 9, 7)
    reach = [2 * d + 1 for d in dilation]
    size = [(n + 2 * p - r) // s + 1 for n, p, r, s in zip(in_shape[1:], padding, reach, stride, strict=True)]
    weights = ConvWeights(
        even(rng, (c_out, 3, 3, 3)), in_shape, (c_out, *size), stride, padding, dilation, groups
    )
    source = NeuronOrder(weights.shape[1], c_in if channels_last else 1)
    return weights, source, NeuronOrder(weights.shape[0], c_out)


def check(operator, rng, rate):
    """Every form of an operator against the sparse product, in 64 bits."""
    n_out, n_in = operator.shape
    sent = (rng.random((9, n_in)) < rate).astype(np.uint8)
    expected = (operator.matrix.astype(np.int64) @ sent.T.astype(np.int64)).T
    before = rng.integers(-1000, 1000, (9, n_out)).astype(np.int32)
    buffer = before.copy()
    kernels.add_events(sent, operator.events, buffer)
    assert np.array_equal(buffer - before, expected)
    if operator.product is not None:
        sums, shift = operator.product.apply(sent)
        assert np.array_equal(sums << np.int32(shift), expected)
    if operator.patches is not None:
        sums, shift = operator.patches.apply(sent)
        assert np.array_equal(sums << np.int32(shift), expected)
    if operator.convolution is not None:
        sums = operator.convolution.apply(sent)
        assert sums is not None, "a wrong result of a library"
        assert np.array_equal(sums, expected)


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("n_out", [1, 15, 16, 17, 130])
@pytest.mark.parametrize("n_in", [1, 63, 64, 65, 200])
@pytest.mark.parametrize("kind", [dense, scattered])
def test_dense_and_scattered(kind, n_in, n_out, rate):
    rng = np.random.default_rng((n_in, n_out, int(100 * rate)))
    weights, source, target = kind(rng, n_in, n_out)
    check(Operator(Synapse("s", "i", "o", weights), source, target), rng, rate)


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
    operator = Operator(Synapse("s", "i", "o", weights), source, target)
    assert operator.conv is not None
    check(operator, rng, rate)


@pytest.mark.parametrize("delay", [0, 1, 3])
def test_a_wide_loop(delay):
    program = recurrent_network(70, 100, 10, 12, 0)
    forward, last, loop = program.synapses
    loop = replace(loop, weight_exp=1, delay=delay)
    program = tuned(replace(program, synapses=(forward, last, loop)), 0.3, 0)
    inputs = (np.random.default_rng(1).random((4, 12, 70)) < 0.3).astype(np.uint8)
    check_program(program, inputs)


def check_program(program, inputs):
    """Against the slow reference: every state, and everything that is counted without them."""
    expected = simulate(program, inputs)
    assert all(sum(layer.spikes) > 0 for layer in expected.layers.values())
    for device in ({}, {"device": "cpu"}):
        executable = LoihiBackend().compile(program, RunOptions(extra=device))
        assert_equal(executable.run(inputs, "all"), expected, program)
        fast = executable.run(inputs, "spikes")
        assert fast.raw_outputs.tolist() == expected.raw_outputs
        for group, layer in zip(program.groups, fast.layers, strict=True):
            wanted = expected.layers[group.name]
            assert layer.recorded_spikes.reshape(4, -1, group.size).tolist() == wanted.raster
            found = layer.synops, layer.updates_active, layer.updates_idle
            assert [each.tolist() for each in found] == [wanted.synops, wanted.active, wanted.idle]


@pytest.mark.parametrize("seed", range(6))
def test_wide_cycles_of_all_forms(seed):
    """Three groups, each on several cycles: synapses of all forms, hard and soft resets, several delays."""
    rng = np.random.default_rng(seed)
    shapes = {"a": (20, 4, 4), "b": (18, 4, 4), "c": (37,)}
    vsub = {"a": None, "b": rng.integers(0, 900, 288).astype(np.int32), "c": np.asarray(0, np.int32)}
    groups = [group(name, shape, 1 + depth, vsub[name]) for depth, (name, shape) in enumerate(shapes.items())]
    first = ConvWeights(even(rng, (20, 3, 3, 3)), (3, 8, 8), shapes["a"], (2, 2), (1, 1))
    across = ConvWeights(even(rng, (18, 20, 3, 3)), shapes["a"], shapes["b"], (1, 1), (1, 1))
    around = ConvWeights(even(rng, (18, 9, 3, 1)), shapes["b"], shapes["b"], (1, 1), (1, 0), groups=2)
    scattered_back = even(rng, (320, 37)) * (rng.random((320, 37)) < 0.1)
    links = [
        Synapse("first", "input", "a", first),
        Synapse("late", "input", "b", scattered(rng, 192, 288)[0], delay=3, within_sample=True),
        Synapse("across", "a", "b", across),
        Synapse("dense", "b", "c", DenseWeights(even(rng, (37, 288)))),
        Synapse(
            "back", "c", "a", SparseWeights(sparse.csr_matrix(scattered_back)), 2, delay=1, within_sample=True
        ),
        Synapse("around", "b", "b", around, delay=2, within_sample=True),
        Synapse("itself", "c", "c", DenseWeights(even(rng, (37, 37))), 1, within_sample=True),
    ]
    order = rng.permutation(len(links))
    program = replace(
        recurrent_network(70, 100, 10, 9, 0),
        input=ProgramInput("input", (3, 8, 8), "spikes"),
        groups=tuple(groups),
        synapses=tuple(links[index] for index in order),
        outputs=("c", "a"),
    )
    check_program(program, (rng.random((4, 9, 3, 8, 8)) < 0.2).astype(np.uint8))


def group(name, shape, depth, vsub):
    def register(value):
        return np.asarray(value, np.int32)

    return NeuronGroup(
        name=name,
        kind="cuba_lif",
        shape=shape,
        du=register(1500),
        dv=register(400),
        vth_mant=register(1500),
        bias_mant=register(0),
        bias_exp=0,
        v_init=register(0),
        depth=depth,
        scale=1.0,
        v_reset=np.zeros(()),
        vsub_mant=vsub,
    )


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


@pytest.mark.parametrize("values", [(0, 255), (-256, 254), (-255, 0), (-16, 16)])
def test_products_of_both_types(values, monkeypatch):
    """With and without the processor's 8-bit products: the type that is asked for gave the sums."""
    rng = np.random.default_rng(0)
    weights = (rng.integers(values[0], values[1], (40, 33)) // 2 * 2).astype(np.int32)
    weights[0, 0] = values[1] - values[1] % 2
    sent = (rng.random((9, 33)) < 0.3).astype(np.uint8)
    for exact, dtype in ((True, torch.int8), (False, torch.float32)):
        monkeypatch.setattr(products, "int8_is_exact", lambda exact=exact: exact)
        product = products.Product.of(weights.T, int(np.abs(weights).sum(axis=1).max()))
        assert product.weights.dtype == dtype
        sums, shift = product.apply(sent)
        np.testing.assert_array_equal(sums << np.int32(shift), sent.astype(np.int64) @ weights.T)
