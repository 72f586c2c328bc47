"""The spikes of one sample, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from sne_deploy.page.source import Source
from sne_deploy.report.chip_schema import Count, Mean, Model, Text
from sne_deploy.runtime.result import RunResult, StudentResult

MAX_SPIKES, MAX_LAYERS, MAX_NEURONS, MAX_STEPS = 20_000, 64, 500, 1000
"""Of a raster: spikes and layers of all students together, which the layers share alike; neurons of a layer
and first steps. Of larger layers every second neuron is kept, or every third and so on, from the first."""

Array = npt.NDArray[Any]
Whole = Annotated[int, Field(ge=1)]


class RasterLayerModel(Model):
    """Spikes of the input or of one neuron group, as pairs of step and neuron, by step and then by neuron.

    Of ``neurons`` every ``every``-th is kept: 0, every, 2 every, ... Steps are the layer's own, from 0.
    """

    name: Text
    neurons: Whole
    every: Whole
    spikes: Annotated[tuple[tuple[Count, Count], ...], Field(max_length=MAX_SPIKES)]


class RasterStudentModel(Model):
    """One student that ran on the sample, and what it alone predicts."""

    name: Text
    predicted: Count
    layers: Annotated[tuple[RasterLayerModel, ...], Field(max_length=MAX_LAYERS)]


class RasterModel(Model):
    """One sample: the first for which as many students ran as on average, or the nearest number to that.

    Attributes
    ----------
    sample : int
    label : int or None
    predicted : int
        By the ensemble.
    mean_students : float
        Over all samples.
    steps : int
        Of the sample that are kept, from the first.
    all_steps : int
    left_out : int
        Layers beyond those that are kept.
    students : tuple of RasterStudentModel
    """

    sample: Count
    label: Count | None
    predicted: Count
    mean_students: Mean
    steps: Whole
    all_steps: Whole
    left_out: Count
    students: tuple[RasterStudentModel, ...]


def raster(source: Source) -> RasterModel:
    """Run one sample again, and keep its spikes."""
    run = source.run
    k = typical_sample(run)
    lengths = source.data.lengths
    all_steps = source.ensemble.timesteps if lengths is None else int(lengths[k])
    again = source.again(np.array([k]), record="spikes")
    ran = [student for student, active in zip(again.students, run.active[k], strict=True) if active]
    entering = source.encoded(np.array([k]))[0] if source.programs[0].spike_input else None
    found = [list(_trains(student, entering)) for student in ran]
    layers = sum(map(len, found))
    budget = MAX_SPIKES // max(1, min(layers, MAX_LAYERS))
    steps = min(all_steps, MAX_STEPS, budget)
    students, left = [], MAX_LAYERS
    for student, trains in zip(ran, found, strict=True):
        kept = tuple(_layer(name, train[:steps], budget) for name, train in trains[:left])
        left -= len(kept)
        assert student.alone is not None  # noqa: S101  it ran
        alone = int(student.alone[0])
        students.append(RasterStudentModel(name=student.name, predicted=alone, layers=kept))
    return RasterModel(
        sample=k,
        label=None if run.labels is None else int(run.labels[k]),
        predicted=int(run.predictions[k]),
        mean_students=float(run.active.sum(axis=1).mean()),
        steps=steps,
        all_steps=all_steps,
        left_out=layers - MAX_LAYERS + left,
        students=tuple(students),
    )


def typical_sample(run: RunResult) -> int:
    """The first sample whose number of students is the nearest to the mean, of two such the lower."""
    students = run.active.sum(axis=1)
    numbers = np.unique(students)
    nearest = numbers[np.argmin(np.abs(numbers - students.mean()))]
    return int(np.flatnonzero(students == nearest)[0])


def _trains(student: StudentResult, entering: Array | None) -> Iterator[tuple[str, Array]]:
    """Names and spikes, (T, neurons), of the input and of every group that spikes, along the depth."""
    if entering is not None:
        yield student.program.input.name, entering.reshape(len(entering), -1)
    for group in student.program.groups:
        spikes = student.spikes.get(group.name)
        if group.spiking and spikes is not None:
            yield group.name, spikes[0].reshape(len(spikes[0]), -1)


def _layer(name: str, train: Array, budget: int) -> RasterLayerModel:
    """As many of the neurons as the bounds allow."""
    neurons = train.shape[1]
    every = -(-neurons // MAX_NEURONS)
    while np.count_nonzero(train[:, ::every]) > budget:
        every += 1
    steps, indices = np.nonzero(train[:, ::every])
    spikes = tuple(zip(steps.tolist(), (indices * every).tolist(), strict=True))
    return RasterLayerModel(name=name, neurons=neurons, every=every, spikes=spikes)
