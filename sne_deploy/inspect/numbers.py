"""Quantities as text: ranges, times, sizes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Range = tuple[float, float]
_PREFIXES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"))


def number(value: float) -> str:
    """Up to six significant digits, no exponent where it can be helped; thousands are separated."""
    if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.6g}"


def seconds(value: float) -> str:
    """A time with a unit from us to s, such as ``10 ms``; ``no decay`` for an infinite one."""
    if math.isinf(value):
        return "no decay"
    unit, name = next((pair for pair in _PREFIXES if abs(value) >= pair[0] * 0.9999995), _PREFIXES[-1])
    return "0 s" if value == 0 else f"{value / unit:.6g} {name}"


def in_range(pair: Range, text: Callable[[float], str]) -> str:
    """One value, or the least and the largest."""
    low, high = text(pair[0]), text(pair[1])
    return low if low == high else f"{low} .. {high}"


def sizes(value: Any, *, short: bool = False) -> str:
    """Sizes such as ``3x5``; where ``short``, one for all axes that are alike."""
    entries = [str(int(size)) for size in np.asarray(value).reshape(-1)]
    return entries[0] if short and len(set(entries)) == 1 else "x".join(entries)


def shape_text(shape: tuple[int, ...] | None) -> str:
    """A shape such as ``2 x 34 x 34``."""
    return "?" if shape is None else " x ".join(f"{size:,}" for size in shape)
