"""Bits of synaptic memory that a synapse takes on each core."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.chips.chip import Chip
from sne_deploy.ir.program import Synapse

Array = npt.NDArray[Any]

HEADER_BITS = 16
INDEX_BITS = 10
WORD_BITS = 64


def memory_bits(
    synapse: Synapse,  # noqa: ARG001  sparse encoding is the same for all
    core_of: Array,  # noqa: ARG001
    cores: int,
    chip: Chip,
    reached: sparse.csr_matrix,
) -> Array:
    """Synaptic memory of each core, in sparse encoding: a header per in-axon, weight and index per synapse.

    Parameters
    ----------
    synapse : Synapse
    core_of : int array of shape (n_out,)
        The core that holds each target neuron.
    cores : int
    chip : Chip
    reached : CSR matrix of shape (n_in, cores)
        What :func:`sne_deploy.mapping.reach.reach` gives for these cores.

    Returns
    -------
    int64 array of shape (cores,)
    """
    bits = HEADER_BITS + reached.data * (chip.weights.bits.value + INDEX_BITS)
    words = -(-bits // WORD_BITS)
    return np.bincount(reached.indices, words * WORD_BITS, cores).astype(np.int64)
