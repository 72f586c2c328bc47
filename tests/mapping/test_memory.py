"""Synaptic memory: against loops over cores and in-axons, and against the tables of Intel's compiler."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from sne_deploy.chips.chip import Chip, load_chip
from sne_deploy.ir.program import Synapse
from sne_deploy.ir.weights import ConvWeights, DenseWeights, SparseWeights, Weights
from sne_deploy.mapping.memory import memory_bits, words_read
from sne_deploy.mapping.reach import reach
from tests.effort import examples

WIDTHS = {"loihi1": [1, 2, 3, 4, 5, 6, 8], "loihi2": [1, 2, 3, 4, 5, 6, 7, 8]}
INDEX = {"loihi1": ([0], [6, 7, 8, 9, 10, 11, 12]), "loihi2": ([12], [12])}


def block_words(count: int, entry: int) -> int:
    return -(-(10 + count * entry) // 64)


def axon_words(chip: Chip, count: int, entry: int) -> int:
    if chip.name == "loihi2":
        return block_words(count, entry) if count else 0
    return sum(block_words(min(64, count - i), entry) for i in range(0, count, 64))


def width(chip: Chip, values: np.ndarray, mode: str) -> int:
    """By trying every width and shift."""
    for bits in WIDTHS[chip.name]:
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if mode == "mixed" else (0, 2**bits - 1)
        for shift in range(9):
            small = values / 2**shift if mode == "mixed" else np.abs(values) / 2**shift
            if (
                np.all(small == np.rint(small))
                and small.min(initial=0) >= low
                and small.max(initial=0) <= high
            ):
                return bits
    raise AssertionError


def by_hand(synapse: Synapse, core_of: np.ndarray, cores: int, chip: Chip) -> tuple[list[int], np.ndarray]:
    """Words that each core stores, and that a spike of each source reads there."""
    weights = synapse.weights
    matrix = np.asarray(weights.matrix().toarray())
    bits = width(chip, np.asarray(weights.values), synapse.sign_mode)
    bits += (synapse.delay + 1).bit_length() if synapse.delay else 0
    stored, read = [], np.zeros((matrix.shape[1], cores), np.int64)
    for core in range(cores):
        here = np.flatnonzero(core_of == core)
        index = int(np.ceil(np.log2(max(1, min(len(core_of), chip.limits.neurons_per_core.value)))))
        existing = [int(np.count_nonzero(matrix[here, i])) for i in range(matrix.shape[1])]
        sparse_axons = [
            axon_words(chip, n, bits + min(w for w in INDEX[chip.name][1] if w >= index)) for n in existing
        ]
        dense = axon_words(chip, len(here), bits + INDEX[chip.name][0][0])
        whole = isinstance(weights, DenseWeights)
        choices = [[dense if whole or n else 0 for n in existing], sparse_axons]
        totals = [sum(axons) for axons in choices]
        if chip.name == "loihi2" and isinstance(weights, ConvWeights):
            kernels, read_by_tap = conv_by_hand(weights, here, bits)
            totals.append(kernels)
            choices.append(read_by_tap)
        best = min(totals)
        stored.append(best)
        read[:, core] = np.where(np.asarray(existing) > 0, choices[totals.index(best)], 0)
    return stored, read


def conv_by_hand(conv: ConvWeights, here: np.ndarray, bits: int) -> tuple[int, list[int]]:
    """Words of the kernels, one for each set of channels that a position has; and what each source reads."""
    channels: dict[tuple[int, int], set[int]] = {}
    for c, y, x in np.stack(np.unravel_index(here, conv.out_shape), axis=1).tolist():
        channels.setdefault((y, x), set()).add(c)
    c_out, per_group, k_h, k_w = conv.kernel.shape

    def tap(held: frozenset[int] | set[int], group: int) -> int:
        count = sum(c // (c_out // conv.groups) == group for c in held)
        return sum(block_words(2**i, bits) for i in range(12) if count >> i & 1)

    kernels = {frozenset(held) for held in channels.values()}
    stored = sum(tap(held, g) for held in kernels for g in range(conv.groups)) * per_group * k_h * k_w
    read = [0] * conv.shape[1]
    for (p, q), held in channels.items():
        for group, c, i, j in np.ndindex(conv.groups, per_group, k_h, k_w):
            y = p * conv.stride[0] - conv.padding[0] + i * conv.dilation[0]
            x = q * conv.stride[1] - conv.padding[1] + j * conv.dilation[1]
            if 0 <= y < conv.in_shape[1] and 0 <= x < conv.in_shape[2]:
                source = ((group * per_group + c) * conv.in_shape[1] + y) * conv.in_shape[2] + x
                read[source] += tap(held, group)
    return stored, read


@st.composite
def synapses(draw: st.DrawFn) -> Synapse:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    mode = draw(st.sampled_from(["mixed", "excitatory", "inhibitory"]))
    top = 2 ** draw(st.integers(1, 7))

    def values(*shape: int) -> np.ndarray:
        found = rng.integers(-top if mode == "mixed" else 0, top, shape) * rng.integers(0, 2, shape)
        return -found if mode == "inhibitory" else found * (2 if mode == "mixed" else 1)

    weights: Weights
    kind = draw(st.sampled_from(["dense", "sparse", "conv"]))
    if kind == "conv":
        groups, k = draw(st.integers(1, 2)), draw(st.integers(1, 3))
        stride, padding, dilation = draw(st.integers(1, 2)), draw(st.integers(0, 1)), draw(st.integers(1, 2))
        c_in, c_out = groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 3))
        reach_of = dilation * (k - 1) + 1
        size = [draw(st.integers(reach_of, reach_of + 3)) for _ in range(2)]
        out = [(n + 2 * padding - reach_of) // stride + 1 for n in size]
        weights = ConvWeights(
            values(c_out, c_in // groups, k, k),
            (c_in, size[0], size[1]),
            (c_out, out[0], out[1]),
            (stride, stride),
            (padding, padding),
            (dilation, dilation),
            groups,
        )
    else:
        array = values(draw(st.integers(1, 150)), draw(st.integers(1, 9)))
        weights = DenseWeights(array) if kind == "dense" else SparseWeights(sparse.csr_matrix(array))
    return Synapse("s", "a", "b", weights, sign_mode=mode, delay=draw(st.sampled_from([0, 0, 1, 6])))


@st.composite
def placed(draw: st.DrawFn) -> tuple[Synapse, np.ndarray, int]:
    """On any cores, or cut into boxes."""
    synapse, cores = draw(synapses()), draw(st.integers(1, 4))
    n = synapse.weights.shape[0]
    if isinstance(conv := synapse.weights, ConvWeights) and draw(st.booleans()):
        axis = draw(st.integers(0, 2))
        share = -(-conv.out_shape[axis] // cores)
        return synapse, np.indices(conv.out_shape)[axis].reshape(-1) // share, cores
    core_of = draw(st.lists(st.integers(0, cores - 1), min_size=n, max_size=n))
    return synapse, np.asarray(core_of, np.int32), cores


@pytest.mark.parametrize("name", ["loihi1", "loihi2"])
@settings(max_examples=examples(15), deadline=None)
@given(case=placed())
def test_memory_and_words_read_are_those_counted_by_hand(name: str, case: tuple[Any, ...]) -> None:
    synapse, core_of, cores = case
    chip = load_chip(name)
    reached = reach(synapse.weights, core_of, cores)
    stored, read = by_hand(synapse, core_of, cores, chip)
    np.testing.assert_array_equal(
        memory_bits(synapse, core_of, cores, chip, reached), np.multiply(stored, 64)
    )
    np.testing.assert_array_equal(words_read(synapse, core_of, cores, chip, reached).toarray(), read)


CONVOLUTIONS = [  # lava-nc/lava-dl, netx/pilotnet_snn and _sdnn, benchmark.ipynb: kernel, width, words
    ((24, 3), 5, 81),
    ((36, 24), 4, 864),
    ((48, 36), 4, 1620),
    ((64, 48), 4, 2160),
    ((64, 64), 4, 2880),
    ((24, 3), 6, 81),
    ((36, 24), 5, 864),
    ((64, 48), 5, 2592),
]
DENSE = [  # the same, and netx/mnist/run.ipynb: outputs, inputs, width, words of one core
    ((100, 2560), 3, 61440),
    ((100, 2560), 4, 66560),
    ((50, 100), 4, 1300),
    ((50, 100), 6, 1500),
    ((10, 50), 5, 150),
    ((1, 10), 6, 10),
    ((64, 128), 8, 2688),
    ((10, 64), 8, 256),
    ((50, 784), 8, 12544),
]


def of_width(shape: tuple[int, ...], bits: int) -> np.ndarray:
    """Even weights that take as many bits, most of them 0."""
    found = np.zeros(shape, np.int64)
    found.flat[:2] = -(2**bits), 2
    return found


@pytest.mark.parametrize(("channels", "bits", "words"), CONVOLUTIONS)
def test_shared_kernels_take_the_words_of_intels_tables(
    channels: tuple[int, int], bits: int, words: int
) -> None:
    kernel = of_width((*channels, 3, 3), bits)
    weights = ConvWeights(kernel, (channels[1], 5, 5), (channels[0], 3, 3))
    assert stored_words(weights, ("convolution",)) == words


@pytest.mark.parametrize(("shape", "bits", "words"), DENSE)
def test_dense_weights_take_the_words_of_intels_tables(shape: tuple[int, int], bits: int, words: int) -> None:
    weights = DenseWeights(of_width(shape, bits) if shape != (1, 10) else of_width((10, 1), bits).T)
    assert stored_words(weights, ("dense",)) == words
    assert stored_words(weights, ("dense", "sparse", "convolution")) <= words


def stored_words(weights: Weights, encodings: Any) -> int:
    core_of = np.zeros(weights.shape[0], np.int32)
    reached = reach(weights, core_of, 1)
    synapse = Synapse("s", "a", "b", weights)
    return int(memory_bits(synapse, core_of, 1, load_chip("loihi2"), reached, encodings)[0]) // 64
