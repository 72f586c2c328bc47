"""The kernels of the neuron models: one row each; models whose registers say all share one.

Importing this package imports neither torch nor numba.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy.typing as npt

from sne_deploy.errors import UnsupportedError
from sne_deploy.ir.program import NeuronGroup

Array = npt.NDArray[Any]

KERNELS: dict[str, str] = dict.fromkeys(("lif", "cuba_lif", "if", "li", "cuba_li"), "sne_loihi.neurons.leaky")
"""A model's name, and the module whose ``kernel_of`` makes its kernel."""


@dataclass(frozen=True)
class Kernel:
    """How neurons of a model are updated.

    Attributes
    ----------
    update : numba function (u, v, a_in, registers, k) -> (u, v, spike)
        One step of neuron k: int32, registers of shape (m, n); v after the reset by its spike. A readout's
        spikes are not looked at.
    update_device : function (u, v, a_in, registers) -> (u, v, spikes), or None
        The same of int32 tensors, (B, n) and registers (m, n); None: not on a device.
    registers : function (group, expand) -> arrays
        The m rows; ``expand`` gives each neuron its value, in the kernels' order.
    outside : numba function (u, v, a_in, registers, k) -> (wraps, saturates), or None
        Whether u leaves its register and v is clipped in the step that ``update`` makes of the same. None:
        not counted.
    outside_device : function (u, v, a_in, registers) -> (wraps, saturates), or None
        The same of tensors.
    """

    update: Any
    update_device: Callable[[Any, Any, Any, Any], tuple[Any, Any, Any]] | None
    registers: Callable[[NeuronGroup, Callable[[Any], Array]], Sequence[Array]]
    outside: Any = None
    outside_device: Callable[[Any, Any, Any, Any], tuple[Any, Any]] | None = None


def kernel_of(groups: Sequence[NeuronGroup]) -> Kernel:
    """The kernel of groups that run together.

    Raises
    ------
    UnsupportedError
        Groups on one cycle have different kernels.
    """
    modules = dict.fromkeys(KERNELS[group.kind] for group in groups)
    if len(modules) > 1:
        kinds = ", ".join(f"{group.name!r} ({group.kind})" for group in groups)
        raise UnsupportedError(
            "target 'loihi'", [f"neurons of different models on one cycle: {kinds}; use target norse"]
        )
    kernel: Kernel = import_module(next(iter(modules))).kernel_of(groups)
    return kernel
