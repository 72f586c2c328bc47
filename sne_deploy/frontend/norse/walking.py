"""Which modules of a live network are layers, and how those behave in time.

Importing this module imports torch and norse.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import norse.torch
import torch
from norse.torch.module.snn import SNN, SNNCell, SNNRecurrent, SNNRecurrentCell
from torch.nn.utils.parametrize import type_before_parametrizations

from sne_deploy.frontend.norse.cells import CELL_CLASSES
from sne_deploy.frontend.norse.reading import CELL_OF_LAYER, DROPPED, is_cell, is_known
from sne_deploy.frontend.norse.refusals import reason_of
from sne_deploy.frontend.norse.skips import SKIP_CLASSES
from sne_deploy.model.layers.registry import LAYER_KINDS

CONTAINERS = ("Sequential", "SequentialState", "Lift")
_PASSING = {*CONTAINERS, "Module", "ModuleList", "ParameterList", "ParameterDict", "DataParallel", "Flatten"}
_PASSING |= {"DistributedDataParallel", "Unflatten", "ReLU", "ReLU6", "Hardtanh", "Softmax", "LogSoftmax"}
_WRAPPERS = {"DataParallel": "module", "DistributedDataParallel": "module", "OptimizedModule": "_orig_mod"}


@dataclass(frozen=True)
class Found:
    """A module without children of its own, and where it is."""

    path: str
    module: Any
    lifted: bool

    @property
    def label(self) -> str:
        """Path and class, for messages."""
        kind = type_before_parametrizations(self.module).__name__
        return f"{self.path or 'the module itself'} ({kind})"


@dataclass(frozen=True)
class Timing:
    """How a module treats time.

    Attributes
    ----------
    cell : bool
        It has a state, and sees one step.
    over_time : bool
        It runs over all steps, which are the first axis.
    makes_time : bool
        It makes spikes of values that have no time.
    spiking : bool
        What it gives is 0 and 1.
    identity : bool
        It does nothing at inference.
    """

    cell: bool = False
    over_time: bool = False
    makes_time: bool = False
    spiking: bool = False
    identity: bool = False


def kind_of(module: Any) -> str | None:
    """The name of the torch or Norse class whose ``forward`` a module has; None for anything else.

    A subclass counts as its base where it computes the same, and a parametrised module as what it was.
    """
    if "forward" in vars(module):
        return None
    own: Any = type_before_parametrizations(module)
    kind: Any
    for kind in own.__mro__:
        name = kind.__name__
        if kind is torch.nn.Module:
            return None
        if kind in (
            getattr(torch.nn, name, None),
            getattr(norse.torch, name, None),
            CELL_CLASSES.get(name),
            SKIP_CLASSES.get(name),
        ):
            return name if own.forward is kind.forward else None
    return None


def is_leaf(module: Any) -> bool:
    """Whether its inside is of no interest: a layer that we know, or a neuron of Norse's."""
    kind = kind_of(module)
    if kind is None or kind in (*CONTAINERS, "Flatten"):  # which axes it joins, its run says
        return False
    return is_known(kind) or (
        type_before_parametrizations(module).__module__.startswith("norse.torch.module")
    )


def timing(module: Any) -> Timing:
    """How a leaf treats time."""
    kind = (kind_of(module) if isinstance(module, torch.nn.Module) else None) or ""
    known = LAYER_KINDS.get(CELL_OF_LAYER.get(kind, kind))
    over_time = kind in CELL_OF_LAYER or isinstance(module, (SNN, SNNRecurrent))
    return Timing(
        cell=not over_time and (is_cell(kind) or isinstance(module, (SNNCell, SNNRecurrentCell))),
        over_time=over_time,
        makes_time="Encoder" in kind,
        spiking="Encoder" in kind or (known is not None and known.spiking),
        identity=kind in DROPPED,
    )


def unsupported(module: Any) -> dict[str, str]:
    """What is wrong with every module of torch's or Norse's that no layer stands for, by its path."""
    found: dict[str, str] = {}
    for path, child in module.named_modules():
        own = type(child)
        kind = own.__name__ if own.__module__.startswith("torch.nn.modules") else child._get_name()  # noqa: SLF001  # torch's name of quantised ones
        known = not own.__module__.startswith(("torch.nn", "torch.ao")) or is_leaf(child) or kind in _PASSING
        if not known and not any(path.startswith(f"{outer}.") for outer in found):
            found[path] = f"{path or 'the module itself'} ({kind}): {reason_of(kind)}"
    return found


def walk(module: Any, path: str = "", *, lifted: bool = False) -> Iterator[Found]:
    """Every layer of containers that run their children in order."""
    kind = kind_of(module)
    if kind == "Lift" and not lifted:
        yield from walk(module.lifted_module, f"{path}.lifted_module".lstrip("."), lifted=True)
    elif kind in ("Sequential", "SequentialState"):
        # not named_children(), which leaves out a module's second appearance
        for name, child in zip(module._modules, module, strict=True):  # noqa: SLF001  # torch has no public way
            yield from walk(child, f"{path}.{name}".lstrip("."), lifted=lifted)
    elif type(module).__name__ in _WRAPPERS and kind != "Sequential":
        name = _WRAPPERS[type(module).__name__]
        yield from walk(getattr(module, name), f"{path}.{name}".lstrip("."), lifted=lifted)
    else:
        yield Found(path, module, lifted)
