"""The units that a hardware file may use, and what each is in SI."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

ENERGY: Mapping[str, float] = MappingProxyType(
    {"J": 1.0, "mJ": 1e-3, "uJ": 1e-6, "nJ": 1e-9, "pJ": 1e-12, "fJ": 1e-15}
)
TIME: Mapping[str, float] = MappingProxyType({"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9})
POWER: Mapping[str, float] = MappingProxyType({"W": 1.0, "mW": 1e-3, "uW": 1e-6})
RATIO: Mapping[str, float] = MappingProxyType({"1": 1.0})
COUNT: Mapping[str, float] = MappingProxyType({"1": 1.0, "bit": 1.0, "step": 1.0})

ENERGY_MAX_J = 1e-3
"""No elementary operation of any machine costs more: larger values are a mistaken unit."""
TIME_MAX_S = 1.0
POWER_MAX_W = 1e5
RATIO_MAX = 10.0
