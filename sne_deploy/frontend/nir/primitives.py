"""The table of NIR's primitives, one row each: what a file holds of it, and what it does to shapes.

Everything that differs between them is asked of these rows; what a pass makes of a row, or a backend, stands
there under the row's class. The rows of neurons follow from the table of neuron models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import nir

from sne_deploy.frontend.nir.fields import Field
from sne_deploy.frontend.nir.neuron_nodes import NEURONS
from sne_deploy.frontend.nir.rules import Conv, Elementwise, Flatten, Matrix, Pool, Port, Rule
from sne_deploy.neurons.table import Derived

Kind = Literal["input", "output", "map", "delay", "neurons"]


@dataclass(frozen=True, eq=False)
class Primitive:
    """One row.

    Attributes
    ----------
    make : type
        The class of the ``nir`` package.
    kind : Kind
        ``map``: affine, without a state.
    fields : mapping of str to Field
        What a file holds.
    rule : Rule
        What it does to shapes.
    """

    make: Any
    kind: Kind
    fields: Mapping[str, Field]
    rule: Rule

    @property
    def parameters(self) -> tuple[str, ...]:
        """The fields with one value per neuron, which may be broadcast to their shape."""
        return self.rule.parameters if isinstance(self.rule, Elementwise) else ()


def _elementwise(make: Any, kind: Kind, fields: Mapping[str, Field]) -> Primitive:
    return Primitive(make, kind, fields, Elementwise(tuple(fields)))


_ANY = Field()
_INT = Field("ints", sizes=(0,))
_PAIR = Field("ints", sizes=(0, 2))
_OF_NEURONS = {
    **dict.fromkeys(("tau", "tau_mem", "tau_syn"), Field(positive=True)),
    **dict.fromkeys(("v_reset", "w_in"), Field(optional=True)),
    "v_threshold": Field(infinite=True),
}
"""Fields of neurons that may not hold whatever they like."""
_MATRIX, _VECTOR = Field(ndim=(2,)), Field(ndim=(1,))
_POOL = {"kernel_size": _PAIR, "stride": _PAIR, "padding": _PAIR}


def _shape(argument: str) -> Field:
    return Field("shape", optional=True, argument=argument)


def _conv(axes: int) -> dict[str, Field]:
    steps = Field("ints", sizes=(0, axes), positive=True)
    return {
        "input_shape": Field("ints", sizes=(0, axes), optional=True),
        "weight": Field(ndim=(axes + 2,)),
        "stride": steps,
        "padding": Field("padding", sizes=(0, axes)),
        "dilation": steps,
        "groups": Field("ints", sizes=(0,), positive=True),
        "bias": _VECTOR,
    }


_ROWS = (
    Primitive(nir.Input, "input", {"shape": _shape("input_type")}, Port("input")),
    Primitive(nir.Output, "output", {"shape": _shape("output_type")}, Port("output")),
    Primitive(nir.Affine, "map", {"weight": _MATRIX, "bias": _VECTOR}, Matrix()),
    Primitive(nir.Linear, "map", {"weight": _MATRIX}, Matrix()),
    _elementwise(nir.Scale, "map", {"scale": _ANY}),
    Primitive(nir.Conv1d, "map", _conv(1), Conv(1)),
    Primitive(nir.Conv2d, "map", _conv(2), Conv(2)),
    Primitive(nir.SumPool2d, "map", _POOL, Pool()),
    Primitive(nir.AvgPool2d, "map", _POOL, Pool()),
    Primitive(
        nir.Flatten,
        "map",
        {"input_type": Field("shape", optional=True, zeros=True), "start_dim": _INT, "end_dim": _INT},
        Flatten(),
    ),
    _elementwise(nir.Delay, "delay", {"delay": _ANY}),
)


def _all(_: object) -> dict[str, Primitive]:
    neurons = (
        _elementwise(kind, "neurons", {name: _OF_NEURONS.get(name, _ANY) for name in node.fields})
        for kind, (_, node) in NEURONS.items()
    )
    return {row.make.__name__: row for row in (*_ROWS, *neurons)}


PRIMITIVES: Mapping[str, Primitive] = Derived(_all)
"""By the name of the class."""


def primitive_of(node: object) -> Primitive | None:
    """The row of a node; None where its class has none."""
    row = PRIMITIVES.get(type(node).__name__)
    return row if row is not None and row.make is type(node) else None


def kind_of(node: object) -> Kind | None:
    """A node's kind; None where its class has no row."""
    row = primitive_of(node)
    return None if row is None else row.kind


def parameters_of(node: object) -> tuple[str, ...]:
    """A node's fields with one value per neuron."""
    row = primitive_of(node)
    return () if row is None else row.parameters
