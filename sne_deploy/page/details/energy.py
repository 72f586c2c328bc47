"""What each layer counted: all that its energy follows from."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import model_validator

from sne_deploy.mapping.wiring import PATHS
from sne_deploy.page.source import Source
from sne_deploy.report.chip_schema import Count, Model, Text
from sne_deploy.runtime.result import StudentResult
from sne_deploy.runtime.trace import LayerTrace

Array = npt.NDArray[Any]


class LayerCountsModel(Model):
    """Totals of a layer over the run; null where not counted.

    Attributes
    ----------
    name : str
    synops : int
        Of what arrives.
    updates_active, updates_idle : int or None
    spikes : int
        Sent.
    messages : int or None
        One for each spike and core that it reaches.
    hops_east_west, hops_north_south : int or None
        Links that its messages cross.
    """

    name: Text
    synops: Count
    updates_active: Count | None
    updates_idle: Count | None
    spikes: Count
    messages: Count | None
    hops_east_west: Count | None
    hops_north_south: Count | None

    @model_validator(mode="after")
    def _fits(self) -> LayerCountsModel:
        if (self.updates_active is None) != (self.updates_idle is None):
            raise ValueError("active and idle updates are both counted, or neither")
        return self


class StudentCountsModel(Model):
    """A student's layers, in the order of its program."""

    name: Text
    layers: tuple[LayerCountsModel, ...]


def layer_counts(source: Source) -> tuple[StudentCountsModel, ...]:
    """Of every student, over the samples that it ran on."""
    return tuple(
        StudentCountsModel(
            name=student.name, layers=tuple(_layer(student, layer) for layer in student.layers)
        )
        for student in source.run.students
    )


def _layer(student: StudentResult, layer: LayerTrace) -> LayerCountsModel:
    sent: dict[str, int] = {}
    if student.placed is not None:
        sent = dict(zip(PATHS, student.placed.sent_by[layer.name], strict=True))
    return LayerCountsModel(
        name=layer.name,
        synops=_total(layer.synops),
        updates_active=_total(layer.updates_active),
        updates_idle=_total(layer.updates_idle),
        spikes=_total(layer.spikes),
        messages=sum(sent[name] for name in PATHS[:4]) if sent else None,
        hops_east_west=sent.get("hops_east_west"),
        hops_north_south=sent.get("hops_north_south"),
    )


def _total(counts: Array | None) -> Any:
    return None if counts is None else int(np.sum(counts, dtype=np.int64))
