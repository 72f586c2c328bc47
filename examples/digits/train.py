"""Train the digits ensemble: a teacher, four spiking students of its features, a linear head.

Run it as ``python examples/digits/train.py --seed 0 --out examples/digits``; README.md tells more.
"""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import networks
import numpy as np
import numpy.typing as npt
import torch
import typer
from affine import Affine, augmented
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch import Tensor, nn

from sne_deploy.data.digits import digits_split
from sne_deploy.distill.losses import training_variance
from sne_deploy.distill.schema.schedule import Schedule
from sne_deploy.distill.schema.students import StudentLoss
from sne_deploy.distill.students.evaluate import StudentFigures, accuracy, evaluate_student
from sne_deploy.distill.students.head import fit_head
from sne_deploy.distill.students.student import Lesson, StudentTask, train_student
from sne_deploy.distill.teacher.network import Teacher, extract_features, train_teacher
from sne_deploy.distill.teacher.onnx_export import save_teacher_onnx
from sne_deploy.distill.teacher.partition import FeatureSpace, partition, random
from sne_deploy.distill.training.loop import Training
from sne_deploy.errors import SneError
from sne_deploy.files import ensure_folder
from sne_deploy.frontend.norse.modules import layers_from_module
from sne_deploy.model.checkpoint import save_checkpoint
from sne_deploy.model.ensemble import ActivationPolicy, Encoder, Ensemble, Head, Student
from sne_deploy.runtime.head import logits
from sne_deploy.teacher.run import TeacherResult, evaluate_teacher

Array = npt.NDArray[Any]

INPUT_SHAPE = (1, 8, 8)
TASK = StudentTask(
    timesteps=16,
    readout="v_mean",
    loss=StudentLoss(feature=1.0, cross_entropy=0.3, spike_rate=10.0, target_rate=0.1),
)
TEACHER = Schedule(epochs=40, learning_rate=1e-3, clip_norm=10.0)
STUDENT = Schedule(epochs=40, learning_rate=4e-3)


@dataclass(frozen=True, eq=False)
class Data:
    """Images of shape (N, 1, 8, 8) in [0, 1], and labels."""

    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Array


@dataclass(frozen=True, eq=False)
class Distilled:
    """A trained student, its slice, and what it does on training and held-out images."""

    name: str
    network: nn.Module
    features: Array
    train: StudentFigures
    test: StudentFigures
    explained: float


def load_data(copies: int, seed: int) -> Data:
    """Load the digits; the training images are followed by ``copies`` randomly mapped versions of each."""
    x_train, y_train, x_test, y_test = digits_split()
    images = augmented(torch.from_numpy(x_train).reshape(-1, *INPUT_SHAPE), copies, Affine(), seed)
    labels = torch.from_numpy(np.asarray(y_train, dtype=np.int64)).repeat(copies + 1)
    return Data(images, labels, torch.from_numpy(x_test).reshape(-1, *INPUT_SHAPE), np.asarray(y_test))


def distil(name: str, teacher: Teacher, data: Data, part: Array, training: Training) -> Distilled:
    """Train one student on its slice of the teacher's features."""
    columns = torch.from_numpy(part)
    targets = extract_features(teacher, data.x_train)[:, columns]
    held_out = extract_features(teacher, data.x_test)[:, columns]
    trained = train_student(
        lambda: networks.STUDENTS[name](len(part)),
        Lesson(data.x_train, data.y_train, (targets,)),
        TASK,
        training,
    )
    train, test = (
        evaluate_student(trained.module, x, TASK.timesteps, TASK.readout) for x in (data.x_train, data.x_test)
    )
    in_teacher_units = test.outputs * training_variance(targets).sqrt().numpy() + targets.mean(dim=0).numpy()
    wanted = held_out.double().numpy()
    unexplained = np.square(in_teacher_units - wanted).sum() / np.square(wanted - wanted.mean(axis=0)).sum()
    return Distilled(name, trained.module, part, train, test, float(1 - unexplained))


def held_out_accuracy(head: Head, outputs: list[Array], labels: Array) -> float:
    """Classify with all students."""
    everyone = np.ones((len(labels), len(outputs)), dtype=bool)
    return accuracy(logits(head, outputs, everyone), labels)


def alone(student: Distilled, data: Data) -> float:
    """Held-out accuracy of one student with a head of its own."""
    head = fit_head([student.train.outputs], data.y_train.numpy())
    return held_out_accuracy(head, [student.test.outputs], data.y_test)


def figures_table(students: list[Distilled], data: Data, ensemble: float, teacher: TeacherResult) -> Table:
    """One row per student, the ensemble, the teacher; all in floating point, on held-out images."""
    table = Table(title="Digits, held out, floating point")
    for column in ("", "accuracy", "variance explained", "rates per layer", "spikes per sample"):
        table.add_column(column, justify="left" if not column else "right")
    for student in students:
        rates = ", ".join(f"{rate:.1%}" for rate in student.test.rates)
        spikes = f"{student.test.spikes_per_sample:.0f}"
        table.add_row(student.name, f"{alone(student, data):.2%}", f"{student.explained:.1%}", rates, spikes)
    total = sum(student.test.spikes_per_sample for student in students)
    table.add_section()
    table.add_row("ensemble", f"{ensemble:.2%}", "", "", f"{total:.0f}")
    table.add_row(f"teacher ({teacher.macs:,} MACs)", f"{teacher.accuracy:.2%}", "", "", "")
    return table


def provenance(seed: int, command: str, teacher: TeacherResult, float_accuracy: float) -> dict[str, Any]:
    """Plain values that say where the model comes from; no date, so that the file can be reproduced."""
    packages = ("sne-deploy", "torch", "norse", "numpy")
    return {
        "data_set": "digits",
        "seed": seed,
        "command": command,
        "teacher_accuracy": teacher.accuracy,
        "teacher_macs": teacher.macs,
        "float_accuracy": float_accuracy,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
    }


def to_ensemble(students: list[Distilled], head: Head, origin: dict[str, Any]) -> Ensemble:
    """Join everything into what ``model.pt`` holds."""
    return Ensemble(
        students=tuple(
            Student(student.name, layers_from_module(student.network), TASK.readout, student.features)
            for student in students
        ),
        input_shape=INPUT_SHAPE,
        timesteps=TASK.timesteps,
        encoder=Encoder(kind="constant", input_range=(0.0, 1.0)),
        head=head,
        policy=ActivationPolicy(),
        provenance=origin,
    )


def main(
    seed: Annotated[int, typer.Option(min=0, help="Of weights, batches, augmentation and partition.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for model.pt and teacher.onnx.")] = Path(
        "examples/digits"
    ),
    epochs: Annotated[int, typer.Option(min=1, help="Of each student.")] = STUDENT.epochs,
    teacher_epochs: Annotated[int, typer.Option(min=1)] = TEACHER.epochs,
    copies: Annotated[int, typer.Option(min=0, help="Augmented versions of each training image.")] = 3,
) -> None:
    """Train the digits ensemble and write model.pt and teacher.onnx."""
    ensure_folder(out)
    data = load_data(copies, seed)
    console = Console()
    with Progress(console=console) as progress:
        bar = progress.add_task("teacher", total=teacher_epochs)
        schedule = TEACHER.model_copy(update={"epochs": teacher_epochs})
        training = Training(schedule, seed, on_epoch=lambda *_: progress.advance(bar))
        teacher = train_teacher(networks.teacher, (data.x_train, data.y_train), training).module
        space = FeatureSpace(extract_features(teacher, data.x_train).numpy(), data.y_train.numpy())
        students = []
        for index, part in enumerate(partition(partial(random, seed=seed), space, len(networks.STUDENTS))):
            name = list(networks.STUDENTS)[index]
            row = progress.add_task(name, total=epochs)
            schedule = STUDENT.model_copy(update={"epochs": epochs})
            training = Training(
                schedule, seed + 1 + index, on_epoch=lambda *_, row=row: progress.advance(row)
            )
            students.append(distil(name, teacher, data, part, training))
    head = fit_head([student.train.outputs for student in students], data.y_train.numpy(), subset_bias=True)
    reached = held_out_accuracy(head, [student.test.outputs for student in students], data.y_test)
    save_teacher_onnx(teacher, out / "teacher.onnx", INPUT_SHAPE)
    judged = evaluate_teacher(out / "teacher.onnx", data.x_test.numpy(), data.y_test)
    command = f"python examples/digits/train.py --seed {seed} --epochs {epochs}"
    command += f" --teacher-epochs {teacher_epochs} --copies {copies}"
    save_checkpoint(to_ensemble(students, head, provenance(seed, command, judged, reached)), out / "model.pt")
    console.print(figures_table(students, data, reached, judged))


if __name__ == "__main__":
    try:
        typer.run(main)
    except SneError as error:
        Console(stderr=True).print(f"error: {error}", markup=False, soft_wrap=True)
        sys.exit(error.exit_status)
