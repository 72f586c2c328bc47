"""A module's run on tensors, recorded as the chain of its layers with what each got and gave.

The module may be anything: what is recorded is the calls of layers that we know, and the functions between
them that a layer can stand for. Nothing is believed: ``probe.py`` runs the layers against what was recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from sne_deploy.frontend.norse.axes import Call
from sne_deploy.frontend.norse.decisions import DECIDES, NUMBERS, decides, falsified, picks
from sne_deploy.frontend.norse.functions import HANDLERS, JOIN, UNRELATED, lost
from sne_deploy.frontend.norse.signals import (
    INPUT,
    Lost,
    NotAChainError,
    Operation,
    Rectify,
    Signal,
    WrongLayoutError,
    at,
    by_step,
    lead,
)
from sne_deploy.frontend.norse.walking import is_leaf, timing

Known = Signal | Lost | None
Key = tuple[int, str, Any]
"""Of an operation: its source, its path, and which one it is there."""


class Recording(TorchFunctionMode):
    """Records what a copy of a module does while it is run.

    Parameters
    ----------
    module : torch.nn.Module
        A copy of ours: it gets hooks.
    batch : int
        Number of samples.
    spikes : bool
        The input is 0 and 1.
    gains : mapping of path to float
        Numbers that the inputs of modules are multiplied with.
    number : float or None
        What Python gets wherever it asks for the numbers of a signal.
    """

    def __init__(
        self,
        module: Any,
        batch: int,
        *,
        spikes: bool,
        gains: Mapping[str, float] | None = None,
        number: float | None = None,
    ) -> None:
        super().__init__()
        self.batch, self.spikes, self.gains, self.number = batch, spikes, gains or {}, number
        self.looked: str | None = None
        self.given: dict[int, torch.Tensor] = {}
        self.operations: list[Operation] = []
        self._keys: dict[Key, int] = {}
        self._known: dict[int, tuple[torch.Tensor, Signal | Lost]] = {}
        self._paths: list[str] = []
        self._inside: list[tuple[Any, Known]] = []
        self._hooks = [hook for path, child in _outermost(module) for hook in self._watch(child, path)]

    def end(self) -> None:
        """Let go of the module, whose hooks would hold this recording, and this it, in a circle."""
        for hook in self._hooks:
            hook.remove()

    # ---- what tensors are

    def known(self, value: Any) -> Known:
        """What is known of a tensor: None where it has nothing to do with the input."""
        found = self._known.get(id(value))
        return found[1] if found is not None and found[0] is value else None

    def tag(self, value: Any, what: Any) -> None:
        """Say what a tensor, or every tensor in it, is."""
        if isinstance(what, tuple) and isinstance(value, (tuple, list)):
            for each, of_it in zip(value, what, strict=True):
                self.tag(each, of_it)
        elif isinstance(value, torch.Tensor) and what is not None:
            self._known[id(value)] = value, what
        elif isinstance(value, (tuple, list)):
            for each in value:
                self.tag(each, what)

    def enters(self, value: torch.Tensor, signal: Signal) -> None:
        """Say that a tensor is the network's input."""
        self.tag(value, signal)
        self.given.update((step, tensor.clone()) for step, tensor in by_step(signal, value))

    def check(self, signal: Signal, value: torch.Tensor) -> None:
        """Refuse a tensor that is not any more what its operation gave, or the input."""
        count = len(signal.steps or (0,))
        if signal.readout or (
            signal.axis is not None and not signal.merged and value.shape[signal.axis] != count
        ):
            return
        gave = self.given if signal.op == INPUT else self.operations[signal.op].gave
        for step, tensor in by_step(signal, value):
            was = gave.get(step, gave.get(0))
            if was is not None and not _unchanged(tensor.to(was), was):
                whose = "the input" if signal.op == INPUT else "what a layer gives"
                raise NotAChainError(
                    f"its forward changes {whose} in place, through a view, .data or .numpy(), which no "
                    "layer does; change the data before, or the weights"
                )

    def holds_spikes(self, op: int) -> bool:
        """Whether what an operation gives is 0 and 1 whatever it gets."""
        if op == INPUT:
            return self.spikes
        what = self.operations[op].what
        if isinstance(what, (Rectify, torch.nn.Flatten, torch.nn.MaxPool1d, torch.nn.MaxPool2d)):
            return self.holds_spikes(self.operations[op].source)
        kind = timing(what)
        return kind.spiking or (kind.identity and self.holds_spikes(self.operations[op].source))

    def fires(self, op: int) -> bool:
        """Whether it gives 0 and 1 whatever the input is: an encoder may be exchanged for another later."""
        if op == INPUT:
            return False
        operation = self.operations[op]
        kind = timing(operation.what)
        return (kind.spiking and not kind.makes_time) or (
            self.holds_spikes(op) and self.fires(operation.source)
        )

    def after(self, call: Call, what: Any, to: Signal | None = None) -> Signal:
        """The signal that leaves a function, which becomes an operation."""
        path = self._paths[-1] if self._paths else ""
        key = (call.signal.op, path, repr(what))
        return self._operation(key, call.signal, call.tensor, what, to or call.signal, call.out)

    def _operation(
        self, key: Key, signal: Signal, given: torch.Tensor, what: Any, to: Signal, out: torch.Tensor
    ) -> Signal:
        """Find the operation, or add it to the others, and record what it got and gave."""
        if signal.readout:
            where = f"{key[1]} ({type(what).__name__}): " if isinstance(what, torch.nn.Module) else ""
            raise NotAChainError(f"{where}it comes behind a reduction over time, where a network ends")
        index = self._keys.get(key)
        if index is None:
            index = self._keys[key] = len(self.operations)
            self.operations.append(Operation(signal.op, key[1], what))
        operation = self.operations[index]
        if operation.what is not what and not _equal(operation.what, what):
            raise NotAChainError("has other numbers at other steps, which no layer does")
        made = at(to, index)
        operation.got.update((step, tensor.clone()) for step, tensor in by_step(signal, given))
        operation.gave.update((step, tensor.clone()) for step, tensor in by_step(made, out))
        return made

    # ---- functions

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self._inside:
            return func(*args, **kwargs)
        found = [(value, self.known(value)) for value in _tensors((args, tuple(kwargs.values())))]
        found = [(value, what) for value, what in found if what is not None]
        in_place = func.__name__.endswith("_") and not func.__name__.startswith("_")
        before = args[0].clone() if found and in_place and isinstance(args[0], torch.Tensor) else None
        out = func(*args, **kwargs)
        if found and func.__name__ in NUMBERS:
            self.looked = self.looked or decides(self._paths[-1] if self._paths else "", func.__name__)
            return out if self.number is None else falsified(out, self.number)
        if found:
            self._saw(func, args, kwargs, found, before, out)
        return out

    def _saw(self, func: Any, args: Any, kwargs: Any, found: Any, before: Any, out: Any) -> None:
        raw = getattr(func, "__name__", str(func))
        if raw == "__get__":
            raw = getattr(func.__self__, "__name__", raw)
        name, path = raw.strip("_"), self._paths[-1] if self._paths else ""
        if raw in DECIDES or picks(raw, args, kwargs):
            raise NotAChainError(decides(path, raw))
        if raw == "__setitem__":
            self._assigned(args, path)
            return
        if name in UNRELATED or (not _any_tensor(out)):
            return
        taken = next((what for _, what in found if isinstance(what, Lost)), None)
        if taken is None:
            taken = self._meaning(name, args, kwargs, found, before, out, path)
        self.tag(out, taken)

    def _meaning(
        self, name: str, args: Any, kwargs: Any, found: Any, before: Any, out: Any, path: str
    ) -> Any:
        handler = HANDLERS.get(name)
        if handler is None:
            return lost(path, name, "is no layer, and no function that a layer can stand for")
        tensor, signal = found[0]
        if len({id(value) for value, _ in found}) > 1 and name not in JOIN:
            return lost(path, name, "joins two signals; only a chain of layers is supported")
        own = before if before is not None and args[0] is tensor else tensor
        swapped = args if before is None else (before, *args[1:])
        given = tuple(next((what for value, what in found if value is arg), None) for arg in args)
        self.check(signal, own)
        try:
            return handler(Call(self, name, signal, own, swapped, given, kwargs, out))
        except NotAChainError as error:
            return lost(path, name, str(error))

    def _assigned(self, args: Any, path: str) -> None:
        """``buffer[t] = z``: the buffer holds one more step of the signal."""
        buffer, index, value = args
        signal, held = self.known(value), self.known(buffer)
        entries = list(index) if isinstance(index, tuple) else [index]
        steps = [(n, entry) for n, entry in enumerate(entries) if isinstance(entry, int)]
        plain = all(isinstance(entry, int) or entry in (slice(None), Ellipsis) for entry in entries)
        if isinstance(signal, Lost):
            self.tag(buffer, signal)
            return
        wanted = (steps[0][1],) if plain and len(steps) == 1 else None
        if signal is None or signal.axis is not None or signal.steps != wanted:
            self.tag(buffer, lost(path, "setitem", "writes something else than one step"))
            return
        axis = steps[0][0]
        before: tuple[int, ...] = ()
        if isinstance(held, Signal) and (held.op, held.axis) == (signal.op, axis):
            before = held.steps or ()
        elif held is not None:
            self.tag(buffer, lost(path, "setitem", "writes steps of several signals into one tensor"))
            return
        self.tag(buffer, replace(signal, axis=axis, steps=(*before, steps[0][1])))

    # ---- modules

    def _watch(self, child: Any, path: str) -> Iterator[RemovableHandle]:
        leaf = is_leaf(child)

        def enter(_: Any, args: Any, kwargs: Any) -> Any:
            self._paths.append(path)
            if not leaf:
                return None
            if self._inside:
                self._inside.append((None, None))
                return None
            given: Any = args[0] if args else next(iter(kwargs.values()), None)
            self._inside.append((given, self.known(given)))
            gain = self.gains.get(path)
            if gain is None or not args:
                return None
            return (given * gain, *args[1:]), kwargs

        def leave(module: Any, _args: Any, _kwargs: Any, out: Any) -> None:
            self._paths.pop()
            if leaf:
                given, signal = self._inside[-1]
                if len(self._inside) == 1:
                    self._called(module, path, given, signal, out)
                self._inside.pop()

        yield child.register_forward_pre_hook(enter, prepend=True, with_kwargs=True)
        yield child.register_forward_hook(leave, with_kwargs=True)

    def _called(self, module: Any, path: str, given: Any, signal: Known, out: Any) -> None:
        first = out[0] if isinstance(out, (tuple, list)) else out
        label = f"{path or 'the module itself'} ({type(module).__name__})"
        if isinstance(out, (tuple, list)):
            self.tag(list(out[1:]), Lost(f"{label}: its state is used as a signal; only its output can be"))
        if not isinstance(signal, Signal):
            self.tag(
                first, signal or Lost(f"{label}: what it gets does not come from the input by known layers")
            )
            return
        self.check(signal, given)
        kind, to, key = timing(module), signal, (signal.op, path, id(module))
        known = self._keys.get(key)
        if kind.cell and (signal.axis is not None or signal.merged):
            raise WrongLayoutError(
                f"{label}: a cell gets a time axis, and would take it for samples or neurons"
            )
        if kind.over_time and (signal.axis != 0 or signal.merged):
            raise WrongLayoutError(f"{label}: it gets no time axis in front")
        if signal.steps is None and kind.makes_time and first.ndim == given.ndim + 1:
            to = replace(signal, steps=tuple(range(len(first))), axis=0)
        elif signal.steps is None and (kind.cell or kind.makes_time):
            to = replace(signal, steps=(0 if known is None else len(self.operations[known].gave),))
        elif kind.cell and known is not None and signal.steps[0] in self.operations[known].gave:  # type: ignore[index]  # there are steps
            raise WrongLayoutError(f"{label}: it runs twice in one step; give every layer a cell of its own")
        if to is signal and lead(to, first) != lead(to, given):
            remedy = ""
            if (
                signal.op == INPUT
                and signal.axis == 1
                and signal.steps is not None
                and len(signal.steps) == 1
            ):
                shape = tuple(given.shape[1:])
                remedy = f"; for a channel, give input_shape={shape} and take unsqueeze() out of forward"
            raise NotAChainError(f"{label}: it changes the number of samples or steps{remedy}")
        gain = self.gains.get(path)
        given = given if gain is None else given * gain
        made = self._operation(key, signal, given, module, to, first)
        self.tag(first, made)
        if made.steps and isinstance(out, tuple) and len(out) == 2:
            self.operations[made.op].states[made.steps[-1]] = state_of(out[1])


def state_of(state: Any) -> dict[str, torch.Tensor]:
    """The fields of a neuron's state, as they are now."""
    fields = state._asdict() if hasattr(state, "_asdict") else {}
    return {name: value.clone() for name, value in fields.items() if isinstance(value, torch.Tensor)}


def _outermost(module: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every module by its path, but none inside a layer that we know; each once."""
    seen: set[int] = set()
    waiting = [(path, module)]
    while waiting:
        path, child = waiting.pop()
        if id(child) in seen:
            continue
        seen.add(id(child))
        yield path, child
        if not is_leaf(child):
            waiting += [(f"{path}.{name}".lstrip("."), entry) for name, entry in child.named_children()]


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from _tensors(each)


def _unchanged(tensor: torch.Tensor, was: torch.Tensor) -> bool:
    return torch.equal(tensor, was) or torch.allclose(tensor.double(), was.double(), 0, 0, equal_nan=True)


def _any_tensor(value: Any) -> bool:
    return any(True for _ in _tensors(value))


def _equal(one: Any, other: Any) -> bool:
    if not isinstance(one, torch.nn.Module):
        return bool(one == other)
    return all(torch.equal(a, b) for a, b in zip(_parameters(one), _parameters(other), strict=True))


def _parameters(module: Any) -> Iterable[torch.Tensor]:
    return list(module.parameters())
