"""Copies of live modules, to be run without a trace in the user's own: evaluation mode, watched hooks.

Importing this module imports torch and norse.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import norse.torch
import numpy as np
import torch
from norse.torch.utils.state import _is_module_stateful
from torch.nn.parameter import UninitializedParameter
from torch.nn.utils.parametrize import is_parametrized
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm
from torch.overrides import TorchFunctionMode

from sne_deploy.errors import UnsupportedError

_RECOMPUTE = (BasePruningMethod, WeightNorm, SpectralNorm)


class _ValuesOfResults(TorchFunctionMode):
    """Deep copies of tensors that autograd made (a pruned weight), which torch refuses: their values."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.__deepcopy__ and not args[0].is_leaf:
            return args[1].setdefault(id(args[0]), args[0].detach().clone())
        return func(*args, **(kwargs or {}))


def unwrapped(module: Any) -> Any:
    """The module inside ``torch.compile``'s and the data-parallel wrappers."""
    while True:
        if isinstance(module, torch._dynamo.OptimizedModule):  # noqa: SLF001  # torch has no public name for it
            module = module._orig_mod  # noqa: SLF001
        elif isinstance(module, (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)):
            module = module.module
        else:
            return module


def copied(module: Any) -> Any:
    """A deep copy, in evaluation mode.

    Raises
    ------
    UnsupportedError
        It has no Python code or no weights, or cannot be copied.
    """
    module = unwrapped(module)
    problems = []
    for path, child in module.named_modules():
        label = f"{path or 'the module itself'} ({type(child).__name__})"
        if isinstance(child, torch.jit.ScriptModule):
            problems.append(
                f"{label}: TorchScript has no layers to read; give the module that it was made of"
            )
            break
        if any(isinstance(p, UninitializedParameter) for p in child.parameters(recurse=False)):
            problems.append(f"{label}: it has no weights yet; run the module once, then convert it")
    if problems:
        raise UnsupportedError("cannot convert the module", problems)
    try:
        with _ValuesOfResults():
            made = copy.deepcopy(module)
    except Exception as error:  # noqa: BLE001  # whatever an attribute of the user's own raises
        problem = (
            f"it cannot be copied to be run ({type(error).__name__}: {one_line(error)}); take out of its "
            "attributes what copy.deepcopy refuses"
        )
        raise UnsupportedError("cannot convert the module", [problem]) from None
    made.eval()
    _carry_state(made)
    return made


def current(module: Any) -> Any:
    """The module, or a copy of it whose parameters are what ``forward`` would take.

    ``prune``, ``weight_norm`` and ``spectral_norm`` write them in a hook before ``forward``, so that they are
    those of the last run; parametrisations may change their state where they are read.
    """
    module = unwrapped(module)
    if not any(child._forward_pre_hooks or is_parametrized(child) for child in module.modules()):  # noqa: SLF001
        return module
    made = copied(module)
    with undisturbed(made):
        for child in made.modules():
            for hook in child._forward_pre_hooks.values():  # noqa: SLF001
                if isinstance(hook, _RECOMPUTE):
                    hook(child, ())
    return made


def _carry_state(module: Any) -> bool:
    """Let every plain Sequential that holds cells thread their states; whether the module has a state."""
    kind = type(module)
    if kind in (torch.nn.Sequential, norse.torch.SequentialState):
        for name, child in module.named_children():
            module._modules[name] = unwrapped(child)  # noqa: SLF001
    children = [_carry_state(child) for child in module.children()]
    if kind is torch.nn.Sequential and any(children):
        module.__class__ = norse.torch.SequentialState
        module.forward_state_hooks, module.return_hidden = [], False
    if type(module) is norse.torch.SequentialState:
        module.stateful_layers = [_is_module_stateful(child) for child in module]
        return True
    if kind is norse.torch.Lift:
        module.is_stateful = _is_module_stateful(module.lifted_module)
        return False
    if kind is torch.nn.DataParallel:
        module.device_ids = []
    return kind.__module__.startswith("norse.") and bool(_is_module_stateful(module))


def watch_hooks(module: Any, refuse: Callable[[str], None]) -> None:
    """Wrap every hook of a copy: what changes an input or an output is told to ``refuse``."""
    for path, child in module.named_modules():
        where = f"{path or 'the module itself'} ({type(child).__name__})"
        for what, hooks in (("input", child._forward_pre_hooks), ("output", child._forward_hooks)):  # noqa: SLF001
            for key, hook in hooks.items():
                hooks[key] = _watched(hook, where, what, refuse)


@contextmanager
def watched_globals(refuse: Callable[[str], None] | None) -> Iterator[None]:
    """Watch the hooks of torch that every module runs, or leave them out."""
    own = torch.nn.modules.module
    kinds = (("input", own._global_forward_pre_hooks), ("output", own._global_forward_hooks))  # noqa: SLF001  # torch has no public way
    kept = [(hooks, dict(hooks)) for _, hooks in kinds]
    try:
        for what, hooks in kinds:
            for key, hook in list(hooks.items()):
                if refuse is None:
                    del hooks[key]
                else:
                    hooks[key] = _watched(hook, "every module (a global hook)", what, refuse)
        yield
    finally:
        for hooks, before in kept:
            hooks.clear()
            hooks.update(before)


def _watched(hook: Any, where: str, what: str, refuse: Callable[[str], None]) -> Any:
    name = getattr(hook, "__qualname__", type(hook).__qualname__)

    def watched(child: Any, *values: Any) -> Any:
        seen = values[-1] if what == "output" else values[:2]
        with torch._C.DisableTorchFunction():  # noqa: SLF001  # a hook is no part of what is recorded
            before = [(tensor, tensor.clone()) for tensor in _tensors(seen)]
            result = hook(child, *values)
            in_place = any(not torch.equal(*pair) for pair in before)
        if in_place or not _same(result, values[-1] if what == "output" else values):
            refuse(
                f"{where}: its hook {name} changes the {what}, which a chip would not; remove the hook, or "
                "make what it does a layer"
            )
        return result

    return watched


def _same(result: Any, values: Any) -> bool:
    """Whether a hook gave back nothing, or the very tensors that it got."""
    if result is None:
        return True
    return [id(tensor) for tensor in _tensors(result)] == [id(tensor) for tensor in _tensors(values)]


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for entry in value:
            yield from _tensors(entry)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))


@contextmanager
def undisturbed(module: Any) -> Iterator[None]:
    """Run without gradients and compilers; every random generator is afterwards as it was."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002  # the user's module may use it
    devices = {p.device.index or 0 for p in module.parameters() if p.device.type == "cuda"}
    try:
        with (
            torch.random.fork_rng(devices),
            torch.no_grad(),
            torch.compiler.set_stance("force_eager"),
        ):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002


def one_line(error: Exception) -> str:
    """A library's message, short and without line breaks."""
    return " ".join(str(error).split())[:200]
