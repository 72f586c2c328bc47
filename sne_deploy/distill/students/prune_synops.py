"""Pruning to a number of synaptic operations: of all layers, those first that do least for the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sne_deploy.chips.chip import DEFAULT_CHIP, load_chip
from sne_deploy.distill.students.prune_neurons import hidden_channels, prune_neurons
from sne_deploy.distill.students.quantise_aware import folded
from sne_deploy.distill.students.simulate import flat_layers, is_neuron, is_skip
from sne_deploy.distill.students.student import LearningObjective
from sne_deploy.distill.students.synapse_costs import MAPS, SynapseCost, synapse_costs
from sne_deploy.distill.students.weight_grids import weight_grids
from sne_deploy.errors import InputError, UnsupportedError

if TYPE_CHECKING:
    from sne_deploy.distill.schema.pruning import PruningModel
    from sne_deploy.distill.students.student import Learner, Lesson, StudentTask

SAMPLES = 256
"""Of the training set, evenly spread, on which operations are counted."""
KEPT = 0.01
"""Of each layer's weights, those that do most stay: no layer is cut through."""


@dataclass(frozen=True, eq=False)
class LeastUseful:
    """A :data:`sne_deploy.distill.students.pruning.Cut` of the operations that do least for the loss.

    Attributes
    ----------
    described : PruningModel
    objective : LearningObjective
        Without what prices spikes.
    batch : sequence of tensors
        What operations are counted on.
    task : StudentTask
    input_shape : tuple of int
    weight_bits : int
        On the chip.
    """

    described: PruningModel
    objective: LearningObjective
    batch: Sequence[Tensor]
    task: StudentTask
    input_shape: tuple[int, ...]
    weight_bits: int

    @staticmethod
    def of(described: PruningModel, lesson: Lesson, task: StudentTask, weight_bits: int) -> LeastUseful:
        """For a student's lesson."""
        rows = torch.linspace(0, len(lesson.labels) - 1, min(SAMPLES, len(lesson.labels))).long()
        given = (lesson.lengths, lesson.teacher_logits)
        whole = (lesson.inputs, lesson.labels, *lesson.features, *(one for one in given if one is not None))
        objective = LearningObjective.of(lesson, replace(task, loss=task.loss.of_answers), ())
        batch = [one[rows.to(one.device)] for one in whole]
        return LeastUseful(described, objective, batch, task, lesson.input_shape, weight_bits)

    def __call__(self, learner: Learner, share: float) -> None:
        """Cut; at the last time, what the chip's integers would make 0 goes first, and counts as nothing."""
        spikes = self.task.encoder.kind == "spikes"
        costs = synapse_costs(learner, self.objective, self.batch, spikes=spikes)
        if share == 1.0:
            for network in learner.networks:
                for cost, silent in zip(costs, self.silenced(network), strict=True):
                    cost.weight.masked_fill_(silent.to(cost.weight.device), 0.0)
        if self.described.structure == "neurons":
            for network in learner.networks:
                prune_neurons(network, costs, share, self.described)
        else:
            prune_least_useful(costs, share, self.described)

    def silenced(self, network: nn.Module) -> list[Tensor]:
        """Where the weights on the chip are 0, of each tensor that is synapses."""
        task, shape = self.task, self.input_shape
        made = folded(network, shape)
        formats = load_chip(DEFAULT_CHIP).registers.narrowed(self.weight_bits)
        grids = weight_grids(made, shape, task.timesteps, task.readout, formats, task.encoder)
        weights = [(made.get_parameter(name), grid) for name, grid in grids.items()]
        return [
            torch.from_numpy(grid.nearest(weight.detach().numpy(force=True)) == 0)
            for weight, grid in weights
            if weight.ndim > 1
        ]


def prune_least_useful(costs: Sequence[SynapseCost], share: float, described: PruningModel) -> None:
    """Set weights to 0, those that do least for each operation first, until the share of operations has gone.

    Of those of all weights, 0 or not, at the rates that ``costs`` were measured at.
    """
    operations = torch.cat([cost.operations.flatten() for cost in costs])
    scores = torch.cat([_scores(cost) for cost in costs])
    total = float(operations.sum())
    sparsity = described.part_of(total)
    order = torch.argsort(scores, stable=True)
    gone = operations[order].cumsum(dim=0) <= share * sparsity * total
    pruned = torch.zeros_like(gone)
    pruned[order] = gone & scores[order].isfinite() & (total > 0)  # nothing is known of a silent network
    for cost, own in zip(costs, torch.split(pruned, [cost.weight.numel() for cost in costs]), strict=True):
        cost.weight.masked_fill_(own.view_as(cost.weight), 0.0)


def _scores(cost: SynapseCost) -> Tensor:
    """Flat; infinite for the best, which stay."""
    scores = cost.scores.flatten()
    best = scores.topk(max(1, int(KEPT * len(scores)))).indices
    return scores.index_fill(0, best, float("inf"))


def check_synapses(network: nn.Module, described: PruningModel, *, spikes: bool) -> None:
    """Refuse a student whose operations cannot be told, or that has no neurons that could go.

    Raises
    ------
    InputError
        It has no synapses between neurons, or no neurons between maps.
    UnsupportedError
        It has recurrent cells.
    """
    layers = list(flat_layers(network))
    recurrent = [type(layer).__name__ for layer in layers if hasattr(layer, "recurrent_weights")]
    if recurrent:
        raise UnsupportedError(
            "students.pruning by 'synops'",
            [f"{name}: what its weights do is not known; prune by 'magnitude'" for name in recurrent],
        )
    first = next((index for index, layer in enumerate(layers) if is_neuron(layer)), len(layers))
    if not spikes and not any(isinstance(layer, MAPS) for layer in layers[first:]):
        raise InputError("students.pruning by 'synops': the student has no synapses; leave pruning out")
    if described.structure == "neurons" and any(is_skip(layer) for layer in layers):
        raise UnsupportedError(
            "students.pruning: structure 'neurons'",
            ["skip connections: a channel's neurons reach several maps; set structure to 'weights'"],
        )
    if described.structure == "neurons" and not hidden_channels(network):
        raise InputError(
            "students.pruning: structure 'neurons': the student has no neurons between two maps without "
            "groups; set structure to 'weights'"
        )
