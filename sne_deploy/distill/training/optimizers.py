"""Optimisers by name; what they keep between two steps is in their state, and so survives an interruption."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn, optim

from sne_deploy.distill.training.muon import Muon

if TYPE_CHECKING:
    from sne_deploy.distill.schema.schedule import Schedule

EVERY, SLOWNESS = 5, 0.95**5
"""Of Lookahead: steps between two averages, and the weight of the past in the last of them."""
BIAS_RATE = 64.0
"""Of Lookahead: learning rate of the biases of batch norms whose scale is fixed, over that of weights."""


class Lookahead(optim.SGD):
    r"""Nesterov's momentum of 0.85, with slow weights that the fast ones return to every five steps.

    .. math:: s \leftarrow a_t s + (1 - a_t) w, \quad w \leftarrow s, \qquad a_t = 0.95^5 (t / T)^3

    after every fifth step t of T; after the last, w is s. A running average whose memory grows as the
    training ends: fewer epochs to the same accuracy.

    Source: Zhang et al. 2019, arXiv:1907.08610; with this course of a, Jordan 2024, arXiv:2404.00498.

    Parameters
    ----------
    groups : list of dict
        Of parameters, as of torch's optimisers.
    lr : float
    steps : int
        T.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float, steps: int) -> None:
        super().__init__(
            [{"taken": 0, "steps": steps, **group} for group in groups], lr, momentum=0.85, nesterov=True
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step of the fast weights, and in its turn one of the slow ones."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if "slow" not in self.state[parameter]:
                    self.state[parameter]["slow"] = parameter.detach().clone()
        loss: float | None = super().step(closure)
        for group in self.param_groups:
            group["taken"] += 1
            taken, last = group["taken"], group["taken"] == group["steps"]
            if taken % EVERY and not last:
                continue
            kept = SLOWNESS * (taken / group["steps"]) ** 3
            for parameter in group["params"]:
                slow = self.state[parameter]["slow"]
                if not last:
                    slow.lerp_(parameter, 1 - kept)
                parameter.copy_(slow)
        return loss


def average_weights(optimizer: optim.Optimizer) -> None:
    r"""After each step of an optimiser that averages: let it end with the mean of its last weights.

    .. math:: \bar w = \frac{1}{n} \sum_{t = T - n + 1}^{T} w_t, \qquad n = \max(1, \mathrm{round}(p T))

    of T steps, for ``schedule.averaging`` p. The mean is part of the optimiser's state. The statistics of
    batch norms are those of the last steps, which are close by as the rate ends in 0.

    Source: Izmailov et al. 2018, UAI, arXiv:1803.05407, there at a constant rate.
    """
    with torch.no_grad():
        for group in optimizer.param_groups:
            group["averaged"] += 1
            if group["averaged"] < 1:
                continue
            for parameter in group["params"]:
                mean = optimizer.state[parameter].setdefault("mean", torch.zeros_like(parameter))
                mean.lerp_(parameter, 1.0 / group["averaged"])
                if group["averaged"] == group["averages"]:
                    parameter.copy_(mean)


def make_optimizer(module: nn.Module, schedule: Schedule, steps: int) -> optim.Optimizer:
    """The schedule's optimiser for a module that takes so many steps in all.

    Each group has a ``rate_factor``, by which its learning rate is multiplied. Weight decay is of weights; of
    ``lookahead`` also of biases, by as much in each step.
    """
    made = _made(module, schedule, steps)
    if schedule.averaging:
        averages = max(1, round(schedule.averaging * steps))
        for group in made.param_groups:
            group.update(averages=averages, averaged=averages - steps)
    return made


def _made(module: nn.Module, schedule: Schedule, steps: int) -> optim.Optimizer:
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    quick = _biases_of_fixed_norms(module) if schedule.optimizer == "lookahead" else []
    known = {id(parameter) for parameter in quick}
    weights = [p for p in trained if p.ndim > 1]
    others = [p for p in trained if p.ndim <= 1 and id(p) not in known]
    decay = schedule.weight_decay
    groups: list[dict[str, Any]] = [
        {"params": weights, "weight_decay": decay, "rate_factor": 1.0},
        {"params": others, "weight_decay": 0.0, "rate_factor": 1.0},
    ]
    if schedule.optimizer == "lookahead":
        groups.append({"params": quick, "weight_decay": decay / BIAS_RATE, "rate_factor": BIAS_RATE})
        groups = [group for group in groups if group["params"]]
        return Lookahead(groups, schedule.learning_rate, steps)
    fused = bool(trained) and trained[0].device.type == "cuda"
    if schedule.optimizer == "sgd":
        return optim.SGD(groups, lr=schedule.learning_rate, momentum=0.9, nesterov=True, fused=fused)
    if schedule.optimizer == "muon":
        recurrent = {id(p) for name, p in module.named_parameters() if name.endswith("recurrent_weights")}
        groups[0]["params"] = [p for p in weights if id(p) not in recurrent]
        apart = [p for p in weights if id(p) in recurrent]
        groups.append({"params": apart, "weight_decay": decay, "rate_factor": 1.0, "orthogonal": False})
        return Muon([group for group in groups if group["params"]], lr=schedule.learning_rate)
    return optim.AdamW(groups, lr=schedule.learning_rate, fused=fused)


def _biases_of_fixed_norms(module: nn.Module) -> list[nn.Parameter]:
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    return [norm.bias for norm in norms if norm.bias.requires_grad and not norm.weight.requires_grad]
