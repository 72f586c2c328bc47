"""Synaptic memory: the bits that a synapse takes on each core, and the words that a message makes it read.

An in-axon with n synapses on a core is stored as a header and n entries of w + d + i bits, in blocks, each
rounded up to words::

    words(n) = n // B ceil((h + B e) / W) + ceil((h + (n mod B) e) / W),    e = w + d + i

with the word W, the header h, the block B, and the widths of weight w, delay d and index i. The chip's file
has them, with sources, in ``[synapse_memory]``. w is the narrowest of the chip's that holds every weight of
the synapse once their common power of two is in the exponent; d is 0 without a delay.

Encodings, of which a synapse has the smallest on each core:

dense : every in-axon of an all-to-all synapse holds all the target's neurons on the core, zeros included; of
    other synapses, the in-axons that have a synapse there.
sparse : existing synapses alone, each with its target's index, which is as wide as the target group, or as
    all that fits on a core, asks for.
convolution : one kernel, shared by the core's positions that have the same channels there: for each tap and
    input channel its output channels, in blocks of 32, 16, 8, ... that sum to their number (36 = 32 + 4).

Not modelled: plastic synapses, their tags and traces; run-length encoding; the alignment of a core's base
address; memory that tables of axons take.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.chips.chip import Chip
from sne_deploy.chips.constants import SynapseMemoryTable
from sne_deploy.ir.program import Synapse
from sne_deploy.ir.weights import ConvWeights, DenseWeights, SparseWeights, Weights
from sne_deploy.mapping.shared_kernels import Shared

Array = npt.NDArray[Any]
Encoding = Literal["dense", "sparse", "convolution"]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
_RANGES: WeakKeyDictionary[Weights, tuple[int, int]] = WeakKeyDictionary()


def encodings_of(strategy: str) -> tuple[Encoding, ...]:
    """Those in which a strategy stores weights that are no sparse matrix: Intel's keeps the zeros."""
    return ("dense", "convolution") if strategy == "intel" else ENCODINGS


def memory_bits(
    synapse: Synapse,
    core_of: Array,
    cores: int,
    chip: Chip,
    reached: sparse.csr_matrix,
    encodings: tuple[Encoding, ...] = ENCODINGS,
    whole: Synapse | None = None,
) -> Array:
    """Bits of synaptic memory that a synapse takes on each core.

    Parameters
    ----------
    synapse : Synapse
    core_of : int array of shape (n_out,)
        The core that holds each target neuron.
    cores : int
    chip : Chip
        Without ``[synapse_memory]`` in its file, what weights take is not known: 0.
    reached : CSR matrix of shape (n_in, cores)
        What :func:`sne_deploy.mapping.reach.reach` gives for these cores.
    encodings : tuple of Encoding
        Those to choose from, among the chip's; weights that are a sparse matrix may always be sparse.
    whole : Synapse or None
        What ``synapse`` is a part of, whose widths it has.

    Returns
    -------
    int64 array of shape (cores,)
    """
    if chip.synapse_memory is None:
        return np.zeros(cores, np.int64)
    layout = _Layout(synapse, core_of, cores, chip, chip.synapse_memory, reached, whole or synapse)
    words = np.stack([layout.words(each) for each in layout.possible(encodings)]).min(axis=0)
    return np.asarray(words * chip.synapse_memory.word.value)


def words_read(
    synapse: Synapse,
    core_of: Array,
    cores: int,
    chip: Chip,
    reached: sparse.csr_matrix,
    encodings: tuple[Encoding, ...] = ENCODINGS,
) -> sparse.csr_matrix:
    """Words of synaptic memory that one spike of each source makes each core read.

    In the encoding that :func:`memory_bits` chose for the core. Where a spike reaches no synapse, none.

    Returns
    -------
    CSR matrix of shape (n_in, cores), int64
        Of the pattern of ``reached``; zeros without ``[synapse_memory]``.
    """
    found = reached.copy()
    found.data = np.zeros(reached.nnz, np.int64)
    if chip.synapse_memory is None:
        return found
    layout = _Layout(synapse, core_of, cores, chip, chip.synapse_memory, reached, synapse)
    possible = layout.possible(encodings)
    chosen = np.stack([layout.words(each) for each in possible]).argmin(axis=0)[reached.indices]
    for number, each in enumerate(possible):
        here = chosen == number
        if here.any():
            found.data[here] = layout.read(each)[here]
    return found


def in_axons(synapse: Synapse, reached: sparse.csr_matrix, chip: Chip, strategy: str = "packed") -> Array:
    """In-axons of a synapse on each core: int64 of shape (cores,).

    One for each source that has a synapse there. In the tables of Intel's compiler a shared kernel has
    one for each column of its stride.
    """
    heard = np.bincount(reached.indices, minlength=reached.shape[1])
    weights, table = synapse.weights, chip.synapse_memory
    shared = isinstance(weights, ConvWeights) and table is not None and table.convolution is not None
    if strategy == "intel" and shared and isinstance(weights, ConvWeights):
        return np.asarray(np.minimum(heard, weights.stride[1]))
    return heard


def weight_width(synapse: Synapse, chip: Chip) -> int:
    """Bits of a stored weight: the narrowest that holds all; 0 where no weight exists, or none is known."""
    table = chip.synapse_memory
    if table is None:
        return 0
    low, high = _range(synapse.weights)
    if low == high == 0:
        return 0
    if synapse.sign_mode == "mixed":
        needed = max((~low if low < 0 else low).bit_length(), high.bit_length()) + 1
    else:
        needed = max(-low, high).bit_length()
    return next((width for width in sorted(table.weight.value) if width >= needed), needed)


def _range(weights: Weights) -> tuple[int, int]:
    """The smallest and the largest weight, less the power of two that all have; found once, and kept."""
    found = _RANGES.get(weights)
    if found is None:
        values = np.asarray(weights.values)
        union = int(np.bitwise_or.reduce(values, axis=None)) if values.size else 0
        shift = max((union & -union).bit_length() - 1, 0)
        found = (int(values.min()) >> shift, int(values.max()) >> shift) if union else (0, 0)
        _RANGES[weights] = found
    return found


def words_of(entries: Array, entry_bits: Array | int, table: SynapseMemoryTable) -> Array:
    """Words of an in-axon with as many synapses; 0 of none."""
    block = table.block.value if table.block else max(1, int(np.max(entries, initial=1)))
    whole, rest = np.divmod(entries, block)
    return np.asarray(whole * _ceil(block, entry_bits, table) + (rest > 0) * _ceil(rest, entry_bits, table))


def tap_words(channels: Array, entry_bits: int, table: SynapseMemoryTable) -> Array:
    """Words of one tap of a shared kernel with as many output channels: blocks of powers of two."""
    powers = 1 << np.arange(32, dtype=np.int64)
    held = (np.asarray(channels)[..., None] & powers) > 0
    return np.asarray((held * words_of(powers, entry_bits, table)).sum(axis=-1))


def _ceil(entries: Array | int, entry_bits: Array | int, table: SynapseMemoryTable) -> Array:
    return np.asarray(
        -(-(table.header.value + entries * np.asarray(entry_bits, np.int64)) // table.word.value)
    )


@dataclass(frozen=True, eq=False)
class _Layout:
    """A synapse on its cores, in each encoding."""

    synapse: Synapse
    core_of: Array
    cores: int
    chip: Chip
    table: SynapseMemoryTable
    reached: sparse.csr_matrix
    whole: Synapse

    def possible(self, encodings: tuple[Encoding, ...]) -> list[Encoding]:
        """Those of the encodings that the chip has and that fit the synapse."""
        weights = self.synapse.weights
        allowed = ("dense", "sparse") if isinstance(weights, SparseWeights) else encodings
        found = [each for each in ENCODINGS if each in allowed and getattr(self.table, each) is not None]
        return found if isinstance(weights, ConvWeights) else [e for e in found if e != "convolution"]

    def words(self, encoding: Encoding) -> Array:
        """Words that each core stores: int64 of shape (cores,)."""
        weights = self.synapse.weights
        if encoding == "convolution" and isinstance(weights, ConvWeights):
            return self._kernel_words(weights)
        if encoding == "dense" and isinstance(weights, DenseWeights):
            return np.asarray(weights.shape[1] * self._dense_words())
        return np.bincount(self.reached.indices, self.read(encoding), self.cores).astype(np.int64)

    def read(self, encoding: Encoding) -> Array:
        """Words that a spike reads: int64, for each entry of ``reached``."""
        weights = self.synapse.weights
        if encoding == "convolution" and isinstance(weights, ConvWeights):
            return self._taps_read(weights)
        if encoding == "dense":
            return np.asarray(self._dense_words()[self.reached.indices])
        return words_of(self.reached.data, self._entry("sparse"), self.table)

    def _entry(self, encoding: Encoding) -> int:
        """Bits of a synapse."""
        delay = (self.synapse.delay + 1).bit_length() if self.synapse.delay else 0
        widths, most = sorted(getattr(self.table, encoding).value), self.chip.limits.neurons_per_core
        targets = self.whole.weights.shape[0]
        needed = (max(1, min(targets, most.value) if most else targets) - 1).bit_length()
        index = next((width for width in widths if width >= needed), widths[-1])
        return int(weight_width(self.whole, self.chip) + delay + index)

    def _dense_words(self) -> Array:
        held = np.bincount(self.core_of, minlength=self.cores)
        return words_of(held, self._entry("dense"), self.table)

    def _kernel_words(self, conv: ConvWeights) -> Array:
        shared = Shared.of(conv, self.core_of, self.cores)
        entry = self._entry("convolution")
        words = tap_words(shared.channels, entry, self.table).sum(axis=1)
        taps = int(np.prod(conv.kernel.shape[1:]))
        return np.bincount(shared.core, shared.first * words * taps, self.cores).astype(np.int64)

    def _taps_read(self, conv: ConvWeights) -> Array:
        """Each output position on the core that a source feeds reads one tap."""
        shared = Shared.of(conv, self.core_of, self.cores)
        words = tap_words(shared.channels, self._entry("convolution"), self.table)
        sources = np.repeat(np.arange(self.reached.shape[0]), np.diff(self.reached.indptr))
        channel, position = np.divmod(sources, conv.in_shape[1] * conv.in_shape[2])
        of_group, found = channel // (conv.in_shape[0] // conv.groups), np.zeros(len(sources), np.int64)
        for group in range(conv.groups):
            here = of_group == group
            keys = position[here] * self.cores + self.reached.indices[here]
            found[here] = shared.read(conv, words[:, group], keys)
        return found
