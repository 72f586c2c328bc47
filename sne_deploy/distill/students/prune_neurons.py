"""Pruning of whole channels of neurons: those first that do least for the operations that they cause.

What a channel's spikes do is the sum over its synapses, see
:mod:`sne_deploy.distill.students.synapse_costs`; its operations are those of its spikes and of those that
reach it. Li et al. 2017, Pruning filters for efficient ConvNets, ICLR, arXiv:1608.08710, prune channels by
the size of their weights; by what they do for what they cost: Theis et al. 2018, arXiv:1801.05787.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sne_deploy.distill.students.shrink import hidden_groups
from sne_deploy.distill.students.simulate import flat_layers
from sne_deploy.distill.students.synapse_costs import SynapseCost

if TYPE_CHECKING:
    from sne_deploy.distill.schema.pruning import PruningModel


@dataclass(frozen=True, eq=False)
class Channels:
    """Channels of neurons between two maps.

    Attributes
    ----------
    before, after : nn.Parameter
        The maps' weights.
    alive : bool tensor of shape (C,)
        Which reach something.
    """

    before: nn.Parameter
    after: nn.Parameter
    alive: Tensor

    @staticmethod
    def of(before: nn.Parameter, after: nn.Parameter) -> Channels:
        """As the weights are."""
        columns = after.detach().reshape(len(after), len(before), -1)
        return Channels(before, after, (columns != 0).any(dim=2).any(dim=0))

    def cut(self, alive: Tensor) -> None:
        """Set to 0 what comes into the others, and what goes out."""
        self.before[~alive] = 0.0
        self.after.view(len(self.after), len(alive), -1)[:, ~alive] = 0.0


def hidden_channels(network: nn.Module) -> list[Channels]:
    """Of every group of neurons whose channels can go, in order."""
    layers = list(flat_layers(network))
    groups = [int(getattr(layer, "groups", 1)) for layer in layers]
    found = hidden_groups([type(layer).__name__ for layer in layers], groups)
    weights = [(layers[one.before], layers[one.after]) for one in found]
    return [Channels.of(a.get_parameter("weight"), b.get_parameter("weight")) for a, b in weights]


@dataclass(frozen=True, eq=False)
class Operations:
    """What existing weights cost, and what they would if all were there, from channel to channel.

    Attributes
    ----------
    tables : sequence of (target, source, float64 tensor of shape (targets, sources))
        Of each map: the numbers of its target's and source's channels in the list, or None.
    dense : float
        Of all weights: a source channel that is gone is taken to spike as the others of its layer do.
    """

    tables: Sequence[tuple[int | None, int | None, Tensor]]
    dense: float

    @staticmethod
    def of(costs: Sequence[SynapseCost], channels: Sequence[Channels]) -> Operations:
        """Of maps whose weights those are."""
        targets = {id(one.before): index for index, one in enumerate(channels)}
        sources = {id(one.after): index for index, one in enumerate(channels)}
        tables, dense = [], 0.0
        for cost in costs:
            target, source = targets.get(id(cost.weight)), sources.get(id(cost.weight))
            count = cost.weight.shape[1] if source is None else len(channels[source].alive)
            each = cost.operations.reshape(len(cost.weight), count, -1)
            there = (cost.weight != 0).reshape(each.shape)
            tables.append((target, source, (each * there).sum(dim=2)))
            alive = slice(None) if source is None else channels[source].alive
            kept = each[:, alive]
            dense += float(kept.sum()) * count / max(1, kept.shape[1])
        return Operations(tables, dense)

    def left(self, alive: Sequence[Tensor]) -> float:
        """With these channels."""
        total = 0.0
        for target, source, table in self.tables:
            rows = table if target is None else table[alive[target]]
            total += float((rows if source is None else rows[:, alive[source]]).sum())
        return total

    def caused(self, index: int) -> Tensor:
        """By each channel of a group: its spikes', and those that reach it."""
        outgoing = [table.sum(dim=0) for _, source, table in self.tables if source == index]
        incoming = [table.sum(dim=1) for target, _, table in self.tables if target == index]
        return torch.stack([*outgoing, *incoming]).sum(dim=0)


def prune_neurons(
    network: nn.Module, costs: Sequence[SynapseCost], share: float, described: PruningModel
) -> None:
    """Cut off channels until the share of the operations has gone; the best one of each group stays."""
    channels = hidden_channels(network)
    operations = Operations.of(costs, channels)
    known = {id(cost.weight): cost for cost in costs}
    scores = torch.cat([_scores(one, known, operations.caused(k)) for k, one in enumerate(channels)])
    order = torch.argsort(scores, stable=True)
    sizes = [len(one.alive) for one in channels]
    budget = (1.0 - share * described.part_of(operations.dense)) * operations.dense

    def alive(count: int) -> tuple[Tensor, ...]:
        kept = torch.ones(len(order), dtype=torch.bool, device=order.device)
        kept[order[:count]] = False
        return torch.split(kept, sizes)

    low, high = 0, int(scores.isfinite().sum())
    while low < high:  # the fewest that are enough
        middle = (low + high) // 2
        if operations.left(alive(middle)) <= budget:
            high = middle
        else:
            low = middle + 1
    for one, kept in zip(channels, alive(low), strict=True):
        one.cut(kept & one.alive if (kept & one.alive).any() else kept)


def _scores(channels: Channels, known: Mapping[int, SynapseCost], caused: Tensor) -> Tensor:
    """What each channel does to the loss for an operation; infinite for the best, which stays."""
    cost = known[id(channels.after)]
    done = (cost.scores * cost.operations).reshape(len(cost.weight), len(caused), -1).sum(dim=2).sum(dim=0)
    scores = torch.where(caused > 0, done / caused.clamp(min=1e-300), 0.0)
    return scores.index_fill(0, scores.argmax(), float("inf"))
