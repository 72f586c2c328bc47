"""What a spike does to the membrane, where NIR has no field for it."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

from sne_deploy.errors import GraphError, InputError
from sne_deploy.frontend.nir.file import read_nir, write_nir
from sne_deploy.frontend.nir.normalise import normalise
from sne_deploy.frontend.nir.resets import check_names, with_resets
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
        ({"reset": "value", "reset_delayed": True}, Reset("value", delayed=True)),
        ({"reset_delayed": True}, Reset("value", delayed=True)),
        ({"reset": "none"}, Reset("none", delayed=False)),
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
        (
            {"reset": "none", "reset_delayed": True},
            "reset_delayed goes with a reset; leave it out with 'none'",
        ),
    ],
)
def test_other_metadata_is_refused(values: dict[str, Any], match: str) -> None:
    with pytest.raises(GraphError, match=match):
        reset_of("n", metadata(**values))


def test_a_mode_for_every_spiking_node_that_does_not_say_inner_ones_too() -> None:
    inner = chain(lif(2), metadata(reset="value"), nir.LI(*np.ones((3, 2))), enters=shape(2), leaves=shape(2))
    made = chain(inner, lif(2), nir.Threshold(np.ones(2)), enters=shape(2), leaves=shape(2))
    made.metadata = {"dt_s": 0.001}
    flat = normalise(made)
    new = with_resets(flat, "subtract")
    assert new.metadata == flat.metadata
    modes = {name: node.metadata.get("reset") for name, node in new.nodes.items()}
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
    late = with_resets(flat, "subtract-delayed").nodes
    assert reset_of("n0.n0", late["n0.n0"]) == Reset("subtract", delayed=True)
    assert reset_of("n0.n1", late["n0.n1"]) == Reset("value", delayed=False)
    assert new.nodes["n1"].tau.tolist() == made.nodes["n1"].tau.tolist()
    with pytest.raises(InputError, match="unknown reset 'soft'; known: value, value-delayed, subtract"):
        with_resets(flat, "soft")  # type: ignore[arg-type]


def test_a_mode_for_each_node() -> None:
    flat = normalise(chain(lif(2), metadata(reset="none"), lif(2), enters=shape(2), leaves=shape(2)))
    new = with_resets(flat, {"*": "subtract-delayed", "n2": "value-delayed"})
    found = [reset_of(name, new.nodes[name]) for name in ("n0", "n1", "n2")]
    assert found == [Reset("subtract", delayed=True), Reset("none"), Reset("value", delayed=True)]
    alone = with_resets(flat, {"n2": "none"})
    assert [reset_of(name, alone.nodes[name]).mode for name in ("n0", "n1", "n2")] == [
        "value",
        "none",
        "none",
    ]
    assert with_resets(flat, {"n1": "none"}).nodes["n1"] is flat.nodes["n1"]
    with pytest.raises(InputError, match="node 'n1': reset 'value' was given, but its metadata says"):
        with_resets(flat, {"n1": "value"})
    with pytest.raises(InputError, match="unknown reset 3 of node 'n1'"):
        with_resets(flat, {"n1": 3})  # type: ignore[dict-item]
    check_names([flat], {"*": "none", "n0": "none"})
    with pytest.raises(
        InputError, match="no node with a reset is called 'input'; these have one: 'n0', 'n1', 'n2'"
    ):
        check_names([flat], {"input": "none"})


def test_a_file_keeps_it(tmp_path: Any) -> None:
    node = metadata(reset="subtract", reset_delayed=True)
    write_nir(tmp_path / "a.nir", chain(node, enters=shape(2), leaves=shape(2)))
    assert reset_of("n0", read_nir(tmp_path / "a.nir").nodes["n0"]) == Reset("subtract", delayed=True)
