"""Python's decisions by the values of a signal: functions that make them, and numbers that show them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

DECIDES = frozenset(
    (
        "__bool__",
        "__index__",
        "__contains__",
        "__dlpack__",
        "is_nonzero",
        "equal",
        "allclose",
        "nonzero",
        "argwhere",
        "masked_select",
        "unique",
        "unique_consecutive",
        "bincount",
    )
)
"""Functions by which Python decides, by a truth or by the size of their result."""
NUMBERS = frozenset(("item", "tolist", "numpy", "__array__", "__float__", "__int__", "__complex__"))
"""Functions that give Python's numbers: to look at, or to decide by."""


def falsified(out: Any, number: float) -> Any:
    """What :data:`NUMBERS` gave, with another number in every place."""
    if isinstance(out, list):
        return [falsified(entry, number) for entry in out]
    if isinstance(out, np.ndarray):
        if out.dtype.kind in "iu":
            number = np.iinfo(out.dtype).max if number > 1 else 0
        return np.full_like(out, number > 0 if out.dtype.kind == "b" else number)
    if isinstance(out, (bool, int)):
        return type(out)(max(-(10**5), min(10**5, number)) if type(out) is int else number > 0)
    return type(out)(number)


def picks(name: str, args: Any, kwargs: Any) -> bool:
    """Whether a function's result is as large as a signal's values say."""
    masked = name == "__getitem__" and any(
        isinstance(entry, torch.Tensor) and entry.dtype == torch.bool
        for entry in (args[1] if isinstance(args[1], tuple) else args[1:])
    )
    return masked or (name == "where" and len(args) + len(kwargs) == 1)


def decides(path: str, name: str) -> str:
    """Why Python may not have the values of a signal."""
    where = path or "the module itself"
    return (
        f"{where}: its forward decides by the values of a signal ({name}), which no network of layers can; "
        "take the test out of forward"
    )
