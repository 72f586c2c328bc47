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


def link_loads(messages: Array, sites: Sequence[Site], source: Array, target: Array, mesh: Mesh) -> Array:
    """Messages on each link, by dimension-ordered routing.

    Parameters
    ----------
    messages : int array of shape (..., pairs)
        Messages from each source to its target: of one step, or of several.
    sites : sequence of Site
        One per core.
    source, target : int arrays of shape (pairs,)
        Cores.
    mesh : Mesh

    Returns
    -------
    int64 array of shape (..., 4, rows, chips x columns)
        Messages that leave the tile at that row and column (of all chips side by side) to the east, to the
        west, to the south, to the north. Those from a chip's last column to the east, and from a later
        chip's first to the west, cross a border between chips.
    """
    column, row = coordinates(sites, mesh)
    width = (max((site.chip for site in sites), default=0) + 1) * mesh.columns
    (x0, x1), (y0, y1) = (column[source], column[target]), (row[source], row[target])
    east, west = x1 > x0, x1 < x0
    south, north = y1 > y0, y1 < y0
    # +m on the first tile that messages leave, -m behind the last: running sums are the loads.
    change = np.zeros((4, mesh.rows + 1, width + 1, *messages.shape[:-1]), np.int64)
    by_pair = np.moveaxis(messages, -1, 0)
    for direction, chosen, ends in (
        (0, east, ((y0, x0), (y0, x1))),
        (1, west, ((y0, x1 + 1), (y0, x0 + 1))),
        (2, south, ((y0, x1), (y1, x1))),
        (3, north, ((y1 + 1, x1), (y0 + 1, x1))),
    ):
        for sign, (y, x) in zip((1, -1), ends, strict=True):
            np.add.at(change[direction], (y[chosen], x[chosen]), sign * by_pair[chosen])
    loads = np.concatenate([np.cumsum(change[:2], axis=2), np.cumsum(change[2:], axis=1)])
    return np.moveaxis(loads[:, : mesh.rows, :width], (0, 1, 2), (-3, -2, -1))


def coordinates(sites: Sequence[Site], mesh: Mesh) -> tuple[Array, Array]:
    """Column and row of each site's tile, columns of all chips side by side: int64 arrays."""
    column = np.array([site.chip * mesh.columns + site.x for site in sites], np.int64)
    return column, np.array([site.y for site in sites], np.int64)
