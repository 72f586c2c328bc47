"""Head and policy of trained students, fitted on what the students give as deployed integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sne_deploy.distill.head import fit_head
from sne_deploy.distill.policy import FittedPolicy, best_order, fit_confidence
from sne_deploy.ensembles import ActivationPolicy, Encoder, Ensemble, Head, Student
from sne_deploy.frontend.norse import layers_from_module

if TYPE_CHECKING:
    from torch import nn

    from sne_deploy.distill.experiment import Experiment
    from sne_deploy.distill.experiment_data import Splits

Array = npt.NDArray[Any]


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
    """
    described = experiment.students
    students = tuple(
        Student(f"student{k}", layers_from_module(network), described.readout, parts[k].astype(np.int64))
        for k, network in enumerate(networks)
    )
    ensemble = Ensemble(
        students, data.input_shape, described.timesteps, Encoder("constant"), head or Head("mean")
    )
    bits = experiment.quantisation.weight_bits
    held_out = deployed_outputs(ensemble, data.x_validation.numpy(), bits)
    if head is None:
        outputs = deployed_outputs(ensemble, data.x.numpy(), bits)
        labels = data.y.numpy()
        first = fit_head(outputs, labels)
        order = best_order(first, held_out, data.y_validation)
        head = fit_head(outputs, labels, subset_bias=True, order=order)
    else:
        order = best_order(head, held_out, data.y_validation)
    fitted = None
    policy = ActivationPolicy("static", order)
    if experiment.policy.kind == "confidence":
        drop = experiment.policy.accuracy_drop
        fitted = fit_confidence(head, held_out, data.y_validation, drop, order)
        policy = fitted.policy
    return replace(ensemble, head=head, policy=policy), fitted


def deployed_outputs(ensemble: Ensemble, x: Array, weight_bits: int) -> list[Array]:
    """Outputs of every student in its own units, from the integers of target loihi.

    Parameters
    ----------
    ensemble : Ensemble
        Its head is not used.
    x : float array of shape (N, *input_shape)
    weight_bits : int

    Returns
    -------
    list of float64 arrays of shape (N, n_out)
    """
    from sne_deploy.backend import RunOptions, load_backend
    from sne_deploy.ir.registers import RegisterFormat
    from sne_deploy.passes.pipeline import compile_student

    backend = load_backend("loihi")
    outputs = []
    for student in ensemble.students:
        program = compile_student(
            student,
            input_shape=ensemble.input_shape,
            timesteps=ensemble.timesteps,
            encoder=ensemble.encoder,
            precision="fixed",
            form=RegisterFormat(weight_bits),
        )
        with backend.compile(program, RunOptions()) as executable:
            outputs.append(executable.run(x).outputs)
    return outputs
