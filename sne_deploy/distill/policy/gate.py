"""Training the gate that chooses students from the input, and fitting it to a target.

The gate learns on the training data to activate, for each sample, the subset of students with the least
cross-entropy of the head plus lambda times its cost (:func:`sne_deploy.distill.losses.gate_activation`).
One is trained for each lambda of a ladder; each is then tried at several thresholds on the validation data.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sne_deploy.distill.losses import all_subsets, gate_activation
from sne_deploy.distill.policy.fitting import FittedPolicy, Runs, Setting, Target, choose, measured
from sne_deploy.distill.schema.schedule import Schedule
from sne_deploy.distill.training.loop import Training, fit
from sne_deploy.model.ensemble import ActivationPolicy, Gate, Head
from sne_deploy.runtime.activation import activated, gate_logits, gate_macs_per_sample, pooled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Array = npt.NDArray[Any]

WEIGHTS = tuple(10.0 ** (step / 2) for step in range(-6, 3))
"""The ladder of lambda, from a thousandth to ten: the cross-entropy in nats that all students may cost."""
THRESHOLDS = (0.01, 0.02, 0.05, *(step / 10 for step in range(1, 10)), 0.95)
"""Probabilities that are tried for each gate."""
PART = 4096
"""Samples that are pooled at a time, in float64."""


@dataclass(frozen=True)
class GateTraining:
    """What a gate is like and how it is trained.

    Attributes
    ----------
    grid : int
        Cells along each of the input's last two axes, or as many as these are long.
    hidden, epochs : int
    learning_rate : float
    seed : int
    """

    grid: int = 8
    hidden: int = 32
    epochs: int = 20
    learning_rate: float = 1e-2
    seed: int = 0

    def cells(self, input_shape: Sequence[int]) -> tuple[int, ...]:
        """Cells along every axis of an input: channels and the like stay as they are."""
        pooled_axes = range(max(0, len(input_shape) - 2), len(input_shape))
        return tuple(
            min(self.grid, size) if axis in pooled_axes else size for axis, size in enumerate(input_shape)
        )


def fit_gate(
    training: tuple[Array, Runs],
    validation: tuple[Array, Runs],
    target: Target,
    order: tuple[int, ...],
    described: GateTraining,
    mac_j: float,
    lengths: tuple[Array | None, Array | None] = (None, None),
) -> FittedPolicy:
    """Train gates on the training data and choose one, and its threshold, on the validation data.

    Parameters
    ----------
    training, validation : pair of an array of shape (N, *input_shape) or (N, T, *input_shape), and Runs
    target : Target
    order : tuple of int
        Kept in the policy; a gate does not use it.
    described : GateTraining
    mac_j : float
        Joules per multiply-accumulate of the host.
    lengths : pair of int arrays of shape (N,)
        Steps of each sample of both, where these are series.
    """
    x, runs = validation
    settings: list[Setting] = []
    for weight in WEIGHTS:
        gate = train_gate(*training, weight, described, lengths[0])
        energy = _mean_macs(gate, x.shape[1:], lengths[1]) * mac_j
        values = _each_length(partial(gate_logits, gate), x, lengths[1])
        for threshold in THRESHOLDS:
            policy = ActivationPolicy("gate", order, threshold, gate=gate)
            settings.append(measured(policy, runs, activated(values, threshold), energy))
    return choose(settings, runs, target)


def _each_length(of: Callable[[Array], Array], x: Array, lengths: Array | None) -> Array:
    """Rows of a function of samples, series each for its own steps."""
    if lengths is None:
        return np.concatenate([of(x[start : start + PART]) for start in range(0, len(x), PART)])
    made: Array | None = None
    for steps in np.unique(lengths):
        rows = np.flatnonzero(lengths == steps)
        part = _each_length(of, x[rows, :steps], None)
        made = np.zeros((len(x), *part.shape[1:])) if made is None else made
        made[rows] = part
    assert made is not None  # noqa: S101  there are samples
    return made


def _mean_macs(gate: Gate, shape: tuple[int, ...], lengths: Array | None) -> float:
    """Multiply-accumulates of a gate on the host, the mean over samples."""
    if lengths is None:
        return gate_macs_per_sample(gate, shape)
    return float(np.mean([gate_macs_per_sample(gate, (int(steps), *shape[1:])) for steps in lengths]))


def train_gate(
    x: Array, runs: Runs, weight: float, described: GateTraining, lengths: Array | None = None
) -> Gate:
    """Train a gate; the same arguments give the same gate on the same machine.

    Parameters
    ----------
    x : array of shape (N, *input_shape), or (N, T, *input_shape) with lengths
    runs : Runs
        Of the same samples; a student's cost is its mean number of operations.
    weight : float
        lambda: the cross-entropy that all students together may cost.
    described : GateTraining
    lengths : int array of shape (N,), or None
        Steps of each series.
    """
    grid = described.cells(x.shape[1:] if lengths is None else x.shape[2:])
    cells = _each_length(partial(pooled, grid), x, lengths)
    mean, deviation = cells.mean(axis=0), cells.std(axis=0)
    deviation = np.where(deviation > 1e-6, deviation, 1.0)
    subsets = SubsetLoss(runs.head, [output.shape[1] for output in runs.outputs])
    costs = torch.from_numpy(runs.operations.mean(axis=0)).float()
    hidden, students = described.hidden, runs.students

    def build() -> nn.Sequential:
        return nn.Sequential(nn.Linear(cells.shape[1], hidden), nn.ReLU(), nn.Linear(hidden, students))

    def objective(module: nn.Sequential, batch: Sequence[Tensor]) -> dict[str, Tensor]:
        inputs, outputs, labels = batch
        return {"gate": gate_activation(module(inputs), subsets(outputs, labels), costs, weight)}

    data = (
        torch.from_numpy((cells - mean) / deviation).float(),
        torch.from_numpy(np.concatenate(runs.outputs, axis=1)).float(),
        torch.from_numpy(runs.labels.astype(np.int64)),
    )
    schedule = Schedule(epochs=described.epochs, batch_size=256, learning_rate=described.learning_rate)
    module = fit(build, data, objective, Training(schedule, described.seed, threads=1)).module
    first, last = cast("nn.Linear", module[0]), cast("nn.Linear", module[2])
    scaled = first.weight.detach().double().numpy() / deviation
    bias = first.bias.detach().double().numpy() - scaled @ mean
    tensors = (scaled, bias, last.weight.detach().numpy(), last.bias.detach().numpy())
    return Gate(grid, *(np.ascontiguousarray(tensor, dtype=np.float32) for tensor in tensors))


class SubsetLoss:
    """Cross-entropy of the head with every subset of the students.

    Parameters
    ----------
    head : Head
    sizes : sequence of int
        Outputs of each student.
    """

    def __init__(self, head: Head, sizes: Sequence[int]) -> None:
        self._sizes = list(sizes)
        self._members = all_subsets(len(sizes)).float()
        self._ran = self._members.sum(dim=1).long()
        self._head = head

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Losses of shape (N, 2^K) from all outputs (N, sum of sizes) and labels (N,)."""
        log_p = self.logits(outputs).log_softmax(dim=2)
        chosen = labels[:, None, None].expand(-1, log_p.shape[1], 1)
        return -log_p.gather(2, chosen).squeeze(2)

    def logits(self, outputs: Tensor) -> Tensor:
        """As :func:`sne_deploy.runtime.head.logits` with every subset: shape (N, 2^K, classes)."""
        head = self._head
        if head.weight is None or head.bias is None or head.mean is None:
            parts = torch.stack(torch.split(outputs, self._sizes, dim=1), dim=1)
            if head.student_weight is not None:
                parts = parts * _tensor(head.student_weight)[:, None]
            return self._divided(self._members @ parts / self._ran.clamp(min=1)[:, None])
        weight, bias, mean = (_tensor(array) for array in (head.weight, head.bias, head.mean))
        changes = torch.split(outputs - mean, self._sizes, dim=1)
        weights = torch.split(weight, self._sizes, dim=1)
        parts = torch.stack([o @ w.T for o, w in zip(changes, weights, strict=True)], dim=1)
        together = self._members @ parts + weight @ mean + bias
        if head.subset_bias is not None:
            shifts = _tensor(np.concatenate([np.zeros((1, len(bias))), head.subset_bias]))
            together = together + shifts[self._ran]
        return self._divided(together)

    def _divided(self, logits: Tensor) -> Tensor:
        temperature = self._head.temperature
        if temperature is None:
            return logits
        return logits / _tensor(temperature)[self._ran.clamp(min=1) - 1][:, None]


def _tensor(array: Array) -> Tensor:
    return torch.from_numpy(np.array(array, dtype=np.float32))
