"""Where a graph's boxes and arrows go: rows from top to bottom, few crossings, nothing on top of another.

Every node stands in the row below its last source. An arrow has a point of its own in every row that it
passes, and its label is one of these points, so that boxes, labels and passing arrows share a row without
touching. The order in a row is that of the neighbours' mean positions, swept down and up; the positions are
the least-squares ones that keep the order and the distances.
"""

from __future__ import annotations

from bisect import bisect, insort
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from sne_deploy.errors import OutputError

Point = tuple[float, float]
Size = tuple[float, float]

GAP_Y = 18.0
"""Between two rows; rows of boxes and rows of labels take turns."""
GAP_X, GAP_X_ARROW = 26.0, 12.0
"""Between two boxes of a row, and beside an arrow that passes or its label."""
PORT_GAP = 18.0
LOOP_WIDTH = 34.0
SWEEPS, RELAXATIONS = 12, 40
PASSING_WEIGHT = 4.0
"""How much more a passing arrow keeps to its way than a box: long arrows are straight."""
MAX_PLACES = 20_000
"""About 3 s of work."""


@dataclass(frozen=True)
class Arrow:
    """From one box to another; ``label`` is the size of its text, (0, 0) where there is none."""

    source: str
    target: str
    label: Size = (0.0, 0.0)


@dataclass(frozen=True)
class Drawing:
    """Centres of the boxes; for each arrow its points from source to target, and its label's centre.

    Points come in pairs: an arrow runs straight down (or up) within a pair and bends between two pairs. A
    self-loop has the four corners of its course instead.
    """

    width: float
    height: float
    boxes: Mapping[str, Point]
    arrows: tuple[tuple[Point, ...], ...]
    labels: tuple[Point, ...]


@dataclass
class _Place:
    """A box, or the point at which an arrow passes a row; ``x`` is its centre."""

    row: int
    size: Size
    box: bool
    x: float = 0.0
    above: tuple[int, ...] = ()
    below: tuple[int, ...] = ()


def arrange(sizes: Mapping[str, Size], arrows: Sequence[Arrow]) -> Drawing:
    """Find a place for everything.

    Parameters
    ----------
    sizes : mapping of str to (width, height)
        The boxes, in an order in which sources come first; an arrow against it is drawn upward.
    arrows : sequence of Arrow

    Raises
    ------
    OutputError
        More than MAX_PLACES boxes and rows that arrows pass: nobody could read it.
    """
    if not sizes:
        return Drawing(0.0, 0.0, {}, (), ())
    number = {name: at for at, name in enumerate(sizes)}
    ends = [sorted((number[arrow.source], number[arrow.target])) for arrow in arrows]
    rows = _rows(len(sizes), sorted((a, b) for a, b in ends if a != b))
    places = [_Place(2 * row, size, box=True) for row, size in zip(rows, sizes.values(), strict=True)]
    for (a, b), arrow in zip(ends, arrows, strict=True):
        if a == b:  # room for the loop on both sides, so that the box stays in the middle
            width, height = places[a].size
            places[a].size = (width + 2 * (LOOP_WIDTH + arrow.label[0]), height)
    chains = [_chain(places, a, b, arrow.label) for (a, b), arrow in zip(ends, arrows, strict=True)]
    if len(places) > MAX_PLACES:
        raise OutputError(
            f"the graph is too large to draw: {len(places):,} boxes and points of arrows, at most "
            f"{MAX_PLACES:,}; leave --svg out"
        )
    order = _in_order(places)
    _position(places, order)
    return _drawn(sizes, arrows, places, order, chains)


def _rows(count: int, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """The longest way from a source to every node; a node without sources stands right above its targets."""
    rows = [0] * count
    for a, b in pairs:
        rows[b] = max(rows[b], rows[a] + 1)
    for node in range(count):
        below = [rows[b] for a, b in pairs if a == node] if rows[node] == 0 else []
        rows[node] = min(below, default=rows[node] + 1) - 1
    return rows


def _chain(places: list[_Place], top: int, bottom: int, label: Size) -> list[int]:
    """The places that an arrow passes, ends included; the second one has its label."""
    if top == bottom:
        return [top]
    between = range(places[top].row + 1, places[bottom].row)
    chain = [top, *range(len(places), len(places) + len(between)), bottom]
    places.extend(_Place(row, (0.0, 0.0), box=False) for row in between)
    places[chain[1]].size = label
    for upper, lower in pairwise(chain):
        places[upper].below += (lower,)
        places[lower].above += (upper,)
    return chain


def _in_order(places: Sequence[_Place]) -> list[list[int]]:
    """Places of each row from left to right: the best of the sweeps."""
    order: list[list[int]] = [[] for _ in range(1 + max(place.row for place in places))]
    for index in _depth_first(places):
        order[places[index].row].append(index)
    best, fewest = [list(row) for row in order], _crossings(places, order)
    for sweep in range(SWEEPS):
        if fewest == 0:
            break
        down = sweep % 2 == 0
        for before, row in pairwise(order if down else reversed(order)):
            at = {index: float(position) for position, index in enumerate(before)}
            own = {index: float(position) for position, index in enumerate(row)}
            near = {index: places[index].above if down else places[index].below for index in row}
            row.sort(key=lambda index: _mean([at[n] for n in near[index]], own[index]))
        crossings = _crossings(places, order)
        if crossings < fewest:
            best, fewest = [list(row) for row in order], crossings
    return best


def _depth_first(places: Sequence[_Place]) -> list[int]:
    """Every place, one way down after the other, so that what belongs together begins side by side."""
    seen: dict[int, None] = {}
    waiting = [index for index, place in enumerate(places) if not place.above][::-1]
    while waiting:
        index = waiting.pop()
        if index not in seen:
            seen[index] = None
            waiting.extend(reversed(places[index].below))
    return list(seen)


def _mean(values: Collection[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _crossings(places: Sequence[_Place], order: Sequence[Sequence[int]]) -> int:
    """Pairs of arrow pieces that cross."""
    found = 0
    for upper, lower in pairwise(order):
        position = {index: at for at, index in enumerate(lower)}
        passed: list[int] = []
        for index in upper:
            ends = sorted(position[n] for n in places[index].below)
            found += sum(len(passed) - bisect(passed, end) for end in ends)
            for end in ends:
                insort(passed, end)
    return found


def _position(places: Sequence[_Place], order: Sequence[Sequence[int]]) -> None:
    """Draw every place to its neighbours, keeping order and distances."""
    for row in order:
        _settle(places, row, [0.0] * len(row))
    for step in range(RELAXATIONS):
        down, last = step % 2 == 0, step >= RELAXATIONS - 2
        for row in order if down else reversed(order):
            wanted = []
            for place in (places[index] for index in row):
                near = () if last else place.above if down else place.below
                near = near or place.above + place.below
                wanted.append(_mean([places[n].x for n in near], place.x))
            _settle(places, row, wanted)


def _settle(places: Sequence[_Place], row: Sequence[int], wanted: Sequence[float]) -> None:
    """The positions nearest to the wanted ones: neighbours that would overlap are moved as one block."""
    offsets = [0.0]
    for left, right in pairwise(places[index] for index in row):
        gap = GAP_X if left.box and right.box else GAP_X_ARROW
        offsets.append(offsets[-1] + (left.size[0] + right.size[0]) / 2 + gap)
    blocks: list[tuple[float, float, int]] = []
    for x, index, offset in zip(wanted, row, offsets, strict=False):
        mean, weight, count = x - offset, 1.0 if places[index].box else PASSING_WEIGHT, 1
        while blocks and blocks[-1][0] > mean:
            other, heavy, size = blocks.pop()
            mean = (mean * weight + other * heavy) / (weight + heavy)
            weight, count = weight + heavy, count + size
        blocks.append((mean, weight, count))
    starts = [mean for mean, _, count in blocks for _ in range(count)]
    for index, start, offset in zip(row, starts, offsets, strict=False):
        places[index].x = start + offset


def _drawn(
    sizes: Mapping[str, Size],
    arrows: Sequence[Arrow],
    places: Sequence[_Place],
    order: Sequence[Sequence[int]],
    chains: Sequence[Sequence[int]],
) -> Drawing:
    left = min(place.x - place.size[0] / 2 for place in places)
    for place in places:
        place.x -= left
    heights = [max((places[index].size[1] for index in row), default=0.0) for row in order]
    tops = list(accumulate((height + GAP_Y for height in heights), initial=0.0))
    bands = [(top, top + height) for top, height in zip(tops, heights, strict=False)]
    names = list(sizes)
    boxes = {name: (place.x, sum(bands[place.row]) / 2) for name, place in zip(names, places, strict=False)}
    leaving, meeting = _ports(places, chains, sizes, 0), _ports(places, chains, sizes, -1)
    courses: list[tuple[Point, ...]] = []
    labels = []
    for at, (arrow, chain) in enumerate(zip(arrows, chains, strict=True)):
        (x, y), (width, height) = boxes[arrow.source], sizes[arrow.source]
        if len(chain) == 1:  # out of the box's right side and back into it
            edge, rise = x + width / 2, min(height / 4, 12.0)
            far = edge + LOOP_WIDTH
            courses.append(((edge, y - rise), (far, y - rise), (far, y + rise), (edge, y + rise)))
            labels.append((far + arrow.label[0] / 2, y))
            continue
        upper, lower = names[chain[0]], names[chain[-1]]
        points = [(leaving[at], boxes[upper][1] + sizes[upper][1] / 2)]
        points.append((leaving[at], bands[places[chain[0]].row][1]))
        for place in (places[index] for index in chain[1:-1]):
            if place.row % 2 == 0 or heights[place.row]:  # else there is no label to pass by
                points += [(place.x, y) for y in bands[place.row]]
        points.append((meeting[at], bands[places[chain[-1]].row][0]))
        points.append((meeting[at], boxes[lower][1] - sizes[lower][1] / 2))
        courses.append(tuple(points if arrow.source == upper else reversed(points)))
        labels.append((places[chain[1]].x, sum(bands[places[chain[1]].row]) / 2))
    width = max(place.x + place.size[0] / 2 for place in places)
    return Drawing(width, bands[-1][1], boxes, tuple(courses), tuple(labels))


def _ports(
    places: Sequence[_Place], chains: Sequence[Sequence[int]], sizes: Mapping[str, Size], end: int
) -> dict[int, float]:
    """Where arrows leave the upper box (0) or meet the lower one (-1): side by side, in the others' order."""
    together = defaultdict(list)
    for at, chain in enumerate(chains):
        if len(chain) > 1:
            inner = chain[1 if end == 0 else -2]
            together[chain[end]].append((places[inner].x, at))
    found = {}
    widths = [width for width, _ in sizes.values()]
    for box, group in together.items():
        gap = min(PORT_GAP, 0.8 * widths[box] / len(group))
        for rank, (_, at) in enumerate(sorted(group)):
            found[at] = places[box].x + gap * (rank - (len(group) - 1) / 2)
    return found
