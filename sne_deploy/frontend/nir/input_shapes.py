"""What enters a graph: the shapes that its inputs declare, or that the nodes after them need."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping

from sne_deploy.errors import GraphError
from sne_deploy.frontend.nir.flatten import Expanded
from sne_deploy.frontend.nir.primitives import primitive_of
from sne_deploy.frontend.nir.rules import declared_shape
from sne_deploy.model.layers.geometry import Shape

REMEDY = "give it one: --input-shape, or input_shape="
Successors = dict[str, list[str]]


def candidate_shapes(flat: Expanded, follows: Successors, wanted: Shape | None) -> list[dict[str, Shape]]:
    """What the inputs' shapes may be, the likeliest first: as declared, then without their first axes.

    Parameters
    ----------
    flat : Expanded
    follows : dict of str to list of str
        The targets of each node's edges.
    wanted : tuple of int or None
        What the caller says that enters: of several inputs, the number of all their values.

    Raises
    ------
    GraphError
        An input without a shape, or none that makes up what is wanted.
    """
    names = sorted(flat.entries[""])
    if wanted is not None and len(names) == 1:
        return [{names[0]: wanted}]
    declared = {name: declared_shape(flat.nodes[name]) for name in names}
    known = {name: shape for name, shape in declared.items() if shape is not None}
    fixed = {name: _needed_by(name, flat, follows) for name in names if name not in known}
    candidates = [{**fixed, **shapes} for shapes in _without_first_axes(known)]
    fitting = [shapes for shapes in candidates if wanted in (None, joined(shapes))]
    if not fitting:
        size = joined(candidates[0])
        raise GraphError(
            f"the graph's {len(names)} inputs have {size[0]} values together, not shape {wanted}; give {size}"
        )
    return fitting


def joined(shapes: Mapping[str, Shape]) -> Shape:
    """The shape of what enters: that of the one input, or the number of all inputs' values."""
    if len(shapes) == 1:
        return next(iter(shapes.values()))
    return (sum(math.prod(shape) for shape in shapes.values()),)


def _without_first_axes(declared: dict[str, Shape]) -> Iterator[dict[str, Shape]]:
    """What is declared, then without the first axis, the first two, ... as long as one is left."""
    yield declared
    for count in range(1, max((len(shape) for shape in declared.values()), default=1)):
        yield {name: shape[count:] or shape[-1:] for name, shape in declared.items()}


def _needed_by(name: str, flat: Expanded, follows: Successors) -> Shape:
    shape = _needed(name, flat, follows)
    if shape is None:
        remedy = REMEDY if len(flat.entries[""]) == 1 else "write one into the file"
        raise GraphError(
            f"input {name!r} declares no shape, and none follows from the nodes after it; {remedy}"
        )
    return shape


def _needed(name: str, flat: Expanded, follows: Successors) -> Shape | None:
    """The shape that the nodes after an input need, if one of them says; one value alone says least."""
    queue, seen, weak = deque(follows[name]), {name}, None
    while queue:
        target = queue.popleft()
        if target in seen:
            continue
        seen.add(target)
        row = primitive_of(flat.nodes[target])
        shape = None if row is None else row.rule.asked(flat.nodes[target])
        if shape is not None and math.prod(shape) > 1:
            return shape
        weak = weak or shape or None
        if row and row.rule.passes:
            queue.extend(follows[target])
    return weak
