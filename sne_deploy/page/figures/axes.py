"""Axes of accuracies and energies, and rows of views, which several figures have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

JOULES = "replace(format(datum.value, '~s'), '\u00b5', 'u') + 'J'"
"""How an axis of energies is labelled: with SI prefixes, as the report's tables write them."""
_WIDE = 8.0
"""Between the ends of an axis, above which it is logarithmic."""
_MANY = 1000.0
"""The same, above which it has one label for a power of ten."""
_ERRORS = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8)


def energy_axis(field: str, energies: Sequence[float]) -> dict[str, Any]:
    """The channel of joules in ``field``, logarithmic where they are far apart.

    Parameters
    ----------
    field : str
    energies : sequence of float
        All that are drawn.
    """
    log = min(energies) > 0 and max(energies) > _WIDE * min(energies)
    ticks: dict[str, Any] = {"values": _steps(energies)} if log else {"tickCount": 6}
    return {
        "field": field,
        "type": "quantitative",
        "title": "energy of an inference",
        "scale": {"nice": False, "padding": 12} | ({"type": "log"} if log else {"zero": False}),
        "axis": {"labelExpr": JOULES, "labelOverlap": "greedy", "labelSeparation": 8, **ticks},
    }


def _steps(energies: Sequence[float]) -> list[float]:
    """1, 2 and 5 of each decade between the energies; over many decades the 1 alone."""
    low, high = min(energies), max(energies)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    digits = (1, 2, 5) if high < _MANY * low else (1,)
    steps = (float(f"{digit}e{decade}") for decade in decades for digit in digits)
    return [step for step in steps if low <= step <= high]


def accuracy_axis(field: str, errors: Sequence[float], samples: int) -> dict[str, Any]:
    """The channel of accuracies by their errors in ``field``: few are told apart beside many.

    Parameters
    ----------
    field : str
    errors : sequence of float
        All that are drawn, fractions.
    samples : int
        Of which they are.
    """
    low, high = min(errors), max(errors)
    smallest = max(low, 0.5 / samples)
    wide = high > _WIDE * smallest
    scale: dict[str, Any] = {"reverse": True, "zero": False, "nice": False, "padding": 10}
    axis: dict[str, Any] = {"labelExpr": "format(1 - datum.value, '.2~%')", "tickCount": 6}
    if wide:
        scale |= {"type": "symlog", "constant": smallest / 4}
        axis["values"] = [error for error in _ERRORS if low <= error <= high]
    return {"field": field, "type": "quantitative", "title": "accuracy", "scale": scale, "axis": axis}


def headed_rows(field: str, **header: Any) -> dict[str, Any]:
    """The facet of ``field``: views below each other, by their rows' ``place``, each under its name."""
    above = {"labelOrient": "top", "labelAnchor": "start", "labelAngle": 0, "labelPadding": 0}
    row = {"field": field, "type": "nominal", "sort": {"field": "place", "op": "min"}, "title": None}
    return {"row": {**row, "header": {**above, **header}}}
