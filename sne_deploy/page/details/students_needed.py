"""How many students each kind of input needs, with examples of easy and hard ones."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from sne_deploy.model.parts import MAX_STUDENTS
from sne_deploy.page.details.class_accuracy import MAX_CLASSES
from sne_deploy.page.details.picture import Drawn, PictureModel, drawn_as, picture
from sne_deploy.page.source import Source
from sne_deploy.report.chip_schema import Count, Model
from sne_deploy.runtime.result import RunResult

MAX_LEVELS = 6
"""Numbers of students that have examples; of more, evenly spaced ones, the least and the most included."""
RIGHT, WRONG = 2, 2
"""Examples of each, the first of the data; without labels as many together, the first of all."""

Array = npt.NDArray[Any]


class ClassNeedModel(Model):
    """Of the samples of one class, how many are with 0, 1, ... students."""

    index: Count
    samples: tuple[Count, ...]

    @model_validator(mode="after")
    def _has_samples(self) -> ClassNeedModel:
        if not any(self.samples):
            raise ValueError("a class has samples")
        return self


class ExampleModel(Model):
    """One sample and its number of students."""

    sample: Count
    students: Count
    label: Count | None
    predicted: Count
    picture: PictureModel


class StudentsNeededModel(Model):
    """How many students, by class, and examples for each number.

    Attributes
    ----------
    counted : {"ran", "agreed"}
        What was counted: the students that ran; or, where the policy is static and all run on every sample,
        those that alone predict what the ensemble does.
    by : {"label", "predicted"}
        What the classes are; predictions where there are no labels.
    asked : int
        Students that the policy may run.
    classes : tuple of ClassNeedModel
        By class; of very many, the hardest: those with the most that ran, or the fewest that agree.
    left_out : int
        How many classes there are beyond these.
    drawn : Drawn
        What the pictures show.
    examples : tuple of ExampleModel
        By number of students, right ones before wrong ones, then in the data's order.
    """

    counted: Literal["ran", "agreed"]
    by: Literal["label", "predicted"]
    asked: Annotated[int, Field(ge=1, le=MAX_STUDENTS)]
    classes: Annotated[tuple[ClassNeedModel, ...], Field(min_length=1)]
    left_out: Count
    drawn: Drawn
    examples: Annotated[
        tuple[ExampleModel, ...], Field(min_length=1, max_length=MAX_LEVELS * (RIGHT + WRONG))
    ]


def students_needed(source: Source) -> StudentsNeededModel:
    """Of all samples of a run."""
    run, policy = source.run, source.ensemble.policy
    static = policy.kind == "static"
    students = agreeing(run) if static else run.active.sum(axis=1)
    kinds = run.predictions if run.labels is None else run.labels
    classes, index = np.unique(kinds, return_inverse=True)
    counts = np.zeros((len(classes), len(run.students) + 1), np.int64)
    np.add.at(counts, (index, students), 1)
    means = counts @ np.arange(counts.shape[1]) / counts.sum(axis=1)
    kept = np.sort(np.argsort(means if static else -means, kind="stable")[:MAX_CLASSES])
    return StudentsNeededModel(
        counted="agreed" if static else "ran",
        by="predicted" if run.labels is None else "label",
        asked=policy.students or len(run.students),
        classes=tuple(ClassNeedModel(index=int(classes[k]), samples=tuple(counts[k].tolist())) for k in kept),
        left_out=len(classes) - len(kept),
        drawn=drawn_as(source.ensemble.encoder, source.ensemble.input_shape),
        examples=tuple(_example(source, int(k), int(students[k])) for k in _chosen(run, students)),
    )


def agreeing(run: RunResult) -> Array:
    """Students that ran and alone predict what the ensemble does: int64 array of shape (N,)."""
    agree = [student.active & (student.alone == run.predictions) for student in run.students]
    return np.asarray(np.sum(agree, axis=0, dtype=np.int64))


def _chosen(run: RunResult, students: Array) -> list[int]:
    """The first samples of each number of students, right and wrong ones."""
    levels = np.unique(students)
    if len(levels) > MAX_LEVELS:
        levels = levels[np.linspace(0, len(levels) - 1, MAX_LEVELS).astype(int)]
    if run.labels is None:
        return [int(k) for level in levels for k in np.flatnonzero(students == level)[: RIGHT + WRONG]]
    right = run.predictions == run.labels
    found: list[int] = []
    for level in levels:
        of_level = students == level
        found += np.flatnonzero(of_level & right)[:RIGHT].tolist()
        found += np.flatnonzero(of_level & ~right)[:WRONG].tolist()
    return found


def _example(source: Source, k: int, students: int) -> ExampleModel:
    x, run = source.data.x[k], source.run
    if source.data.lengths is not None:
        x = x[: source.data.lengths[k]]
    return ExampleModel(
        sample=k,
        students=students,
        label=None if run.labels is None else int(run.labels[k]),
        predicted=int(run.predictions[k]),
        picture=picture(source.ensemble.encoder, x),
    )
