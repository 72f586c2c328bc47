"""Training through LIFBox cells: on the CPU one kernel forward and one backward, for all steps together.

Elsewhere, with a gradient that Norse does not have, tensor operations step by step.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from norse.torch.functional.reset import reset_value
from norse.torch.module.lif_box import LIFBoxCell
from torch import Tensor

from sne_deploy.distill.students.surrogates import Slope, Surrogate
from sne_deploy.frontend.norse import cells as norse_cells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

SMALL = 2**15
"""Neurons below which a second thread does not pay."""


class BoxConstants(NamedTuple):
    """A cell's parameters as the kernels take them; ``gain`` is dt / tau_mem."""

    gain: Any
    v_leak: Any
    v_th: Any
    v_reset: Any


def box_constants(layer: nn.Module, inputs: Tensor) -> BoxConstants | None:
    """Parameters of a cell that the kernels can run on these inputs; None where Norse has to.

    They run LIFBox cells with scalar parameters that are not trained, SuperSpike's gradient and a reset to a
    value, on the CPU, in float32 and bfloat16.
    """
    if inputs.device.type != "cpu" or inputs.dtype not in (torch.float32, torch.bfloat16):
        return None
    return _constants(layer)


def _constants(layer: nn.Module) -> BoxConstants | None:
    if type(layer) not in (LIFBoxCell, norse_cells.LIFBoxCell):
        return None
    p: Any = layer.p
    values = [torch.as_tensor(value) for value in (p.tau_mem_inv, p.v_leak, p.v_th, p.v_reset)]
    plain = all(value.numel() == 1 and not value.requires_grad for value in values)
    if not plain or p.method != "super" or p.reset_method is not reset_value:
        return None
    dt: Any = layer.dt
    gain = dt * values[0].float()
    return BoxConstants(*(value.float().numpy().reshape(())[()] for value in (gain, *values[1:])))


def run_box_cell(
    constants: BoxConstants, current: Tensor, timesteps: int, steady: bool, surrogate: Surrogate
) -> Tensor:
    """Spikes of a cell over all steps, with their gradient; shape (T, N, ...), of the current's type.

    Parameters
    ----------
    constants : BoxConstants
    current : float32 or bfloat16 tensor of shape (N, ...) if steady, else (T, N, ...)
    timesteps : int
    steady : bool
        The current is the same at every step.
    surrogate : Surrogate
    """
    slope = surrogate.slope(float(constants.v_th) - float(constants.v_leak))
    flat = current if steady else current.flatten(0, 1)
    made: Tensor = _BoxSpikes.apply(flat, timesteps, steady, constants, slope)  # type: ignore[no-untyped-call]
    return made.reshape(timesteps, -1, *made.shape[1:])


def run_box_steps(layer: nn.Module, series: Iterator[Tensor], surrogate: Surrogate) -> Tensor | None:
    """As :func:`run_box_cell`, step by step on any device; None where the cell is not a plain LIFBox.

    ``series`` gives the current of each step, of shape (N, ...).
    """
    constants = _constants(layer)
    if constants is None:
        return None
    gain, v_leak, v_th, v_reset = (float(value) for value in constants)
    slope = surrogate.slope(v_th - v_leak)
    v: Tensor | None = None
    currents, steps = list(series), []
    for step, current in enumerate(currents, 1):
        if v is None and not v_leak:
            v = gain * current
        else:
            v = torch.full_like(current, v_leak) if v is None else v
            v = v + gain * ((current + v_leak) - v)
        z: Tensor = Spike.apply(v - v_th, slope)  # type: ignore[no-untyped-call]
        steps.append(z)
        if step < len(currents):
            v = (1 - z) * v + z * v_reset
    return torch.stack(steps) if len(steps) > 1 else steps[0][None]


class Spike(torch.autograd.Function):
    """1 above 0, else 0, with a slope instead of a gradient."""

    @staticmethod
    def forward(ctx: Any, above: Tensor, slope: Slope) -> Tensor:
        """Which are above 0."""
        ctx.save_for_backward(above)
        ctx.slope = slope
        return (above > 0).to(above.dtype)

    @staticmethod
    def backward(ctx: Any, *wanted: Tensor) -> tuple[Tensor, None]:
        """The slope's."""
        (above,) = ctx.saved_tensors
        return ctx.slope.passed(above, wanted[0]), None


class _BoxSpikes(torch.autograd.Function):
    """Spikes (T N, ...) of a current (T N, ...) or (N, ...), in the current's memory format."""

    @staticmethod
    def forward(
        ctx: Any, current: Tensor, timesteps: int, steady: bool, constants: BoxConstants, slope: Slope
    ) -> Tensor:
        from sne_deploy.distill.students.box_kernels import spikes

        memory_format = _memory_format(current)
        current = current.contiguous(memory_format=memory_format)
        rows = 1 if steady else timesteps
        samples = len(current) // rows
        out = torch.empty(timesteps * samples, *current.shape[1:], dtype=current.dtype)
        out = out.contiguous(memory_format=memory_format)
        x, y = _numbers(current, rows), _numbers(out, timesteps)
        _in_threads(lambda first, last: spikes(x, y, constants, first, last), x.shape[1])
        ctx.save_for_backward(current)
        ctx.rest = (timesteps, rows, constants, slope, memory_format)
        return out

    @staticmethod
    def backward(ctx: Any, *wanted: Tensor) -> tuple[Tensor, None, None, None, None]:
        import numpy as np

        from sne_deploy.distill.students.box_kernels import gradients

        (current,) = ctx.saved_tensors
        timesteps, rows, constants, slope, memory_format = ctx.rest
        asked = wanted[0].to(current.dtype).contiguous(memory_format=memory_format)
        result = torch.empty_like(current)
        x, g, y = _numbers(current, rows), _numbers(asked, timesteps), _numbers(result, rows)
        steep = type(slope)(*map(np.float32, slope))
        _in_threads(lambda first, last: gradients(x, g, y, constants, steep, first, last), x.shape[1])
        return result, None, None, None, None


def _memory_format(tensor: Tensor) -> torch.memory_format:
    last = tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def _numbers(tensor: Tensor, rows: int) -> Any:
    """The tensor's own memory as (rows, M); bfloat16 as its bits."""
    memory = tensor.detach().as_strided((rows, tensor.numel() // rows), (tensor.numel() // rows, 1))
    return (memory.view(torch.uint16) if memory.dtype == torch.bfloat16 else memory).numpy()


def _in_threads(work: Callable[[int, int], None], neurons: int) -> None:
    """Do all neurons, in as many threads as torch may use."""
    threads = torch.get_num_threads() if neurons >= SMALL else 1
    bounds = [neurons * k // threads for k in range(threads + 1)]
    others = [_pool(threads - 1).submit(work, *bounds[k : k + 2]) for k in range(1, threads)]
    work(*bounds[:2])
    for other in others:
        other.result()


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="box-neurons")


os.register_at_fork(after_in_child=_pool.cache_clear)
