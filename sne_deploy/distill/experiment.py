"""One TOML file describes a training run: the whole of it; its tables are in ``schema/``.

Every key is checked before anything is computed; all wrong ones are named with their places. Times are in
seconds, temperatures and weights of losses are plain numbers.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from sne_deploy.distill.losses import MAX_GATED
from sne_deploy.distill.mistakes import experiment_error
from sne_deploy.distill.schema.base import LATER, Model, Positive
from sne_deploy.distill.schema.data import DataModel
from sne_deploy.distill.schema.members import FILES
from sne_deploy.distill.schema.noise import NoiseModel
from sne_deploy.distill.schema.policy import PolicyModel
from sne_deploy.distill.schema.students import EnsembleModel, JointModel, QuantisationModel
from sne_deploy.distill.schema.teacher import PartitionModel, TeacherModel
from sne_deploy.errors import InputError
from sne_deploy.files import read_regular
from sne_deploy.toml import parse_toml

MAX_BYTES = 2**20
PATHS = (("data", "folder"), ("data", "file"), ("teacher", "onnx"))
"""Of other files; relative to the experiment's own where it is one."""
OF_IMAGES = ("cnn", "resnet9", "airbench")
"""Architectures of teachers that take images."""


class Experiment(Model):
    """A whole training run.

    ``side_by_side``: students that are trained at a time, each in a process of its own with ``threads``
    threads, before any joint stage; the log hears of them when all are done. It changes no bit of them.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$")]
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    threads: Positive = 2
    device: str = "cpu"
    data: DataModel
    teacher: TeacherModel
    partition: PartitionModel = PartitionModel()
    students: EnsembleModel
    joint: JointModel | None = None
    quantisation: QuantisationModel = QuantisationModel()
    policy: PolicyModel = PolicyModel()
    noise: NoiseModel | None = None
    side_by_side: Annotated[int, Field(ge=1, le=64), LATER] = 1

    @model_validator(mode="after")
    def _activatable(self) -> Experiment:
        count, policy = self.students.count, self.policy
        if policy.students is not None and policy.students > count:
            raise ValueError(f"policy.students {policy.students} is more than students.count {count}")
        if policy.kind == "gate" and count > MAX_GATED:
            raise ValueError(f"policy.kind 'gate' takes at most {MAX_GATED} students, not {count}")
        if policy.weighted and self.students.outputs != "logits":
            raise ValueError(
                "policy.weighted gives whole classifiers weights; the head of students that learn features "
                "has weights of its own: leave it out, or set students.outputs to 'logits'"
            )
        return self

    @model_validator(mode="after")
    def _taught(self) -> Experiment:
        architecture, given = self.teacher.architecture, self.data.input
        if architecture in OF_IMAGES and given != "constant":
            raise ValueError(
                f"teacher.architecture {architecture!r} is for images: for data.input {given!r} take 'tcn'"
            )
        if architecture == "tcn" and given == "constant":
            raise ValueError(
                "teacher.architecture 'tcn' is for series: set data.input to 'current' or 'spikes', or take "
                "'mlp' or 'cnn'"
            )
        return self

    @model_validator(mode="after")
    def _trainable(self) -> Experiment:
        if self.teacher.onnx is not None and self.partition.decorrelate:
            raise ValueError("partition.decorrelate needs a teacher that can be trained, not an ONNX file")
        if self.teacher.weights != "float32" and self.partition.decorrelate:
            raise ValueError(
                "partition.decorrelate trains a teacher further, and its weights would not stay of 16 bits: "
                "set teacher.weights to 'float32'"
            )
        mirrors = [k for k in range(self.students.count) if self.students.mirror_of(k) is not None]
        if mirrors and self.students.outputs == "features":
            raise ValueError(
                f"students.member.{mirrors[0]}.mirror_of: a mirror image learns no slice of its own: set "
                "students.outputs to 'logits', or leave it out"
            )
        if self.students.outputs == "logits" and self.joint is not None:
            raise ValueError("joint trains a head over features; students.outputs 'logits' has none")
        each = [self.students.of(index) for index in range(self.students.count)]
        for index, own in enumerate(each):
            if own.loss.inner and self.students.start(index) is not None:
                raise ValueError(
                    f"students.member.{index}.start: loss.inner {own.loss.inner:g} needs the student's ReLU "
                    "twin, which is trained for one that begins at random: set it to 0, or leave out start"
                )
        for key in ("warm_start", "more_steps"):
            if self.data.input != "constant" and any(getattr(own, key) is not None for own in each):
                raise ValueError(
                    f"students.{key} needs a constant input; data.input {self.data.input!r} has steps of its "
                    "own: leave it out"
                )
        return self

    @model_validator(mode="after")
    def _answered(self) -> Experiment:
        if self.students.answers is None:
            return self
        if self.data.augment == "none" and self.data.corruptions is None:
            raise ValueError(
                "students.answers is of augmented images: set data.augment, such as 'shift', or leave it out"
            )
        if self.joint_copies:
            raise ValueError(
                f"joint.copies {self.joint_copies}: the stage sees what students.answers says; leave it out"
            )
        return self

    @property
    def learns_features(self) -> bool:
        """Whether a loss of some stage is on the teacher's features."""
        each = (self.students.of(student).loss.feature for student in range(self.students.count))
        return any(each) or (self.joint is not None and self.joint.feature > 0)

    @property
    def copies(self) -> int:
        """Augmented versions of the training set that some stage uses."""
        return max(self.students.copies, self.joint_copies)

    @property
    def joint_copies(self) -> int:
        """Of them, those that the joint stage uses."""
        own = None if self.joint is None else self.joint.copies
        return self.students.copies if own is None else own

    @property
    def divided(self) -> bool:
        """Whether anything depends on how features are divided: a student's slice, a decorrelated teacher."""
        return self.students.outputs == "features" or self.decorrelated

    @property
    def decorrelated(self) -> bool:
        """Whether the teacher is trained further, so that the parts of its features separate."""
        return self.partition.decorrelate > 0 and self.students.count > 1

    def of(self, student: int) -> Experiment:
        """The experiment as it is for one student; see :meth:`WithMembers.of`."""
        return self.model_copy(update={"students": self.students.of(student)})

    def fingerprint(self, *sections: str, without: tuple[str, ...] = ()) -> str:
        """A digest of some sections and of what all depends on: equal where a stored result still fits.

        ``count`` is a section too: the students' number alone. Where features are not divided, neither the
        division nor their number is in the students' digest. ``without``: dotted keys that do not count.
        """
        chosen = {"seed", "device", "data", *sections}
        values = self.model_dump(mode="json", include=chosen)
        if "count" in sections:
            values["count"] = self.students.count
        if not self.divided and "students" in sections:
            values["students"].pop("count")
            values.pop("partition", None)
        students = values.get("students", {})
        students.pop("storage", None)  # nor how a student is stored when it is finished
        for member in students.get("member", ()):  # nor where one lies
            for key in (*FILES, "storage"):
                member.pop(key, None)
        for name in ("folder", "file"):  # where the data lies changes nothing
            values["data"].pop(name)
        if values.get("teacher", {}).get("onnx") is not None:
            values["teacher"]["onnx"] = ""  # nor where the teacher lies; what it is stands beside
        for key in without:
            *tables, last = key.split(".")
            place = values
            for name in tables:
                place = place.get(name) or {}
            place.pop(last, None)
        text = json.dumps(values, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def load_experiment(path: Path, changes: dict[str, Any] | None = None) -> Experiment:
    """Read an experiment file.

    Parameters
    ----------
    path : Path
        Paths in the file are relative to its own folder.
    changes : dict, optional
        Values that replace the file's, by dotted key, such as ``{"data.folder": "mnist"}``.

    Raises
    ------
    InputError
        The file cannot be read, is no TOML, or keys are unknown, missing or wrong: names all of them.
    """
    try:
        text = read_regular(path, MAX_BYTES)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; give a TOML file") from None
    try:
        document = parse_toml(text)
    except ValueError as error:
        raise InputError(f"{path}: is no TOML of an experiment: {error}; correct it") from None
    return _parsed(_beside(path, document), changes or {}, str(path))


def _beside(path: Path, document: dict[str, Any]) -> dict[str, Any]:
    """The document with its paths, which are relative to its own folder, as they are from here."""
    made = dict(document)
    for table, key in PATHS:
        given = document.get(table)
        if isinstance(given, dict) and isinstance(given.get(key), str):
            made[table] = {**given, key: str(path.parent / given[key])}
    students = made.get("students")
    if isinstance(students, dict) and isinstance(students.get("member"), list):
        made["students"] = {**students, "member": [_member_beside(path, one) for one in students["member"]]}
    return made


def _member_beside(path: Path, member: Any) -> Any:
    if not isinstance(member, dict):
        return member
    files = {key: member[key] for key in FILES if isinstance(member.get(key), str)}
    return {**member, **{key: str(path.parent / name) for key, name in files.items()}}


def parse_experiment(document: dict[str, Any], where: str = "experiment") -> Experiment:
    """Check an experiment given as a dictionary; see :func:`load_experiment`."""
    try:
        return Experiment.model_validate(document)
    except ValidationError as error:
        raise experiment_error(where, Experiment, error) from None


def as_experiment(
    described: Experiment | Mapping[str, Any] | str | os.PathLike[str], changes: dict[str, Any] | None = None
) -> Experiment:
    """Take an experiment, a dictionary of what its file holds, or a file; see :func:`load_experiment`."""
    if isinstance(described, (str, os.PathLike)):
        return load_experiment(Path(described), changes)
    if isinstance(described, Experiment):
        document = described.model_dump()
    elif isinstance(described, Mapping):
        document = copy.deepcopy(dict(described))
    else:
        raise InputError(
            f"experiment: give a TOML file, a dict or an Experiment, not {type(described).__name__}"
        )
    return _parsed(document, changes or {}, "experiment")


def _parsed(document: dict[str, Any], changes: Mapping[str, Any], where: str) -> Experiment:
    for key, value in changes.items():
        *tables, last = key.split(".")
        place = document
        for name in tables:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise InputError(f"{where}: {name}: must be a table")
        place[last] = value
    return parse_experiment(document, where)
