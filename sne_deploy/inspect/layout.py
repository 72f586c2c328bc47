"""Where a graph's boxes and arrows go: rows from top to bottom, few crossings, nothing on top of another.

Every node stands in the row below its last source. An arrow has a point of its own in every row that it
passes, and its label is one of these points, so that boxes, labels and passing arrows share a row without
touching. The order in a row is that of the neighbours' mean positions, swept down and up; the positions are
the least-squares ones that keep the order and the distances.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sne_deploy.errors import OutputError
from sne_deploy.inspect.placement import Place, Size, in_order, position

Point = tuple[float, float]

GAP_Y = 18.0
"""Between two rows; rows of boxes and rows of labels take turns."""
PORT_GAP = 18.0
LOOP_WIDTH = 34.0
MAX_PLACES = 20_000
"""About 3 s of work."""


@dataclass(frozen=True)
class Arrow:
    """From one box to another; ``label`` is the size of its text, (0, 0) where there is none."""

    source: str
    target: str
    label: Size = (0.0, 0.0)


@dataclass(frozen=True)
class Layout:
    """Centres of the boxes; for each arrow its points from source to target, and its label's centre.

    Points come in pairs: an arrow runs straight down (or up) within a pair and bends between two pairs. A
    self-loop has the four corners of its course instead.
    """

    width: float
    height: float
    boxes: Mapping[str, Point]
    arrows: tuple[tuple[Point, ...], ...]
    labels: tuple[Point, ...]


def lay_out(sizes: Mapping[str, Size], arrows: Sequence[Arrow]) -> Layout:
    """Find a place for everything.

    Parameters
    ----------
    sizes : mapping of str to (width, height)
        The boxes, in an order in which sources come first; an arrow against it is laid out upside down.
    arrows : sequence of Arrow

    Raises
    ------
    OutputError
        More than MAX_PLACES boxes and rows that arrows pass: nobody could read it.
    """
    if not sizes:
        return Layout(0.0, 0.0, {}, (), ())
    names = list(sizes)
    number = {name: index for index, name in enumerate(names)}
    ends = [(number[arrow.source], number[arrow.target]) for arrow in arrows]
    rows = _rows(len(names), [(min(pair), max(pair)) for pair in ends if pair[0] != pair[1]])
    loops = {a: arrow.label[0] for (a, b), arrow in zip(ends, arrows, strict=True) if a == b}
    places = [
        Place(2 * rows[index], _with_loop(sizes[name], loops.get(index)), box=True)
        for index, name in enumerate(names)
    ]
    chains = [
        _chain(places, min(pair), max(pair), arrow.label) for pair, arrow in zip(ends, arrows, strict=True)
    ]
    if len(places) > MAX_PLACES:
        raise OutputError(
            f"the graph is too large to draw: {len(places):,} boxes and points of arrows, at most "
            f"{MAX_PLACES:,}; leave --svg out"
        )
    order = in_order(places)
    position(places, order)
    return _drawn(sizes, arrows, places, order, chains)


def _with_loop(size: Size, label: float | None) -> Size:
    """A box with a self-loop has room for it on both sides, to stay in the middle."""
    return size if label is None else (size[0] + 2 * (LOOP_WIDTH + label), size[1])


def _rows(count: int, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """The longest way from a source to every node; a node without sources stands right above its targets."""
    rows = [0] * count
    below: list[list[int]] = [[] for _ in range(count)]
    entered = [False] * count
    for a, b in sorted(pairs):
        rows[b] = max(rows[b], rows[a] + 1)
        below[a].append(b)
        entered[b] = True
    for node in range(count):
        if not entered[node] and below[node]:
            rows[node] = min(rows[target] for target in below[node]) - 1
    return rows


def _chain(places: list[Place], top: int, bottom: int, label: Size) -> list[int]:
    """The places that an arrow passes, ends included; the second one has its label."""
    if top == bottom:
        return [top]
    first, last = places[top].row, places[bottom].row
    inner = range(len(places), len(places) + last - first - 1)
    places.extend(Place(row, (0.0, 0.0), box=False) for row in range(first + 1, last))
    places[inner[0]].size = label
    chain = [top, *inner, bottom]
    for upper, lower in pairwise(chain):
        places[upper].below += (lower,)
        places[lower].above += (upper,)
    return chain


def _drawn(
    sizes: Mapping[str, Size],
    arrows: Sequence[Arrow],
    places: Sequence[Place],
    order: Sequence[Sequence[int]],
    chains: Sequence[Sequence[int]],
) -> Layout:
    left = min(place.x - place.size[0] / 2 for place in places)
    width = max(place.x + place.size[0] / 2 for place in places) - left
    for place in places:
        place.x -= left
    heights = [max((places[index].size[1] for index in row), default=0.0) for row in order]
    tops = [sum(heights[:row]) + GAP_Y * row for row in range(len(heights))]
    middles = [top + height / 2 for top, height in zip(tops, heights, strict=True)]
    names = list(sizes)
    ports = _ports(places, chains, sizes, names)
    courses, labels = [], []
    for at, (arrow, chain) in enumerate(zip(arrows, chains, strict=True)):
        if len(chain) == 1:
            place = places[chain[0]]
            edge = place.x + sizes[arrow.source][0] / 2
            courses.append(_loop(edge, middles[place.row], sizes[arrow.source][1]))
            labels.append((edge + LOOP_WIDTH + arrow.label[0] / 2, middles[place.row]))
            continue
        course = _course(
            places, chain, ports[at], tops, heights, [sizes[names[chain[0]]][1], sizes[names[chain[-1]]][1]]
        )
        upward = arrow.source != names[chain[0]]
        courses.append(tuple(reversed(course)) if upward else course)
        labels.append((places[chain[1]].x, middles[places[chain[1]].row]))
    boxes = {name: (places[at].x, middles[places[at].row]) for at, name in enumerate(names)}
    return Layout(width, tops[-1] + heights[-1], boxes, tuple(courses), tuple(labels))


def _loop(x: float, y: float, height: float) -> tuple[Point, ...]:
    """Out of a box's right side and back into it."""
    rise = min(height / 4, 12.0)
    return ((x, y - rise), (x + LOOP_WIDTH, y - rise), (x + LOOP_WIDTH, y + rise), (x, y + rise))


def _course(
    places: Sequence[Place],
    chain: Sequence[int],
    ports: Size,
    tops: Sequence[float],
    heights: Sequence[float],
    ends: Sequence[float],
) -> tuple[Point, ...]:
    """Points from the upper box's lower side to the lower box's upper side."""
    first, last = places[chain[0]].row, places[chain[-1]].row
    start = (ports[0], tops[first] + (heights[first] + ends[0]) / 2)
    stop = (ports[1], tops[last] + (heights[last] - ends[1]) / 2)
    points = [start, (start[0], tops[first] + heights[first])]
    for index in chain[1:-1]:
        place = places[index]
        if place.row % 2 and heights[place.row] == 0:  # no label here to pass by
            continue
        points += [(place.x, tops[place.row]), (place.x, tops[place.row] + heights[place.row])]
    return (*points, (stop[0], tops[last]), stop)


def _ports(
    places: Sequence[Place],
    chains: Sequence[Sequence[int]],
    sizes: Mapping[str, Size],
    names: Sequence[str],
) -> list[Size]:
    """Where each arrow leaves the upper box and meets the lower one: side by side, in the others' order."""
    found = [[0.0, 0.0] for _ in chains]
    for end, inner in ((0, 1), (-1, -2)):
        meeting: dict[int, list[int]] = {}
        for at, chain in enumerate(chains):
            if len(chain) > 1:
                meeting.setdefault(chain[end], []).append(at)
        for box, group in meeting.items():
            group.sort(key=lambda at: (places[chains[at][inner]].x, at))
            room = 0.8 * sizes[names[box]][0]
            gap = min(PORT_GAP, room / len(group))
            for rank, at in enumerate(group):
                found[at][end] = places[box].x + gap * (rank - (len(group) - 1) / 2)
    return [(start, stop) for start, stop in found]
