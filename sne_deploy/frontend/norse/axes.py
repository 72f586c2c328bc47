"""What torch's functions make of a signal's axes: time and batch are joined, split, picked and exchanged.

Each gets a :class:`Call` and returns what the result is; it raises NotAChainError where no layer could stand
for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import torch

from sne_deploy.frontend.norse.signals import (
    INPUT,
    NotAChainError,
    Signal,
    WrongLayoutError,
    lead,
)
from sne_deploy.ir.readout import READOUTS

if TYPE_CHECKING:
    from sne_deploy.frontend.norse.recording import Recording


@dataclass(frozen=True)
class Call:
    """A call of a function on a signal.

    Attributes
    ----------
    run : Recording
    name : str
        Of the function, without underscores around it.
    signal : Signal
    tensor : torch.Tensor
        The first argument that is a signal, with the values that it had.
    args, kwargs
    given : tuple
        What is known of each of ``args``.
    out
        What the function returned.
    """

    run: Recording
    name: str
    signal: Signal
    tensor: torch.Tensor
    args: tuple[Any, ...]
    given: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    out: Any

    def get(self, position: int, name: str, default: Any = None) -> Any:
        """An argument by its position, the tensor's own being 0, or by its name."""
        return self.args[position] if len(self.args) > position else self.kwargs.get(name, default)


def reshaped(call: Call) -> Signal:
    """A tensor of other axes: values as they were, or flattened; time and batch may be joined or split."""
    signal, given, out = call.signal, call.tensor, call.out
    reduced = signal.steps is None or (signal.axis is None and not signal.merged)
    steps, batch = 1 if reduced else len(signal.steps or ()), call.run.batch
    shape = tuple(given.shape[len(lead(signal, given)) :])
    leads: list[tuple[tuple[int, ...], Signal]] = [(lead(signal, given), signal)]
    both = [(steps, batch), (batch, steps)]
    if signal.merged:
        leads.append((both[signal.axis or 0], replace(signal, merged=False)))
    elif signal.axis is not None:
        leads.append(((steps * batch,), replace(signal, merged=True)))
    if signal.axis is None:
        leads += [(sizes, replace(signal, axis=axis)) for axis, sizes in enumerate(both)]
    elif steps == 1:
        leads.append(((batch,), replace(signal, axis=None, merged=False)))
    matching = [
        (tuple(out.shape[len(sizes) :]), to) for sizes, to in leads if out.shape[: len(sizes)] == sizes
    ]
    for left, to in matching:
        if left == shape:
            return to
    for left, to in matching:
        for start, end in combinations(range(len(shape) + 1), 2):
            if left == (*shape[:start], math.prod(shape[start:end]), *shape[end:]):
                return call.run.after(call, torch.nn.Flatten(1 + start, end), to)
    raise NotAChainError(
        f"makes {tuple(out.shape)} of {tuple(given.shape)}: only time and batch, or axes of a sample, can be "
        f"joined{_as_input(signal, tuple(given.shape[1:]), tuple(out.shape[1:]), call.name)}"
    )


def _as_input(signal: Signal, given: tuple[int, ...], wanted: tuple[int, ...], name: str) -> str:
    """The remedy where a sample is only brought into shape."""
    if signal.op != INPUT or signal.axis is not None or math.prod(given) != math.prod(wanted):
        return ""
    return f"; give input_shape={wanted} and take {name}() out of forward"


def permuted(call: Call) -> Signal:
    """The time axis may move; those of a sample may not."""
    sizes = tuple(range(2, 2 + call.tensor.ndim))
    stand_in = torch.empty(sizes, device="meta")
    function = getattr(torch.Tensor, call.name)
    order = [size - 2 for size in function(stand_in, *call.args[1:], **call.kwargs).shape]
    signal = call.signal
    if order == sorted(order):
        return signal
    if (
        signal.axis is None
        or signal.merged
        or [n for n in order if n != signal.axis] != sorted(n for n in order if n != signal.axis)
    ):
        raise NotAChainError("exchanges axes of a sample, which is no layer")
    return replace(signal, axis=order.index(signal.axis))


def indexed(call: Call) -> Signal:
    """``x[t]``, ``x[:, t]``, ``x[1:3]``."""
    index = call.args[1]
    entries = list(index) if isinstance(index, tuple) else [index]
    if Ellipsis in [entry for entry in entries if not isinstance(entry, torch.Tensor)]:
        where = next(n for n, entry in enumerate(entries) if entry is Ellipsis)
        missing = call.tensor.ndim - (len(entries) - 1)
        entries[where : where + 1] = [slice(None)] * missing
    return _picked(call, dict(enumerate(entries)))


def selected(call: Call) -> Signal:
    """``x.select(dim, t)``."""
    dim = int(call.get(1, "dim")) % call.tensor.ndim
    return _picked(call, {dim: call.get(2, "index")})


def narrowed(call: Call) -> Signal:
    """``x.narrow(dim, start, length)``."""
    dim, start = int(call.get(1, "dim")) % call.tensor.ndim, int(call.get(2, "start"))
    return _picked(call, {dim: slice(start, start + int(call.get(3, "length")))})


def _picked(call: Call, entries: Mapping[int, Any]) -> Signal:
    signal = call.signal
    for dim, entry in entries.items():
        if isinstance(entry, slice) and len(range(call.tensor.shape[dim])[entry]) == call.tensor.shape[dim]:
            continue
        if signal.axis is None or signal.merged or dim != signal.axis:
            _not_time(signal, dim)
        if signal.steps is None:
            raise NotAChainError("picks steps of an input without time")
        if isinstance(entry, slice):
            signal = replace(signal, steps=signal.steps[entry])
        elif isinstance(entry, int) or (isinstance(entry, torch.Tensor) and entry.ndim == 0):
            signal = replace(signal, steps=((signal.steps or ())[int(entry)],), axis=None)
        else:
            raise NotAChainError(f"picks steps by a {type(entry).__name__}; use a number or a slice")
    return signal


def _not_time(signal: Signal, dim: int) -> None:
    if signal.op == -1 and dim < 2:
        raise WrongLayoutError("its forward picks samples where time was expected")
    raise NotAChainError("picks a part of a sample or of the batch, which is no layer")


def unbound(call: Call) -> tuple[Signal, ...]:
    """``for step in x``, and ``x.unbind(dim)``."""
    dim = int(call.get(1, "dim", 0)) % call.tensor.ndim
    signal = call.signal
    if signal.axis != dim or signal.merged:
        _not_time(signal, dim)
    assert signal.steps is not None  # noqa: S101  an axis of time has steps
    return tuple(replace(signal, steps=(step,), axis=None) for step in signal.steps)


def pieces(call: Call) -> tuple[Signal, ...]:
    """``x.chunk(n, dim)`` and ``x.split(n, dim)``: several steps each."""
    dim = int(call.get(2, "dim", 0)) % call.tensor.ndim
    signal = call.signal
    if signal.axis != dim or signal.merged or signal.steps is None:
        _not_time(signal, dim)
    ends, steps = 0, signal.steps or ()
    found = []
    for piece in call.out:
        count = piece.shape[dim]
        found.append(replace(signal, steps=steps[ends : ends + count]))
        ends += count
    return tuple(found)


def joined(call: Call) -> Signal:
    """``stack`` and ``cat`` of steps of one signal, along time."""
    parts = call.args[0] if call.args else call.kwargs["tensors"]
    signals = [call.run.known(part) for part in parts]
    first = call.signal
    if first.readout in (*READOUTS, "sum"):
        raise NotAChainError("comes behind a reduction over time, where a network ends")
    dim = int(call.get(1, "dim", 0)) % call.out.ndim
    wanted = None if call.name == "stack" else dim
    if any(
        not isinstance(s, Signal) or (s.op, s.axis, s.merged) != (first.op, wanted, False) for s in signals
    ):
        raise NotAChainError("joins signals of different layers, or along another axis than time")
    if first.steps is None:
        return replace(first, steps=tuple(range(len(signals))), axis=dim)
    return replace(first, steps=tuple(n for s in signals for n in s.steps or ()), axis=dim)  # type: ignore[union-attr]  # all are signals


def repeated(call: Call) -> Signal:
    """A signal without time, as many times as there are steps."""
    signal, out = call.signal, call.out
    if tuple(out.shape) == tuple(call.tensor.shape):
        return signal
    rest = tuple(call.tensor.shape[len(lead(signal, call.tensor)) :])
    if signal.steps is None and tuple(out.shape[2:]) == rest:
        for axis in (0, 1):
            if out.shape[1 - axis] == call.run.batch:
                return replace(signal, steps=tuple(range(out.shape[axis])), axis=axis)
    raise NotAChainError(f"makes {tuple(out.shape)} of {tuple(call.tensor.shape)}, which is no layer")
