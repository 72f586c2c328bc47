"""What a neuron model says of itself. All that differs between models is asked of these, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from sne_deploy.neurons.dynamics import Dynamics

Array = npt.NDArray[Any]
Values = dict[str, Any]


@dataclass(frozen=True)
class Gain:
    """What a node multiplies its input with at every step, where the input counts in full if that is 1.

    Attributes
    ----------
    formula : str
    of : function (node, dt_s) -> array
    unit : function (other fields, shape, dt_s) -> fields
        The fields of a node whose gain is 1.
    """

    formula: str
    of: Callable[[Any, float], Array]
    unit: Callable[[Mapping[str, Array], tuple[int, ...], float], Values]


@dataclass(frozen=True, eq=False)
class NodeType:
    """A NIR node whose neurons are of the model.

    Attributes
    ----------
    name : str
        Its class in the ``nir`` package; where that has none, one is made of the fields.
    fields : tuple of str
        Its parameters, one value per neuron; ``tau``, ``tau_mem`` and ``tau_syn`` are times in seconds.
    discretise : function (node's name, node, dt_s) -> values
        The parameters of :class:`sne_deploy.ir.network.NeuronNode`, in the student's units; what is not named
        there is the model's own.
    gain : Gain or None
        None where no Norse cell stands for the node.
    """

    name: str
    fields: tuple[str, ...]
    discretise: Callable[[str, Any, float], Values]
    gain: Gain | None = None

    @property
    def fires(self) -> bool:
        """Whether it has a threshold and a reset."""
        return "v_threshold" in self.fields

    @property
    def times(self) -> tuple[str, ...]:
        """The fields that are times."""
        return tuple(field for field in self.fields if is_time(field))


@dataclass(frozen=True, eq=False)
class CellType:
    """A cell of Norse's kind: ``cell(x, state)`` with parameters ``p`` and a time step ``dt``.

    Attributes
    ----------
    kind : str
        Its class, and the kind of layer in a student.
    node : str
        The NIR node that it is.
    tensors : mapping of str to str
        Its parameters, and the node's field that each is; 1 over the field where that is a time.
    parameters : str
        Class of its parameters.
    state : str or None
        Class of Norse's state, which we fill; None: the cell's ``initial_state`` is right.
    layer : str or None
        Norse's version over time.
    recurrent : bool
        It has matrices for its input and from itself to itself.
    module : str
        Where its classes are.
    """

    kind: str
    node: str
    tensors: Mapping[str, str]
    parameters: str
    state: str | None
    layer: str | None = None
    recurrent: bool = False
    module: str = "norse.torch"


@dataclass(frozen=True, eq=False)
class NeuronModel:
    """One model of neurons.

    Attributes
    ----------
    name : str
        What a Program calls it, and where each target's kernel for it is found.
    nodes : tuple of NodeType
    cells : tuple of CellType
        A node's first cell is what the node becomes in Norse.
    spiking : bool
        False: it is a readout, whose v is read.
    has_current : bool
        It keeps a synaptic current from step to step.
    dynamics : type of Dynamics
        Its registers, bounds and reference step.
    own : tuple of str
        Parameters that it alone has; each is a register of that name.
    fires_as : str or None
        Of a readout: the model that it becomes with a threshold right behind it.
    """

    name: str
    nodes: tuple[NodeType, ...]
    cells: tuple[CellType, ...]
    spiking: bool = True
    has_current: bool = False
    dynamics: type[Dynamics] = Dynamics
    own: tuple[str, ...] = ()
    fires_as: str | None = None

    def node(self, name: str) -> NodeType:
        """The NIR node of that name."""
        return next(node for node in self.nodes if node.name == name)


def is_time(field: str) -> bool:
    """Whether a field of a NIR node is a time in seconds."""
    return field in ("tau", "tau_mem", "tau_syn")
