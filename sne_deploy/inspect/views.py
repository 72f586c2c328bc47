"""What ``sne inspect`` found, as plain values: what the table, the pictures and the JSON are made of."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sne_deploy.inspect.picture import BoxKind

Range = tuple[float, float]
"""The least and the largest value over a group's neurons."""


def range_of(values: Any) -> Range:
    """The range of an array of at least one number."""
    array = np.asarray(values, dtype=np.float64)
    return (float(array.min()), float(array.max()))


@dataclass(frozen=True)
class NodeView:
    """One node of the graph.

    Attributes
    ----------
    name, type : str
        Its name, and its class in ``nir``.
    kind : BoxKind
        What its box in the picture stands for.
    detail : str
        Its parameters in a few words, in the student's units.
    shape : tuple of int, or None
        What leaves it; None where that could not be found.
    parameters : int
        Numbers that it stores; one for a parameter that all neurons share.
    neurons : int
    connections : int or None
        Pairs that a linear map joins by a weight that is not 0; None for other nodes.
    synapses : int or None
        Of a neuron group once compiled: synapses that end on it, after maps are composed and, where the
        student fits Loihi's registers, weights are quantised.
    targets : tuple of str
        The nodes that its edges lead to.
    """

    name: str
    type: str
    kind: BoxKind
    detail: str
    shape: tuple[int, ...] | None
    parameters: int
    neurons: int
    connections: int | None
    synapses: int | None
    targets: tuple[str, ...]


@dataclass(frozen=True)
class EdgeView:
    """One edge; ``last_step`` where it carries the step before; ``label`` says what was compiled of it."""

    source: str
    target: str
    last_step: bool
    label: str


@dataclass(frozen=True)
class ValueView:
    """One quantity of a neuron group, in the student's units and in a register.

    Attributes
    ----------
    quantity : str
        ``tau_mem``, ``tau_syn``, ``v_th``, ``v_reset``, ``soft reset``, ``bias``, ``v at start``.
    unit : str
        ``s``, or nothing where it is the student's own of the membrane.
    student : Range or None
        As trained. Infinite for a time constant without decay; None where the student has no such quantity.
    register : str
        The register's name, with the exponent where it has one; empty where there is none.
    integer : Range or None
        What the register holds.
    on_chip : Range or None
        What that is in the student's units.
    """

    quantity: str
    unit: str
    student: Range | None
    register: str
    integer: Range | None
    on_chip: Range | None


@dataclass(frozen=True)
class GroupView:
    """One neuron group: ``scale`` is register units of v per unit of the student's membrane, if compiled."""

    name: str
    kind: str
    shape: tuple[int, ...]
    scale: Range | None
    values: tuple[ValueView, ...]


@dataclass(frozen=True)
class ConnectionView:
    """One compiled synapse, or what the host computes once per sample (``host``).

    Attributes
    ----------
    name, source, target : str
    host : bool
    synapses : int
        Weights that are not 0, each wherever it stands; on the host, multiply-accumulates per sample.
    delay : int
        Steps beyond the one that every synapse takes.
    late : int
        Steps by which it delivers later than the graph does.
    within_sample : bool
        Whether it stops at the border between samples: on a cycle or delayed.
    weight_exp : int or None
    sign_mode : str or None
    weights, saturated_weights : int
        Weights that are stored, and how many of them were clipped.
    snr_db : float or None
        Of quantisation; infinite where exact.
    """

    name: str
    source: str
    target: str
    host: bool
    synapses: int
    delay: int = 0
    late: int = 0
    within_sample: bool = False
    weight_exp: int | None = None
    sign_mode: str | None = None
    weights: int = 0
    saturated_weights: int = 0
    snr_db: float | None = None


@dataclass(frozen=True)
class SupportView:
    """Whether a target runs a student in a precision, or every reason why not."""

    target: str
    precision: str
    supported: bool
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class StudentView:
    """One student. ``groups`` and ``connections`` are empty where it could not be compiled."""

    name: str
    readout: str | None
    dt_s: float | None
    nodes: tuple[NodeView, ...]
    edges: tuple[EdgeView, ...]
    groups: tuple[GroupView, ...]
    connections: tuple[ConnectionView, ...]
    support: tuple[SupportView, ...]
    notes: tuple[str, ...]

    @property
    def parameters(self) -> int:
        """Numbers that the graph stores."""
        return sum(node.parameters for node in self.nodes)

    @property
    def neurons(self) -> int:
        """Neurons of all groups."""
        return sum(node.neurons for node in self.nodes)

    @property
    def synapses(self) -> int | None:
        """Synapses of all groups; None where it could not be compiled."""
        return sum(c.synapses for c in self.connections if not c.host) if self.groups else None


@dataclass(frozen=True)
class ModelView:
    """A model: ``facts`` and ``provenance`` are labels with their values.

    ``refused`` says why the files' graphs are shown but could not be loaded as a model: no time step, say.
    """

    model: str
    facts: tuple[tuple[str, str], ...]
    provenance: tuple[tuple[str, str], ...]
    students: tuple[StudentView, ...]
    refused: str | None = None


def common_support(students: Sequence[StudentView]) -> tuple[SupportView, ...] | None:
    """The support that all students share; None where they differ."""
    first = students[0].support
    return first if all(student.support == first for student in students) else None


def to_json(model: ModelView) -> str:
    """The same as a JSON document; what is infinite (no decay, no error) is the string ``inf``."""
    return json.dumps(_finite(asdict(model)), indent=2, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return "inf" if isinstance(value, float) and math.isinf(value) else value
