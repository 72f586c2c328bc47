"""Head and policy of trained students, fitted on what the students give as deployed integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sne_deploy.chips.chip import DEFAULT_CHIP, Chip, load_chip
from sne_deploy.data.encode import encode
from sne_deploy.distill.policy.cascade import fit_cascade, orders
from sne_deploy.distill.policy.fitting import (
    Brought,
    FittedPolicy,
    Runs,
    Target,
    best_order,
    brought,
    fit_static,
)
from sne_deploy.distill.policy.gate import GateTraining, fit_gate
from sne_deploy.distill.schema.policy import GateModel
from sne_deploy.distill.students.head import fit_head, fit_student_weights
from sne_deploy.energy.accounting import energy_of_samples
from sne_deploy.frontend.norse.modules import layers_from_module
from sne_deploy.model.ensemble import ActivationPolicy, Ensemble, Head, Student
from sne_deploy.runtime.head import head_macs

if TYPE_CHECKING:
    from torch import nn

    from sne_deploy.backend import Backend
    from sne_deploy.distill.data.splits import Splits
    from sne_deploy.distill.experiment import Experiment
    from sne_deploy.ir.program import Program

Array = npt.NDArray[Any]
ACCURACY_DROP = 0.005
"""Target of a policy that says none: half a point."""


@dataclass(frozen=True, eq=False)
class Deployed:
    """What students give on N samples, as deployed, without a head.

    Attributes
    ----------
    x : float array of shape (N, *input_shape), or (N, T, *input_shape) with lengths
    labels : int64 array of shape (N,)
    outputs : tuple of float64 arrays of shape (N, n_out)
        In the students' units.
    operations : int64 array of shape (N, students)
        SynOps and host MACs.
    energy_j : float64 array of shape (N, students)
    chip : Chip
        Whose constants price the operations.
    lengths : int64 array of shape (N,) or None
        Steps of each series.
    """

    x: Array
    labels: Array
    outputs: tuple[Array, ...]
    operations: Array
    energy_j: Array
    chip: Chip
    lengths: Array | None = None

    def with_head(self, head: Head) -> Runs:
        """Runs with a head, whose multiply-accumulates belong to the student that they are for."""
        sizes = [output.shape[1] for output in self.outputs]
        macs = head_macs(head, sizes, np.eye(len(sizes), dtype=bool))
        energy_j = self.energy_j + macs * self.chip.host.mac.si
        return Runs(head, self.outputs, self.labels, self.operations + macs, energy_j)


def run_deployed(
    ensemble: Ensemble, x: Array, labels: Array, weight_bits: int = 8, lengths: Array | None = None
) -> Deployed:
    """Outputs and costs of every student, from the integers of target loihi; the head is not used.

    Each of several series runs for its own steps alone, of ``lengths``.
    """
    from sne_deploy.backend import load_backend
    from sne_deploy.passes.pipeline import compile_student

    backend, chip = load_backend("loihi"), load_chip(DEFAULT_CHIP)
    given = encode(ensemble.encoder, x, ensemble.timesteps, seed=0) if ensemble.encoder.timed else x
    outputs, operations, energies = [], [], []
    for student in ensemble.students:
        program = compile_student(
            student,
            input_shape=ensemble.input_shape,
            timesteps=ensemble.timesteps,
            encoder=ensemble.encoder,
            precision="fixed",
            formats=chip.registers.narrowed(weight_bits),
        )
        steps = np.full(len(x), ensemble.timesteps) if lengths is None else lengths
        made, counts, energy = _run_program(backend, program, chip, given, steps)
        outputs.append(made)
        operations.append(counts)
        energies.append(energy)
    counted, energy_j = np.stack(operations, axis=1), np.stack(energies, axis=1)
    return Deployed(x, labels, tuple(outputs), counted, energy_j, chip, lengths)


def _run_program(
    backend: Backend, program: Program, chip: Chip, x: Array, lengths: Array
) -> tuple[Array, Array, Array]:
    """Outputs, operations and energy of each sample, which runs with those that last as long."""
    from sne_deploy.backend import RunOptions

    outputs = np.zeros((len(x), program.output_size))
    operations, energy_j = np.zeros(len(x), np.int64), np.zeros(len(x))
    for steps in np.unique(lengths):
        rows = np.flatnonzero(lengths == steps)
        taken = x if len(rows) == len(x) else x[rows]
        if steps < program.timesteps:
            taken = np.ascontiguousarray(taken[:, :steps])
        with backend.compile(replace(program, timesteps=int(steps)), RunOptions()) as executable:
            trace = executable.run(taken)
        outputs[rows] = trace.outputs
        operations[rows] = trace.synops + trace.host_macs
        energy_j[rows] = energy_of_samples(trace, chip)
    return outputs, operations, energy_j


@dataclass(frozen=True, eq=False)
class Deployable:
    """An ensemble, and what is known of it from validation samples.

    Attributes
    ----------
    ensemble : Ensemble
    fitted : FittedPolicy or None
        None where the policy has nothing to fit.
    brought : tuple of Brought
        What each student does, alone and after those before it in the policy's order.
    """

    ensemble: Ensemble
    fitted: FittedPolicy | None
    brought: tuple[Brought, ...]


def deployable(
    experiment: Experiment,
    data: Splits,
    parts: Sequence[Array],
    networks: Sequence[nn.Module],
    head: Head | None,
) -> Deployable:
    """Make the ensemble of networks that learned these parts of the features, with its head and policy.

    Both are fitted on what the students give as deployed integers; a ``head`` that was trained with them
    stays, but for its temperatures.

    Raises
    ------
    InputError
        The policy's target cannot be met.
    """
    described, policy = experiment.students, experiment.policy
    slices = [None if described.outputs == "logits" else part.astype(np.int64) for part in parts]
    students = tuple(
        Student(f"student{k}", layers_from_module(network), described.readout, part)
        for k, (network, part) in enumerate(zip(networks, slices, strict=True))
    )
    encoder = experiment.data.encoder
    ensemble = Ensemble(students, data.input_shape, described.timesteps, encoder, head or Head("mean"))
    bits = experiment.quantisation.weight_bits
    steps = [None if own is None else own.numpy() for own in (data.lengths, data.validation_lengths)]
    held_out = run_deployed(ensemble, data.x_validation.numpy(), data.y_validation, bits, steps[1])
    if head is not None and policy.weighted:
        every_second = [output[::2] for output in held_out.outputs]
        head = replace(head, student_weight=fit_student_weights(every_second, held_out.labels[::2]))
    training = None
    if head is None or policy.kind == "gate":
        training = run_deployed(ensemble, data.x.numpy(), data.y.numpy(), bits, steps[0])
    if head is None and training is not None:  # its biases are for the first students of its order
        first = fit_head(training.outputs, training.labels)
        order = best_order(held_out.with_head(first))
        head = fit_head(training.outputs, training.labels, subset_bias=True, order=order)
        tried: tuple[tuple[int, ...], ...] = (order,)
    else:
        head = head or ensemble.head
        order = best_order(held_out.with_head(head))
        tried = orders(held_out.with_head(head))
    fitted = None
    if policy.kind == "confidence":
        cascade = fit_cascade(held_out.with_head(head), _target(experiment), tried, policy.measure)
        head, fitted = cascade.head, cascade.fitted
    elif policy.fitted:
        fitted = _fitted_policy(experiment, head, order, held_out, training)
    chosen = ActivationPolicy("static", order, students=policy.students) if fitted is None else fitted.policy
    made = replace(ensemble, head=head, policy=chosen)
    return Deployable(made, fitted, brought(held_out.with_head(head), chosen.order))


def _target(experiment: Experiment) -> Target:
    described = experiment.policy
    drop = described.accuracy_drop
    if described.energy_j is None and drop is None:
        drop = ACCURACY_DROP
    return Target(drop, described.energy_j)


def _fitted_policy(
    experiment: Experiment, head: Head, order: tuple[int, ...], held_out: Deployed, training: Deployed | None
) -> FittedPolicy:
    runs, target = held_out.with_head(head), _target(experiment)
    if experiment.policy.kind == "static" or training is None:
        return fit_static(runs, target, order)
    seen = (training.x, training.with_head(head))
    mac_j = held_out.chip.host.mac.si
    lengths = (training.lengths, held_out.lengths)
    return fit_gate(seen, (held_out.x, runs), target, order, gate_training(experiment), mac_j, lengths)


def gate_training(experiment: Experiment) -> GateTraining:
    """What a gate of this experiment is like, also where its policy is another one."""
    described = experiment.policy.gate or GateModel()
    return GateTraining(**described.model_dump(), seed=experiment.seed)
