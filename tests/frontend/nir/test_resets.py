"""What a spike does to the membrane, where NIR has no field for it."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

from sne_deploy.errors import GraphError, InputError
from sne_deploy.frontend.nir.file import read_nir, write_nir
from sne_deploy.frontend.nir.normalise import normalise
from sne_deploy.frontend.nir.resets import with_reset
from sne_deploy.neurons.resets import Reset, reset_of
from tests.frontend.nir.test_input_shapes import chain, lif, shape


def metadata(**values: Any) -> nir.LIF:
    node = lif(2)
    node.metadata = values
    return node


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, Reset("value", delayed=False)),
        ({"reset": "value"}, Reset("value", delayed=False)),
        ({"reset": "subtract"}, Reset("subtract", delayed=False)),
        ({"reset": "subtract", "reset_delayed": True}, Reset("subtract", delayed=True)),
        ({"reset": "subtract", "reset_delayed": np.bool_(True)}, Reset("subtract", delayed=True)),
        ({"reset": "subtract", "reset_delayed": np.array(False)}, Reset("subtract", delayed=False)),
    ],
)
def test_metadata_says_how(values: dict[str, Any], expected: Reset) -> None:
    assert reset_of("n", metadata(**values)) == expected


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"reset": "soft"}, "node 'n': metadata reset 'soft' is not one of value, subtract"),
        ({"reset": 1}, "metadata reset 1 is not one of"),
        ({"reset": "subtract", "reset_delayed": 1}, "reset_delayed 1 is not true or false"),
        ({"reset_delayed": True}, "reset_delayed goes with reset 'subtract' alone, not 'value'"),
    ],
)
def test_other_metadata_is_refused(values: dict[str, Any], match: str) -> None:
    with pytest.raises(GraphError, match=match):
        reset_of("n", metadata(**values))


def test_a_mode_for_every_spiking_node_that_does_not_say_inner_ones_too() -> None:
    inner = chain(lif(2), metadata(reset="value"), nir.LI(*np.ones((3, 2))), enters=shape(2), leaves=shape(2))
    made = chain(inner, lif(2), nir.Threshold(np.ones(2)), enters=shape(2), leaves=shape(2))
    made.metadata = {"dt_s": 0.001}
    new = with_reset(made, "subtract")
    assert new.metadata == made.metadata
    modes = {name: node.metadata.get("reset") for name, node in normalise(new).nodes.items()}
    assert modes == {
        "input": None,
        "n0.n0": "subtract",
        "n0.n1": "value",
        "n0.n2": None,
        "n1": "subtract",
        "n2": None,
        "output": None,
    }
    assert inner.nodes["n0"].metadata == {}
    late = normalise(with_reset(made, "subtract-delayed")).nodes
    assert reset_of("n0.n0", late["n0.n0"]) == Reset("subtract", delayed=True)
    assert reset_of("n0.n1", late["n0.n1"]) == Reset("value", delayed=False)
    assert new.nodes["n1"].tau.tolist() == made.nodes["n1"].tau.tolist()
    with pytest.raises(InputError, match="unknown reset 'soft'; known: value, subtract"):
        with_reset(made, "soft")


def test_a_file_keeps_it(tmp_path: Any) -> None:
    node = metadata(reset="subtract", reset_delayed=True)
    write_nir(tmp_path / "a.nir", chain(node, enters=shape(2), leaves=shape(2)))
    assert reset_of("n0", read_nir(tmp_path / "a.nir").nodes["n0"]) == Reset("subtract", delayed=True)
