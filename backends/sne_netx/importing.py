"""lava-dl's netx in a process of our own: without torch, and with NumPy 2."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_lava.compat import import_lava
from sne_lava.installed import require_netx

Array = npt.NDArray[Any]

_SLAYER = "lava.lib.dl.slayer"
_MODULES = "lava.lib.dl.netx.sequential_modules"


@cache
def import_netx_alone() -> ModuleType:
    """Import ``lava.lib.dl.netx`` for this process alone, once; for a worker, which does nothing else.

    netx takes one function from slayer, for resonate-and-fire neurons, and slayer imports torch, beside which
    Lava's forks are unsafe. Such neurons are refused before; here slayer is empty. netx's module for networks
    of torch is left out.

    Returns
    -------
    ModuleType
        ``lava.lib.dl.netx``.
    """
    import_lava()
    require_netx()
    for name in (_SLAYER, f"{_SLAYER}.neuron", f"{_SLAYER}.neuron.rf", _MODULES):
        sys.modules[name] = ModuleType(name)
    vars(sys.modules[f"{_SLAYER}.neuron.rf"])["neuron_params"] = _refuse
    netx = importlib.import_module("lava.lib.dl.netx")
    del sys.modules[_MODULES], netx.modules  # Lava looks for the files of what it finds in a package
    make_reshape_work()
    make_convolution_work()
    return netx


def _refuse(*_: object) -> None:
    raise NotImplementedError("resonate-and-fire neurons")


def make_reshape_work() -> None:
    """Lava reshapes with an argument that NumPy 2.4 no longer has; give its ports the same without it."""
    from lava.magma.core.process.ports.ports import ReshapePort

    def forward(port: Any) -> Callable[[Array], Array]:
        return lambda data: data.reshape(port.shape)

    def backward(port: Any) -> Callable[[Array], Array]:
        return lambda data: data.reshape(port.old_shape)

    ReshapePort.get_transform_func_fwd = forward
    ReshapePort.get_transform_func_bwd = backward


def make_convolution_work() -> None:
    """Lava keeps a convolution's geometry in 8 bits, in which NumPy 2 then computes the size of its maps.

    Maps beyond 127 pixels fail or come out wrong; NumPy 1 computed with more bits. Give it Python's integers.
    """
    from lava.proc.conv import utils

    plain = utils.conv_scipy

    def convolve(maps: Array, kernel: Array, *geometry: Any) -> Array:
        sizes = [tuple(int(value) for value in part) for part in geometry[:-1]]
        return np.asarray(plain(maps, kernel, *sizes, int(geometry[-1])))

    utils.conv_scipy = convolve
