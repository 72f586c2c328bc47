"""How large a module is, and what running it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

_MAPS = (nn.Linear, nn.Conv1d, nn.Conv2d)


@dataclass(frozen=True)
class Sizes:
    """Of what a stage trains.

    Attributes
    ----------
    parameters : int
        Numbers that are trained.
    macs : int
        Multiply-accumulates of linear maps and convolutions on one sample, all of its steps included.
    neurons, synapses : int
        Of students as the compiler sees them, in floating point; 0 of a teacher.
    updates : int
        Neurons times steps on one sample: what is not linear in a student.
    """

    parameters: int
    macs: int
    neurons: int = 0
    synapses: int = 0
    updates: int = 0

    @staticmethod
    def together(sizes: Iterable[Sizes]) -> Sizes:
        """Of several."""
        return Sizes(*map(sum, zip(*(vars(one).values() for one in sizes), strict=True)))


def parameters_of(module: nn.Module) -> int:
    """Numbers that are trained."""
    return sum(one.numel() for one in module.parameters() if one.requires_grad)


def macs_of(module: nn.Module, run: Callable[[], Any]) -> int:
    """Multiply-accumulates of a module's linear maps and convolutions while something is run."""
    total = 0

    def mapped(part: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        total += output.numel() * part.weight[0].numel()  # type: ignore[index]  # one of _MAPS

    def recurrent(part: nn.Module, given: tuple[Tensor, ...], _: Any) -> None:
        nonlocal total
        matrices = [one for one in part.parameters() if one.ndim == 2]
        total += sum(given[0].numel() // matrices[0].shape[1] * one.numel() for one in matrices)

    handles = []
    for part in module.modules():
        if isinstance(part, _MAPS):
            handles.append(part.register_forward_hook(mapped))
        elif hasattr(part, "recurrent_weights"):
            handles.append(part.register_forward_hook(recurrent))
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return total
