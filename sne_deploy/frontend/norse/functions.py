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
from sne_deploy.frontend.norse.signals import Factor, Lost, NotAChainError, Rectify, Signal, lead

Handler = Callable[[Call], Any]


def _same(call: Call) -> Signal:
    return call.signal


def _dropout(call: Call) -> Signal:
    if call.get(2, "training", False) and call.get(1, "p", 0.5):
        raise NotAChainError(
            "drops values at random in evaluation mode too; give it training=self.training, or use nn.Dropout"
        )
    return call.signal


def _rectified(call: Call) -> Signal:
    if not call.run.holds_spikes(call.signal.op):
        raise NotAChainError(
            "is a function of real values here, which no layer is; of spikes it would be nothing"
        )
    return call.run.after(call, Rectify(call.name))


def _clamped(call: Call) -> Signal:
    low, high = call.get(1, "min"), call.get(2, "max")
    if (low is not None and low > 0) or (high is not None and high < 1):
        raise NotAChainError("changes spikes, which are 0 and 1")
    return _rectified(call)


def _scaled(call: Call) -> Signal:
    first, second = call.args[0], call.get(1, "other")
    other = second if first is call.tensor else first
    if isinstance(other, torch.Tensor):
        if other.numel() != 1 or call.run.known(other) is not None:
            raise NotAChainError("multiplies by a tensor, which is no layer; use a Linear or a Conv")
        other = other.item()
    value = float(other)
    return call.run.after(call, Factor(1 / value if "div" in call.name else value))


def _negated(call: Call) -> Signal:
    return call.run.after(call, Factor(-1.0))


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
    readout, how = known[call.name]
    if signal.axis != 0 and call.kwargs.get("keepdim"):
        raise NotAChainError("keeps an axis for time that it has reduced; leave keepdim out")
    if how:
        call.run.note(f"its output is the readout {readout}, {how}; the class is the same")
    made = replace(signal, steps=None, axis=None, readout=readout)
    return (made, None) if isinstance(call.out, tuple) else made


def _monotone(call: Call) -> Signal:
    dim = call.get(1, "dim")
    if not isinstance(dim, int) or dim % call.tensor.ndim < len(lead(call.signal, call.tensor)):
        raise NotAChainError("mixes samples or steps, which is no layer; give it the axis of the classes")
    call.run.note(f"{call.name} behind its output is left out; the class is the same")
    return replace(call.signal, readout=call.signal.readout or "left out")


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
        "requires_grad grad_fn grad backward retain_grad register_hook item tolist numpy repr format",
        "str names version data_ptr result_type",
    )
    for name in names.split()
)
"""Functions whose result does not carry the signal's values into the network."""
DECIDES = ("__bool__", "__index__", "is_nonzero", "equal", "allclose")
"""Functions by which Python decides."""


def lost(path: str, name: str, why: str) -> Lost:
    """A result that no layer can stand for."""
    return Lost(f"{path or 'the module itself'}: {name}() {why}")
