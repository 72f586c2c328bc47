"""Cores on the mesh: held to brute force, to the plain order, and to what a chip has room for."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
from scipy import sparse

from sne_deploy.chips.chip import load_chip
from sne_deploy.mapping.mesh import Mesh, hops, routes
from sne_deploy.mapping.placement import Site
from sne_deploy.mapping.sites import _cuts, chips_again, cost, place, row_major, sites
from tests.effort import examples

LOIHI1 = Mesh.of(load_chip("loihi1"))


def random_messages(rng: np.random.Generator, cores: int, density: float) -> sparse.csr_matrix:
    table = sparse.random(cores, cores, density, "csr", rng=rng)
    table.data = np.ceil(table.data * 100)
    return table.astype(np.int64)


def random_mesh(rng: np.random.Generator) -> Mesh:
    columns, rows, each = (int(n) for n in rng.integers(1, [6, 5, 5]))
    cores = int(rng.integers(max(1, columns * rows * each - each), columns * rows * each + 1))
    return Mesh(columns, rows, each, cores, *rng.uniform(1, 5, 2))


def walk(start, end, columns: int) -> list[tuple[str, int, int]]:
    """The links of a message, one by one: direction, and the tile that it leaves (column over all chips)."""
    x, y = start.chip * columns + start.x, start.y
    way = []
    while x != end.chip * columns + end.x:
        way.append(("east" if x < end.chip * columns + end.x else "west", x, y))
        x += 1 if way[-1][0] == "east" else -1
    while y != end.y:
        way.append(("south" if y < end.y else "north", x, y))
        y += 1 if way[-1][0] == "south" else -1
    return way


def crosses(link: tuple[str, int, int], columns: int) -> bool:
    direction, x, _ = link
    return (direction == "east" and (x + 1) % columns == 0) or (direction == "west" and x % columns == 0)


def test_loihi1_has_32_tiles_of_4_cores() -> None:
    assert (LOIHI1.columns, LOIHI1.rows, LOIHI1.cores_per_tile, LOIHI1.cores) == (8, 4, 4, 128)
    assert (LOIHI1.east_west, LOIHI1.north_south) == (3.0e-12, 4.0e-12)
    assert LOIHI1.site(3, 127) == Site(3, 7, 3, 3)
    assert LOIHI1.site(0, 4).x == 1
    assert Mesh.of(load_chip("loihi2")).cores == 120


@pytest.mark.parametrize("seed", range(examples(40)))
def test_every_core_has_a_site_of_its_own_on_as_few_chips_as_hold_them(seed) -> None:
    rng = np.random.default_rng(seed)
    mesh = random_mesh(rng)
    cores = int(rng.integers(1, 3 * mesh.cores + 2))
    messages = random_messages(rng, cores, rng.choice([0.02, 0.1, 0.5]))
    placed = place(messages, mesh)
    assert len(set(placed)) == len(placed) == cores
    assert {site.chip for site in placed} == set(range(-(-cores // mesh.cores)))
    assert all(site.x < mesh.columns and site.y < mesh.rows for site in placed)
    assert all(site.in_tile < mesh.cores_per_tile for site in placed)
    usable = {mesh.site(0, place) for place in range(mesh.cores)}
    assert {Site(0, site.x, site.y, site.in_tile) for site in placed} <= usable
    assert placed == place(messages, mesh)
    assert cost(messages, placed, mesh) <= cost(messages, row_major(cores, mesh), mesh)


def test_the_cost_is_within_3_percent_of_the_least_of_all_orders_in_the_mean() -> None:
    mesh = Mesh(3, 2, 1, 6, 3.0, 4.0)
    every = [tuple(mesh.site(0, place) for place in order) for order in permutations(range(6))]
    ratios = []
    for seed in range(examples(8)):
        messages = random_messages(np.random.default_rng(seed), 6, 0.5)
        least = min(cost(messages, placed, mesh) for placed in every)[1]
        ratios.append(cost(messages, place(messages, mesh), mesh)[1] / least)
    assert min(ratios) == pytest.approx(1)
    assert np.mean(ratios) < 1.03


@pytest.mark.parametrize("seed", range(examples(3)))
def test_no_swap_of_two_sites_saves_anything(seed) -> None:
    rng = np.random.default_rng(seed)
    mesh = Mesh(4, 2, 2, 15, 3.0, 4.0)
    messages = random_messages(rng, 13, 0.3)
    placed = place(messages, mesh)
    free = sorted({mesh.site(0, at) for at in range(15)} - set(placed), key=str)
    found = cost(messages, placed, mesh)[1]
    for first, second in combinations(range(15), 2):
        swapped = [*placed, *free]
        swapped[first], swapped[second] = swapped[second], swapped[first]
        assert cost(messages, swapped[:13], mesh)[1] >= found * (1 - 1e-9)


@pytest.mark.parametrize("seed", range(examples(20)))
def test_hops_and_routes_are_those_of_messages_that_walk(seed) -> None:
    rng = np.random.default_rng(seed)
    mesh = random_mesh(rng)
    cores = int(rng.integers(2, 3 * mesh.cores + 2))
    placed = [row_major(cores, mesh)[core] for core in rng.permutation(cores)]
    source, target = rng.integers(0, cores, (2, 30))
    crossed = routes(placed, source, target, mesh)
    shape = (4, mesh.rows, -1)
    way = hops(placed, source, target, mesh)
    for pair in range(30):
        links = walk(placed[source[pair]], placed[target[pair]], mesh.columns)
        inside = [link for link in links if not crosses(link, mesh.columns)]
        along = sum(direction in ("east", "west") for direction, _, _ in inside)
        found = (way.east_west[pair], way.north_south[pair], way.across[pair])
        assert found == (along, len(inside) - along, len(links) - len(inside))
        expected = np.zeros_like(crossed[pair].toarray().reshape(shape))
        for direction, x, y in inside:
            expected[("east", "west", "south", "north").index(direction), y, x] += 1
        np.testing.assert_array_equal(crossed[pair].toarray().reshape(shape), expected)


@pytest.mark.parametrize(("sizes", "full"), [((10, 7, 6, 9), 16), ((3, 6, 2, 5, 4), 10)])
def test_networks_are_cut_only_where_they_must_be(sizes, full) -> None:
    mesh = Mesh(2, 1, full // 2, full)
    rng = np.random.default_rng(0)
    parts = [sparse.csr_matrix(rng.integers(1, 9, (size, size))) for size in sizes]
    messages = sparse.csr_matrix(sparse.block_diag(parts))
    assert cost(messages, place(messages, mesh), mesh)[0] == 0  # they fill two chips
    assert cost(messages, row_major(2 * full, mesh), mesh)[0] > 0


def test_what_talks_to_another_chip_is_at_the_edge_and_in_the_same_row() -> None:
    mesh, many = Mesh(2, 3, 1, 6), np.zeros((12, 12), np.int64)
    many[:6, :6] = many[6:, 6:] = 1000  # all places in a chip are as good for this
    for source, target in ((0, 9), (2, 7), (3, 11)):  # three rows
        many[source, target] = 100
    placed = place(sparse.csr_matrix(many), mesh)
    way = hops(placed, np.array([0, 2, 3]), np.array([9, 7, 11]), mesh)
    assert way.across.tolist() == [1, 1, 1]
    assert not way.east_west.any()
    assert not way.north_south.any()


@pytest.mark.parametrize("seed", range(examples(4)))
def test_no_exchange_between_chips_saves_a_border(seed) -> None:
    rng = np.random.default_rng(seed)
    mesh = Mesh(2, 1, 2, 4)
    messages = random_messages(rng, 11, 0.3)
    placed = place(messages, mesh)
    free = sorted({mesh.site(chip, at) for chip in range(3) for at in range(4)} - set(placed), key=str)
    found = cost(messages, placed, mesh)[0]
    for first, second in combinations(range(12), 2):
        swapped = [*placed, *free]
        swapped[first], swapped[second] = swapped[second], swapped[first]
        assert cost(messages, swapped[:11], mesh)[0] >= found


@pytest.mark.parametrize("seed", [34, *range(examples(3))])  # in the first, whole chips change places
def test_chips_do_not_depend_on_the_order_of_cores_where_groups_are_clear(seed) -> None:
    rng = np.random.default_rng(seed)
    mesh, size = Mesh(2, 2, 2, 8), 8
    table = np.kron(np.diag([50, 50, 50]), np.ones((size, size), np.int64))
    table[np.arange(16), np.arange(8, 24)] += rng.integers(0, 9, 16)  # a dataflow from chip to chip
    order = rng.permutation(24)
    shuffled = sparse.csr_matrix(table[order][:, order])
    placed = place(shuffled, mesh)
    groups = {(placed[at].chip, int(core) // size) for at, core in enumerate(order)}
    assert len(groups) == 3
    assert cost(shuffled, placed, mesh)[0] == table[:8, 8:16].sum() + table[8:16, 16:].sum()


def test_chips_are_cut_where_fewest_messages_cross() -> None:
    chain = np.array([5, 5, 1, 2, 5, 5, 5, 5, 5])  # between core i and i + 1
    messages = sparse.csr_matrix(np.diag(chain, 1))
    every = [
        (chain[first - 1] + chain[second - 1], [0, first, second, 10])
        for first, second in combinations(range(1, 10), 2)
        if first <= 4 and second - first <= 4 and 10 - second <= 4
    ]
    mesh, both = Mesh(2, 1, 2, 4), sparse.csr_matrix(messages + messages.T)
    assert (6, _cuts(both, 4, 3)) == min(every)
    assert cost(messages, place(messages, mesh), mesh)[0] <= 6
    assert cost(messages, row_major(10, mesh), mesh)[0] == 7


def test_a_mapping_has_the_sites_that_its_traffic_asks_for() -> None:
    chip = load_chip("loihi1")
    traffic = random_messages(np.random.default_rng(0), 20, 0.2)
    assert sites(traffic, chip) == place(traffic, Mesh.of(chip))
    bare = Mesh(1, 1, None, None)
    assert place(traffic, bare) == tuple(Site(0, 0, 0, core) for core in range(20))
    assert place(sparse.csr_matrix((0, 0), dtype=np.int64), Mesh.of(chip)) == ()


def sent_away(messages: sparse.csr_matrix, chip_of: np.ndarray) -> int:
    table = messages.tocoo()
    return int(table.data[chip_of[table.row] != chip_of[table.col]].sum())


@pytest.mark.parametrize("seed", range(examples(12)))
def test_chips_that_are_found_again_hold_all_cores_and_are_left_by_fewer_messages(seed) -> None:
    rng = np.random.default_rng(seed)
    full = int(rng.integers(2, 7))
    cores = int(rng.integers(1, 5 * full))
    messages = random_messages(rng, cores, 0.3)
    before = np.sort(rng.integers(0, 3, cores))
    found = chips_again(messages, before, full)
    held = np.bincount(found)
    assert held.max() <= full
    assert len(held) <= max(before.max() + 1, -(-cores // full))
    assert held.min() > 0
    if np.bincount(before).max() <= full:
        assert sent_away(messages, found) <= sent_away(messages, before)
    np.testing.assert_array_equal(found, chips_again(messages, before, full))
    for first, second in combinations(range(cores), 2):  # no exchange saves any
        swapped = found.copy()
        swapped[[first, second]] = swapped[[second, first]]
        assert sent_away(messages, swapped) >= sent_away(messages, found)


def test_what_a_chip_has_no_place_for_goes_where_it_sends_most() -> None:
    table = np.zeros((7, 7), np.int64)
    table[:4, :4] = table[4:6, 4:6] = 50  # cores 0 to 3, and 4 and 5, belong together
    table[6, 4], table[6, 0] = 60, 9
    before = np.array([0, 0, 0, 0, 1, 1, 0])
    assert chips_again(sparse.csr_matrix(table), before, 4).tolist() == [0, 0, 0, 0, 1, 1, 1]
