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
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from sne_deploy.distill.data.splits import Splits, load_splits
from sne_deploy.distill.policy.fitting import Runs, best_order
from sne_deploy.distill.pupils import Pupils, train_pupils
from sne_deploy.distill.stages import EpochLog, Stages
from sne_deploy.distill.students.checks import joint_task, student_task
from sne_deploy.distill.students.evaluate import accuracy, evaluate_student
from sne_deploy.distill.students.head import fit_head
from sne_deploy.distill.students.networks import student_network
from sne_deploy.distill.students.simulate import add_skipped_once, is_skip
from sne_deploy.distill.students.student import Lesson, StudentTask
from sne_deploy.distill.teacher.onnx_teacher import load_onnx_teacher
from sne_deploy.distill.training.determinism import deterministic, evaluating
from sne_deploy.errors import InputError
from sne_deploy.files import ensure_folder
from sne_deploy.model.ensemble import Head
from sne_deploy.runtime import head as heads

if TYPE_CHECKING:
    from torch import Tensor

    from sne_deploy.distill.experiment import Experiment
    from sne_deploy.distill.schema.layers import LayerModel
    from sne_deploy.distill.teacher.network import Teacher
    from sne_deploy.model.ensemble import Ensemble, Readout

Array = npt.NDArray[Any]
READOUT: Readout = "v_last"
"""Of one step: the output itself."""


@dataclass(frozen=True, eq=False)
class Twins:
    """Trained twins in evaluation mode on the CPU, best first in the order, their MACs, and their head."""

    networks: tuple[nn.Module, ...]
    head: Head
    order: tuple[int, ...]
    macs: tuple[int, ...]


@dataclass(frozen=True)
class TwinRow:
    """The first ``students`` twins of the order, through the head; MACs per sample, ``macs`` is the sum."""

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
    """Train a twin of each student on what the student learned, then the head.

    That is its own slice of the teacher's features; or the teacher's logits, whose mean then is the answer.
    With ``[joint]`` in the experiment twins and head are tuned together as the students are. ``ensemble`` is
    what the experiment gave: it says which features each student learned; ``teacher`` the ONNX file that was
    written with it; ``work`` a folder that keeps the state of each training.

    Raises
    ------
    InputError
        Ensemble, teacher and experiment do not belong together.
    """
    path = Path(teacher)
    direct = experiment.students.outputs == "logits"
    data = load_splits(experiment.data, experiment.seed, experiment.copies)
    stages = Stages(experiment, ensure_folder(Path(work)), log, own=data.digest + _digest(path, ()))
    loaded = load_onnx_teacher(path)
    parts = _parts(experiment, ensemble, loaded)
    features, logits = _targets(stages, loaded, data)
    if int(max(part.max() for part in parts)) >= features.shape[1]:
        raise InputError(
            f"twins: teacher {path.name!r} has {features.shape[1]} features, too few for the model"
        )
    placed = data.to(torch.device(experiment.device))
    slices = (features[:, torch.from_numpy(part)] for part in parts)
    lesson = Lesson(
        placed.students_x,
        placed.students_y,
        tuple(part.to(placed.x.device) for part in slices),
        logits.to(placed.x.device),
        answers=stages.answers(loaded, placed, parts),
    )
    stages = replace(stages, own=data.digest + _digest(path, parts))
    trained, head = train_pupils(stages, placed, lesson, _pupils(experiment, data))
    networks = [network.cpu().eval() for network in trained]
    macs = tuple(dense_macs(network, data.input_shape) for network in networks)
    head, order = _head(networks, macs, data, Head("mean") if direct else head)
    return Twins(tuple(networks), head, order, macs)


def _pupils(experiment: Experiment, data: Splits) -> Pupils:
    """Students with ReLUs and one step, for which no term prices spikes."""
    direct = experiment.students.outputs == "logits"

    def task(index: int) -> StudentTask:
        alone = student_task(experiment.of(index))
        return StudentTask(1, READOUT, alone.loss.of_answers, direct)

    def build(index: int, outputs: int) -> nn.Module:
        size = data.classes if direct else outputs
        described = experiment.students.of(index)
        return twin_network(described.layers, data.input_shape, size, described.dt_s)

    joint = joint_task(experiment, task(0))
    return Pupils(
        build,
        task,
        None if joint is None else replace(joint, loss=joint.loss.model_copy(update={"synops": 0.0})),
        "twin",
        "twins together",
        ("students",),
        mirror=lambda network, _: mirror_twin(network),
    )


def twin_rows(twins: Twins, x: Array, y: Array) -> list[TwinRow]:
    """Accuracy and MACs of the first 1 to K twins on test samples, float32 (N, *input_shape)."""
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


def _parts(experiment: Experiment, ensemble: Ensemble, teacher: Teacher) -> list[Array]:
    """The features that each student learned; of logits, which have none, any division."""
    if len(ensemble.students) != experiment.students.count:
        raise InputError(
            f"twins: the model has {len(ensemble.students)} students, the experiment "
            f"{experiment.students.count}; give the experiment that it came from"
        )
    if experiment.students.outputs == "logits":
        every = np.arange(teacher.classifier.in_features, dtype=np.int64)
        return list(np.array_split(every, len(ensemble.students)))
    parts = []
    for student in ensemble.students:
        if student.features is None or not len(student.features):
            raise InputError(f"twins: student {student.name!r} does not say which features it learned")
        parts.append(np.array(student.features, np.int64))  # a loaded model's cannot be written to
    return parts


def _targets(stages: Stages, teacher: Teacher, data: Splits) -> tuple[Tensor, Tensor]:
    """The teacher's features and logits on the students' samples; the features are computed once."""
    experiment = stages.experiment
    features = stages.features("targets", teacher, data.students_x)
    with deterministic(experiment.seed, experiment.threads), torch.no_grad():
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


# --- one network -------------------------------------------------------------------------------------

SPIKING = ("LIFBoxCell", "LIFCell", "IAFCell")
INTEGRATORS = ("LIBoxCell", "LICell")
"""Kinds of cells, by what their twin has instead: a ReLU, and nothing."""


def twin_network(
    layers: Sequence[LayerModel], input_shape: tuple[int, ...], outputs: int, dt_s: float
) -> nn.Sequential:
    """Make an untrained twin: from the same random state, the same initial weights as the student.

    It ends in a leaky integrator that forgets everything in one step (v = x, exactly), so that whatever runs,
    trains or evaluates a student for one step does so with a twin. Recurrent cells, which are nothing without
    time, are refused.
    """
    import norse.torch as norse
    from norse.torch.functional.leaky_integrator_box import LIBoxParameters

    cells = (*SPIKING, *INTEGRATORS)
    recurrent = [layer.kind for layer in layers if layer.kind.endswith("Cell") and layer.kind not in cells]
    if recurrent:
        raise InputError(
            f"twin: {recurrent[0]} has no twin without time; give students without recurrent cells"
        )
    student = student_network(layers, input_shape, outputs, dt_s)
    modules = [
        _activation(layer.kind) if layer.kind in cells else module
        for layer, module in zip(layers, student, strict=True)
    ]
    identity = norse.LIBoxCell(LIBoxParameters(tau_mem_inv=torch.tensor(1.0)), dt=1.0)
    return nn.Sequential(Maps(modules), identity)


def mirror_twin(network: nn.Module) -> nn.Sequential:
    """A twin of the mirror image of a student, from the student's twin; they share their weights."""
    maps, identity = network.children()
    return nn.Sequential(Maps([LeftRight(), *maps.children()]), identity)


class LeftRight(nn.Module):
    """Turns images around."""

    def forward(self, images: Tensor) -> Tensor:
        """Of shape (N, C, H, W)."""
        return images.flip(-1)


class Maps(nn.ModuleList):
    """A twin's layers one after the other; a skip adds its map of what an earlier activation gave."""

    def forward(self, flow: Tensor) -> Tensor:
        """Of a batch of samples."""
        sent: list[Tensor] = []
        for layer in self:
            flow = add_skipped_once(layer, sent, flow) if is_skip(layer) else layer(flow)
            if isinstance(layer, ACTIVATIONS):
                sent.append(flow[None])
        return flow


ACTIVATIONS = (nn.ReLU, nn.Identity)
"""What a twin has where its student has cells."""


def _activation(kind: str) -> nn.Module:
    return nn.ReLU() if kind in SPIKING else nn.Identity()


def dense_macs(network: nn.Module, input_shape: tuple[int, ...]) -> int:
    """Multiply-accumulates of a twin's convolutions and linear maps per sample.

    Counted as a teacher's are: a border's padding is multiplied too, batch norm folds into the map before it.
    """
    from torch.utils.flop_counter import FlopCounterMode

    maps = next(network.children())
    counter = FlopCounterMode(display=False)
    with evaluating(maps), torch.no_grad(), counter:
        maps(torch.zeros(1, *input_shape))
    return int(counter.get_total_flops()) // 2
