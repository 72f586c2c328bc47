"""A student as an ordinary network: ReLU in the place of spiking neurons, one step instead of T."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from sne_deploy.distill.students.networks import student_network
from sne_deploy.distill.training.determinism import evaluating
from sne_deploy.errors import InputError

if TYPE_CHECKING:
    from sne_deploy.distill.experiment import LayerModel

SPIKING = ("LIFBoxCell", "LIFCell", "IAFCell")
INTEGRATORS = ("LIBoxCell", "LICell")
"""Kinds of cells, by what their twin has instead: a ReLU, and nothing."""


def twin_network(layers: Sequence[LayerModel], input_shape: tuple[int, ...], outputs: int) -> nn.Sequential:
    """Make an untrained twin: from the same random state, the same initial weights as the student.

    It ends in a leaky integrator that forgets everything in one step (v = x, exactly), so that whatever runs,
    trains or evaluates a student for one step does so with a twin.

    Parameters
    ----------
    layers : sequence of LayerModel
        The student's.
    input_shape : tuple of int
    outputs : int
        What ``out`` is where it is left out.

    Raises
    ------
    InputError
        The student has recurrent cells, which are nothing without time; or it does not fit its input.
    """
    import norse.torch as norse
    from norse.torch.functional.leaky_integrator_box import LIBoxParameters

    cells = (*SPIKING, *INTEGRATORS)
    recurrent = [layer.kind for layer in layers if layer.kind.endswith("Cell") and layer.kind not in cells]
    if recurrent:
        raise InputError(
            f"twin: {recurrent[0]} has no twin without time; give students without recurrent cells"
        )
    maps = iter(
        student_network([layer for layer in layers if layer.kind not in cells], input_shape, outputs, 1.0)
    )
    modules = [_activation(layer.kind) if layer.kind in cells else next(maps) for layer in layers]
    identity = norse.LIBoxCell(LIBoxParameters(tau_mem_inv=torch.tensor(1.0)), dt=1.0)
    return nn.Sequential(*modules, identity)


def _activation(kind: str) -> nn.Module:
    return nn.ReLU() if kind in SPIKING else nn.Identity()


def dense_macs(network: nn.Module, input_shape: tuple[int, ...]) -> int:
    """Multiply-accumulates of a twin's convolutions and linear maps per sample.

    Counted as a teacher's are: a border's padding is multiplied too, batch norm folds into the map before it.
    """
    from torch.utils.flop_counter import FlopCounterMode

    maps = nn.Sequential(*list(network.children())[:-1])
    counter = FlopCounterMode(display=False)
    with evaluating(maps), torch.no_grad(), counter:
        maps(torch.zeros(1, *input_shape))
    return int(counter.get_total_flops()) // 2
