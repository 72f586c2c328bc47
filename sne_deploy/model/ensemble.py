"""The ensemble: students, the head that joins them, the policy that activates them; frozen."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sne_deploy.brief import briefly
from sne_deploy.display import html
from sne_deploy.errors import InputError
from sne_deploy.ir.readout import READOUTS, Readout
from sne_deploy.model.layers.layer import Layer, OptionValue
from sne_deploy.model.layers.registry import (
    LAYER_KINDS,
    ONLY_SPIKES,
    first_that_takes_spikes,
    layer_label,
)
from sne_deploy.model.parts import ENCODERS, Encoder, EncoderKind, Head, Student
from sne_deploy.model.policy import ActivationPolicy, Gate, Measure, PolicyKind, check_policy

if TYPE_CHECKING:
    from sne_deploy.chips.chip import Chip

__all__ = [
    "ENCODERS",
    "READOUTS",
    "ActivationPolicy",
    "Encoder",
    "EncoderKind",
    "Ensemble",
    "Gate",
    "Head",
    "Layer",
    "MadeFor",
    "Measure",
    "OptionValue",
    "PolicyKind",
    "Readout",
    "Student",
]


@dataclass(frozen=True)
class MadeFor:
    """What registers that are kept in a file were compiled for."""

    chip: Chip
    seed: int


@briefly
@dataclass(frozen=True, eq=False, repr=False)
class Ensemble:
    """Students that see the same input, a head and a policy.

    Attributes
    ----------
    students : tuple of Student
    input_shape : tuple of int
        Shape of one sample at one step, without batch and time.
    timesteps : int
        Steps per sample (T).
    encoder : Encoder
    head : Head
    policy : ActivationPolicy
    provenance : mapping
        Plain values: data set, teacher accuracy and MACs, seed, versions, command.
    made_for : MadeFor or None
        Of an ensemble that was read from a ``.sne`` file: its chip, and its seed of random encoders.
    """

    students: tuple[Student, ...]
    input_shape: tuple[int, ...]
    timesteps: int
    encoder: Encoder
    head: Head
    policy: ActivationPolicy = field(default_factory=ActivationPolicy)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    made_for: MadeFor | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.students:
            raise InputError("an ensemble needs at least one student")
        names = [student.name for student in self.students]
        if len(set(names)) != len(names):
            raise InputError(f"student names must be unique, got {', '.join(names)}")
        if self.timesteps < 1:
            raise InputError(f"timesteps {self.timesteps} must be at least 1")
        if not self.input_shape or any(size < 1 for size in self.input_shape):
            raise InputError(f"input_shape {self.input_shape} must have positive sizes")
        for student in self.students:
            self._check_entry(student)
        check_policy(self.policy, len(self.students), self.input_shape)

    def _check_entry(self, student: Student) -> None:
        """A layer that takes spikes alone must not get currents."""
        layers = student.network if isinstance(student.network, tuple) else ()
        known = all(layer.kind in LAYER_KINDS for layer in layers)
        pool = first_that_takes_spikes(layers) if known else None
        if pool is not None and self.encoder.kind in ("constant", "graded"):
            raise InputError(
                f"student {student.name!r}: {layer_label(pool)}: its input is {self.encoder.kind}, and "
                f"{ONLY_SPIKES}; "
                "give spikes (encoder 'spikes' or 'bernoulli'), or use an average, and train again"
            )

    def _repr_html_(self) -> str | None:
        return html(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a ``model.pt``: plain numbers, whose reading runs no code.

        Parameters
        ----------
        path : path

        Raises
        ------
        OutputError
            The file cannot be written.
        """
        from sne_deploy.model.checkpoint.write import save_checkpoint

        save_checkpoint(self, path)
