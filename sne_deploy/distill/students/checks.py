"""What can be known to fail before hours of training: students that do not fit their slice or the chip."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sne_deploy.chips.chip import DEFAULT_CHIP, load_chip
from sne_deploy.distill.students.networks import student_network
from sne_deploy.distill.students.student import Run, StudentLoss
from sne_deploy.distill.training.determinism import deterministic
from sne_deploy.errors import InputError
from sne_deploy.model.ensemble import Encoder, Student

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sne_deploy.distill.experiment import Experiment

Shape = tuple[int, ...]
LOSS_WEIGHTS = ("feature", "cross_entropy", "logits", "tau_teacher", "tau_student", "synops")


def joint_loss(experiment: Experiment) -> StudentLoss | None:
    """The loss of training together; None where the experiment has none."""
    joint = experiment.joint
    return None if joint is None else StudentLoss(**{name: getattr(joint, name) for name in LOSS_WEIGHTS})


def check_students(
    experiment: Experiment, input_shape: Shape, features: int, classes: int, run: Run, device: torch.device
) -> None:
    """Build one untrained student for the smallest and the largest slice, run it, and compile it.

    Parameters
    ----------
    experiment : Experiment
    input_shape : tuple of int
        One sample.
    features : int
        Of the teacher.
    classes : int
        Outputs of students that give logits.
    run : Run
        How students are run while they are trained.
    device : torch.device
        Where.

    Raises
    ------
    InputError, UnsupportedError, GraphError
        The layers, readout, losses or number of the students do not fit; names the key.
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
    for loss in ("students.loss", "joint"):
        try:
            _ = StudentLoss(**described.loss.model_dump()) if loss != "joint" else joint_loss(experiment)
        except InputError as error:
            raise InputError(f"{loss}: {error}") from None
    sizes = {features // described.count, -(-features // described.count)}
    for size in sorted({classes} if described.outputs == "logits" else sizes):
        with deterministic(experiment.seed):
            network = student_network(described.layers, input_shape, size, described.dt_s)
        _check_run(experiment, network.to(device), torch.zeros(1, *input_shape, device=device), size, run)
        _check_compiled(experiment, network, input_shape)


def _check_run(experiment: Experiment, network: nn.Module, sample: Tensor, size: int, run: Run) -> None:
    described = experiment.students
    try:
        with torch.no_grad():
            done = run(network.eval(), sample, described.timesteps, described.readout)
    except (InputError, RuntimeError) as error:
        raise InputError(f"students: {str(error).splitlines()[0][:300]}") from None
    if tuple(done.outputs.shape) != (1, size):
        raise InputError(
            f"students.layers: the last one gives {done.outputs[0].numel()} values, but it has {size} to "
            f"learn (students.outputs {described.outputs!r}); leave out its 'out'"
        )


def _check_compiled(experiment: Experiment, network: nn.Module, input_shape: Shape) -> None:
    """What the compiler refuses, and quantisation-aware training."""
    from sne_deploy.distill.students.quantise_aware import folded
    from sne_deploy.distill.students.weight_grids import weight_grids
    from sne_deploy.frontend.norse.modules import layers_from_module
    from sne_deploy.passes.pipeline import compile_student

    described, quantised = experiment.students, experiment.quantisation
    formats = load_chip(DEFAULT_CHIP).registers.narrowed(quantised.weight_bits)
    compile_student(
        Student("students.layers", layers_from_module(network), described.readout),
        input_shape=input_shape,
        timesteps=described.timesteps,
        encoder=Encoder("constant"),
        precision="fixed",
        formats=formats,
    )
    if quantised.epochs:
        made = folded(network, input_shape).eval()
        weight_grids(made, input_shape, described.timesteps, described.readout, formats)
