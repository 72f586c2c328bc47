"""Accuracy and cost of gates: one for each price of an operation, trained as an experiment's gate is.

A gate is trained on the training split on what the students give as deployed, the thresholds and the choice
among gates of an experiment's own policy left aside: every gate activates the students that it gives a
probability of more than a half, so that the price alone moves along the curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.study.operating_points import FullRun, OperatingPoint, point_of
from sne_deploy.chips.chip import DEFAULT_CHIP, load_chip
from sne_deploy.distill.policy.deploy import run_deployed, with_head
from sne_deploy.distill.policy.gate import GateTraining, train_gate
from sne_deploy.errors import InputError
from sne_deploy.model.ensemble import ActivationPolicy, Ensemble, Gate
from sne_deploy.runtime.activation import chosen_students, gate_macs

Array = npt.NDArray[Any]
THRESHOLD = 0.5
"""Probability above which a student runs."""


def priced_gates(
    ensemble: Ensemble,
    x: Array,
    y: Array,
    prices: Sequence[float],
    described: GateTraining,
    *,
    weight_bits: int = 8,
) -> list[Gate]:
    """Train a gate for each price; see :func:`sne_deploy.distill.policy.gate.train_gate`.

    Parameters
    ----------
    ensemble : Ensemble
        Trained; its own policy is not used.
    x : float32 array of shape (N, *input_shape)
        Training samples.
    y : int64 array of shape (N,)
    prices : sequence of float
        lambda: the cross-entropy in nats that all students together may cost. Above 0.
    described : GateTraining
        See :func:`sne_deploy.distill.policy.deploy.gate_training`.
    weight_bits : int

    Raises
    ------
    InputError
        A price is not a number above 0, or there are too many students for a gate.
    """
    wrong = [price for price in prices if not (np.isfinite(price) and price > 0)]
    if wrong:
        raise InputError(f"gates: a price of {wrong[0]} is none; give a number above 0, in nats")
    hardware = load_chip(DEFAULT_CHIP)
    runs = with_head(run_deployed(ensemble, x, weight_bits, hardware), ensemble.head, y, hardware)
    return [train_gate(x, runs, price, described) for price in prices]


def gate_points(full: FullRun, gates: Sequence[Gate], x: Array) -> list[OperatingPoint]:
    """Points of gates, each with its own multiply-accumulates on the host counted.

    Parameters
    ----------
    full : FullRun
    gates : sequence of Gate
    x : float32 array of shape (N, *input_shape)
        The samples of ``full``.

    Raises
    ------
    InputError
        These are not as many samples.
    """
    if len(x) != len(full.run.predictions):
        raise InputError(f"gates: {len(x)} samples, the run has {len(full.run.predictions)}; give the same")
    students = len(full.ensemble.students)
    points = []
    for gate in gates:
        policy = ActivationPolicy("gate", full.order, THRESHOLD, gate=gate)
        counted = replace(full, run=replace(full.run, gate_macs=gate_macs(policy, x)))
        points.append(point_of(counted, chosen_students(policy, x, students), policy))
    return points
