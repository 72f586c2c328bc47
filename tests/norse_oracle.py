"""A student's layers as Norse's own modules, step by step, in float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from sne_deploy.frontend.norse.build import module_from_layers
from sne_deploy.ir.program import Program


def norse_steps(program: Program, inputs: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
    """What every cell sends, by its group's name, at one step after the other: float64 (N, ...)."""
    module = module_from_layers(program.layers, dtype=torch.float64)
    cells = [child for child in module.modules() if is_group(child)]
    sent: dict[str, np.ndarray] = {}
    for cell, group in zip(cells, program.groups, strict=True):
        cell.register_forward_hook(_recorder(sent, group.name))
    state = None
    for t in range(program.timesteps):
        x = inputs if program.constant_input else inputs[:, t]
        with torch.no_grad():
            _, state = module(torch.tensor(np.asarray(x, dtype=np.float64)), state)
        yield dict(sent)


def is_group(module: torch.nn.Module) -> bool:
    """Whether a module is a group of neurons of the compiled network."""
    return hasattr(module, "state_fallback") or type(module).__name__.startswith("MaxPool")


def _recorder(sent: dict[str, np.ndarray], name: str) -> Any:
    def hook(_module: torch.nn.Module, _arguments: Any, output: Any) -> None:
        values = output[0] if isinstance(output, tuple) else output
        sent[name] = values.detach().numpy().copy()

    return hook


def run_module(module: torch.nn.Module, x: torch.Tensor, timesteps: int | None = None) -> torch.Tensor:
    """Outputs [T, B, ...] of inputs [T, B, ...], or of [B, ...] at every one of ``timesteps`` steps."""
    steps = x if timesteps is None else x.unsqueeze(0).expand(timesteps, *x.shape)
    outputs, state = [], None
    with torch.no_grad():
        for step in steps:
            output, state = module(step, state)
            outputs.append(output)
    return torch.stack(outputs)
