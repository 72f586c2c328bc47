"""Which cores a spike of each source reaches, and by how many synapses: all that counts and limits need."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.ir.weights import Weights

Array = npt.NDArray[Any]


def reach(weights: Weights, core_of: Array, cores: int) -> sparse.csr_matrix:
    """Existing synapses of each source neuron on each core.

    A spike of source i is as many SynOps as its row sums to, and one message to each core that has an entry.

    Parameters
    ----------
    weights : Weights
        Of shape (n_out, n_in).
    core_of : int array of shape (n_out,)
        The core that holds each target neuron.
    cores : int

    Returns
    -------
    CSR matrix of shape (n_in, cores), int64
    """
    matrix = weights.matrix()
    existing = sparse.csr_matrix((np.ones(matrix.nnz, np.int64), matrix.indices, matrix.indptr), matrix.shape)
    n_out = weights.shape[0]
    where = sparse.csr_matrix((np.ones(n_out, np.int64), (core_of, np.arange(n_out))), (cores, n_out))
    found = sparse.csr_matrix((where @ existing).T)
    found.sort_indices()
    return found
