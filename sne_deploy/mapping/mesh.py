"""The mesh of tiles on which messages travel: hops between cores, and what each link carries.

Messages go by dimension order, first east or west along the sender's row, then north or south along the
receiver's column. Cores of a tile share a router: between them a message crosses no link.

Chips are assumed to stand in a row from west to east, each row of tiles joined to that of the next chip:
chips extend their mesh in four directions, but how a board arranges them is not published. So a message to
another chip crosses the links to its own chip's edge, one border for each chip that it goes on, the links of
the chips in between, and those from the edge to its receiver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.chips.chip import Chip
from sne_deploy.mapping.placement import Site

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Mesh:
    """A chip's tiles.

    Attributes
    ----------
    columns, rows : int
        Tiles from west to east, and from north to south.
    cores_per_tile : int or None
        None: any number, on a chip whose file says nothing of a mesh. It is one tile then.
    cores : int or None
        Cores of a chip that can be used: the first of its sites, row by row of tiles. None: any number.
    east_west, north_south : float
        What a message costs on a link: energies of a hop (J), or 1 where the chip's file has none.
    """

    columns: int
    rows: int
    cores_per_tile: int | None
    cores: int | None
    east_west: float = 1.0
    north_south: float = 1.0

    @classmethod
    def of(cls, chip: Chip) -> Mesh:
        """The mesh that a chip's file describes."""
        limits, energy = chip.limits, chip.energy
        cores = limits.cores_per_chip.value if limits.cores_per_chip else None
        east_west, north_south = energy.hop_east_west, energy.hop_north_south
        weights = (east_west.si, north_south.si) if east_west and north_south else (1.0, 1.0)
        if limits.mesh_columns is None or limits.mesh_rows is None or limits.cores_per_tile is None:
            return cls(1, 1, None, cores, *weights)
        columns, rows, each = limits.mesh_columns.value, limits.mesh_rows.value, limits.cores_per_tile.value
        return cls(columns, rows, each, columns * rows * each if cores is None else cores, *weights)

    def site(self, chip: int, place: int) -> Site:
        """The site of that number on a chip: cores of a tile first, then its row, then the rows below."""
        if self.cores_per_tile is None:
            return Site(chip, 0, 0, place)
        tile, in_tile = divmod(place, self.cores_per_tile)
        return Site(chip, tile % self.columns, tile // self.columns, in_tile)


@dataclass(frozen=True, eq=False)
class Hops:
    """Links on the way of messages.

    Attributes
    ----------
    east_west, north_south : int64 array
        Links within chips, along rows and along columns.
    across : int64 array
        Borders between chips; 0 where the message stays on its chip.
    """

    east_west: Array
    north_south: Array
    across: Array


def hops(sites: Sequence[Site], source: Array, target: Array, mesh: Mesh) -> Hops:
    """Links that a message from each source to its target crosses.

    Parameters
    ----------
    sites : sequence of Site
        One per core.
    source, target : int arrays of one shape
        Cores.
    mesh : Mesh

    Returns
    -------
    Hops
        Of that shape.
    """
    column, row = coordinates(sites, mesh)
    chip = np.array([site.chip for site in sites], np.int64)
    across = np.abs(chip[source] - chip[target])
    east_west = np.abs(column[source] - column[target]) - across
    return Hops(east_west, np.abs(row[source] - row[target]), across)


def routes(sites: Sequence[Site], source: Array, target: Array, mesh: Mesh) -> sparse.csr_matrix:
    """The links within chips that a message from each source to its target crosses.

    Messages on each link, of a step or of many, are ``messages @ routes(...)``.

    Parameters
    ----------
    sites : sequence of Site
        One per core.
    source, target : int arrays of shape (pairs,)
        Cores.
    mesh : Mesh

    Returns
    -------
    CSR matrix of shape (pairs, links), int64
        1 where the message leaves a tile in a direction. Links in C order of (4, rows, chips x columns): to
        the east, west, south and north, of the tile at that row and column, all chips side by side.
    """
    column, row = coordinates(sites, mesh)
    width = _width(sites, mesh)
    (x0, x1), (y0, y1) = (column[source], column[target]), (row[source], row[target])
    along, x = _walks(x0, x1)
    east = (x1 > x0)[along]
    inside = np.where(east, x + 1, x) % mesh.columns != 0  # else to another chip
    down, y = _walks(y0, y1)
    south = (y1 > y0)[down]
    across_rows = (np.where(east, 0, 1) * mesh.rows + y0[along]) * width + x
    across_columns = (np.where(south, 2, 3) * mesh.rows + y) * width + x1[down]
    pair = np.concatenate([along[inside], down])
    link = np.concatenate([across_rows[inside], across_columns])
    shape = (len(source), link_count(sites, mesh))
    return sparse.csr_matrix((np.ones(len(pair), np.int64), (pair, link)), shape)


def link_count(sites: Sequence[Site], mesh: Mesh) -> int:
    """How many links :func:`routes` has: those to the east and west first, then as many north and south."""
    return 4 * mesh.rows * _width(sites, mesh)


def _walks(start: Array, end: Array) -> tuple[Array, Array]:
    """Every step of every walk from start to end: whose it is, and the place that it leaves."""
    length = np.abs(end - start)
    whose = np.repeat(np.arange(len(start)), length)
    done = np.arange(len(whose)) - np.repeat(np.cumsum(length) - length, length)
    return whose, start[whose] + np.sign(end - start)[whose] * done


def _width(sites: Sequence[Site], mesh: Mesh) -> int:
    return (max((site.chip for site in sites), default=0) + 1) * mesh.columns


def coordinates(sites: Sequence[Site], mesh: Mesh) -> tuple[Array, Array]:
    """Column and row of each site's tile, columns of all chips side by side: int64 arrays."""
    column = np.array([site.chip * mesh.columns + site.x for site in sites], np.int64)
    return column, np.array([site.y for site in sites], np.int64)
