"""Norse's cells with a fresh state: the arithmetic is Norse's own, only the initial state is ours.

norse 1.1.0 makes initial states that share a parameter's memory (LI, LIBox, IAF), ask for a gradient, or
are float32 whatever the parameters are (LIFRecurrent). Here a state is new, of the input's shape, in the
parameters' dtype, and v starts at v_leak (IAF: at v_reset).

Importing this module imports torch and norse.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

import torch
from norse.torch.functional import reset

from sne_deploy.neurons.model import CellType
from sne_deploy.neurons.table import Derived


@cache
def _fresh(cell: CellType) -> Any:
    """The class of a cell, as it is or with a state that begins where the model's does."""
    module = import_module(cell.module)
    norse_cell = getattr(module, cell.kind)
    if cell.state is None:
        return norse_cell
    state_class = getattr(module, cell.state)
    start = "v_leak" if "v_leak" in cell.tensors else "v_reset"

    def initial_state(self: Any, input_tensor: torch.Tensor) -> Any:
        """A state of the neurons' shape: v at its start, all else 0."""
        shape = (*input_tensor.shape[:-1], int(self.hidden_size)) if cell.recurrent else input_tensor.shape
        v = getattr(self.p, start).detach().to(input_tensor.device).expand(shape).clone()
        zeros = {field: torch.zeros_like(v) for field in state_class._fields if field != "v"}
        return state_class(v=v, **zeros)

    text = f"{cell.kind} with a fresh state."
    members = {"initial_state": initial_state, "__doc__": text, "__module__": __name__}
    return type(cell.kind, (norse_cell,), members)


CELL_CLASSES: Mapping[str, Any] = Derived(
    lambda models: {cell.kind: _fresh(cell) for model in models for cell in model.cells}
)
"""By kind."""


def __getattr__(name: str) -> Any:
    if name not in CELL_CLASSES:
        raise AttributeError(name)
    return CELL_CLASSES[name]


def parameters_of(
    cell: CellType, tensors: dict[str, torch.Tensor], method: str = "super", reset_method: str = "reset_value"
) -> Any:
    """Norse's parameter tuple of a cell."""
    kind = getattr(import_module(cell.module), cell.parameters)
    firing = {"method": method, "reset_method": getattr(reset, reset_method)}
    return kind(**tensors, **{name: value for name, value in firing.items() if name in kind._fields})
