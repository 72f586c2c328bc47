"""How accurate every student and the ensemble are on each class."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import model_validator

from sne_deploy.page.source import Source
from sne_deploy.report.chip_schema import Count, Model, Text

MAX_CLASSES = 200
"""With more, those on which the ensemble is the least accurate are kept alone."""

Array = npt.NDArray[Any]


class OnClassesModel(Model):
    """One network on each class: samples that it ran on, and those of them that it alone got right."""

    name: Text
    ran: tuple[Count, ...]
    correct: tuple[Count, ...]


class ClassAccuracyModel(Model):
    """Of the classes that a label names.

    Attributes
    ----------
    classes : tuple of int
        Rising.
    left_out : int
        How many there are beyond these.
    ensemble : OnClassesModel
        On all samples.
    students : tuple of OnClassesModel
    """

    classes: tuple[Count, ...]
    left_out: Count
    ensemble: OnClassesModel
    students: tuple[OnClassesModel, ...]

    @model_validator(mode="after")
    def _fits(self) -> ClassAccuracyModel:
        for each in (self.ensemble, *self.students):
            if not len(each.ran) == len(each.correct) == len(self.classes):
                raise ValueError("there are as many classes as numbers of their samples")
            if any(right > ran for right, ran in zip(each.correct, each.ran, strict=True)):
                raise ValueError("no more samples are right than there are")
        if not self.classes or not all(self.ensemble.ran):
            raise ValueError("the ensemble has a sample of every class")
        return self


def class_accuracy(source: Source) -> ClassAccuracyModel | None:
    """Of all samples; None without labels."""
    run = source.run
    if run.labels is None:
        return None
    classes, index = np.unique(run.labels, return_inverse=True)

    def counted(samples: Array) -> Array:
        return np.bincount(index[samples], minlength=len(classes))

    everywhere = np.ones(len(index), dtype=bool)
    right = run.predictions == run.labels
    kept = _least_accurate(counted(everywhere), counted(right))

    def on_classes(name: str, ran: Array, correct: Array) -> OnClassesModel:
        return OnClassesModel(
            name=name,
            ran=tuple(counted(ran)[kept].tolist()),
            correct=tuple(counted(correct)[kept].tolist()),
        )

    return ClassAccuracyModel(
        classes=tuple(classes[kept].tolist()),
        left_out=len(classes) - len(kept),
        ensemble=on_classes(_name(student.name for student in run.students), everywhere, right),
        students=tuple(
            on_classes(each.name, each.active, each.active & (each.alone == run.labels))
            for each in run.students
        ),
    )


def _least_accurate(samples: Array, correct: Array) -> Array:
    """Indices, rising, of as many classes as are kept; of equal ones those of more samples."""
    order = np.lexsort((-samples, correct / samples))
    return np.sort(order[:MAX_CLASSES])


def _name(students: Iterable[str]) -> str:
    """The ensemble's, which no student has."""
    taken, name = set(students), "ensemble"
    while name in taken:
        name += " of all"
    return name
