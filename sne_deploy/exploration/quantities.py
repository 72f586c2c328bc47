"""Accuracies, energies and times as they are typed: ``98%``, ``2uJ``, ``1.5ms``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from sne_deploy import arguments as argument
from sne_deploy.chips.units import ENERGY, TIME, to_si
from sne_deploy.errors import InputError

UNITS: Mapping[str, Mapping[str, int]] = {"J": ENERGY, "s": TIME}
_NUMBER = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]{1,3})?)\s*([A-Za-z%\u00b5\u03bc]*)\s*")


def quantity(name: str, given: Any, unit: str) -> float:
    """An energy (unit J) or a time (s), above 0: a text with its unit, or a number in SI.

    Raises
    ------
    InputError
        It is neither.
    """
    if not isinstance(given, str):
        found = argument.number(name, given)
    else:
        match = _NUMBER.fullmatch(given)
        exponent = UNITS[unit].get(re.sub("[\u00b5\u03bc]", "u", match[2])) if match else None
        if match is None or exponent is None:
            raise InputError(f"{name} {given[:40]!r}: give a number and its unit, such as 2u{unit}")
        found = to_si(float(match[1]), exponent)
    if not (found > 0 and math.isfinite(found)):
        raise InputError(f"{name} {given} must be above 0")
    return found


def fraction(name: str, given: Any) -> float:
    """A fraction in (0, 1]: a number, or a text, also with a percent sign.

    Raises
    ------
    InputError
        It is none.
    """
    match = _NUMBER.fullmatch(given) if isinstance(given, str) else None
    if match is not None and match[2] in ("", "%"):
        found = float(match[1]) / (100.0 if match[2] else 1.0)
    else:
        found = argument.number(name, given)
    if not 0.0 < found <= 1.0:
        raise InputError(
            f"{name} {given} is not in (0, 1]; give a fraction or a percentage, such as 0.98 or 98%"
        )
    return found


def at_least(value: float, unit: str) -> str:
    """A value above 0 in three digits, rounded up, as :func:`quantity` reads it."""
    exact = Decimal(repr(float(value)))
    rounded = exact.quantize(Decimal(1).scaleb(exact.adjusted() - 2), ROUND_CEILING)
    units = list(UNITS[unit].items())
    prefixed, exponent = next((pair for pair in units if rounded.adjusted() >= pair[1]), units[-1])
    return f"{rounded.scaleb(-exponent).normalize():f}{prefixed}"


def at_most(value: float) -> str:
    """A fraction in four decimals, rounded down."""
    return f"{Decimal(repr(float(value))).quantize(Decimal('0.0001'), ROUND_FLOOR).normalize():f}"
