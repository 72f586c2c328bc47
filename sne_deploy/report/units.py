"""Numbers for people: SI prefixes, thousands, percentages. Nothing is ever cut off."""

from __future__ import annotations

import math

ABSENT = "-"
_PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "u", -3: "m", 0: ""}


def joules(value: float | None) -> str:
    """Three digits and a unit from fJ to J, such as ``1.23 uJ``; ``-`` for None."""
    return _scaled(value, "J")


def seconds(value: float | None) -> str:
    """Three digits and a unit from fs to s, such as ``1.23 ms``; ``-`` for None."""
    return _scaled(value, "s")


def watts(value: float | None) -> str:
    """Three digits and a unit from fW to W, such as ``1.23 mW``; ``-`` for None."""
    return _scaled(value, "W")


def _scaled(value: float | None, unit: str) -> str:
    if value is None:
        return ABSENT
    if value == 0.0:
        return f"0 {unit}"
    exponent = min(0, max(-15, 3 * math.floor(math.log10(abs(value)) / 3)))
    digits = three_digits(value / 10.0**exponent)
    if digits.removeprefix("-") == "1000" and exponent < 0:
        exponent, digits = exponent + 3, f"{'-' if value < 0 else ''}1.00"
    return f"{digits} {_PREFIXES[exponent]}{unit}"


def three_digits(value: float) -> str:
    """Three significant digits without an exponent, whole where there are three before the point."""
    if value == 0.0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{decimals}f}"
    # Rounding can add a digit before the point: 9.999 is 10.0, not 10.00.
    if decimals and len(text.replace(".", "").replace("-", "").lstrip("0")) > 3:
        text = f"{value:.{decimals - 1}f}"
    return text


def count(value: float | None) -> str:
    """A mean count: whole from 100 on with thousands separated, else one decimal; ``-`` for None."""
    if value is None:
        return ABSENT
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"


def percent(value: float | None) -> str:
    """A fraction as a percentage with one decimal; ``-`` for None."""
    return ABSENT if value is None else f"{100.0 * value:.1f} %"


def printable(text: str) -> str:
    """Text whose control characters are escaped: names come from files."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
