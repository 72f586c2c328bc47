"""What an experiment's students are to learn, and what can be known to fail before hours of training."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from sne_deploy.chips.chip import DEFAULT_CHIP, load_chip
from sne_deploy.distill.students.drives import drives_of
from sne_deploy.distill.students.dropout import BY_NAME as DROPOUT
from sne_deploy.distill.students.joint import JointTask
from sne_deploy.distill.students.networks import mirror_image, student_network
from sne_deploy.distill.students.phases import phases_of
from sne_deploy.distill.students.prune_synops import LeastUseful, check_synapses
from sne_deploy.distill.students.pruning import Cut, KeptZeros, Pruning, SmallestWeights
from sne_deploy.distill.students.quantise_aware import folded
from sne_deploy.distill.students.simulate import Run, simulate
from sne_deploy.distill.students.student import StudentTask
from sne_deploy.distill.students.weight_grids import weight_grids
from sne_deploy.distill.training.determinism import deterministic
from sne_deploy.distill.training.loop import split_rows
from sne_deploy.errors import GraphError, InputError
from sne_deploy.frontend.norse.modules import layers_from_module
from sne_deploy.model.ensemble import Student

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn

    from sne_deploy.chips.registers import RegisterFormats
    from sne_deploy.distill.data.splits import Splits
    from sne_deploy.distill.experiment import Experiment
    from sne_deploy.distill.schema.pruning import PruningModel
    from sne_deploy.distill.students.finished import Finished
    from sne_deploy.distill.students.student import Lesson
    from sne_deploy.ir.program import Precision, Program


def student_task(experiment: Experiment) -> StudentTask:
    """What each student learns by itself."""
    described = experiment.students
    return StudentTask(
        described.timesteps,
        described.readout,
        described.loss,
        described.outputs == "logits",
        partial(simulate, surrogate=described.gradient),
        experiment.data.encoder,
        described.gradient,
    )


def joint_task(experiment: Experiment, alone: StudentTask, each: tuple[Run, ...] = ()) -> JointTask | None:
    """What students that learn ``alone`` by themselves learn together; None where they do not.

    ``each``: how each is run, where that differs.
    """
    joint = experiment.joint
    if joint is None:
        return None
    return JointTask(
        alone.timesteps,
        alone.readout,
        joint.loss,
        run=alone.run,
        each=each,
        encoder=alone.encoder,
        surrogate=alone.surrogate,
        dropout=DROPOUT[joint.dropout],
        subset_bias=joint.dropout != "none",
    )


def pruning_of(
    experiment: Experiment, lesson: Lesson, task: StudentTask, *, begun: bool = False
) -> Pruning | KeptZeros | None:
    """What a student's weights undergo while it learns a lesson by itself.

    ``begun``: it was trained before, and may be pruned already.
    """
    described, schedule = experiment.students.pruning, experiment.students.schedule
    if described is None:
        return KeptZeros() if begun else None
    steps = schedule.epochs * len(split_rows(lesson.labels, schedule.batch_size))
    if described.by == "synops":
        cut: Cut = LeastUseful.of(described, lesson, task, experiment.quantisation.weight_bits)
    else:
        cut = SmallestWeights.of(described, spikes=task.encoder.kind == "spikes")
    return Pruning(described, steps, cut, regrows=begun)


def kept_zeros(experiment: Experiment, students: Iterable[int]) -> KeptZeros | None:
    """What holds pruned weights of some students at 0 in later stages."""
    described = experiment.students
    pruned = any(described.file(k) or described.of(k).pruning is not None for k in students)
    return KeptZeros() if pruned else None


def check_students(experiment: Experiment, data: Splits, features: int, finished: Finished) -> None:
    """Build one untrained student for the smallest and the largest slice, run it, and compile it.

    ``data`` lies where students will be trained; the teacher has this many ``features``. One that is
    ``finished`` is not looked at, one that begins in a file is run as it is there.

    Raises
    ------
    InputError, UnsupportedError, GraphError
        The layers, readout or number of the students do not fit; names the key.
    """
    described = experiment.students
    if described.count > features:
        raise InputError(
            f"students.count {described.count}: the teacher has {features} features, at least one for each "
            f"student; use 1 to {features}"
        )
    if experiment.partition.decorrelate and experiment.teacher.schedule.batch_size < 2:
        raise InputError(
            "partition.decorrelate: teacher.schedule.batch_size 1 has no correlation; use 64 or more"
        )
    sizes = {features // described.count, -(-features // described.count)}
    for student in described.trained:
        if described.like(student) != student:
            continue
        own, place = experiment.of(student), described.place(student)
        task, layers = student_task(own), own.students.layers
        if student in finished.begun:
            _check_student(own, data, finished.network(student), None, place)
            continue
        for size in sorted({data.classes} if task.direct else sizes):
            with deterministic(experiment.seed):
                network = student_network(layers, data.input_shape, size, described.dt_s, f"{place}.layers")
            _check_student(own, data, network, size, place)
    _check_mirrors(experiment, data, finished)


def _check_mirrors(experiment: Experiment, data: Splits, finished: Finished) -> None:
    """Make the mirror image of every student, as it is before it is trained, of which one is wanted."""
    described = experiment.students
    for student in range(described.count):
        source = described.mirror_of(student)
        if source is None:
            continue
        if source in finished.begun:
            network = finished.network(source)
        else:
            with deterministic(experiment.seed):
                layers = described.of(source).layers
                network = student_network(layers, data.input_shape, data.classes, described.dt_s)
        try:
            mirror_image(network, data.input_shape)
        except GraphError as error:
            raise InputError(f"{described.place(student)}.mirror_of {source}: {error}") from None


def _check_student(
    experiment: Experiment, data: Splits, network: nn.Module, size: int | None, place: str
) -> None:
    """Run and compile a student of so many outputs, of any number where it begins in a file."""
    described, task = experiment.students, student_task(experiment)
    if described.pruning is not None:
        check_pruning(described.pruning, network, spikes=task.encoder.kind == "spikes")
    before = () if size is None else phases_of(described, task)
    for run in (task, *(phase.task for phase in before)):
        _check_run(network.to(data.x.device), torch.zeros_like(data.x[:1]), size, run, place)
    _check_compiled(experiment, network, data.input_shape)


def check_pruning(described: PruningModel, network: nn.Module, *, spikes: bool) -> None:
    """Refuse what could not be pruned."""
    if described.by == "synops":
        check_synapses(network, described, spikes=spikes)
    else:
        SmallestWeights.of(described, spikes=spikes).check(network)


def _check_run(network: nn.Module, sample: Tensor, size: int | None, task: StudentTask, place: str) -> None:
    try:
        with torch.no_grad():
            steps = torch.tensor([task.timesteps]) if task.encoder.timed else None
            done = task.run(network.eval(), sample, task.timesteps, task.readout, steps)
            if task.loss.hoyer:
                drives_of([network], [done])
    except (InputError, RuntimeError) as error:
        raise InputError(f"{place}: {str(error).splitlines()[0][:300]}") from None
    if size is not None and tuple(done.outputs.shape) != (1, size):
        kind = "logits" if task.direct else "features"
        raise InputError(
            f"{place}.layers: the last one gives {done.outputs[0].numel()} values, but it has {size} to "
            f"learn (students.outputs {kind!r}); leave out its 'out'"
        )


def compiled(
    experiment: Experiment, network: nn.Module, input_shape: tuple[int, ...], precision: Precision
) -> Program:
    """A student of the experiment as the compiler makes it."""
    from sne_deploy.passes.pipeline import compile_student

    described = experiment.students
    return compile_student(
        Student("students.layers", layers_from_module(network), described.readout),
        input_shape=input_shape,
        timesteps=described.timesteps,
        encoder=experiment.data.encoder,
        precision=precision,
        formats=_formats(experiment),
    )


def _formats(experiment: Experiment) -> RegisterFormats:
    return load_chip(DEFAULT_CHIP).registers.narrowed(experiment.quantisation.weight_bits)


def _check_compiled(experiment: Experiment, network: nn.Module, input_shape: tuple[int, ...]) -> None:
    """What the compiler refuses, and quantisation-aware training."""
    described = experiment.students
    compiled(experiment, network, input_shape, "fixed")
    if experiment.quantisation.epochs or (described.pruning and described.pruning.by == "synops"):
        made = folded(network, input_shape).eval()
        encoder, formats = experiment.data.encoder, _formats(experiment)
        weight_grids(made, input_shape, described.timesteps, described.readout, formats, encoder)
