"""NIR's classes of neurons, as the table of neuron models names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import make_dataclass
from functools import cache
from typing import Any

import nir
import numpy as np

from sne_deploy.neurons.model import NeuronModel, NodeType
from sne_deploy.neurons.table import Derived


@cache
def node_class(node: NodeType) -> Any:
    """The class of the ``nir`` package; where that has none of the name, one made of the node's fields."""
    if hasattr(nir, node.name):
        return getattr(nir, node.name)

    def set_types(self: Any) -> None:
        shape = np.array(np.shape(getattr(self, node.fields[0])))
        self.input_type, self.output_type = {"input": shape}, {"output": shape}

    made: Any = make_dataclass(
        node.name, node.fields, bases=(nir.ir.NIRNode,), namespace={"__post_init__": set_types}, eq=False
    )
    made.__module__ = __name__  # where pickle finds it, by __getattr__
    return made


NEURONS: Mapping[type, tuple[NeuronModel, NodeType]] = Derived(
    lambda models: {node_class(node): (model, node) for model in models for node in model.nodes}
)
"""The model, and the row, of every class whose nodes become neurons."""


def __getattr__(name: str) -> Any:
    found = [made for made, (_, node) in NEURONS.items() if node.name == name]
    if not found:
        raise AttributeError(name)
    return found[0]


def fires(node: object) -> bool:
    """Whether a node has a threshold and a reset."""
    return type(node) in NEURONS and NEURONS[type(node)][1].fires


def integrates(node: object) -> bool:
    """Whether a node is of neurons that do not spike."""
    return type(node) in NEURONS and not NEURONS[type(node)][0].spiking
