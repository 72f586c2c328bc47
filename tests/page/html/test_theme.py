"""Both themes can be read."""

from __future__ import annotations

import pytest

from sne_deploy.page.html.theme import THEMES, vega_config

TEXT, GRAPHICS = 4.5, 3.0
"""Contrasts that WCAG 2.2 asks for, level AA."""


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2.2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", list(THEMES))
def test_text_and_graphics_stand_out(name: str) -> None:
    theme = THEMES[name]
    for colour in (theme.ink, theme.soft, theme.accent, theme.alarm):
        assert contrast(colour, theme.paper) >= TEXT, colour
    assert contrast(theme.alarm, theme.alarm_paper) >= TEXT
    assert contrast(theme.ink, theme.panel) >= TEXT
    for colour in theme.categories:
        assert contrast(colour, theme.paper) >= GRAPHICS, colour


@pytest.mark.parametrize("name", list(THEMES))
def test_a_ramp_goes_from_the_background_away(name: str) -> None:
    theme = THEMES[name]
    away = [contrast(colour, theme.paper) for colour in theme.ramp]
    assert away == sorted(away)
    assert away[0] < 1.5 < TEXT < away[-1]
    assert vega_config(theme)["range"]["ramp"] == list(theme.ramp)
