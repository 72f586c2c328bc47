"""Head and policy of trained students, fitted on what the students give as deployed integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sne_deploy.chips.chip import DEFAULT_CHIP, Chip, load_chip
from sne_deploy.distill.policy.fitting import (
    FittedPolicy,
    Runs,
    Target,
    best_order,
    fit_confidence,
    fit_static,
)
from sne_deploy.distill.students.head import fit_head
from sne_deploy.frontend.norse.modules import layers_from_module
from sne_deploy.model.ensemble import ActivationPolicy, Encoder, Ensemble, Head, Student
from sne_deploy.runtime.head import head_macs

if TYPE_CHECKING:
    from torch import nn

    from sne_deploy.distill.data.splits import Splits
    from sne_deploy.distill.experiment import Experiment
    from sne_deploy.distill.policy.gate import GateTraining
    from sne_deploy.runtime.trace import Trace

Array = npt.NDArray[Any]

"""Whose constants price a policy's energy: the reports' default."""
ACCURACY_DROP = 0.005
"""Target of a policy that says none: half a point."""


@dataclass(frozen=True, eq=False)
class Deployed:
    """What students give on N samples, as deployed, without a head.

    Attributes
    ----------
    outputs : tuple of float64 arrays of shape (N, n_out)
        In the students' units.
    operations : int64 array of shape (N, students)
        SynOps and host MACs.
    energy_j : float64 array of shape (N, students)
    """

    outputs: tuple[Array, ...]
    operations: Array
    energy_j: Array


def deployable(
    experiment: Experiment,
    data: Splits,
    parts: Sequence[Array],
    networks: Sequence[nn.Module],
    head: Head | None,
) -> tuple[Ensemble, FittedPolicy | None]:
    """Make the ensemble: its head and policy are fitted on what the students give as deployed integers.

    Parameters
    ----------
    experiment : Experiment
    data : Splits
    parts : sequence of int arrays
        Teacher features of each student.
    networks : sequence of nn.Module
        The trained students.
    head : Head or None
        One that was trained with the students; None: it is fitted here, on the training split.

    Returns
    -------
    ensemble : Ensemble
    fitted : FittedPolicy or None
        None where the policy has nothing to fit.

    Raises
    ------
    InputError
        The policy's target cannot be met.
    """
    described = experiment.students
    direct = described.outputs == "logits"
    slices = [None if direct else part.astype(np.int64) for part in parts]
    students = tuple(
        Student(f"student{k}", layers_from_module(network), described.readout, part)
        for k, (network, part) in enumerate(zip(networks, slices, strict=True))
    )
    ensemble = Ensemble(
        students, data.input_shape, described.timesteps, Encoder("constant"), head or Head("mean")
    )
    bits, hardware = experiment.quantisation.weight_bits, load_chip(DEFAULT_CHIP)
    held_out = run_deployed(ensemble, data.x_validation.numpy(), bits, hardware)
    training = None
    if head is None or experiment.policy.kind == "gate":
        training = run_deployed(ensemble, data.x.numpy(), bits, hardware)
    first = head
    if first is None and training is not None:
        first = fit_head(training.outputs, data.y.numpy())
    order = best_order(with_head(held_out, first or ensemble.head, data.y_validation, hardware))
    if head is None and training is not None:  # its biases are for the first students of this order
        head = fit_head(training.outputs, data.y.numpy(), subset_bias=True, order=order)
    made = replace(ensemble, head=head or ensemble.head)
    runs = with_head(held_out, made.head, data.y_validation, hardware)
    seen = None if training is None else with_head(training, made.head, data.y.numpy(), hardware)
    fitted = _fitted_policy(experiment, data, order, runs, seen, hardware)
    plain = ActivationPolicy("static", order, students=experiment.policy.students)
    return replace(made, policy=plain if fitted is None else fitted.policy), fitted


def _fitted_policy(
    experiment: Experiment,
    data: Splits,
    order: tuple[int, ...],
    runs: Runs,
    training: Runs | None,
    hardware: Chip,
) -> FittedPolicy | None:
    described = experiment.policy
    if not described.fitted:
        return None
    drop = described.accuracy_drop
    if described.energy_j is None and drop is None:
        drop = ACCURACY_DROP
    target = Target(drop, described.energy_j)
    if described.kind == "static":
        return fit_static(runs, target, order)
    if described.kind == "confidence" or training is None:
        return fit_confidence(runs, target, order, described.measure)
    from sne_deploy.distill.policy.gate import fit_gate

    seen, held_out = (data.x.numpy(), training), (data.x_validation.numpy(), runs)
    return fit_gate(seen, held_out, target, order, gate_training(experiment), hardware.host.mac.si)


def gate_training(experiment: Experiment) -> GateTraining:
    """What a gate of this experiment is like, also where its policy is another one."""
    from sne_deploy.distill.experiment import GateModel
    from sne_deploy.distill.policy.gate import GateTraining

    described = experiment.policy.gate or GateModel()
    return GateTraining(**described.model_dump(), seed=experiment.seed)


def with_head(deployed: Deployed, head: Head, labels: Array, hardware: Chip) -> Runs:
    """Runs with a head, whose multiply-accumulates belong to the student that they are for."""
    sizes = [output.shape[1] for output in deployed.outputs]
    macs = head_macs(head, sizes, np.eye(len(sizes), dtype=bool))
    return Runs(
        head,
        deployed.outputs,
        labels,
        deployed.operations + macs,
        deployed.energy_j + macs * hardware.host.mac.si,
    )


def run_deployed(ensemble: Ensemble, x: Array, weight_bits: int, hardware: Chip) -> Deployed:
    """Outputs and costs of every student, from the integers of target loihi.

    Parameters
    ----------
    ensemble : Ensemble
        Its head is not used.
    x : float array of shape (N, *input_shape)
    weight_bits : int
    hardware : Chip
        Prices the operations.
    """
    from sne_deploy.backend import RunOptions, load_backend
    from sne_deploy.passes.pipeline import compile_student

    backend = load_backend("loihi")
    outputs, operations, energies = [], [], []
    for student in ensemble.students:
        program = compile_student(
            student,
            input_shape=ensemble.input_shape,
            timesteps=ensemble.timesteps,
            encoder=ensemble.encoder,
            precision="fixed",
            formats=hardware.registers.narrowed(weight_bits),
        )
        with backend.compile(program, RunOptions()) as executable:
            trace = executable.run(x)
        outputs.append(trace.outputs)
        operations.append(sum(layer.synops for layer in trace.layers) + trace.host_macs)
        energies.append(energy_of_samples(trace, hardware))
    return Deployed(tuple(outputs), np.stack(operations, axis=1), np.stack(energies, axis=1))


def energy_of_samples(trace: Trace, hardware: Chip) -> Array:
    """Joules of each sample, as :func:`sne_deploy.energy.accounting.energy_per_sample` sums them: (N,)."""
    per = hardware.energy
    energy = trace.host_macs * hardware.host.mac.si
    for layer in trace.layers:
        energy = energy + layer.synops * per.synop.si + layer.spikes * per.spike_within_tile.si
        if layer.updates_active is not None and layer.updates_idle is not None:
            energy = energy + layer.updates_active * per.update_active.si
            energy = energy + layer.updates_idle * per.update_idle.si
    return np.asarray(energy, np.float64)
