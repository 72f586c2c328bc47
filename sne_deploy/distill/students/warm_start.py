r"""A student's ReLU twin, which is trained first: the student begins with its weights.

It has the same layers, of which spiking neurons answer their current i with

.. math:: \max(0, i) / i_\mathrm{th}, \qquad
    i_\mathrm{th} = (v_\mathrm{th} - v_\mathrm{leak}) \, \tau_\mathrm{mem} / dt

where i_th is the current above which they spike in their first step: 1 in the twin is a spike in the student.
Its gradients are exact, and a batch norm before the neurons then scales their currents to their thresholds.
Weights of a network with ReLUs as the start of training by surrogate gradients: Rathi et al. 2020, ICLR,
arXiv:2005.01807.

Over several steps the twin stands for rates: a neuron whose input is the same at every step spikes in each
from i_th on, and in a part of them below. It has no state, so it cannot stand for a student of series or for
recurrent neurons.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sne_deploy.distill.students.simulate import (
    Simulation,
    add_skipped_once,
    flat_layers,
    is_integrator,
    is_neuron,
    is_skip,
    read_out,
    run_neurons,
)
from sne_deploy.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sne_deploy.distill.students.student import StudentTask
    from sne_deploy.model.ensemble import Readout

SPIKING_ALONE = (
    "students.more_steps",
    "students.pruning",
    "students.surrogate",
    "students.surrogate_alpha",
    "students.surrogate_width",
    "students.schedule.epochs",
    "students.loss.hoyer",
    "students.loss.inner",
    "students.loss.spike_rate",
    "students.loss.target_rate",
    "students.loss.synops",
)
"""Keys on which a twin does not depend: students that differ in nothing else share its training."""


def twin_task(task: StudentTask) -> StudentTask:
    """What a student's twin learns: the same, but for the terms on its neurons."""
    return replace(task, loss=task.loss.of_answers, run=simulate_twin)


def simulate_twin(
    network: nn.Module,
    inputs: Tensor,
    timesteps: int,
    readout: Readout,
    lengths: Tensor | None = None,
) -> Simulation:
    """Run a student's twin, as :func:`sne_deploy.distill.students.simulate.simulate`; it has no rates.

    The layers before the last integrator are run once, whatever ``timesteps`` is; a ``count`` is
    ``timesteps`` times what the last neurons give.

    Raises
    ------
    InputError
        A series, neurons other than LIFBox cells, a threshold not above rest, or layers after an integrator.
    """
    if lengths is not None:
        raise InputError("a ReLU twin has no state: it takes a constant input; leave out warm_start")
    flow, series = inputs, None
    currents: list[Tensor] = []
    sent: list[Tensor] = []
    for layer in flat_layers(network):
        if series is not None:
            raise InputError(
                f"a ReLU twin ends with its integrator, but {type(layer).__name__} follows; leave out "
                "warm_start"
            )
        if is_skip(layer):
            flow = add_skipped_once(layer, sent, flow)
        elif is_integrator(layer):
            series = run_neurons(layer, flow, None, timesteps)
        elif is_neuron(layer):
            currents.append(flow)
            flow = _relu(layer, flow)
            sent.append(flow[None])
        else:
            flow = layer(flow)
    if series is None:
        return Simulation(read_out(flow[None] * timesteps, readout, spiking=True), (), tuple(currents))
    return Simulation(read_out(series, readout, spiking=False), (), tuple(currents))


def _relu(layer: nn.Module, current: Tensor) -> Tensor:
    threshold = threshold_current(layer, "warm_start")
    made = current.relu()
    if threshold.numel() == 1:
        return made if float(threshold) == 1.0 else made / float(threshold)
    return made / threshold.to(made)


def threshold_current(layer: nn.Module, key: str) -> Tensor:
    """Above which a cell spikes in its first step; what ``key`` asks for.

    Raises
    ------
    InputError
        The cell is no LIFBoxCell, or has a threshold that is not above its rest.
    """
    from norse.torch.module.lif_box import LIFBoxCell

    if not isinstance(layer, LIFBoxCell):
        raise InputError(f"{key} is for LIFBoxCell neurons, not for {type(layer).__name__}; leave it out")
    p = layer.p
    threshold: Tensor = ((p.v_th - p.v_leak) / (layer.dt * p.tau_mem_inv)).detach()
    if not bool((threshold > 0).all()):
        raise InputError(
            f"{key} needs v_th above v_leak, not a difference of {float((p.v_th - p.v_leak).min()):g}; leave "
            "it out"
        )
    return threshold
