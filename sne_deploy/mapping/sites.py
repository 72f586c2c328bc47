"""Where each core is: its chip, its tile on the mesh, its number in the tile."""

from __future__ import annotations

from scipy import sparse

from sne_deploy.chips.chip import Chip
from sne_deploy.mapping.placement import Site

CORES_PER_TILE = 4
COLUMNS = 8


def sites(traffic: sparse.csr_matrix, chip: Chip) -> tuple[Site, ...]:
    """A site for each core, in the order of the cores.

    Parameters
    ----------
    traffic : CSR matrix of shape (cores, cores)
        Messages that each core sends to each, where every neuron sends as many spikes.
    chip : Chip

    Returns
    -------
    tuple of Site
    """
    most = chip.limits.cores_per_chip
    found = []
    for core in range(traffic.shape[0]):
        number, index = (0, core) if most is None else divmod(core, most.value)
        tile, place = divmod(index, CORES_PER_TILE)
        found.append(Site(number, tile % COLUMNS, tile // COLUMNS, place))
    return tuple(found)
