"""Short trainings of a run's stages, measured and thrown away."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial, partialmethod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from sne_deploy.distill.data.augment import transform_of
from sne_deploy.distill.plan import NONE_FINISHED, kind_of
from sne_deploy.distill.policy.deploy import run_deployed
from sne_deploy.distill.pupils import stored_weights_of
from sne_deploy.distill.students.answers import FreshAnswers, StoredAnswers, Version
from sne_deploy.distill.students.checks import joint_task, student_task
from sne_deploy.distill.students.evaluate import evaluate_student
from sne_deploy.distill.students.joint import MEANS, tune_together
from sne_deploy.distill.students.networks import student_network, trainable_copy
from sne_deploy.distill.students.phases import phases_of
from sne_deploy.distill.students.quantise_aware import tune_quantised
from sne_deploy.distill.students.student import Lesson, train_alone, train_student
from sne_deploy.distill.students.watch import Held, watch_student, watch_teacher, watch_together
from sne_deploy.distill.teacher.architectures import teacher_network
from sne_deploy.distill.teacher.network import (
    Teacher,
    decorrelate_teacher,
    extract_features,
    train_teacher,
)
from sne_deploy.distill.teacher.onnx_export import export_teacher
from sne_deploy.distill.training.determinism import deterministic
from sne_deploy.distill.training.loop import Training
from sne_deploy.frontend.norse.modules import layers_from_module
from sne_deploy.model.ensemble import Ensemble, Head, Student

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from torch import Tensor

    from sne_deploy.distill.data.splits import Splits
    from sne_deploy.distill.experiment import Experiment
    from sne_deploy.distill.plan import PlannedStage
    from sne_deploy.distill.students.answers import Answers
    from sne_deploy.distill.students.finished import Finished
    from sne_deploy.distill.students.student import StudentTask
    from sne_deploy.distill.training.epochs import Epoch, Watch

BATCHES, EPOCHS, LEAST_S = (3, 16), 3, 0.4
"""A stage is trained on one batch, and on so many that they take 0.4 s, but 3 to 16, and on 16
where an epoch takes most of its time for other things; three times, of which the first does not count, and
of the others the shorter one does: what else the machine does makes it longer.
"""
STEP = 1e-9
"""Learning rate of what is thrown away: what is measured does not depend on it, and nothing diverges."""


Trainer = Callable[[int, Training], Any]
"""Trains on the first so many samples."""


@dataclass(frozen=True, eq=False)
class Probe:
    """Trains what the experiment describes, on data that lies on its device."""

    experiment: Experiment
    data: Splits
    given: Teacher | None
    finished: Finished = NONE_FINISHED

    @cached_property
    def teacher(self) -> Teacher:
        """The one that is not trained here, or an untrained one."""
        if self.given is not None:
            return self.given.to(self.data.x.device)
        with deterministic(self.experiment.seed):
            made = teacher_network(self.experiment.teacher, self.data.sample_shape, self.data.classes)
        return made.to(self.data.x.device)

    @cached_property
    def slices(self) -> list[int]:
        """How many features each student has, if all have as many."""
        features, count = self.teacher.classifier.in_features, self.experiment.students.count
        parts = [len(part) for part in np.array_split(np.arange(features), count)]
        learned = {k: one.features for k, one in self.finished.begun.items()}
        return [len(own) if (own := learned.get(k)) is not None else size for k, size in enumerate(parts)]

    @cached_property
    def networks(self) -> list[nn.Module]:
        """Untrained, with the batch's own statistics: else hardly any neuron would spike."""
        with deterministic(self.experiment.seed, self.experiment.threads):
            return [self._network(k) for k in range(len(self.slices))]

    def _network(self, index: int) -> nn.Module:
        if index in self.finished.begun:
            return self.finished.network(index).to(self.data.x.device)
        return self._settled(self._untrained(index))

    @cached_property
    def held(self) -> Held:
        """What epochs are judged on."""
        return Held.of(self.data)

    def epoch_s(self, stage: PlannedStage) -> float:
        """Seconds of an epoch of a stage, if nothing else runs: on a host, at most its processor time."""
        name, student = kind_of(stage)
        train: Trainer = partial(getattr(self, f"_{name}"), student)
        changes = {"epochs": EPOCHS, "learning_rate": STEP}
        schedule, size = stage.schedule.model_copy(update=changes), stage.schedule.batch_size

        def took(batches: float) -> float:
            done: list[float] = []
            marks, on_host = [time.process_time()], self.data.x.device.type == "cpu"

            def log(_: int, epoch: Epoch) -> None:
                marks.append(time.process_time())
                used = marks[-1] - marks[-2]
                done.append(min(epoch.seconds, used) if on_host else epoch.seconds)

            threads, seed = self.experiment.threads, self.experiment.seed
            train(max(2, int(batches * size)), Training(schedule, seed, threads, stage.name, log))
            return min(done[1:])

        whole = stage.samples / size
        if whole <= BATCHES[0]:
            return took(whole)
        one = took(1)
        several = min(whole, max(BATCHES[0], min(BATCHES[1], round(LEAST_S / one))))
        last = took(several)
        if last - one < one and several < min(whole, BATCHES[1]):  # mostly an epoch's own: batches are quick
            several = min(whole, BATCHES[1])
            last = took(several)
        return last + (whole - several) * max(0.0, last - one) / (several - 1)

    def _teacher(self, _: int, rows: int, training: Training) -> None:
        described, data = self.experiment.teacher, self.data
        train_teacher(
            lambda: teacher_network(described, data.sample_shape, data.classes),
            (data.x[:rows], data.y[:rows]),
            self._augmented(training),
            label_smoothing=described.label_smoothing,
        )

    def _decorrelation(self, _: int, rows: int, training: Training) -> None:
        features = np.arange(self.teacher.classifier.in_features)
        parts = tuple(np.array_split(features, self.experiment.students.count))
        samples = (self.data.x[:rows], self.data.y[:rows])
        weight = self.experiment.partition.decorrelate
        decorrelate_teacher(self.teacher, samples, parts, weight, self._augmented(training))

    def _augmented(self, training: Training) -> Training:
        transform = transform_of(self.experiment.data)
        return replace(training, transform=transform, watch=watch_teacher(self.held))

    def _student(self, student: int, rows: int, training: Training) -> None:
        task = student_task(self.experiment.of(student))
        watch = watch_student(self.held, task, self._other(student))
        network, twin = partial(self._untrained, student), self._twin(student, task)
        lesson = self._lesson(rows).of(student)
        train_student(network, lesson, task, replace(training, watch=watch), twin=twin)

    def _phase(self, name: str, student: int, rows: int, training: Training) -> None:
        own = self.experiment.of(student)
        (phase,) = (one for one in phases_of(own.students, student_task(own)) if one.name == name)
        watched, network = replace(training, watch=phase.watch(self.held)), partial(self._untrained, student)
        twin = self._twin(student, phase.task)
        train_alone(network, self._lesson(rows).of(student), phase.task, watched, twin=twin)

    _warm, _longer = partialmethod(_phase, "warm"), partialmethod(_phase, "longer")

    def _other(self, student: int) -> list[nn.Module]:
        """One, if there is another one."""
        return [network for k, network in enumerate(self.networks) if k != student][:1]

    def _twin(self, student: int, task: StudentTask) -> nn.Module | None:
        return self._untrained(student).to(self.data.x.device).eval() if task.loss.inner else None

    def _untrained(self, index: int) -> nn.Module:
        if index in self.finished.begun:
            return trainable_copy(self.finished.network(index))
        described, size = self.experiment.students.of(index), self.slices[index]
        outputs = self.data.classes if student_task(self.experiment).direct else size
        return student_network(described.layers, self.data.input_shape, outputs, described.dt_s)

    def _settled(self, network: nn.Module) -> nn.Module:
        task, data, rows = student_task(self.experiment), self.data, 64
        for part in network.modules():
            if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
                part.momentum = None  # the mean over all that was seen
        lengths = None if data.lengths is None else data.lengths[:rows].cpu()
        with torch.no_grad():
            task.run(network.train(), data.x[:rows].cpu(), task.timesteps, task.readout, lengths)
        return network.eval().to(data.x.device)

    def _together(self, _: int, rows: int, training: Training) -> None:
        task = joint_task(self.experiment, student_task(self.experiment))
        assert task is not None  # noqa: S101  the stage is planned
        width, classes = sum(self.slices), self.teacher.classifier.out_features
        head = Head("linear", np.zeros((classes, width)), np.zeros(classes), np.zeros(width))
        watch: Watch = watch_together(self.held, task)
        tune_together(self.networks, head, self._lesson(rows), task, replace(training, watch=watch))

    def _quantised(self, student: int, rows: int, training: Training) -> None:
        task, bits = student_task(self.experiment.of(student)), self.experiment.quantisation.weight_bits
        lesson = self._lesson(rows).of(student)
        stored = stored_weights_of(self.experiment, lesson.input_shape)
        watch = watch_student(self.held, task, self._other(student), stored)
        every, network = -(-rows // training.schedule.batch_size), self.networks[student]
        tune_quantised(network, lesson, task, replace(training, watch=watch), weight_bits=bits, every=every)

    def _lesson(self, rows: int) -> Lesson:
        """Random features and logits for the first samples."""
        data, device = self.data, self.data.x.device
        random = np.random.default_rng(0)

        def drawn(width: int) -> Tensor:
            return torch.from_numpy(random.normal(size=(rows, width)).astype(np.float32)).to(device)

        return Lesson(
            data.students_x[:rows],
            data.students_y[:rows],
            tuple(drawn(size) for size in self.slices),
            drawn(self.teacher.classifier.out_features),
            None if data.students_lengths is None else data.students_lengths[:rows],
            self._answers(rows),
        )

    def _answers(self, rows: int) -> Answers | None:
        """Random ones where they would be stored; the teacher's where it is asked in each step."""
        described, augmentation = self.experiment.students.answers, transform_of(self.experiment.data)
        if described is None or augmentation is None:
            return None
        device, classifier = self.data.x.device, self.teacher.classifier
        columns = torch.split(torch.arange(classifier.in_features, device=device), self.slices)
        if described.copies is None:
            precision = self.experiment.teacher.schedule.precision
            return FreshAnswers(self.teacher, augmentation, columns, precision)
        told = torch.randn(rows, classifier.in_features + classifier.out_features).to(device)
        version = Version(tuple(one.to(device) for one in augmentation.draw(rows)), told)
        return StoredAnswers(augmentation, 1, lambda _: version, columns, classifier.out_features)

    def features_s(self) -> float:
        """Of the teacher's features of all that needs them."""
        data, precision = self.data, self.experiment.teacher.schedule.precision
        copies, answers = len(data.students_x) if len(data.students_x) > len(data.x) else 0, 0
        if self.experiment.students.answers is not None:
            answers = len(data.x) * (self.experiment.students.answers.copies or 0)
        extract = partial(extract_features, self.teacher, precision=precision)
        with self._repeatable():
            return (len(data.x) + copies + answers) * each_s(
                lambda rows: extract(data.x[:rows]), (64, 512), len(data.x)
            )

    def forward_s(self) -> float:
        """Of the students' outputs before and after they are trained together."""
        joint, data, task = self.experiment.joint, self.data, student_task(self.experiment)
        if joint is None:
            return 0.0

        def run(rows: int) -> None:
            lengths = None if data.lengths is None else data.lengths[:rows]
            evaluate_student(self.networks[0], data.x[:rows], task.timesteps, task.readout, lengths)

        samples = len(data.x) + min(MEANS, data.rows(self.experiment.joint_copies))
        with self._repeatable():
            return len(self.networks) * samples * each_s(run, (64, 512), len(data.x))

    def deployment_s(self, test: int) -> float:
        """Of head, policy and measurement: students as integers on all samples for these; and the export."""
        experiment, data, described = self.experiment, self.data, self.experiment.students
        direct, bits = student_task(experiment).direct, experiment.quantisation.weight_bits
        parts = np.split(np.arange(sum(self.slices)), np.cumsum(self.slices)[:-1])
        students = tuple(
            Student(f"student{k}", layers_from_module(one), described.readout, None if direct else parts[k])
            for k, one in enumerate(self.networks)
        )
        ensemble = Ensemble(
            students, data.input_shape, described.timesteps, experiment.data.encoder, Head("mean")
        )

        def run(rows: int) -> None:
            lengths = None if data.lengths is None else data.lengths[:rows].numpy(force=True)
            x, y = data.x[:rows].numpy(force=True), data.y[:rows].numpy(force=True)
            run_deployed(ensemble, x, y, bits, lengths)

        trained_head = experiment.joint is not None and not experiment.quantisation.epochs
        fitted = experiment.policy.kind == "gate" or not (direct or trained_head)
        samples = len(data.x_validation) + test + (len(data.x) if fitted else 0)
        begun = time.perf_counter()
        if experiment.teacher.onnx is None:
            export_teacher(copy.deepcopy(self.teacher).cpu(), data.sample_shape)
        exported = time.perf_counter() - begun
        return exported + samples * each_s(run, (8, 136), len(data.x))

    def _repeatable(self) -> AbstractContextManager[None]:
        return deterministic(self.experiment.seed, self.experiment.threads, self.data.x.device.type)


def each_s(run: Callable[[int], Any], rows: tuple[int, int], most: int) -> float:
    """Seconds for each of many samples, from what many take longer than few; once not counted."""
    few, many = (min(one, most) for one in rows)
    took = []
    for count in (few, few, many):
        begun = time.perf_counter()
        run(count)
        took.append(time.perf_counter() - begun)
    return max(0.0, took[2] - took[1]) / max(1, many - few)
