"""One table of primitives: it holds what the nir package has, and what stands elsewhere under a class."""

from __future__ import annotations

import inspect

import nir
import pytest

from scripts.nir_semantics import DESCRIPTIONS
from sne_deploy.frontend.nir.neuron_nodes import NEURONS
from sne_deploy.frontend.nir.primitives import PRIMITIVES, kind_of, parameters_of, primitive_of
from sne_deploy.inspect import node_text
from sne_deploy.passes.lower_maps import LINEAR_NODES
from sne_norse import nodes as norse_nodes

FLOATS = {row.make: [n for n, f in row.fields.items() if f.kind == "floats"] for row in PRIMITIVES.values()}


def of_kind(*kinds: str) -> set[type]:
    """The classes of the rows of these kinds."""
    return {row.make for row in PRIMITIVES.values() if row.kind in kinds}


def test_every_primitive_of_the_package_has_a_row() -> None:
    theirs = {
        name
        for name, made in vars(nir).items()
        if inspect.isclass(made) and issubclass(made, nir.ir.NIRNode) and made is not nir.ir.NIRNode
    }
    assert {name for name, row in PRIMITIVES.items() if row.make is getattr(nir, name, None)} == theirs - {
        "NIRGraph"
    }


def test_what_is_made_of_a_row_stands_under_its_class() -> None:
    assert set(LINEAR_NODES) == of_kind("map")
    assert set(NEURONS) == of_kind("neurons")
    assert {*norse_nodes._FUNCTIONS, nir.Flatten} == of_kind("input", "output", "map")  # it needs a shape
    assert set(DESCRIPTIONS) == {*PRIMITIVES, "NIRGraph"}
    assert set(node_text._DETAILS) >= of_kind("map", "delay") - {nir.Flatten}


@pytest.mark.parametrize("name", PRIMITIVES)
def test_a_row_names_what_the_package_takes(name: str) -> None:
    row = PRIMITIVES[name]
    taken = set(inspect.signature(row.make).parameters)
    assert {field.argument or key for key, field in row.fields.items()} <= taken
    assert set(row.parameters) <= set(FLOATS[row.make])


def test_a_class_of_the_same_name_has_no_row() -> None:
    class Linear:
        """Not NIR's."""

    assert primitive_of(Linear()) is None
    assert kind_of(Linear()) is None
    assert parameters_of(Linear()) == ()
