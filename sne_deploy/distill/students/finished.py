"""Students of files: each a ``model.pt`` of its own, read where an experiment names it.

A finished one is taken as it is, another one is trained on from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sne_deploy.distill.data.given import digest_of
from sne_deploy.errors import InputError
from sne_deploy.files import ensure_folder
from sne_deploy.frontend.norse.build import module_from_layers
from sne_deploy.frontend.norse.modules import layers_from_module
from sne_deploy.model.checkpoint import load_checkpoint
from sne_deploy.model.ensemble import Ensemble, Head, Layer, Student
from sne_deploy.model.layers.registry import stack_shapes

if TYPE_CHECKING:
    from torch import nn

    from sne_deploy.distill.data.splits import Splits
    from sne_deploy.distill.experiment import Experiment

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Finished:
    """The students of an experiment that do not begin in it, by their number.

    Attributes
    ----------
    students : mapping
        Those that are not trained in it.
    starts : mapping
        Those that are, from what they are here.
    files : mapping
        Where each was read, for messages.
    """

    students: Mapping[int, Student] = field(default_factory=dict)
    starts: Mapping[int, Student] = field(default_factory=dict)
    files: Mapping[int, str] = field(default_factory=dict)

    def __contains__(self, index: int) -> bool:
        return index in self.students

    def network(self, index: int, features: Array | None = None) -> nn.Module:
        """A student as a module; refused where it learned other ``features`` than those.

        Raises
        ------
        InputError
            This teacher and this division give it others.
        """
        student, key = self._of(index)
        if features is not None and not np.array_equal(np.asarray(student.features), features):
            raise InputError(
                f"students.member.{index}.{key} {self.files[index]}: the student learned other features "
                f"than this teacher and partition give it; leave out {key}, to train it with them"
            )
        return module_from_layers(_layers(student))

    @property
    def begun(self) -> Mapping[int, Student]:
        """All that are of a file, be they finished or not."""
        return {**self.students, **self.starts}

    def digest(self, index: int | None = None) -> str:
        """Of one student, or of all of them; "" where none is."""
        chosen = [self._of(k) for k in sorted(self.begun) if index in (None, k)]
        return digest_of(part for one in chosen for part in _content(*one)) if chosen else ""

    def _of(self, index: int) -> tuple[Student, str]:
        """A student and the key that names its file."""
        if index in self.students:
            return self.students[index], "weights"
        return self.starts[index], "start"


def _content(student: Student, key: str) -> Iterator[Array | str]:
    if key == "start":
        yield key
    for layer in _layers(student):
        yield f"{layer.kind} {sorted(layer.options.items())}"
        for name, tensor in layer.tensors.items():
            yield name
            yield tensor


def _layers(student: Student) -> tuple[Layer, ...]:
    assert isinstance(student.network, tuple)  # noqa: S101  a model.pt holds no others
    return student.network


def read_finished(experiment: Experiment, data: Splits) -> Finished:
    """The students that the experiment names files of.

    Raises
    ------
    InputError
        A file has not got the student, or one of other input, steps, readout or outputs; names the key.
    CheckpointError
        A file cannot be read.
    """
    described = experiment.students
    files = {k: path for k in range(described.count) if (path := described.file(k)) is not None}
    keys = {k: "start" if described.weights(k) is None else "weights" for k in files}
    read = {k: _read(experiment, data, k, keys[k], path) for k, path in files.items()}
    finished, starts = (
        {k: student for k, student in read.items() if keys[k] == key} for key in ("weights", "start")
    )
    return Finished(finished, starts, files)


def _read(experiment: Experiment, data: Splits, index: int, key: str, path: str) -> Student:
    described, where = experiment.students, f"students.member.{index}.{key} {path}"
    ensemble = load_checkpoint(path)
    named = {student.name: student for student in ensemble.students}
    student = ensemble.students[0] if len(named) == 1 else named.get(f"student{index}")
    if student is None:
        raise InputError(
            f"{where}: it has {len(named)} students, and none is 'student{index}'; give one's own file"
        )
    *_, outputs = stack_shapes(_layers(student), ensemble.input_shape)
    steps = {layer.options["dt"] for layer in _layers(student) if "dt" in layer.options}
    direct = described.outputs == "logits"
    facts: dict[str, tuple[Any, Any]] = {
        "input_shape": (ensemble.input_shape, data.input_shape),
        "encoder": (ensemble.encoder, experiment.data.encoder),
        "timesteps": (ensemble.timesteps, described.timesteps),
        "dt_s": (steps.pop() if len(steps) == 1 else sorted(map(str, steps)), described.dt_s),
        "readout": (student.readout, described.readout),
        "outputs": ("logits" if student.features is None else "features", described.outputs),
        "number of outputs": (outputs, (data.classes,) if direct else outputs),
    }
    for name, (given, wanted) in facts.items():
        if given != wanted:
            raise InputError(
                f"{where}: its {name} is {given}, that of this experiment {wanted}; "
                f"leave out {key}, to train it here"
            )
    return student


def save_finished(
    path: Path,
    index: int,
    network: nn.Module,
    experiment: Experiment,
    input_shape: tuple[int, ...],
    features: Array | None,
) -> None:
    """Write a student as a ``model.pt`` of its own; one whose outputs are logits is a whole model.

    ``features`` are those that it learned.
    """
    described = experiment.students
    student = Student(f"student{index}", layers_from_module(network), described.readout, features)
    encoder = experiment.data.encoder
    ensemble = Ensemble((student,), input_shape, described.timesteps, encoder, Head("mean"))
    ensure_folder(path.parent)
    ensemble.save(path)
