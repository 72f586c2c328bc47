"""Synaptic input from groups that are done: each synapse in the form that is fastest for what was sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_loihi import kernels
from sne_loihi.cost import Costs
from sne_loihi.operators import Operator
from sne_loihi.plan import GroupRun, Plan

Array = npt.NDArray[Any]


class Sums:
    """Sums what arrives at a group over all steps at once."""

    def __init__(self, plan: Plan, costs: Costs) -> None:
        self._plan = plan
        self._costs = costs

    def of(self, operators: Sequence[Operator], done: Mapping[str, GroupRun]) -> tuple[Array | None, int]:
        """int32 (B, T, n) through these synapses, and the left shift that is still missing; None without."""
        if not operators:
            return None, 0
        total, missing = self._through(operators[0], done)
        if len(operators) == 1:
            return total, missing
        total = total << np.int32(missing)
        for operator in operators[1:]:
            sums, missing = self._through(operator, done)
            total += sums << np.int32(missing)
        return total, 0

    def method(self, operator: Operator, done: Mapping[str, GroupRun]) -> str:
        """The form of a synapse that takes the least time, by the spikes of its source."""
        counts = done[operator.synapse.source].counts
        assert counts is not None  # noqa: S101  sources spike
        rows = len(counts) * self._plan.program.timesteps
        synops = float(counts.sum(axis=0, dtype=np.int64) @ operator.fan_out)
        return self._costs.best(operator, rows, synops)

    def arriving(self, operator: Operator, done: Mapping[str, GroupRun]) -> Array:
        """uint8 (B, T, n_in): the spikes of a synapse's source, each at the step at which it arrives."""
        spikes = done[operator.synapse.source].spikes
        assert spikes is not None  # noqa: S101  sources spike
        lag = self._plan.lag(operator)
        if lag == 0:
            return spikes
        moved = np.zeros_like(spikes)
        moved[:, lag:] = spikes[:, :-lag]
        return moved

    def _through(self, operator: Operator, done: Mapping[str, GroupRun]) -> tuple[Array, int]:
        arriving = self.arriving(operator, done)
        samples, steps, n_in = arriving.shape
        sent = arriving.reshape(samples * steps, n_in)
        sums, missing = _applied(operator, sent, self.method(operator, done))
        return sums.reshape(samples, steps, sums.shape[-1]), missing + operator.shift


def _applied(operator: Operator, sent: Array, method: str) -> tuple[Array, int]:
    """Sums (R, n_out) of spikes (R, n_in), and the left shift that a halved product is missing."""
    if method == "matrix" and operator.product is not None:
        return operator.product.apply(sent)
    if method == "convolution" and operator.convolution is not None:
        sums = operator.convolution.apply(sent)
        if sums is not None:
            return sums, 0
    buffer = np.zeros((len(sent), operator.matrix.shape[0]), np.int32)
    kernels.add_events(sent, operator.events, buffer)
    return buffer, 0
