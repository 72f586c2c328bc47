"""What a layer's options and tensors may be: small, composable rules that return a problem or None."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sne_deploy.model.layers.geometry import Shape
from sne_deploy.model.layers.layer import Layer, OptionValue

Check = Callable[[OptionValue], str | None]
FLOAT_DTYPES = ("float32", "float64")
MAX_SIZE = 2**31 - 1
_NAME = re.compile(r"[A-Za-z0-9_]{1,100}")


@dataclass(frozen=True)
class Option:
    """An option: its check, and its default (``required`` where there is none)."""

    check: Check
    default: OptionValue = None
    required: bool = False


@dataclass(frozen=True)
class Tensor:
    """A tensor: its number of axes, None where it is a parameter that broadcasts over the neurons."""

    ndim: int | None
    required: bool = True


@dataclass(frozen=True)
class LayerKind:
    """One kind of layer.

    Attributes
    ----------
    name : str
    options : mapping of str to Option
    tensors : mapping of str to Tensor
    shape : function (layer, input shape) -> output shape
        Raises ValueError with the reason where the input does not fit.
    check : function (layer) -> problems
        Rules between options and tensors; called only when each of them is right by itself.
    neuron : bool
        A group of neurons of the compiled network.
    spiking : bool
    takes : {"numbers", "spikes"}
        What may enter.
    sends_what_it_takes : bool
        The same values, perhaps in another shape.
    """

    name: str
    options: Mapping[str, Option]
    tensors: Mapping[str, Tensor]
    shape: Callable[[Layer, Shape], Shape]
    check: Callable[[Layer], list[str]]
    neuron: bool = False
    spiking: bool = False
    takes: Literal["numbers", "spikes"] = "numbers"
    sends_what_it_takes: bool = False


def sizes(length: int, minimum: int) -> Check:
    """An int, or a tuple of ``length`` ints, each at least ``minimum``."""

    def check(value: OptionValue) -> str | None:
        entries = value if isinstance(value, tuple) else (value,)
        if isinstance(value, tuple) and len(value) != length:
            return f"has {len(value)} entries, {length} are needed"
        if not all(is_int(entry) and minimum <= entry <= MAX_SIZE for entry in entries):  # type: ignore[operator]  # is_int has narrowed it
            return f"must be an int or a tuple of {length} ints of at least {minimum}"
        return None

    return check


def positive_integer(value: OptionValue) -> str | None:
    """An int of at least 1."""
    return None if is_int(value) and 1 <= value <= MAX_SIZE else "must be an int of at least 1"  # type: ignore[operator]  # narrowed


def integer(value: OptionValue) -> str | None:
    """Any int."""
    return None if is_int(value) and abs(value) <= MAX_SIZE else "must be an int"  # type: ignore[arg-type]  # narrowed


def positive_float(value: OptionValue) -> str | None:
    """A finite number above 0."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0:
        return None
    return "must be a finite number above 0"


def probability(value: OptionValue) -> str | None:
    """A number in [0, 1]."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1:
        return None
    return "must be a number in [0, 1]"


def boolean(value: OptionValue) -> str | None:
    """True or False."""
    return None if isinstance(value, bool) else "must be True or False"


def node_name(value: OptionValue) -> str | None:
    """A name of letters, digits and underscores."""
    if value is None or (isinstance(value, str) and _NAME.fullmatch(value)):
        return None
    return "must be 1 to 100 letters, digits and underscores"


def one_of(*choices: str) -> Check:
    """One of some strings."""

    def check(value: OptionValue) -> str | None:
        return None if isinstance(value, str) and value in choices else f"must be one of {', '.join(choices)}"

    return check


def only(allowed: OptionValue, reason: str) -> Check:
    """One value alone; anything else is refused with the reason."""

    def check(value: OptionValue) -> str | None:
        return None if type(value) is type(allowed) and value == allowed else reason

    return check


def is_int(value: object) -> bool:
    """An int that is not a bool."""
    return isinstance(value, int) and not isinstance(value, bool)


def tensor_problem(name: str, rule: Tensor, array: object) -> str | None:
    """What is wrong with one tensor by itself, or None."""
    if not isinstance(array, np.ndarray):
        return f"tensor {name} is a {type(array).__name__}, must be an array"
    if array.dtype.name not in FLOAT_DTYPES:
        return f"tensor {name} has dtype {array.dtype}, must be one of {', '.join(FLOAT_DTYPES)}"
    if rule.ndim is not None and array.ndim != rule.ndim:
        return f"tensor {name} has shape {array.shape}, must have {rule.ndim} axes"
    if array.size == 0:
        return f"tensor {name} has shape {array.shape}, must not be empty"
    if not np.isfinite(array).all():
        return f"tensor {name} holds NaN or infinite values, all must be finite"
    return None
