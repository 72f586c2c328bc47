"""Fine-tuning against the compiler's own quantiser: forward with the weights that the chip will store.

Batch norm is folded first. Every N steps the student is compiled, which gives the scale, the exponent
and the sign mode of each synapse; in between, each step rounds the weights as they are now onto that grid
with the compiler's own function, and the gradient passes as if it had not.

Quantised are the weights of synapses, and biases that an always-on axon carries as weights. Not modelled:
registers of 12 and more bits (thresholds, decays, other biases, the constant input), and the rounding of
states at each step.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from sne_deploy.chips.chip import DEFAULT_CHIP, load_chip
from sne_deploy.distill.students.networks import trainable_copy
from sne_deploy.distill.students.simulate import Simulation, simulate
from sne_deploy.distill.students.student import CONSTANT, Lesson, Run, StudentTask, train_student
from sne_deploy.distill.students.weight_grids import WeightGrid, weight_grids
from sne_deploy.distill.training.loop import Trained, Training
from sne_deploy.errors import InputError
from sne_deploy.model.ensemble import Encoder, Readout

if TYPE_CHECKING:
    from torch import Tensor

Shape = tuple[int, ...]


def folded(network: nn.Module, input_shape: Shape) -> nn.Module:
    """Copy a student as the compiler sees it: batch norm folded, dropout gone, every parameter trainable.

    Raises
    ------
    UnsupportedError, GraphError
        The student cannot be compiled.
    """
    from sne_deploy.frontend.norse.batch_norm import inference_layers
    from sne_deploy.frontend.norse.build import module_from_layers
    from sne_deploy.frontend.norse.modules import layers_from_module
    from sne_deploy.model.layers.registry import check_stack

    layers = layers_from_module(network)
    check_stack(layers, input_shape)
    return trainable_copy(module_from_layers(inference_layers(layers, input_shape)))


class _StraightThrough(torch.autograd.Function):
    """Replace values in the forward pass only."""

    @staticmethod
    def forward(ctx: Any, latent: Tensor, stored: Tensor) -> Tensor:  # noqa: ARG004  torch's interface
        return stored.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ARG004  torch's interface
        return gradients[0], None


def stored_weights(network: nn.Module, grids: dict[str, WeightGrid]) -> dict[str, Tensor]:
    """The weights on the chip, by parameter name; their gradient goes to the parameters unchanged."""
    stored = {}
    for name, grid in grids.items():
        latent = network.get_parameter(name)
        nearest = torch.from_numpy(grid.nearest(latent.detach().numpy(force=True))).to(latent)
        stored[name] = _StraightThrough.apply(latent, nearest)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return stored


def with_stored_weights(
    network: nn.Module,
    input_shape: Shape,
    timesteps: int,
    readout: Readout,
    weight_bits: int = 8,
    encoder: Encoder = CONSTANT,
) -> nn.Module:
    """A copy of a folded student with the weights that the chip will store."""
    formats = load_chip(DEFAULT_CHIP).registers.narrowed(weight_bits)
    grids = weight_grids(network, input_shape, timesteps, readout, formats, encoder)
    made = trainable_copy(network)
    with torch.no_grad():
        for name, value in stored_weights(network, grids).items():
            made.get_parameter(name).copy_(value)
    return made


class _Runner(nn.Module):
    """Makes a run a forward pass, whose parameters can be replaced."""

    def __init__(self, network: nn.Module, run: Run) -> None:
        super().__init__()
        self.network, self._run = network, run

    def forward(self, inputs: Tensor, timesteps: int, readout: Readout, lengths: Tensor | None) -> Simulation:
        return self._run(self.network, inputs, timesteps, readout, lengths)


class QuantisedRun:
    """A :data:`sne_deploy.distill.students.student.Run` with the weights that the compiler would store.

    Parameters
    ----------
    input_shape : tuple of int
    weight_bits : int
        2 to 8, or 16.
    every : int
        Steps between two compilations of a network.
    run : Run
        How the network is run with these weights.
    encoder : Encoder
        Of the student's input: of spikes, the first map's weights are stored too.

    Raises
    ------
    InputError
        ``weight_bits`` or ``every`` is out of range.
    """

    def __init__(
        self,
        input_shape: Shape,
        weight_bits: int = 8,
        every: int = 100,
        run: Run = simulate,
        encoder: Encoder = CONSTANT,
    ) -> None:
        self._formats = load_chip(DEFAULT_CHIP).registers.narrowed(weight_bits)
        if every < 1:
            raise InputError(f"quantisation-aware training: every {every} steps must be at least 1")
        self._input_shape, self._every, self._run, self._encoder = input_shape, every, run, encoder
        self._grids: WeakKeyDictionary[nn.Module, tuple[int, dict[str, WeightGrid]]] = WeakKeyDictionary()

    def __call__(
        self,
        network: nn.Module,
        inputs: Tensor,
        timesteps: int,
        readout: Readout,
        lengths: Tensor | None = None,
    ) -> Simulation:
        """Run a folded network."""
        steps, grids = self._grids.get(network, (0, {}))
        if steps % self._every == 0:
            shape, encoder = self._input_shape, self._encoder
            grids = weight_grids(network, shape, timesteps, readout, self._formats, encoder)
        self._grids[network] = (steps + 1, grids)
        stored = {f"network.{name}": value for name, value in stored_weights(network, grids).items()}
        done: Simulation = torch.func.functional_call(
            _Runner(network, self._run), stored, (inputs, timesteps, readout, lengths)
        )
        return done


def tune_quantised(
    network: nn.Module,
    lesson: Lesson,
    task: StudentTask,
    training: Training,
    *,
    weight_bits: int = 8,
    every: int = 100,
) -> Trained[nn.Module]:
    """Train a folded copy of a student further, with quantised weights in the forward pass.

    Parameters
    ----------
    network : nn.Module
        A trained student; it is not changed.
    lesson, task, training
        As :func:`sne_deploy.distill.students.student.train_student`.
    weight_bits : int
        2 to 8, or 16: what the student will be compiled with.
    every : int
        Steps between two compilations; a divisor of an epoch's steps where training is to be resumed.

    Returns
    -------
    Trained
        The folded network with the weights that are to be compiled, not yet rounded.
    """
    shape = lesson.input_shape
    run = QuantisedRun(shape, weight_bits, every, task.run, task.encoder)
    return train_student(lambda: folded(network, shape), lesson, replace(task, run=run), training)
