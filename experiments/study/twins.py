"""The same students as ordinary networks: what spikes gain and lose against ReLUs, all else equal.

A twin has its student's layers with ReLU in the place of spiking neurons and nothing in the place of the
leaky integrator, runs once instead of T times, and is trained with the same slice, losses, schedule, seeds
and augmentation. Terms that price spikes fall away, and so does training for quantised weights: a twin
computes in float32.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from experiments.study.twin_network import dense_macs, twin_network
from sne_deploy.distill.data.splits import Splits, load_splits
from sne_deploy.distill.policy.fitting import Runs, best_order
from sne_deploy.distill.stages import FIRST_STUDENT, TOGETHER, EpochLog, heard, stage_file, stage_schedule
from sne_deploy.distill.students.dropout import BY_NAME as DROPOUT
from sne_deploy.distill.students.evaluate import accuracy, evaluate_student
from sne_deploy.distill.students.head import fit_head
from sne_deploy.distill.students.joint import JointTask, tune_together
from sne_deploy.distill.students.student import StudentLoss, StudentTask, train_student
from sne_deploy.distill.teacher.network import extract_features
from sne_deploy.distill.teacher.onnx_teacher import load_onnx_teacher
from sne_deploy.distill.training.determinism import deterministic
from sne_deploy.distill.training.resume import kept_tensor
from sne_deploy.errors import InputError
from sne_deploy.files import ensure_folder
from sne_deploy.runtime import head as heads

if TYPE_CHECKING:
    from torch import Tensor

    from sne_deploy.distill.experiment import Experiment, JointModel
    from sne_deploy.distill.training.resume import ResumePoint
    from sne_deploy.model.ensemble import Ensemble, Head, Readout

Array = npt.NDArray[Any]
READOUT: Readout = "v_last"
"""Of one step: the output itself."""


@dataclass(frozen=True, eq=False)
class Twins:
    """Trained twins and the head over them.

    Attributes
    ----------
    networks : tuple of nn.Module
        In evaluation mode, on the CPU.
    head : Head
    order : tuple of int
        Best first, on validation data.
    macs : tuple of int
        Of each, per sample; see :func:`dense_macs`.
    """

    networks: tuple[nn.Module, ...]
    head: Head
    order: tuple[int, ...]
    macs: tuple[int, ...]


@dataclass(frozen=True)
class TwinRow:
    """The first ``students`` twins of the order, through the head.

    Attributes
    ----------
    students : int
    accuracy : float
    student_macs, head_macs, macs : int
        Per sample: of the twins, of the head, of both.
    """

    students: int
    accuracy: float
    student_macs: int
    head_macs: int
    macs: int


def train_twins(
    experiment: Experiment,
    ensemble: Ensemble,
    teacher: str | os.PathLike[str],
    work: str | os.PathLike[str],
    log: EpochLog = lambda *_: None,
) -> Twins:
    """Train a twin of each student on the student's own slice of the teacher's features, then the head.

    With ``[joint]`` in the experiment twins and head are tuned together as the students are.

    Parameters
    ----------
    experiment : Experiment
    ensemble : Ensemble
        What the experiment gave: it says which features each student learned.
    teacher : path
        The ONNX file that was written with it.
    work : path
        A folder that keeps the state of each training.
    log : callable

    Raises
    ------
    InputError
        Ensemble, teacher and experiment do not belong together.
    """
    folder, path = ensure_folder(Path(work)), Path(teacher)
    parts = _parts(experiment, ensemble)
    data = load_splits(experiment.data, experiment.seed, experiment.copies)
    features, logits = _targets(experiment, path, data, folder)
    if int(max(part.max() for part in parts)) >= features.shape[1]:
        raise InputError(
            f"twins: teacher {path.name!r} has {features.shape[1]} features, too few for the model"
        )
    training = _Training(experiment, folder, log, data, logits, _digest(path, parts))
    slices = [features[:, torch.from_numpy(part)] for part in parts]
    networks: list[nn.Module] = [training.alone(index, targets) for index, targets in enumerate(slices)]
    head = None
    if experiment.joint is not None:
        networks, head = training.together(networks, slices, experiment.joint)
    networks = [network.cpu().eval() for network in networks]
    macs = tuple(dense_macs(network, data.input_shape) for network in networks)
    head, order = _head(networks, macs, data, head)
    return Twins(tuple(networks), head, order, macs)


def twin_rows(twins: Twins, x: Array, y: Array) -> list[TwinRow]:
    """Accuracy and MACs of the first 1 to K twins on test samples.

    Parameters
    ----------
    twins : Twins
    x : float32 array of shape (N, *input_shape)
    y : int64 array of shape (N,)
    """
    outputs = _outputs(twins.networks, torch.from_numpy(np.array(x, np.float32)))
    sizes = [output.shape[1] for output in outputs]
    rows = []
    active = np.zeros((len(x), len(sizes)), dtype=bool)
    for k, index in enumerate(twins.order, 1):
        active[:, index] = True
        found = accuracy(heads.logits(twins.head, outputs, active), np.asarray(y))
        macs = sum(twins.macs[one] for one in twins.order[:k])
        head_macs = int(heads.head_macs(twins.head, sizes, active)[0])
        rows.append(TwinRow(k, found, macs, head_macs, macs + head_macs))
    return rows


@dataclass(frozen=True, eq=False)
class _Training:
    """What all trainings of an experiment's twins share."""

    experiment: Experiment
    folder: Path
    log: EpochLog
    data: Splits
    teacher_logits: Tensor
    targets_digest: str

    def alone(self, index: int, targets: Tensor) -> nn.Module:
        """Train one twin on its slice."""
        described, name = self.experiment.students, f"twin{index}"
        losses = StudentLoss(**described.loss.model_dump())
        task = StudentTask(1, READOUT, replace(losses, synops=0.0, spike_rate=0.0))
        inputs, labels, logits = self._placed(described.copies)
        return train_student(
            partial(twin_network, described.layers, self.data.input_shape, targets.shape[1]),
            inputs,
            targets[: len(labels)].to(inputs.device),
            labels,
            task,
            stage_schedule(self.experiment, described.schedule, FIRST_STUDENT + index),
            heard(self.log, name, described.schedule.epochs),
            teacher_logits=logits,
            resume=self._resume(name, "students"),
        ).module

    def together(
        self, networks: Sequence[nn.Module], slices: Sequence[Tensor], joint: JointModel
    ) -> tuple[list[nn.Module], Head]:
        """Tune all twins through the head, as students are."""
        weights = ("feature", "cross_entropy", "logits", "tau_teacher", "tau_student")
        biased = joint.dropout != "none"
        task = JointTask(
            1,
            (READOUT,) * len(networks),
            StudentLoss(**{name: getattr(joint, name) for name in weights}),
            DROPOUT[joint.dropout],
            subset_bias=biased,
        )
        inputs, labels, logits = self._placed(self.experiment.joint_copies)
        before = _outputs(networks, self.data.x)
        done = tune_together(
            networks,
            fit_head(before, self.data.y.numpy(), subset_bias=biased),
            inputs,
            [part[: len(labels)].to(inputs.device) for part in slices],
            labels,
            task,
            stage_schedule(self.experiment, joint.schedule, TOGETHER),
            heard(self.log, "twins together", joint.schedule.epochs),
            teacher_logits=logits,
            resume=self._resume("twins-together", "students", "joint"),
        )
        return list(done.networks), done.head

    def _resume(self, name: str, *sections: str) -> ResumePoint:
        digest = self.experiment.fingerprint(*sections) + self.targets_digest
        return stage_file(self.folder, name, hashlib.sha256(digest.encode()).hexdigest())

    def _placed(self, copies: int) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs, labels and the teacher's logits with so many copies, where the experiment trains."""
        device, data = torch.device(self.experiment.device), self.data.with_copies(copies)
        inputs, labels = data.students_x.to(device), data.students_y.to(device)
        return inputs, labels, self.teacher_logits[: len(labels)].to(device)


def _parts(experiment: Experiment, ensemble: Ensemble) -> list[Array]:
    if len(ensemble.students) != experiment.students.count:
        raise InputError(
            f"twins: the model has {len(ensemble.students)} students, the experiment "
            f"{experiment.students.count}; give the experiment that it came from"
        )
    parts = []
    for student in ensemble.students:
        if student.features is None or not len(student.features):
            raise InputError(f"twins: student {student.name!r} does not say which features it learned")
        parts.append(np.array(student.features, np.int64))  # a loaded model's cannot be written to
    return parts


def _targets(experiment: Experiment, path: Path, data: Splits, folder: Path) -> tuple[Tensor, Tensor]:
    """The teacher's features and logits on the students' samples; the features are computed once."""
    teacher = load_onnx_teacher(path)
    digest = hashlib.sha256((experiment.fingerprint() + _digest(path, ())).encode()).hexdigest()
    with deterministic(experiment.seed, experiment.threads), torch.no_grad():
        features = kept_tensor(
            stage_file(folder, f"targets{len(data.students_x)}", digest),
            lambda: extract_features(teacher, data.students_x),
        )
        return features, teacher.classifier(features)


def _digest(teacher: Path, parts: Sequence[Array]) -> str:
    """Of the teacher's file and of the division of its features."""
    found = hashlib.sha256(hashlib.sha256(teacher.read_bytes()).digest())
    found.update(str([part.tolist() for part in parts]).encode())
    return found.hexdigest()


def _head(
    networks: Sequence[nn.Module], macs: Sequence[int], data: Splits, head: Head | None
) -> tuple[Head, tuple[int, ...]]:
    """Head and order as a deployed ensemble gets them: from training data, and from validation data."""
    held_out = tuple(_outputs(networks, data.x_validation))
    operations = np.tile(np.array(macs, np.int64), (len(data.x_validation), 1))

    def order_with(fitted: Head) -> tuple[int, ...]:  # by accuracy alone: energies are not asked for
        return best_order(Runs(fitted, held_out, data.y_validation, operations, np.zeros(operations.shape)))

    if head is not None:
        return head, order_with(head)
    outputs, labels = _outputs(networks, data.x), data.y.numpy()
    order = order_with(fit_head(outputs, labels))
    return fit_head(outputs, labels, subset_bias=True, order=order), order


def _outputs(networks: Sequence[nn.Module], x: Tensor) -> list[Array]:
    """Outputs of each twin on the CPU: float64 arrays of shape (N, n_out)."""
    return [evaluate_student(network.cpu(), x, 1, READOUT).outputs for network in networks]
