"""The closed registry of layer kinds: what a student may be made of.

Checkpoints, the Norse bridge and the NIR export all read this one table. Shapes are those of one
sample at one step, without batch and time. No torch here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from sne_deploy.errors import GraphError
from sne_deploy.model.layers import layer_rules as rule
from sne_deploy.model.layers import pools
from sne_deploy.model.layers.layer import Layer, OptionValue
from sne_deploy.model.layers.rules import (
    LayerKind,
    Option,
    Tensor,
    boolean,
    integer,
    node_name,
    one_of,
    only,
    positive_float,
    positive_integer,
    probability,
    sizes,
    tensor_problem,
)
from sne_deploy.model.layers.skips import SKIPS, skip_problem
from sne_deploy.neurons.model import CellType
from sne_deploy.neurons.table import CELLS, Derived

METHODS = ("super", "heaviside", "triangle", "tanh", "circ", "heavi_erfc")
"""Surrogate gradients that norse 1.1.0's ``threshold`` knows; all have the same forward step."""

_NAME = {"name": Option(node_name)}
_DT = {"dt": Option(positive_float, 0.001)}
_SPIKING = {
    "method": Option(one_of(*METHODS), "super"),
    "reset_method": Option(one_of("reset_value", "reset_subtract"), "reset_value"),
}
_AUTAPSES = {"autapses": Option(boolean, False)}
_RECURRENT = {"input_weights": Tensor(2), "recurrent_weights": Tensor(2)}


def _conv(name: str, axes: int) -> LayerKind:
    options = {
        "stride": Option(sizes(axes, 1), 1),
        "padding": Option(sizes(axes, 0), 0),
        "dilation": Option(sizes(axes, 1), 1),
        "groups": Option(sizes(1, 1), 1),
    }
    tensors = {"weight": Tensor(axes + 2), "bias": Tensor(1, required=False)}
    return LayerKind(name, {**_NAME, **options}, tensors, rule.conv_shape, rule.conv_problems)


def _skip(kind: LayerKind) -> LayerKind:
    """A map that adds to what comes in: without bias, and of spikes so many cells before."""
    options = {**kind.options, "over": Option(positive_integer, required=True)}
    tensors = {"weight": kind.tensors["weight"]}
    return replace(kind, name=f"Skip{kind.name}", options=options, tensors=tensors, shape=rule.identity_shape)


_LINEAR = LayerKind(
    "Linear",
    _NAME,
    {"weight": Tensor(2), "bias": Tensor(1, required=False)},
    rule.linear_shape,
    rule.linear_problems,
)


def _window(axes: int) -> dict[str, Option]:
    return {
        "kernel_size": Option(sizes(axes, 1), required=True),
        "stride": Option(lambda value: None if value is None else sizes(axes, 1)(value), None),
        "padding": Option(sizes(axes, 0), 0),
    }


def _avg_pool(axes: int) -> LayerKind:
    options = {
        **_window(axes),
        "ceil_mode": Option(only(False, "only False is supported: pad the input instead"), False),
        "count_include_pad": Option(
            only(True, "only True is supported: NIR's average divides by the whole window"), True
        ),
        "divisor_override": Option(only(None, "only None is supported: scale the next weights"), None),
    }
    return LayerKind(f"AvgPool{axes}d", {**_NAME, **options}, {}, pools.pool_shape, pools.pool_problems)


def _max_pool(axes: int) -> LayerKind:
    options = {
        **_window(axes),
        "dilation": Option(sizes(axes, 1), 1),
        "ceil_mode": Option(boolean, False),
    }
    checks = (pools.pool_shape, pools.pool_problems)
    return LayerKind(
        f"MaxPool{axes}d", {**_NAME, **options}, {}, *checks, neuron=True, spiking=True, takes="spikes"
    )


def _adaptive_pool(axes: int) -> LayerKind:
    options = {**_NAME, "output_size": Option(sizes(axes, 0), required=True)}
    return LayerKind(f"AdaptiveAvgPool{axes}d", options, {}, pools.adaptive_shape, rule.no_problems)


def _batch_norm(name: str) -> LayerKind:
    tensors = {
        "running_mean": Tensor(1),
        "running_var": Tensor(1),
        "weight": Tensor(1, required=False),
        "bias": Tensor(1, required=False),
    }
    options = {**_NAME, "eps": Option(positive_float, 1e-5)}
    return LayerKind(name, options, tensors, rule.batch_norm_shape, rule.batch_norm_problems)


def _cell(cell: CellType, *, spiking: bool) -> LayerKind:
    tensors = dict.fromkeys(cell.tensors, Tensor(None))
    if spiking:
        tensors["alpha"] = Tensor(None, required=False)
    return LayerKind(
        cell.kind,
        {**_NAME, **_DT, **(_SPIKING if spiking else {}), **(_AUTAPSES if cell.recurrent else {})},
        {**tensors, **(_RECURRENT if cell.recurrent else {})},
        rule.recurrent_shape if cell.recurrent else rule.cell_shape,
        rule.cell_problems,
        neuron=True,
        spiking=spiking,
    )


_KINDS = (
    _LINEAR,
    _conv("Conv1d", 1),
    _conv("Conv2d", 2),
    *(make(axes) for make in (_avg_pool, _max_pool, _adaptive_pool) for axes in (1, 2)),
    LayerKind(
        "Flatten",
        {**_NAME, "start_dim": Option(integer, 1), "end_dim": Option(integer, -1)},
        {},
        rule.flatten_shape,
        rule.no_problems,
        sends_what_it_takes=True,
    ),
    _batch_norm("BatchNorm1d"),
    _batch_norm("BatchNorm2d"),
    _skip(_LINEAR),
    _skip(_conv("Conv2d", 2)),
    LayerKind(
        "Dropout",
        {**_NAME, "p": Option(probability, 0.5)},
        {},
        rule.identity_shape,
        rule.no_problems,
        sends_what_it_takes=True,
    ),
)

LAYER_KINDS: Mapping[str, LayerKind] = Derived(
    lambda models: (
        {kind.name: kind for kind in _KINDS}
        | {cell.kind: _cell(cell, spiking=model.spiking) for model in models for cell in model.cells}
    )
)
"""Every kind of layer, by name. ``Dropout`` is inference only: it is the identity and is not exported."""


def option(layer: Layer, name: str) -> OptionValue:
    """A layer's option, or its default."""
    return layer.options.get(name, LAYER_KINDS[layer.kind].options[name].default)


def layer_label(layer: Layer) -> str:
    """How messages call a layer: its kind, and its name where it has one."""
    name = layer.options.get("name")
    return f"{layer.kind} {name!r}" if name else layer.kind


def validate_layer(layer: Layer) -> list[str]:
    """Everything that is wrong with a layer by itself, one line each; empty where it is right.

    Parameters
    ----------
    layer : Layer
    """
    kind = LAYER_KINDS.get(str(layer.kind))
    if kind is None:
        return [f"layer kind {layer.kind!r} is unknown; known kinds: {', '.join(LAYER_KINDS)}"]
    problems = [
        *_names("option", layer.options, kind.options, [k for k, o in kind.options.items() if o.required]),
        *_names("tensor", layer.tensors, kind.tensors, [k for k, t in kind.tensors.items() if t.required]),
    ]
    for name, rule_ in kind.options.items():
        if name in layer.options and (problem := rule_.check(layer.options[name])):
            problems.append(f"option {name}={layer.options[name]!r} {problem}")
    for name, tensor in kind.tensors.items():
        if name in layer.tensors and (problem := tensor_problem(name, tensor, layer.tensors[name])):
            problems.append(problem)
    if not problems:
        problems = kind.check(layer)
    return [f"{layer.kind}: {problem}" for problem in problems]


def _names(what: str, given: Mapping[str, object], known: Iterable[str], required: list[str]) -> list[str]:
    known = tuple(known)
    unknown = [
        f"unknown {what} {name!r}; known: {', '.join(known) or 'none'}" for name in given if name not in known
    ]
    return unknown + [f"{what} {name} is missing" for name in required if name not in given]


def output_shape(layer: Layer, input_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of a valid layer's output for one sample at one step.

    Raises
    ------
    GraphError
        The input does not fit, or nothing would be left of it.
    """
    try:
        result = LAYER_KINDS[layer.kind].shape(layer, tuple(input_shape))
    except ValueError as error:
        raise GraphError(f"{layer_label(layer)}: {error}") from None
    return result


def stack_shapes(layers: Iterable[Layer], input_shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Check every layer and the chain of their shapes; the shape that leaves each.

    Raises
    ------
    GraphError
        A layer is invalid, or does not fit the one before it; the message names its position.
    """
    shape, real, layers = tuple(input_shape), None, tuple(layers)
    sent: list[tuple[int, ...] | None] = []
    for index, layer in enumerate(layers):
        problems = validate_layer(layer)
        if problems:
            raise GraphError(f"layer {index}: {'; '.join(problems)}")
        try:
            shape = output_shape(layer, shape)
        except GraphError as error:
            raise GraphError(f"layer {index}: {error}") from None
        kind = LAYER_KINDS[layer.kind]
        if kind.takes == "spikes" and real is not None:
            raise GraphError(
                f"layer {index}: {layer_label(layer)}: {real} sends no spikes, and {ONLY_SPIKES}; put the "
                "maximum behind the next spiking cell, or use an average, and train again"
            )
        if layer.kind in SKIPS and (wrong := skip_problem(layer, shape, sent, layers[index + 1 :])):
            raise GraphError(f"layer {index}: {layer_label(layer)}: {wrong}")
        if layer.kind in CELLS:
            sent.append(shape if kind.spiking else None)
        if not kind.sends_what_it_takes:
            real = None if kind.spiking else f"layer {index} ({layer_label(layer)})"
        yield shape


ONLY_SPIKES = "a maximum is exact of spikes alone"


def first_that_takes_spikes(layers: Iterable[Layer]) -> Layer | None:
    """The layer that gets the input as it is, if it takes spikes alone."""
    first = next((layer for layer in layers if not LAYER_KINDS[layer.kind].sends_what_it_takes), None)
    return first if first is not None and LAYER_KINDS[first.kind].takes == "spikes" else None


def check_stack(layers: Iterable[Layer], input_shape: tuple[int, ...]) -> tuple[int, ...]:
    """The last of :func:`stack_shapes`, which see."""
    return (tuple(input_shape), *stack_shapes(layers, input_shape))[-1]
