"""A Norse student run over time, layer by layer, with its spikes kept for losses and figures.

Each layer processes the whole sample before the next one starts, which gives the same numbers as
stepping through the network (there are no cycles between layers), in far fewer calls: maps without
state see all steps at once, and those before the first neurons, where the input is constant, only one.
In training mode a batch norm takes its statistics over batch and time.

A series has a length, its number of own steps. What comes after these changes nothing: it is not seen by a
batch norm, not read and not counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING

from sne_deploy.distill.students.steps import Steps
from sne_deploy.distill.students.surrogates import NORSES, Surrogate
from sne_deploy.errors import InputError, UnsupportedError
from sne_deploy.model.layers.skips import source_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor, nn

    from sne_deploy.model.ensemble import Readout


@dataclass(frozen=True, eq=False)
class Simulation:
    """What a student did with a batch.

    Attributes
    ----------
    outputs : tensor of shape (N, n_out)
        The readout, in the student's units.
    rates : tuple of tensors of shape (N, *shape)
        One per spiking layer, in order: spikes per neuron and own step, in [0, 1].
    currents : tuple of tensors of shape (N, *shape), or (T, N, *shape) where they differ from step to step
        Of the same layers, where they are kept.
    """

    outputs: Tensor
    rates: tuple[Tensor, ...]
    currents: tuple[Tensor, ...] = ()


Run = Callable[["nn.Module", "Tensor", int, "Readout", "Tensor | None"], Simulation]
"""Runs a network on a batch for T steps with a readout: :func:`simulate`, or another version of it."""


def simulate(
    network: nn.Module,
    inputs: Tensor,
    timesteps: int,
    readout: Readout,
    lengths: Tensor | None = None,
    *,
    surrogate: Surrogate = NORSES,
) -> Simulation:
    """Run a student from its initial state.

    Parameters
    ----------
    network : nn.Sequential, SequentialState or a nest of them
        Norse cells and torch layers in the order in which they act.
    inputs : float tensor of shape (N, *input_shape), or (N, T, *input_shape) with lengths
        A current that is the same at every step; or spikes or a current for each step.
    timesteps : int
        T.
    readout : Readout
        ``count`` for a network that ends in spikes, the others for one that ends in a leaky integrator.
    lengths : int64 tensor of shape (N,), or None
        Steps of each series, 1 to T.
    surrogate : Surrogate
        A spike's gradient. Another than Norse's own needs LIFBox cells as the only spiking neurons.

    Raises
    ------
    InputError
        The readout or ``surrogate`` does not fit.
    UnsupportedError
        The network has no neurons.
    """
    steps = Steps.of(lengths, timesteps)
    steady: Tensor | None = inputs if lengths is None else None
    moving: Tensor | None = None if lengths is None else inputs[:, : steps.count].transpose(0, 1)
    rates: list[Tensor] = []
    currents: list[Tensor] = []
    sent: list[Tensor] = []
    spiking = neurons = False
    for layer in flat_layers(network):
        if is_skip(layer):
            moving = add_skipped(layer, sent, moving)
        elif is_neuron(layer):
            current = steady if moving is None else moving
            moving = run_neurons(layer, steady, moving, steps.count, surrogate)
            steady, neurons, spiking = None, True, not is_integrator(layer)
            sent.append(moving)
            if spiking and current is not None:
                rates.append(steps.mean(moving))
                currents.append(current)
        elif moving is None:
            steady = layer(steady)
        else:
            moving, spiking = steps.each(layer, moving), False
    if moving is None or not neurons:
        raise UnsupportedError("simulate", ["the network has no neurons; add Norse cells"])
    return Simulation(read_out(moving, readout, spiking, steps), tuple(rates), tuple(currents))


def read_out(series: Tensor, readout: Readout, spiking: bool, steps: Steps | None = None) -> Tensor:
    """Reduce the last layer's series of shape (T, N, ...) to outputs of shape (N, n_out).

    Raises
    ------
    InputError
        ``count`` of something that is not spikes, or a membrane readout of spikes.
    """
    if (readout == "count") != spiking:
        need = "a spiking last layer" if readout == "count" else "a leaky integrator as the last layer"
        raise InputError(f"readout {readout!r} needs {need}")
    steps = steps or Steps(len(series))
    reductions = {"count": steps.sum, "v_mean": steps.mean, "v_last": steps.last, "v_max": steps.most}
    return reductions[readout](series.flatten(2))


def flat_layers(network: nn.Module) -> Iterator[nn.Module]:
    """Yield the leaves of a nest of sequential containers, in order."""
    from norse.torch import Lift
    from torch import nn

    if isinstance(network, Lift):
        yield from flat_layers(network.lifted_module)
    elif isinstance(network, nn.Sequential):
        for child in network:
            yield from flat_layers(child)
    else:
        yield network


def is_neuron(layer: nn.Module) -> bool:
    """Tell Norse cells and layers, which carry state from step to step, from stateless maps."""
    from norse.torch.module import snn

    return isinstance(layer, (snn.SNNCell, snn.SNNRecurrentCell, snn.SNN, snn.SNNRecurrent))


def is_skip(layer: nn.Module) -> bool:
    """Tell maps of an earlier layer's spikes."""
    from sne_deploy.frontend.norse.skips import SKIP_CLASSES

    return isinstance(layer, tuple(SKIP_CLASSES.values()))


def add_skipped(layer: nn.Module, sent: Sequence[Tensor], onto: Tensor | None) -> Tensor:
    """A skip's map of what an earlier cell has ``sent``, added to what comes in, (T, N, ...).

    Raises
    ------
    InputError
        There are not so many cells before it.
    """
    source = source_of(layer.over, sent)  # type: ignore[arg-type]  # torch's attributes have any type
    if source is None or onto is None:
        raise InputError(f"{type(layer).__name__} over {layer.over}: {len(sent)} cells are before it")
    made: Tensor = layer(source.flatten(0, 1), onto.flatten(0, 1))
    return made.view(*onto.shape)


def add_skipped_once(layer: nn.Module, sent: Sequence[Tensor], onto: Tensor) -> Tensor:
    """As :func:`add_skipped`, onto the only step, (N, ...); gradients keep the format of memory."""
    return add_skipped(layer, sent, onto[None]).flatten(0, 1)  # not [0], whose gradient is made anew


def is_integrator(layer: nn.Module) -> bool:
    """Tell the neurons that never spike from those that do."""
    from norse import torch as norse

    return isinstance(layer, (norse.LICell, norse.LIBoxCell, norse.LI))


def run_neurons(
    layer: nn.Module,
    steady: Tensor | None,
    moving: Tensor | None,
    timesteps: int,
    surrogate: Surrogate = NORSES,
) -> Tensor:
    """What one layer of neurons gives, (T, N, ...), of a current that is ``steady`` or ``moving``."""
    import torch
    from norse.torch.module import snn

    from sne_deploy.distill.students.box_neurons import box_constants, run_box_cell, run_box_steps

    current = steady if moving is None else moving
    assert current is not None  # noqa: S101  one of the two is always there
    constants = box_constants(layer, current)
    if constants is not None:
        return run_box_cell(constants, current, timesteps, moving is None, surrogate)
    if not surrogate.norses and not is_integrator(layer):
        series = repeat(current, timesteps) if moving is None else iter(moving)
        spikes = run_box_steps(layer, series, surrogate)
        if spikes is None:
            raise InputError(
                f"surrogate gradient {surrogate}: needs LIFBoxCell neurons with fixed scalar parameters; "
                f"this one is {type(layer).__name__}; use 'superspike' with alpha 1"
            )
        return spikes
    if isinstance(layer, (snn.SNN, snn.SNNRecurrent)):
        series = steady.expand(timesteps, *steady.shape) if steady is not None else moving
        outputs: Tensor = layer(series)[0]
        return outputs
    state = None
    steps = []
    for step in range(timesteps):
        value, state = layer(steady if moving is None else moving[step], state)
        steps.append(value)
    return torch.stack(steps)
