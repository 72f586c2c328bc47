"""``[policy]``: which students run on a sample."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from sne_deploy.distill.schema.base import LATER, Above0, Model, NotNegative, Positive
from sne_deploy.model.policy import MAX_HIDDEN, Measure, PolicyKind


class GateModel(Model):
    """The network on the host that chooses students from the input, and its training.

    ``grid``: cells along each of the input's last two axes, or as many as these are long. ``hidden``:
    neurons.
    """

    grid: Annotated[int, Field(ge=1, le=64)] = 8
    hidden: Annotated[int, Field(ge=1, le=MAX_HIDDEN)] = 32
    epochs: Positive = 20
    learning_rate: Above0 = 1e-2


class PolicyModel(Model):
    """Which students run. What is free in the policy is fitted on validation data to a target.

    Free are the ``threshold`` of ``confidence``, a gate's weights and threshold, and how many students of
    ``static`` run where a target is given and ``students`` is not.

    ``accuracy_drop``: the cheapest setting that loses at most so much against all students running, as a
    fraction (0.005 is half a point; of ``confidence`` and ``gate`` the default). ``energy_j``: instead, the
    most accurate setting of at most that many joules per inference, on Loihi 1's constants.

    ``weighted``: where students' outputs are logits, each student's weight in their mean is fitted too, to
    the least cross-entropy of all students on every second validation sample.
    """

    kind: PolicyKind = "static"
    students: Positive | None = None
    measure: Measure = "max_probability"
    accuracy_drop: NotNegative | None = None
    energy_j: Above0 | None = None
    gate: GateModel | None = None
    weighted: Annotated[bool, LATER] = False

    @model_validator(mode="after")
    def _meaningful(self) -> PolicyModel:
        if self.accuracy_drop is not None and self.energy_j is not None:
            raise ValueError("give accuracy_drop or energy_j, not both")
        if self.students is not None and (self.kind != "static" or self.fitted):
            raise ValueError("students is of kind 'static' alone, without accuracy_drop and energy_j")
        if self.measure != "max_probability" and self.kind != "confidence":
            raise ValueError("measure is of kind 'confidence' alone")
        if self.gate is not None and self.kind != "gate":
            raise ValueError("gate is of kind 'gate' alone")
        return self

    @property
    def fitted(self) -> bool:
        """Whether something is fitted to a target."""
        return self.kind != "static" or self.accuracy_drop is not None or self.energy_j is not None
