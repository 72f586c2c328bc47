"""Weights that become 0 while a student is trained, and stay so: no synapses, on the chip.

What is pruned stands in the weights themselves: a weight that is 0 is. So a training that is resumed knows
it, and so do the stages that follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast
from weakref import WeakKeyDictionary, WeakSet

import torch
from torch import Tensor, nn

from sne_deploy.distill.students.simulate import flat_layers
from sne_deploy.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sne_deploy.distill.schema.pruning import PruningModel
    from sne_deploy.distill.students.student import Learner


@dataclass(frozen=True, eq=False)
class Prunable:
    """A weight tensor of a student.

    Attributes
    ----------
    weight : nn.Parameter
    share : float
        Of the sparsity.
    autapses : int
        Weights that are 0 by design: the diagonal of recurrent ones.
    """

    weight: nn.Parameter
    share: float = 1.0
    autapses: int = 0


def prunable(network: nn.Module, first: float = 1.0, last: float = 1.0) -> list[Prunable]:
    """The weights of a student's maps, in order; biases and scales are none.

    The first map has the share ``first``, the last of several ``last``.
    """
    maps: list[Prunable] = []
    for layer in flat_layers(network):
        if isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d)):
            maps.append(Prunable(layer.get_parameter("weight")))
        elif hasattr(layer, "recurrent_weights"):
            inner = layer.get_parameter("recurrent_weights")
            maps.append(Prunable(layer.get_parameter("input_weights")))
            maps.append(Prunable(inner, autapses=len(inner)))
    shares = [1.0] * len(maps)
    shares[-1:] = [last] * bool(maps)
    shares[:1] = [first] * bool(maps)
    return [Prunable(one.weight, share, one.autapses) for one, share in zip(maps, shares, strict=True)]


@dataclass(frozen=True, eq=False)
class KeptZeros:
    """An ``after_step`` of :class:`sne_deploy.distill.training.loop.Training`: a weight that is 0 stays 0."""

    _pruned: WeakKeyDictionary[nn.Module, list[tuple[nn.Parameter, Tensor]]] = field(
        default_factory=WeakKeyDictionary, init=False
    )

    def __call__(self, learner: nn.Module, progress: float) -> None:  # noqa: ARG002  the same at any time
        """Look at a learner before its first step, and put its zeros back after each one."""
        if learner not in self._pruned:
            self.look(learner)
        for weight, pruned in self._pruned[learner]:
            weight.masked_fill_(pruned, 0.0)
            torch.eq(weight, 0, out=pruned)  # one that came to be 0 is pruned too, as after a resume

    def look(self, learner: nn.Module) -> None:
        """What is 0 now is to stay so."""
        networks = cast("Learner", learner).networks
        weights = [one.weight for network in networks for one in prunable(network)]
        self._pruned[learner] = [(weight, weight == 0) for weight in weights]


Cut = Callable[["Learner", float], None]
"""Called as cut(learner, share): sets weights to 0, till this share of what is to go, in (0, 1], has gone."""


@dataclass(frozen=True, eq=False)
class Pruning:
    """An ``after_step`` of a training that prunes its students step by step.

    Attributes
    ----------
    described : PruningModel
    steps : int
        Of the whole training.
    cut : callable
    regrows : bool
        Weights that are 0 in the beginning learn until it begins: a student that was pruned before is dense
        again for a while (Han et al. 2017, ICLR, arXiv:1607.04381).
    """

    described: PruningModel
    steps: int
    cut: Cut
    regrows: bool = False
    _zeros: KeptZeros = field(default_factory=KeptZeros, init=False)
    _seen: WeakSet[nn.Module] = field(default_factory=WeakSet, init=False)

    def __call__(self, learner: nn.Module, progress: float) -> None:
        """Prune where it is due; put back the zeros that the step has moved.

        The first call, before any step, cuts nothing: a learner that goes on was cut when it came there.
        """
        goes_on = learner in self._seen
        self._seen.add(learner)
        if not self.regrows or progress > self.described.start:
            self._zeros(learner, progress)
        if goes_on and self.due(progress):
            last = round(progress * self.steps) == self._last
            self.cut(cast("Learner", learner), 1.0 if last else self.described.share(progress))
            self._zeros.look(learner)

    @property
    def _last(self) -> int:
        return min(self.steps, max(1, round(self.described.end * self.steps)))

    def due(self, progress: float) -> bool:
        """Every so many steps of the time for it, and at its end."""
        step, started = round(progress * self.steps), self.described.start * self.steps
        return step == self._last or (started < step < self._last and step % self.described.every == 0)


@dataclass(frozen=True)
class SmallestWeights:
    """A :data:`Cut` of the smallest weights of each tensor; see :class:`PruningModel`."""

    sparsity: float
    first: float = 0.0
    last: float = 0.7

    @staticmethod
    def of(described: PruningModel, *, spikes: bool) -> SmallestWeights:
        """What is left out of ``described`` as it is for an input of spikes, or of currents."""
        first = float(spikes) if described.first is None else described.first
        last = SmallestWeights.last if described.last is None else described.last
        return SmallestWeights(described.sparsity or 0.0, first, last)

    def __call__(self, learner: Learner, share: float) -> None:
        """Cut."""
        for network in learner.networks:
            prune_smallest(prunable(network, self.first, self.last), self.sparsity * share)

    def check(self, network: nn.Module) -> None:
        """Refuse a student of which nothing could be pruned.

        Raises
        ------
        InputError
            No map has a share.
        """
        if not any(one.share for one in prunable(network, self.first, self.last)):
            raise InputError(
                "students.pruning: the student's maps have no share in it; set first or last above 0"
            )


def prune_smallest(weights: Iterable[Prunable], sparsity: float) -> None:
    """Set the smallest weights of each tensor to 0, so that its share of the sparsity is."""
    for one in weights:
        size = one.weight.numel() - one.autapses
        count = one.autapses + int(sparsity * one.share * size)
        if count > one.autapses:
            magnitude = one.weight.detach().abs()
            limit = magnitude.flatten().sort().values[count - 1]
            one.weight.masked_fill_(magnitude <= limit, 0.0)
