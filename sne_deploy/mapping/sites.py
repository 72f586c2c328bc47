"""Cores onto chips and onto the sites of their meshes, so that messages cross few links.

Chips first: as few as hold all cores. Whole networks are packed on them. Where they do not fit, cores are
cut in their order where the fewest messages cross (which is exact for that order), and in one that keeps what
talks together (reverse Cuthill-McKee); then cores of two chips, and whole chips, are exchanged while that
saves borders, and the better of both is taken.

Then each chip's cores: in their order along several paths over the mesh, from each of which two cores (or a
core and a free site) are swapped, always the pair that saves most, while any saves; the best is taken. Both
are local optima, found in the same way each time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components, reverse_cuthill_mckee

from sne_deploy.chips.chip import Chip
from sne_deploy.mapping.mesh import Mesh, hops
from sne_deploy.mapping.placement import Site

Array = npt.NDArray[Any]

SWAPPED = 1024
"""Cores of a chip beyond which nothing is swapped: the table of all pairs would not be small any more."""

SWEEPS = 8
"""How often all pairs of chips are gone through, at most."""


def sites(traffic: sparse.csr_matrix, chip: Chip) -> tuple[Site, ...]:
    """A site for each core, in the order of the cores, on the mesh of the chip's file: see :func:`place`."""
    return place(traffic, Mesh.of(chip))


def place(traffic: sparse.csr_matrix, mesh: Mesh) -> tuple[Site, ...]:
    """A site for each core.

    Parameters
    ----------
    traffic : CSR matrix of shape (cores, cores)
        Messages from each core to each; only their ratios matter.
    mesh : Mesh

    Returns
    -------
    tuple of Site
        On as few chips as hold them. Never more messages between chips than :func:`row_major` has, and with
        as many, never more hops, weighted by their cost.
    """
    cores = int(traffic.shape[0])
    plain = row_major(cores, mesh)
    if mesh.cores is None or not cores:
        return plain
    placed = place_on(traffic, mesh, chips_of(traffic, mesh.cores))
    return min(placed, plain, key=lambda each: cost(traffic, each, mesh))


def place_on(traffic: sparse.csr_matrix, mesh: Mesh, chip_of: Array) -> tuple[Site, ...]:
    """A site for each core on a chip that is given, int array of shape (cores,)."""
    both = _both_ways(traffic)
    known: dict[int, Site] = {}
    for chip in range(int(chip_of.max()) + 1):
        members = np.flatnonzero(chip_of == chip)
        places = _places(both, members, known, mesh)
        known |= {int(core): mesh.site(chip, int(at)) for core, at in zip(members, places, strict=True)}
    return tuple(known[core] for core in range(len(chip_of)))


def chips_of(traffic: sparse.csr_matrix, full: int) -> Array:
    """The chip of each core, int array of shape (cores,): as few chips as hold them, ``full`` cores each."""
    chip_of = np.empty(int(traffic.shape[0]), np.int64)
    for chip, members in enumerate(_chips(_both_ways(traffic), full)):
        chip_of[members] = chip
    return chip_of


def chips_again(traffic: sparse.csr_matrix, chip_of: Array, full: int) -> Array:
    """Chips of at most ``full`` cores, with fewer messages between them, from those of ``chip_of``.

    Cores that a chip has no place for go where most of their messages do, to a chip more if need be. Then
    cores are exchanged while that saves messages to other chips, however far these are: a core can send only
    so many of them.
    """
    both = _both_ways(traffic)
    chips = max(int(chip_of.max()) + 1, -(-len(chip_of) // full))
    chip_of = _settled(both, chip_of, full, chips)
    found = _exchanged(both, chip_of, full, chips, 1 - np.eye(chips, dtype=np.int64))
    return np.unique(found, return_inverse=True)[1].reshape(-1)  # a chip that all have left is none


def _settled(both: sparse.csr_matrix, chip_of: Array, full: int, chips: int) -> Array:
    """The last cores of chips that hold too many go to the chips with room that they talk to most."""
    chip_of = chip_of.copy()
    order = np.argsort(chip_of, kind="stable")
    in_turn = np.arange(len(order)) - np.searchsorted(chip_of[order], chip_of[order])
    left_over = np.sort(order[in_turn >= full])
    held = np.minimum(np.bincount(chip_of, minlength=chips), full)
    chip_of[left_over] = -1
    for core in left_over:
        heard = slice(both.indptr[core], both.indptr[core + 1])
        known = chip_of[both.indices[heard]] >= 0
        talks = np.bincount(chip_of[both.indices[heard][known]], both.data[heard][known], chips)
        chip_of[core] = np.argmax(np.where(held < full, talks, -1.0))
        held[chip_of[core]] += 1
    return chip_of


def _both_ways(traffic: sparse.csr_matrix) -> sparse.csr_matrix:
    """Messages between two cores, whoever sends; what stays on its core crosses nothing."""
    both = sparse.csr_matrix(traffic + traffic.T, dtype=np.float64)
    return sparse.csr_matrix(both - sparse.diags(both.diagonal()))


def row_major(cores: int, mesh: Mesh) -> tuple[Site, ...]:
    """The cores in their order: tile by tile, row by row, chip by chip."""
    full = mesh.cores or max(cores, 1)
    return tuple(mesh.site(core // full, core % full) for core in range(cores))


def cost(traffic: sparse.csr_matrix, sites: Sequence[Site], mesh: Mesh) -> tuple[float, float]:
    """Messages times borders between chips, and messages times hops times the cost of a hop."""
    table = traffic.tocoo()
    way = hops(sites, table.row, table.col, mesh)
    links = way.east_west * mesh.east_west + way.north_south * mesh.north_south
    return float(table.data @ way.across), float(table.data @ links)


def _chips(both: sparse.csr_matrix, full: int) -> list[Array]:
    """Which cores each chip has, west to east."""
    cores = int(both.shape[0])
    chips = -(-cores // full)
    _, network = connected_components(both, directed=False)
    bins = _packed(np.bincount(network), full, chips)
    if bins is not None:
        return [np.flatnonzero(np.isin(network, each)) for each in bins]
    found = []
    for order in (np.argsort(network, kind="stable"), reverse_cuthill_mckee(both, symmetric_mode=True)):
        cuts = _cuts(sparse.csr_matrix(both[order][:, order]), full, chips)
        chip_of = np.empty(cores, np.int64)
        chip_of[order] = np.repeat(np.arange(chips), np.diff(cuts))
        found.append(_exchanged(both, chip_of, full, chips, _in_a_row(chips)))
    chip_of = min(found, key=lambda each: _crossing(both, each))
    return [np.flatnonzero(chip_of == chip) for chip in range(chips)]


def _crossing(both: sparse.csr_matrix, chip_of: Array) -> float:
    table = both.tocoo()
    return float(table.data @ np.abs(chip_of[table.row] - chip_of[table.col]))


def _in_a_row(chips: int) -> Array:
    """Borders between each two chips."""
    return np.asarray(np.abs(np.arange(chips)[:, None] - np.arange(chips)))


def _exchanged(both: sparse.csr_matrix, chip_of: Array, full: int, chips: int, away: Array) -> Array:
    """The chips after exchanges of two chips' cores, or a core and a free place, while any saves messages.

    A message between two chips counts as ``away`` of the two says. Whole chips are exchanged as well, while
    that saves borders.
    """
    cores, places = len(chip_of), chips * full
    free = np.repeat(np.arange(chips), full - np.bincount(chip_of, minlength=chips))
    chip_of = np.concatenate([chip_of, free])  # free places are cores without messages
    both = sparse.csr_matrix((both.data, both.indices, np.pad(both.indptr, (0, places - cores), "edge")),
                             shape=(places, places))  # fmt: skip
    in_a_row = _in_a_row(chips)
    for _ in range(SWEEPS):
        before = chip_of.copy()
        costs = np.asarray(both @ away[chip_of])  # of each core on each chip, all others staying
        least = 1e-9 * costs.max(initial=0.0)  # what is rounding and no saving
        for a, b in combinations(range(chips), 2):
            _exchange_two(both, chip_of, costs, away, (a, b), least)
        member = sparse.csr_matrix((np.ones(places), (chip_of, np.arange(places))), (chips, places))
        between = (member @ both @ member.T).toarray()
        np.fill_diagonal(between, 0)
        chip_of = _swapped(between, np.zeros_like(between), in_a_row, np.arange(chips))[1][chip_of]
        if np.array_equal(before, chip_of):
            break
    return chip_of[:cores]


def _exchange_two(
    both: sparse.csr_matrix, chip_of: Array, costs: Array, away: Array, pair: tuple[int, int], least: float
) -> None:
    """Exchange cores of two chips, always the two that save most, while that is more than ``least``.

    Changes ``chip_of`` and ``costs``.
    """
    a, b = pair
    for _ in range(len(chip_of)):
        here, there = np.flatnonzero(chip_of == a), np.flatnonzero(chip_of == b)
        leaving, coming = costs[here, a] - costs[here, b], costs[there, b] - costs[there, a]
        if leaving.max() + coming.max() <= least:
            return  # no two save more, whatever they send each other
        gain = leaving[:, None] + coming - 2 * away[a, b] * both[here][:, there].toarray()
        best = int(np.argmax(gain))
        if gain.flat[best] <= least:
            return
        i, j = here[best // len(there)], there[best % len(there)]
        moved = away[b] - away[a]
        for core, sign in ((i, 1), (j, -1)):
            heard = slice(both.indptr[core], both.indptr[core + 1])
            costs[both.indices[heard]] += sign * np.outer(both.data[heard], moved)
        chip_of[i], chip_of[j] = b, a


def _packed(sizes: Array, full: int, chips: int) -> list[list[int]] | None:
    """Networks on that many chips, the largest first, each where it leaves least; None if they do not fit."""
    free = [full] * chips
    bins: list[list[int]] = [[] for _ in range(chips)]
    for network in np.argsort(-sizes, kind="stable"):
        fitting = [chip for chip in range(chips) if free[chip] >= sizes[network]]
        if not fitting:
            return None
        best = min(fitting, key=lambda chip: free[chip])
        free[best] -= int(sizes[network])
        bins[best].append(int(network))
    return bins


def _cuts(both: sparse.csr_matrix, full: int, chips: int) -> list[int]:
    """Where cores in a row are cut into chips, so that messages cross the fewest borders: 0, ..., cores."""
    cores = int(both.shape[0])
    table = sparse.triu(both, 1).tocoo()
    change = np.zeros(cores + 1)
    np.add.at(change, table.row + 1, table.data)
    np.add.at(change, table.col + 1, -table.data)
    crossing = np.cumsum(change)  # between cores p - 1 and p
    best = np.full(cores + 1, np.inf)
    best[0] = 0
    came_from = []
    for _ in range(chips):
        padded = np.concatenate([np.full(full, np.inf), best])[: cores + full]
        before = np.lib.stride_tricks.sliding_window_view(padded, full)  # of p: p - full ... p - 1
        first = np.argmin(before, axis=1)
        came_from.append(np.arange(cores + 1) - full + first)
        best = before[np.arange(cores + 1), first] + crossing
    cuts = [cores]
    for step in reversed(came_from):
        cuts.append(int(step[cuts[-1]]))
    return cuts[::-1]


def _places(both: sparse.csr_matrix, members: Array, others: dict[int, Site], mesh: Mesh) -> Array:
    """Numbers of the sites of a chip's cores, given the sites of the chips to the west."""
    each, full = mesh.cores_per_tile, mesh.cores
    if each is None or full is None:
        return np.arange(len(members))
    tile = np.arange(full) // each
    x, y = tile % mesh.columns, tile // mesh.columns
    if full > SWAPPED:
        return next(iter(_paths(x, y)))[: len(members)]
    distance = mesh.east_west * np.abs(x[:, None] - x) + mesh.north_south * np.abs(y[:, None] - y)
    inside = np.zeros((full, full))  # free sites are cores without messages
    inside[: len(members), : len(members)] = both[members][:, members].toarray()
    outside = np.zeros((full, full))
    outside[: len(members)] = _to_others(both, members, others, mesh, (x, y))
    found = [_swapped(inside, outside, distance, path) for path in _paths(x, y)]
    return min(found, key=lambda one: one[0])[1][: len(members)]


def _to_others(
    both: sparse.csr_matrix, members: Array, others: dict[int, Site], mesh: Mesh, at: tuple[Array, Array]
) -> Array:
    """What each core's messages to and from other chips cost at each site, save what is the same at all."""
    x, y = at
    known = np.array(sorted(others), np.int64)
    elsewhere = np.ones(both.shape[0], bool)
    elsewhere[known] = elsewhere[members] = False
    rows = np.array([others[core].y for core in known], np.int64)
    west = both[members][:, known].toarray()
    by_row = np.stack([west[:, rows == row].sum(axis=1) for row in range(mesh.rows)], axis=1)
    east = np.asarray(both[members][:, np.flatnonzero(elsewhere)].sum(axis=1)).reshape(-1, 1)
    to_edges = by_row.sum(axis=1)[:, None] * x + east * (mesh.columns - 1 - x)
    to_rows = by_row @ np.abs(np.arange(mesh.rows)[:, None] - y)
    return np.asarray(mesh.east_west * to_edges + mesh.north_south * to_rows)


def _paths(x: Array, y: Array) -> Iterator[Array]:
    """Ways over all sites: by columns to and fro, by rows to and fro, row by row."""
    yield np.lexsort((np.where(x % 2, -y, y), x))
    yield np.lexsort((np.where(y % 2, -x, x), y))
    yield np.arange(len(x))


def _swapped(inside: Array, outside: Array, distance: Array, at: Array) -> tuple[float, Array]:
    """The cost and the site of each core after the swaps, from the sites ``at``."""
    at = at.copy()
    everyone = np.arange(len(at))
    costs = inside @ distance[at] + outside  # of core i at site s, all others staying
    total = float((costs + outside)[everyone, at].sum()) / 2
    for _ in range(8 * len(at)):
        here = costs[:, at]
        stay = here[everyone, everyone]
        gain = here + here.T - stay[:, None] - stay + 2 * inside * distance[np.ix_(at, at)]
        i, j = divmod(int(np.argmin(gain)), len(at))
        if gain[i, j] >= -1e-9 * total:
            break
        total += float(gain[i, j])
        moved = distance[at[j]] - distance[at[i]]
        costs += np.outer(inside[:, i] - inside[:, j], moved)
        at[i], at[j] = at[j], at[i]
    return total, at
