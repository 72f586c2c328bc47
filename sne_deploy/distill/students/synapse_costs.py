r"""What each weight of a student costs in synaptic operations, and what its loss would do to the student.

Both on samples of the training set. A weight's cost are the spikes that reach a synapse of it, at all the
places where a convolution uses it, per sample. Without the weight w, the input of its target lacks w at each
of these operations; with the gradient :math:`\delta` of the loss by the inputs of that target's channel, and
the operations' effects taken to be independent, the loss changes by

.. math:: \Delta L \approx \frac{1}{2} \, c \, w^2 \, \overline{\delta^2}

with c operations: the diagonal of the empirical Fisher matrix, as in Theis et al. 2018, Faster gaze
prediction with dense networks and Fisher pruning (arXiv:1801.05787), who divide by the cost as well; in its
Kronecker factors, of which that of the inputs is the operations, since a spike is 0 or 1. The score is
:math:`\Delta L / c` up to a factor: what one operation less does to the loss.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from sne_deploy.distill.students.simulate import flat_layers, is_neuron, is_skip
from sne_deploy.distill.training.determinism import evaluating

if TYPE_CHECKING:
    from sne_deploy.distill.students.student import Learner, LearningObjective

MAPS = (nn.Linear, nn.Conv1d, nn.Conv2d)


@dataclass(frozen=True, eq=False)
class SynapseCost:
    """Of a weight tensor that is synapses.

    Attributes
    ----------
    weight : nn.Parameter
    operations : float64 tensor of the weight's shape
        Per sample, with weights that are 0 as if they were not.
    sensitivity : float64 tensor that broadcasts over the weight
        Mean of the squared gradient by an input of the target's channel.
    """

    weight: nn.Parameter
    operations: Tensor
    sensitivity: Tensor

    @property
    def scores(self) -> Tensor:
        """What an operation that is saved does to the loss, up to a factor: of the weight's shape."""
        return self.weight.detach().double().square() * self.sensitivity


def synapse_costs(
    learner: Learner, objective: LearningObjective, batch: Sequence[Tensor], *, spikes: bool
) -> list[SynapseCost]:
    """Of every weight behind the first spikes, in order; ``spikes``: the input is some itself.

    Nothing of the learner changes, and nothing is drawn.
    """
    found: list[_Seen] = []
    with contextlib.ExitStack() as stack:
        for network in learner.networks:
            found += stack.enter_context(_watched(network, spikes=spikes))
        stack.enter_context(evaluating(learner))
        stack.enter_context(torch.random.fork_rng())
        stack.enter_context(torch.enable_grad())
        loss = torch.stack(list(objective(learner, batch).values())).sum()
        currents = [current for seen in found for current in seen.currents]
        slopes = iter(torch.autograd.grad(loss, currents, allow_unused=True))
        return [seen.cost(slopes, len(batch[0])) for seen in found]


@contextlib.contextmanager
def _watched(network: nn.Module, *, spikes: bool) -> Iterator[list[_Seen]]:
    """Hear what comes into the maps behind spikes, and out of them."""
    seen: list[_Seen] = []
    taps, handles = 1.0, []
    for layer in flat_layers(network):
        if is_neuron(layer):
            spikes, taps = True, 1.0
        elif isinstance(layer, nn.AvgPool2d):
            size = layer.kernel_size
            taps *= float(size * size if isinstance(size, int) else size[0] * size[1])
        elif spikes and isinstance(layer, MAPS):
            seen.append(_Seen(layer, 1.0 if is_skip(layer) else taps))
            handles.append(layer.register_forward_hook(seen[-1]))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


class _Seen:
    """A map's inputs summed over samples and steps, and its outputs."""

    def __init__(self, layer: nn.Linear | nn.Conv1d | nn.Conv2d, taps: float) -> None:
        self.layer, self._taps = layer, taps
        self._spikes: Tensor | float = 0.0
        self.currents: list[Tensor] = []

    def __call__(self, layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:  # noqa: ARG002  torch's
        self._spikes = self._spikes + self._taps * inputs[0].detach().sum(dim=0, dtype=torch.float64)
        self.currents.append(output)

    def cost(self, slopes: Iterator[Tensor | None], samples: int) -> SynapseCost:
        """Of the map's weights, with the gradients by what it put out."""
        layer, weight = self.layer, self.layer.get_parameter("weight")
        squares, count = torch.zeros(len(weight), dtype=torch.float64, device=weight.device), 0
        for current in self.currents:
            slope = next(slopes)
            count += current.numel() // len(weight)
            if slope is not None:
                others = [axis for axis in range(slope.ndim) if axis != 1]
                squares = squares + slope.square().sum(dim=others, dtype=torch.float64)
        spikes = torch.as_tensor(self._spikes, device=weight.device) / samples
        uses = spikes.expand_as(weight) if isinstance(layer, nn.Linear) else _uses(layer, spikes)
        return SynapseCost(weight, uses, (squares / max(1, count)).view(-1, *[1] * (weight.ndim - 1)))


def _uses(conv: nn.Conv1d | nn.Conv2d, spikes: Tensor) -> Tensor:
    """How often each weight is used, of inputs of shape (channels, ...): those that its tap moves over."""
    if isinstance(conv, nn.Conv1d):  # a series is an image of one row
        sizes = [(1, own[0]) for own in (conv.kernel_size, conv.dilation, conv.stride)]
        image, padding = spikes[:, None], (0, int(conv.padding[0]))
    else:
        sizes = [(own[0], own[1]) for own in (conv.kernel_size, conv.dilation, conv.stride)]
        image, padding = spikes, (int(conv.padding[0]), int(conv.padding[1]))
    kernel, dilation, stride = sizes
    taps = functional.unfold(image[None], kernel, dilation, padding, stride).sum(dim=2)
    own = taps.view(conv.groups, 1, *conv.weight.shape[1:])
    of_group = own.expand(-1, conv.out_channels // conv.groups, *conv.weight.shape[1:])
    return of_group.reshape(conv.weight.shape)
