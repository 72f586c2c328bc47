"""What torch's functions make of a signal, where a module's own ``forward`` calls them.

Each handler gets a :class:`Call` and returns the signal that the result is; it raises NotAChainError where no
layer could stand for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch

from sne_deploy.frontend.norse import axes
from sne_deploy.frontend.norse.axes import Call
from sne_deploy.frontend.norse.signals import (
    SAME_CLASS,
    Affine,
    Lost,
    NotAChainError,
    Rectify,
    Signal,
    lead,
    noted,
)

Handler = Callable[[Call], Any]
_DATA = "where it is a function of the input, leave it out for an input of 0 and 1, else apply it to the data"


def _same(call: Call) -> Signal:
    whole = isinstance(call.out, torch.Tensor) and not call.out.is_floating_point()
    if whole and call.tensor.is_floating_point() and not call.run.fires(call.signal.op):
        raise NotAChainError(f"makes whole numbers of real ones; {_DATA}")
    return call.signal


def _dropout(call: Call) -> Signal:
    if call.get(2, "training", False) and call.get(1, "p", 0.5):
        raise NotAChainError(
            "drops values at random in evaluation mode too; give it training=self.training, or use nn.Dropout"
        )
    return call.signal


def _rectified(call: Call) -> Signal:
    if not call.run.fires(call.signal.op):
        raise NotAChainError(f"is a function of real values here, which no layer is; {_DATA}")
    return call.run.after(call, Rectify(call.name))


def _clamped(call: Call) -> Signal:
    low, high = call.get(1, "min"), call.get(2, "max")
    if call.run.fires(call.signal.op) and ((low is not None and low > 0) or (high is not None and high < 1)):
        raise NotAChainError("changes spikes, which are 0 and 1")
    return _rectified(call)


def _operand(call: Call) -> tuple[Any, bool]:
    """The other operand of a function of two, and whether the signal is the first."""
    first, second = call.args[0], call.get(1, "other")
    return (second, True) if first is call.tensor else (first, False)


def _scaled(call: Call) -> Signal:
    other, before = _operand(call)
    if "div" in call.name:
        if not before or call.kwargs.get("rounding_mode"):
            raise NotAChainError("is no linear map of the signal, so that no layer can stand for it")
        return _affine(call, 1 / _numbers(call, other), None)
    return _affine(call, _numbers(call, other), None)


def _negated(call: Call) -> Signal:
    return _affine(call, torch.tensor(-1.0), None)


def _added(call: Call) -> Signal:
    """A constant is a shift; the steps of one signal add up to a readout."""
    other, before = _operand(call)
    if call.kwargs.get("alpha", 1) != 1:
        raise NotAChainError("has a factor alpha; write it as a product")
    minus = call.name in ("sub", "subtract", "rsub")
    known = [what for what in call.given[:2] if what is not None]
    if len(known) == 2 and not minus:
        return _accumulated(known[0], known[1])
    if len(known) == 2:
        raise NotAChainError("joins two signals; only a chain of layers is supported")
    if isinstance(other, (int, float)) and other == 0 and not (minus and call.name == "rsub"):
        return call.signal
    value = _numbers(call, other)
    if not bool(value.any()) and call.out.shape == call.tensor.shape and not minus:
        return call.signal
    if minus and (call.name == "rsub" or not before):
        return _affine(call, -torch.ones(()), value)
    return _affine(call, None, -value if minus else value)


def _accumulated(one: Signal, two: Signal) -> Signal:
    steps = (*(one.steps or ()), *(two.steps or ()))
    partial = {one.readout, two.readout} <= {None, "sum"}
    if one.op != two.op or one.axis is not None or two.axis is not None or not partial or not steps:
        raise NotAChainError("joins two signals; only a chain of layers is supported")
    if len(set(steps)) != len(steps):
        raise NotAChainError("adds a step twice")
    return replace(one, steps=steps, readout="sum")


def _affine(call: Call, factor: torch.Tensor | None, shift: torch.Tensor | None) -> Signal:
    signal = call.signal
    if signal.readout:
        return without_factor(summed(call.run, signal), factor, shift)
    channels = (call.tensor.shape[len(lead(signal, call.tensor))],)
    numbers = (torch.ones(()) if factor is None else factor, torch.zeros(()) if shift is None else shift)
    return call.run.after(call, Affine(*(number.double().expand(channels) for number in numbers)))


def without_factor(signal: Signal, factor: torch.Tensor | None, shift: torch.Tensor | None) -> Signal:
    """A readout without the positive factor behind it, which leaves its class."""
    known = torch.ones(1) if factor is None else factor
    found = float(known.min())
    if (shift is not None and bool(shift.any())) or bool((known != found).any()) or found <= 0:
        raise NotAChainError(
            "comes behind the readout, where one positive factor alone may stand; take it out of forward, "
            "and apply it to the logits"
        )
    return noted(signal, f"a factor of {found:g} behind its output is left out{SAME_CLASS}")


def _numbers(call: Call, value: Any) -> torch.Tensor:
    """A constant operand: one number, or one per neuron of a vector, or per channel of a map."""
    made = torch.as_tensor(value).detach().cpu().double()
    if made.numel() == 1:
        return made.reshape(())
    before = len(lead(call.signal, call.tensor))
    axes = call.tensor.ndim - before
    if call.signal.axis not in (None, 0, 1):
        raise NotAChainError("has a tensor for an operand where time is the last axis; give it a number")
    while made.ndim > axes and made.shape[0] == 1:
        made = made[0]
    if made.ndim > axes:
        raise NotAChainError("has an operand that differs between samples or steps, which no layer does")
    if made.ndim < axes or any(size != 1 for size in made.shape[1:]):
        raise NotAChainError("has an operand that differs between positions of a map, which no layer does")
    return made.flatten()


_SPIKES_READ = {"sum": ("count", None), "mean": ("count", "divided by the number of steps")}
_VALUES_READ = {
    "mean": ("v_mean", None),
    "sum": ("v_mean", "multiplied by the number of steps"),
    "max": ("v_max", None),
    "amax": ("v_max", None),
}


def _reduced(call: Call) -> Any:
    """A sum, mean or maximum over time is a readout."""
    signal = call.signal
    if signal.readout:
        raise NotAChainError("comes behind a softmax or another reduction over time, where a network ends")
    dim = call.get(1, "dim")
    dim = dim[0] if isinstance(dim, (tuple, list)) and len(dim) == 1 else dim
    known = _SPIKES_READ if call.run.holds_spikes(signal.op) else _VALUES_READ
    if (
        not isinstance(dim, int)
        or signal.merged
        or signal.axis is None
        or dim % call.tensor.ndim != signal.axis
    ):
        raise NotAChainError("mixes the values of a sample, which is no layer")
    if call.name not in known:
        raise NotAChainError("is no readout of spikes; use sum over time")
    if signal.axis != 0 and call.kwargs.get("keepdim"):
        raise NotAChainError("keeps an axis for time that it has reduced; leave keepdim out")
    made = _read(signal, known, call.name)
    return (made, None) if isinstance(call.out, tuple) else made


def summed(run: Any, signal: Signal) -> Signal:
    """The readout of a signal whose steps were added up one by one; any other as it is."""
    if signal.readout != "sum":
        return signal
    return _read(signal, _SPIKES_READ if run.holds_spikes(signal.op) else _VALUES_READ, "sum")


def _read(signal: Signal, known: Mapping[str, tuple[str, str | None]], name: str) -> Signal:
    readout, how = known[name]
    made = replace(signal, axis=None, readout=readout)
    return noted(made, f"its output is the readout {readout}, {how}{SAME_CLASS}") if how else made


def _monotone(call: Call) -> Signal:
    dim = call.get(1, "dim")
    if not isinstance(dim, int) or dim % call.tensor.ndim < len(lead(call.signal, call.tensor)):
        raise NotAChainError("mixes samples or steps, which is no layer; give it the axis of the classes")
    signal = summed(call.run, call.signal)
    made = replace(signal, readout=signal.readout or "left out")
    return noted(made, f"{call.name} behind its output is left out{SAME_CLASS}")


def _pool(make: Callable[..., Any], *names: str) -> Handler:
    def handler(call: Call) -> Signal:
        given = {
            name: call.get(n, name)
            for n, name in enumerate(names, 1)
            if call.get(n, name) is not None and call.get(n, name) != []
        }
        given.pop("return_indices", None)
        return call.run.after(call, make(**given))

    return handler


def _weighted(call: Call) -> Signal:
    weight, bias = call.get(1, "weight"), call.get(2, "bias")
    if call.name == "matmul":
        if call.args[0] is not call.tensor or weight is None:
            weight = call.get(1, "other", call.get(1, "mat2"))
        if call.args[0] is not call.tensor or weight.ndim != 2:
            raise NotAChainError("is a product with something else than a matrix behind it; use a Linear")
        weight, bias = weight.T, None
    if call.run.known(weight) is not None:
        raise NotAChainError("has weights that depend on the input")
    made: Any
    if call.name in ("linear", "matmul"):
        made = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    else:
        kind = torch.nn.Conv1d if call.name == "conv1d" else torch.nn.Conv2d
        options = {
            name: call.get(n, name, default)
            for n, (name, default) in enumerate(
                (("stride", 1), ("padding", 0), ("dilation", 1), ("groups", 1)), 3
            )
        }
        groups = options["groups"]
        kernel = tuple(weight.shape[2:])
        made = kind(weight.shape[1] * groups, weight.shape[0], kernel, bias=bias is not None, **options)
    made.weight = torch.nn.Parameter(weight.detach().clone(), requires_grad=False)
    if bias is not None:
        made.bias = torch.nn.Parameter(bias.detach().clone(), requires_grad=False)
    return call.run.after(call, made)


_WINDOW = ("kernel_size", "stride", "padding")
_nn = torch.nn
_GROUPS: tuple[tuple[str, Handler], ...] = (
    (
        "contiguous clone detach float double to cpu cuda type type_as data requires_grad_ alias Identity",
        _same,
    ),
    ("dropout dropout1d dropout2d dropout3d feature_dropout", _dropout),
    ("relu abs", _rectified),
    ("clamp clip hardtanh", _clamped),
    ("mul div true_divide multiply divide rmul", _scaled),
    ("add sub subtract rsub radd", _added),
    ("neg negative", _negated),
    ("view reshape flatten squeeze unsqueeze unflatten view_as reshape_as", axes.reshaped),
    ("permute transpose movedim moveaxis swapaxes swapdims t", axes.permuted),
    ("getitem", axes.indexed),
    ("select", axes.selected),
    ("narrow", axes.narrowed),
    ("unbind", axes.unbound),
    ("chunk split tensor_split", axes.pieces),
    ("stack cat concat concatenate", axes.joined),
    ("expand repeat tile expand_as", axes.repeated),
    ("sum mean max amax", _reduced),
    ("log_softmax softmax argmax", _monotone),
    ("linear matmul mm conv1d conv2d", _weighted),
    ("max_pool2d", _pool(_nn.MaxPool2d, *_WINDOW, "dilation", "ceil_mode", "return_indices")),
    ("max_pool1d", _pool(_nn.MaxPool1d, *_WINDOW, "dilation", "ceil_mode", "return_indices")),
    ("avg_pool2d", _pool(_nn.AvgPool2d, *_WINDOW, "ceil_mode", "count_include_pad", "divisor_override")),
    ("adaptive_avg_pool2d", _pool(_nn.AdaptiveAvgPool2d, "output_size")),
)
HANDLERS: Mapping[str, Handler] = {name: handler for names, handler in _GROUPS for name in names.split()}
"""By the function's name, without the underscores around it."""
UNRELATED = frozenset(
    name
    for names in (
        "zeros_like ones_like empty_like full_like rand_like new_zeros new_ones new_empty new_full",
        "shape size dim ndim device dtype len numel layout stride storage_offset element_size get_device",
        "is_sparse is_leaf is_contiguous is_floating_point is_complex is_cuda is_quantized is_meta is_nested",
        "requires_grad grad_fn grad backward retain_grad register_hook repr format",
        "str names version data_ptr result_type",
    )
    for name in names.split()
)
"""Functions whose result does not carry the signal's values into the network."""
JOIN = ("stack", "cat", "concat", "concatenate", "add", "sub", "subtract")
"""Functions that may get several signals."""


def lost(path: str, name: str, why: str) -> Lost:
    """A result that no layer can stand for."""
    return Lost(f"{path or 'the module itself'}: {name}() {why}")
