"""Norse's cells with a fresh state: the arithmetic is Norse's own, only the initial state is ours.

norse 1.1.0 makes initial states that share a parameter's memory (LI, LIBox, IAF), ask for a gradient, or
are float32 whatever the parameters are (LIFRecurrent). Here a state is new, of the input's shape, in the
parameters' dtype, and v starts at v_leak (IAF: at v_reset).

Importing this module imports torch and norse.
"""

from __future__ import annotations

from typing import Any

import norse.torch as norse
import torch
from norse.torch.functional.reset import reset_value


def _full(parameter: torch.Tensor, like: torch.Tensor, shape: tuple[int, ...] | None = None) -> torch.Tensor:
    size = tuple(like.shape) if shape is None else shape
    return parameter.detach().to(like.device).expand(size).clone()


class _StateOfCurrent:
    p: Any

    def initial_state(self, input_tensor: torch.Tensor) -> Any:
        v = _full(self.p.v_leak, input_tensor)
        return self.state_class(v=v, i=torch.zeros_like(v))

    state_class: Any = None


class LIFCell(_StateOfCurrent, norse.LIFCell):  # type: ignore[misc]  # norse is untyped
    """LIFCell with a fresh state."""

    state_class = norse.LIFFeedForwardState


class LICell(_StateOfCurrent, norse.LICell):  # type: ignore[misc]  # norse is untyped
    """LICell with a fresh state."""

    state_class = norse.LIState


class LIFBoxCell(norse.LIFBoxCell):  # type: ignore[misc]  # norse is untyped
    """LIFBoxCell with a fresh state."""

    def initial_state(self, input_tensor: torch.Tensor) -> Any:
        """State of the input's shape: v at v_leak."""
        return norse.LIFBoxFeedForwardState(v=_full(self.p.v_leak, input_tensor))


class LIBoxCell(norse.LIBoxCell):  # type: ignore[misc]  # norse is untyped
    """LIBoxCell with a fresh state."""

    def initial_state(self, input_tensor: torch.Tensor) -> Any:
        """State of the input's shape: v at v_leak."""
        return norse.LIBoxState(v=_full(self.p.v_leak, input_tensor))


class IAFCell(norse.IAFCell):  # type: ignore[misc]  # norse is untyped
    """IAFCell with a fresh state."""

    def initial_state(self, input_tensor: torch.Tensor) -> Any:
        """State of the input's shape: v at v_reset."""
        return norse.IAFFeedForwardState(v=_full(self.p.v_reset, input_tensor))


class LIFRecurrentCell(norse.LIFRecurrentCell):  # type: ignore[misc]  # norse is untyped
    """LIFRecurrentCell with a fresh state."""

    def initial_state(self, input_tensor: torch.Tensor) -> Any:
        """State of shape (..., hidden): v at v_leak."""
        shape = (*input_tensor.shape[:-1], int(self.hidden_size))
        v = _full(self.p.v_leak, input_tensor, shape)
        return norse.LIFState(z=torch.zeros_like(v), v=v, i=torch.zeros_like(v))


def parameters_of(kind: str, tensors: dict[str, torch.Tensor], method: str) -> Any:
    """Norse's parameter tuple of a cell."""
    if kind == "LICell":
        return norse.LIParameters(**tensors)
    if kind == "LIBoxCell":
        return norse.LIBoxParameters(**tensors)
    if kind == "IAFCell":
        return norse.IAFParameters(**tensors, method=method)
    if kind == "LIFBoxCell":
        return norse.LIFBoxParameters(**tensors, method=method, reset_method=reset_value)
    return norse.LIFParameters(**tensors, method=method)


CELLS: dict[str, Any] = {
    "LIFCell": LIFCell,
    "LICell": LICell,
    "LIFBoxCell": LIFBoxCell,
    "LIBoxCell": LIBoxCell,
    "IAFCell": IAFCell,
    "LIFRecurrentCell": LIFRecurrentCell,
}
