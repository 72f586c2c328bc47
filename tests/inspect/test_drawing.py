"""Drawings: whatever the graph, nothing lies on anything else."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.errors import OutputError
from sne_deploy.inspect.drawing import Arrow, Drawing, arrange
from tests.effort import examples

Rectangle = tuple[float, float, float, float]
NEAR = 1e-6


@st.composite
def drawings(draw: Any) -> tuple[dict[str, tuple[float, float]], list[Arrow]]:
    """Boxes in an order, and arrows with it, against it and back to their own box."""
    count = draw(st.integers(1, 14))
    sizes = {
        f"n{at}": (draw(st.integers(40, 300)) * 1.0, draw(st.sampled_from([28.0, 44.0, 60.0])))
        for at in range(count)
    }
    ends = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))
    pairs = draw(st.lists(ends, max_size=2 * count, unique=True))
    label = st.sampled_from([(0.0, 0.0), (30.0, 16.0), (120.0, 16.0)])
    return sizes, [Arrow(f"n{a}", f"n{b}", draw(label)) for a, b in pairs]


def rectangle(centre: tuple[float, float], size: tuple[float, float]) -> Rectangle:
    return (
        centre[0] - size[0] / 2, centre[1] - size[1] / 2, centre[0] + size[0] / 2, centre[1] + size[1] / 2
    )  # fmt: skip


def overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] - NEAR and b[0] < a[2] - NEAR and a[1] < b[3] - NEAR and b[1] < a[3] - NEAR


def straight_pieces(points: tuple[tuple[float, float], ...]) -> list[Rectangle]:
    """What an arrow covers in the rows of boxes and labels: between two points of a pair it is vertical."""
    pairs = zip(points[::2], points[1::2], strict=True)
    return [(x, min(y, end), x, max(y, end)) for (x, y), (_, end) in pairs]


def crosses(piece: Rectangle, box: Rectangle) -> bool:
    return box[0] + NEAR < piece[0] < box[2] - NEAR and piece[1] < box[3] - NEAR and box[1] < piece[3] - NEAR


@settings(max_examples=examples(300))
@given(drawings())
def test_boxes_labels_and_arrows_keep_apart(drawing: tuple[dict[str, Any], list[Arrow]]) -> None:
    sizes, arrows = drawing
    found = arrange(sizes, arrows)
    boxes = {name: rectangle(found.boxes[name], size) for name, size in sizes.items()}
    labels = [
        rectangle(centre, arrow.label)
        for arrow, centre in zip(arrows, found.labels, strict=True)
        if arrow.label[0]
    ]
    assert not any(overlap(a, b) for a, b in itertools.combinations([*boxes.values(), *labels], 2))
    for box in (*boxes.values(), *labels):
        assert box[0] >= -NEAR
        assert box[1] >= -NEAR
        assert box[2] <= found.width + NEAR
        assert box[3] <= found.height + NEAR
    for arrow, points in zip(arrows, found.arrows, strict=True):
        if arrow.source != arrow.target:
            for piece in straight_pieces(points):
                assert piece[0] == piece[2]
                assert not any(crosses(piece, box) for box in boxes.values()), arrow


@settings(max_examples=examples(200))
@given(drawings())
def test_arrows_begin_and_end_on_the_borders_of_their_boxes(
    drawing: tuple[dict[str, Any], list[Arrow]],
) -> None:
    sizes, arrows = drawing
    found = arrange(sizes, arrows)
    for arrow, points in zip(arrows, found.arrows, strict=True):
        for name, (x, y) in ((arrow.source, points[0]), (arrow.target, points[-1])):
            left, top, right, bottom = rectangle(found.boxes[name], sizes[name])
            if arrow.source == arrow.target:
                assert abs(x - right) < NEAR
                assert top < y < bottom
            else:
                assert left < x < right
                assert min(abs(y - top), abs(y - bottom)) < NEAR


@settings(max_examples=examples(100))
@given(drawings())
def test_sources_stand_above_their_targets(drawing: tuple[dict[str, Any], list[Arrow]]) -> None:
    sizes, arrows = drawing
    order = {name: at for at, name in enumerate(sizes)}
    found = arrange(sizes, arrows)
    for arrow in arrows:
        above, below = sorted((arrow.source, arrow.target), key=order.__getitem__)
        if above != below:
            assert found.boxes[above][1] < found.boxes[below][1]


def test_a_chain_is_a_straight_line() -> None:
    sizes = {f"n{at}": (100.0 + 10 * at, 44.0) for at in range(30)}
    arrows = [Arrow(a, b) for a, b in itertools.pairwise(sizes)]
    found = arrange(sizes, arrows)
    assert len({round(x, 6) for x, _ in found.boxes.values()}) == 1


def test_two_branches_do_not_cross() -> None:
    names = ["in", "b1", "a1", "b2", "a2", "out"]
    pairs = [("in", "a1"), ("in", "b1"), ("a1", "a2"), ("b1", "b2"), ("b2", "out"), ("a2", "out")]
    found: Drawing = arrange(dict.fromkeys(names, (80.0, 44.0)), [Arrow(*pair) for pair in pairs])
    left, right = sorted(("a1", "b1"), key=lambda name: found.boxes[name][0])
    assert found.boxes[f"{left[0]}2"][0] < found.boxes[f"{right[0]}2"][0]


def test_a_graph_that_nobody_could_read_is_refused() -> None:
    names = [f"n{at}" for at in range(500)]
    arrows = [Arrow(a, b) for a, b in itertools.pairwise(names)]
    arrows += [Arrow("n0", name) for name in names[2:]]
    with pytest.raises(OutputError, match=r"too large to draw: .* leave --svg out"):
        arrange(dict.fromkeys(names, (100.0, 44.0)), arrows)
