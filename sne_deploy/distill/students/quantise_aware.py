"""Fine-tuning on the compiler's own integers: forward with what the chip will hold.

Batch norm is folded first. Every N steps the student is compiled, which gives the scale of each layer, the
exponent and the sign mode of each synapse, and the registers; in between, each step rounds the weights as
they are now onto that grid with the compiler's own function, runs on integers
(:mod:`sne_deploy.distill.students.register_run`), and the gradient passes as if nothing had been rounded.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from sne_deploy.chips.chip import DEFAULT_CHIP, load_chip
from sne_deploy.distill.students.networks import trainable_copy
from sne_deploy.distill.students.register_run import run_on_registers
from sne_deploy.distill.students.simulate import Simulation
from sne_deploy.distill.students.student import CONSTANT, Lesson, StudentTask, train_student
from sne_deploy.distill.students.surrogates import NORSES, Surrogate
from sne_deploy.distill.students.weight_grids import OnChip, WeightGrid, on_chip, weight_grids
from sne_deploy.distill.training.loop import Trained, Training
from sne_deploy.errors import InputError
from sne_deploy.model.ensemble import Encoder, Readout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from sne_deploy.distill.students.register_run import LayerRegisters
    from sne_deploy.distill.students.simulate import Simulation

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

    def __init__(self, network: nn.Module, registers: Sequence[LayerRegisters], surrogate: Surrogate) -> None:
        super().__init__()
        self.network, self._registers, self._surrogate = network, registers, surrogate

    def forward(self, *given: Any) -> Simulation:
        return run_on_registers(self.network, self._registers, self._surrogate, *given)


class QuantisedRun:
    """A :data:`sne_deploy.distill.students.student.Run` on the registers that the compiler would choose.

    Parameters
    ----------
    input_shape : tuple of int
    weight_bits : int
        2 to 8, or 16.
    every : int
        Steps between two compilations of a network.
    surrogate : Surrogate
        A spike's gradient.
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
        surrogate: Surrogate = NORSES,
        encoder: Encoder = CONSTANT,
    ) -> None:
        self._formats = load_chip(DEFAULT_CHIP).registers.narrowed(weight_bits)
        if every < 1:
            raise InputError(f"quantisation-aware training: every {every} steps must be at least 1")
        self._input_shape, self._every = input_shape, every
        self._surrogate, self._encoder = surrogate, encoder
        self._known: WeakKeyDictionary[nn.Module, tuple[int, OnChip]] = WeakKeyDictionary()

    def __call__(
        self,
        network: nn.Module,
        inputs: Tensor,
        timesteps: int,
        readout: Readout,
        lengths: Tensor | None = None,
    ) -> Simulation:
        """Run a folded network."""
        steps, chip = self._known.get(network, (0, None))
        if chip is None or steps % self._every == 0:
            shape, encoder = self._input_shape, self._encoder
            chip = on_chip(network, shape, timesteps, readout, self._formats, encoder)
        self._known[network] = (steps + 1, chip)
        stored = {f"network.{name}": value for name, value in stored_weights(network, chip.grids).items()}
        runner = _Runner(network, chip.registers, self._surrogate)
        done: Simulation = torch.func.functional_call(runner, stored, (inputs, timesteps, readout, lengths))
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
    run = QuantisedRun(shape, weight_bits, every, task.surrogate, task.encoder)
    loss = task.loss.model_copy(update={"hoyer": 0.0, "inner": 0.0})  # of real numbers, and of a twin
    own = replace(task, run=run, loss=loss)
    return train_student(lambda: folded(network, shape), lesson, own, training)
