"""The schema of what ``sne explore`` writes.

Physical quantities are in SI units, named in their fields; ``null`` is not known, and never zero. After a
change here, write the committed ``explore.schema.json`` anew::

    python -m sne_deploy.exploration.schema
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from sne_deploy.energy.accounting import Part
from sne_deploy.files import write_whole
from sne_deploy.model.policy import Measure, PolicyKind
from sne_deploy.report.chip_schema import Fraction, Mean, Model

SCHEMA_VERSION: Literal["1.0"] = "1.0"
SCHEMA_FILE = Path(__file__).with_name("explore.schema.json")

Some = Annotated[int, Field(ge=1)]


class FiguresModel(Model):
    """Means over ``samples``; ``accuracy_error`` is one standard error of the accuracy."""

    samples: Some
    accuracy: Fraction
    accuracy_error: Mean
    energy_j: Mean
    latency_s: Mean | None
    synops: Mean
    students: Mean


class ChoiceModel(Model):
    """A policy: the students that may run, in their order; null where its kind has no such parameter."""

    kind: PolicyKind
    students: tuple[str, ...]
    threshold: Fraction | None
    measure: Measure | None


class PointModel(Model):
    """A choice and its figures on the samples that points are chosen on, on those that judge, and on all.

    ``own``: it is the model's own policy. ``weight_bits``: null is the chip's.
    """

    policy: ChoiceModel
    weight_bits: Some | None
    own: bool
    chosen_on: FiguresModel
    measured: FiguresModel
    whole: FiguresModel


class LeftOutModel(Model):
    """What a student adds to a policy and costs there, on all samples; null where no other student is left.

    ``adds_accuracy_error`` is one standard error of ``adds_accuracy``: the same samples with and without it.
    """

    student: str
    alone: FiguresModel
    without: FiguresModel | None
    adds_accuracy: float | None
    adds_accuracy_error: Mean | None
    adds_energy_j: float | None
    adds_latency_s: float | None


class LeaveOneOutModel(Model):
    """Each student left out of one policy."""

    policy: ChoiceModel
    students: tuple[LeftOutModel, ...]


class SearchedModel(Model):
    """What was tried. ``all_orders``: every order of the students, else those of a beam search."""

    points: Some
    weight_bits: tuple[Some | None, ...]
    measures: tuple[Measure, ...]
    orders: Some
    all_orders: bool


class ChosenModel(Model):
    """The point that was asked for, what it had to keep, and the model that was written with its policy."""

    target_accuracy: Fraction | None
    energy_budget_j: Mean | None
    latency_budget_s: Mean | None
    point: PointModel
    written: str | None


class StandingModel(Model):
    """Power beside the energies, whatever the policy: of a processor and all cores of each chip.

    ``x86_j``, ``static_j``: of one inference at ``rate_per_s`` inferences a second; null without a rate.
    ``weight_bits``: those of the bits tried that take the most; null is the chip's.
    """

    weight_bits: Some | None
    cores: Some
    chips: Some
    x86_w: Mean | None
    static_w: Mean | None
    rate_per_s: Annotated[float, Field(gt=0.0)] | None
    x86_j: Mean | None
    static_j: Mean | None


class ExplorationModel(Model):
    """One exploration. ``front``: the points that no other dominates on the samples that choose.

    ``energy_excludes``: the parts that no energy has, as a report's ``total_excludes``. ``standing`` is null
    where the students are on no cores.
    """

    schema_version: Literal["1.0"]
    model: str
    data: str
    chosen_on: str
    target: str
    hardware: str
    searched: SearchedModel
    energy_excludes: tuple[Part, ...]
    front: tuple[PointModel, ...]
    chosen: ChosenModel | None
    leave_one_out: tuple[LeaveOneOutModel, ...]
    standing: StandingModel | None
    wall_s: Mean


def json_schema() -> str:
    """The schema as the committed file holds it."""
    return json.dumps(ExplorationModel.model_json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    write_whole(SCHEMA_FILE, json_schema().encode())
