"""Where the places of a layered graph stand in their rows: few crossings, straight ways, no overlaps."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Size = tuple[float, float]

SWEEPS = 12
RELAXATIONS = 40
GAP_X = 26.0
"""Between two boxes of a row."""
GAP_X_ARROW = 12.0
"""Beside an arrow that passes, or its label."""
PASSING_WEIGHT = 4.0
"""How much more a passing arrow keeps to its way than a box: long arrows are straight."""


@dataclass
class Place:
    """A box, or the point at which an arrow passes a row; ``x`` is its centre."""

    row: int
    size: Size
    box: bool
    x: float = 0.0
    above: tuple[int, ...] = ()
    below: tuple[int, ...] = ()


def in_order(places: Sequence[Place]) -> list[list[int]]:
    """Places of each row from left to right: the best of the sweeps."""
    order: list[list[int]] = [[] for _ in range(1 + max(place.row for place in places))]
    for index in _depth_first(places):
        order[places[index].row].append(index)
    best, fewest = [list(row) for row in order], _crossings(places, order)
    for sweep in range(SWEEPS):
        if fewest == 0:
            break
        down = sweep % 2 == 0
        for row in order[1:] if down else order[-2::-1]:
            _by_neighbours(places, order, row, down=down)
        crossings = _crossings(places, order)
        if crossings < fewest:
            best, fewest = [list(row) for row in order], crossings
    return best


def _depth_first(places: Sequence[Place]) -> list[int]:
    """Every place, one way down after the other, so that what belongs together begins side by side."""
    seen: dict[int, None] = {}
    for root in (index for index, place in enumerate(places) if not place.above):
        waiting = [root]
        while waiting:
            index = waiting.pop()
            if index not in seen:
                seen[index] = None
                waiting.extend(reversed(places[index].below))
    return list(seen)


def _by_neighbours(places: Sequence[Place], order: list[list[int]], row: list[int], *, down: bool) -> None:
    """Sort a row by the mean position of each place's neighbours in the row before."""
    if not row:
        return
    before = places[row[0]].row + (-1 if down else 1)
    position = {index: at for at, index in enumerate(order[before])}
    own = {index: at for at, index in enumerate(row)}

    def mean(index: int) -> float:
        near = places[index].above if down else places[index].below
        return sum(position[n] for n in near) / len(near) if near else float(own[index])

    row.sort(key=mean)


def _crossings(places: Sequence[Place], order: Sequence[Sequence[int]]) -> int:
    """Pairs of arrow pieces that cross."""
    found = 0
    for upper, lower in pairwise(order):
        position = {index: at for at, index in enumerate(lower)}
        passed: list[int] = []
        for index in upper:
            ends = sorted(position[n] for n in places[index].below)
            found += sum(len(passed) - bisect_left(passed, end + 1) for end in ends)
            for end in ends:
                insort(passed, end)
    return found


def position(places: Sequence[Place], order: Sequence[Sequence[int]]) -> None:
    """Draw every place to its neighbours, keeping order and distances."""
    for row in order:
        _settle(places, row, [0.0] * len(row))
    for step in range(RELAXATIONS):
        down = step % 2 == 0
        for row in order if down else reversed(order):
            wanted = [_wanted(places, index, down=down, last=step >= RELAXATIONS - 2) for index in row]
            _settle(places, row, wanted)


def _wanted(places: Sequence[Place], index: int, *, down: bool, last: bool) -> float:
    place = places[index]
    near = place.above + place.below if last else place.above if down else place.below
    near = near or place.above + place.below
    return sum(places[n].x for n in near) / len(near) if near else place.x


def _settle(places: Sequence[Place], row: Sequence[int], wanted: Sequence[float]) -> None:
    """The positions nearest to the wanted ones: neighbours that would overlap are moved as one block."""
    offsets = [0.0]
    for left, right in pairwise(row):
        both_boxes = places[left].box and places[right].box
        gap = GAP_X if both_boxes else GAP_X_ARROW
        offsets.append(offsets[-1] + (places[left].size[0] + places[right].size[0]) / 2 + gap)
    blocks: list[tuple[float, float, int]] = []
    for x, place, offset in zip(wanted, row, offsets, strict=True):
        mean, weight, count = x - offset, 1.0 if places[place].box else PASSING_WEIGHT, 1
        while blocks and blocks[-1][0] > mean:
            other, heavy, size = blocks.pop()
            mean = (mean * weight + other * heavy) / (weight + heavy)
            weight, count = weight + heavy, count + size
        blocks.append((mean, weight, count))
    starts = [mean for mean, _, count in blocks for _ in range(count)]
    for index, start, offset in zip(row, starts, offsets, strict=True):
        places[index].x = start + offset
