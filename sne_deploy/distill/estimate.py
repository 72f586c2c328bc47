"""What a run would train, and about how long and how much memory that would take, before it."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from sne_deploy.distill.bars import about
from sne_deploy.distill.data.given import Given
from sne_deploy.distill.data.splits import load_splits, load_test
from sne_deploy.distill.plan import Plan, PlannedStage, kind_of, plan_of
from sne_deploy.distill.probe import Probe
from sne_deploy.distill.students.checks import check_students
from sne_deploy.distill.students.finished import read_finished
from sne_deploy.distill.teacher.given import teacher_of
from sne_deploy.distill.training.determinism import open_device
from sne_deploy.distill.training.events import ABSENT as NO_EVENTS
from sne_deploy.distill.training.events import tensorboard_installed
from sne_deploy.report.units import ABSENT, printable, seconds

if TYPE_CHECKING:
    from sne_deploy.distill.experiment import Experiment


@dataclass(frozen=True, eq=False)
class Estimate:
    """What a run would train and take.

    Attributes
    ----------
    experiment : Experiment
    plan : Plan
    epoch_s : mapping
        Seconds of an epoch of each stage, by name.
    samples : mapping
        How many there are: training, students, validation, test.
    data_s, features_s, deployment_s : float
        Loading and checking; the teacher's features and the students' outputs between stages; head, policy
        and measurement, as integers.
    memory_bytes : int
        The most that the process had while it measured, and what a run holds besides.
    """

    experiment: Experiment
    plan: Plan
    epoch_s: Mapping[str, float]
    samples: Mapping[str, int]
    data_s: float
    features_s: float
    deployment_s: float
    memory_bytes: int

    @property
    def whole_s(self) -> float:
        """Seconds of the whole run."""
        trained = sum(stage.epochs * self.epoch_s[stage.name] for stage in self.plan)
        return self.data_s + trained + self.features_s + self.deployment_s


def estimate(experiment: Experiment, given: Given | None = None) -> Estimate:
    """Check an experiment as a run would, train each kind of stage on a few batches, and write nothing.

    Stages of a kind are measured once, on one batch and on several, with random features as targets: what
    several take longer is each one's time, the rest is an epoch's own.

    Raises
    ------
    InputError, DataError, UnsupportedError
        As a run would.
    """
    begun, given = time.perf_counter(), given or Given()
    device, steps = open_device(experiment.device), experiment.students.timesteps
    data = load_splits(experiment.data, experiment.seed, experiment.copies, given.data, steps)
    test = load_test(experiment.data, data, given.test)
    teacher, _ = teacher_of(experiment.teacher, given.teacher, data.x[:2], data.classes)
    placed = data.to(device)
    width = experiment.teacher.features if teacher is None else teacher.classifier.in_features
    finished = read_finished(experiment, data)
    check_students(experiment, placed, width, finished)
    plan = plan_of(experiment, placed, teacher, finished)
    data_s = time.perf_counter() - begun
    probe = Probe(experiment, placed, teacher, finished)
    kinds = {kind_of(stage): stage for stage in reversed(plan)}
    measured = {kind: probe.epoch_s(stage) for kind, stage in kinds.items()}
    features_s = probe.features_s() + probe.forward_s()
    deployment_s = probe.deployment_s(len(test))
    return Estimate(
        experiment,
        plan,
        {stage.name: measured[kind_of(stage)] * stage.work / kinds[kind_of(stage)].work for stage in plan},
        {
            "training": len(data.x),
            "students'": len(data.students_x),
            "validation": len(data.x_validation),
            "test": len(test),
        },
        data_s,
        features_s,
        deployment_s,
        _peak_bytes(device) + 4 * width * len(data.students_x),
    )


def _peak_bytes(device: torch.device) -> int:
    """Of the process, on the host and on a GPU together."""
    on_device = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + on_device


def estimate_view(found: Estimate) -> Group:
    """For the terminal."""
    heads = ("stage", "epochs", "samples", "batch", "parameters", "MACs", "neurons", "synapses", "an epoch")
    table = Table(box=box.HORIZONTALS, show_edge=False, pad_edge=False)
    for index, head in enumerate(heads):
        table.add_column(head, justify="right" if index else "left")
    for stage in found.plan:
        table.add_row(*_cells(stage), seconds(found.epoch_s[stage.name]))
    samples = ", ".join(f"{count:,} {name}" for name, count in found.samples.items())
    trained = sum(stage.epochs * found.epoch_s[stage.name] for stage in found.plan)
    events = "TensorBoard's events in tensorboard/" if tensorboard_installed() else NO_EVENTS
    device = printable(found.experiment.device)
    return Group(
        Text(f"{printable(found.experiment.name)}: what would be trained; nothing was written", style="bold"),
        Text(f"samples: {samples}\n"),
        table,
        Text("of all that is trained in a stage; MACs of one sample, all of its steps included\n"),
        Text(f"time    {about(found.whole_s)} on {device}: {about(trained)} of training, {_rest(found)};"),
        Text("        if nothing else runs; from a few batches of each kind of stage and a few samples"),
        *busy_note(os.getloadavg()[0], os.cpu_count() or 1),
        Text(f"memory  about {found.memory_bytes / 1e9:.1f} GB: the most that this took, with all data and"),
        Text("        whole batches of every stage; and the teacher's features"),
        Text(f"logs    training.csv, training.jsonl; {events}"),
    )


def busy_note(load: float, processors: int) -> list[Text]:
    """What to say where more runs than there are processors: threads then wait for each other."""
    if load <= 1.25 * processors:
        return []
    said = f"busy    {load:.1f} processes run on {processors} processors: times are too long, perhaps by far;"
    return [Text(said), Text("        ask again when less runs")]


def _cells(stage: PlannedStage) -> tuple[str, ...]:
    sizes, numbers = stage.sizes, (stage.sizes.neurons, stage.sizes.synapses)
    return (
        stage.name,
        f"{stage.epochs:,}",
        f"{stage.samples:,}",
        f"{stage.schedule.batch_size:,}",
        f"{sizes.parameters:,}",
        f"{sizes.macs:,}",
        *(f"{number:,}" if stage.students else ABSENT for number in numbers),
    )


def _rest(found: Estimate) -> str:
    parts = (
        (found.data_s, "for data and checks"),
        (found.features_s, "for features"),
        (found.deployment_s, "for head, policy and measurement"),
    )
    return ", ".join(f"{about(took).removeprefix('about ')} {what}" for took, what in parts)
