"""The units that a hardware file may use, each with its power of ten in SI."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

ENERGY: Mapping[str, int] = MappingProxyType({"J": 0, "mJ": -3, "uJ": -6, "nJ": -9, "pJ": -12, "fJ": -15})
TIME: Mapping[str, int] = MappingProxyType({"s": 0, "ms": -3, "us": -6, "ns": -9})
POWER: Mapping[str, int] = MappingProxyType({"W": 0, "mW": -3, "uW": -6})
RATIO: Mapping[str, int] = MappingProxyType({"1": 0})
COUNT = ("1", "bit", "step", "compartment")

ENERGY_MAX_J = 1e-3
"""No elementary operation of any machine costs more: larger values are a mistaken unit."""
TIME_MAX_S = 1.0
POWER_MAX_W = 1e5
RATIO_MAX = 10.0


def to_si(value: float, exponent: int) -> float:
    """Value times 10^exponent, rounded once: 23.6 pJ is the double that 23.6e-12 is."""
    return float(Decimal(repr(float(value))).scaleb(exponent))
