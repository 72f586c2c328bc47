"""Copies of trained students, to train further."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


def trainable_copy(network: nn.Module) -> nn.Module:
    """Copy a student with all of its parameters to be trained.

    A plain deep copy loses the hooks with which Norse's recurrent cells keep their diagonal at zero.

    Parameters
    ----------
    network : nn.Module
        It is not changed.
    """
    from norse.torch.module import snn

    made = copy.deepcopy(network).requires_grad_(True)
    for part in made.modules():
        if isinstance(part, (snn.SNNRecurrentCell, snn.SNNRecurrent)) and not part.autapses:
            part.recurrent_weights.register_hook(_without_diagonal)
    return made


def _without_diagonal(gradient: Tensor) -> Tensor:
    return gradient.clone().fill_diagonal_(0.0)
