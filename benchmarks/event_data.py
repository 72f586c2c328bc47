"""Made-up events for graphs that come without data: seeded, and like what the graphs were trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def bursts(samples: int, seed: int, channels: int = 12, timesteps: int = 256) -> Array:
    """Touch sensors that slide over dots: up to three bursts of 20 to 59 steps per channel, 90 % spikes.

    Parameters
    ----------
    samples, seed, channels, timesteps : int

    Returns
    -------
    uint8 array of shape (samples, timesteps, channels)
    """
    rng = np.random.default_rng(seed)
    found = np.zeros((samples, timesteps, channels), np.uint8)
    for sample in found:
        for channel in range(channels):
            touched = np.zeros(timesteps, bool)
            for _ in range(rng.integers(0, 4)):
                start = rng.integers(0, timesteps)
                touched[start : start + rng.integers(20, 60)] = True
            sample[:, channel] = touched & (rng.random(timesteps) < 0.9)
    return found


def saccades(samples: int, seed: int, timesteps: int = 60, size: int = 34) -> Array:
    """A camera that moves over strokes: edges of brightening (channel 0) and darkening (channel 1) pixels.

    Each sample is a few random thick strokes, shifted along the three sides of a triangle; a pixel whose
    brightness changes fires, and one in five hundred fires for no reason.

    Returns
    -------
    uint8 array of shape (samples, timesteps, 2, size, size)
    """
    rng = np.random.default_rng(seed)
    found = np.zeros((samples, timesteps, 2, size, size), np.uint8)
    for sample in found:
        strokes = rng.uniform(0.25, 0.75, (rng.integers(2, 5), 4))
        before = _drawn(strokes, _path(-1, timesteps), size)
        for step in range(timesteps):
            now = _drawn(strokes, _path(step, timesteps), size)
            noise = rng.random((2, size, size)) < 0.002
            sample[step] = np.stack([now & ~before, before & ~now]) | noise
            before = now
    return found


def _path(step: int, timesteps: int) -> tuple[float, float]:
    """Where the camera looks: along a triangle of side 0.3, a third of the time each."""
    corners = np.array([[0.0, 0.0], [0.15, 0.3], [0.3, 0.0], [0.0, 0.0]])
    side, along = divmod(3.0 * max(step, 0) / timesteps, 1.0)
    x, y = corners[int(side)] + along * (corners[int(side) + 1] - corners[int(side)])
    return float(x), float(y)


def _drawn(strokes: Array, shift: tuple[float, float], size: int) -> Array:
    """Pixels within 0.05 of a stroke (x0, y0, x1, y1), the picture moved by ``shift``."""
    y, x = np.meshgrid(*2 * (np.linspace(0, 1, size),), indexing="ij")
    points = np.stack([x - 0.15 + shift[0], y - 0.15 + shift[1]], axis=-1)
    near = np.zeros((size, size), bool)
    for x0, y0, x1, y1 in strokes:
        start, along = np.array([x0, y0]), np.array([x1 - x0, y1 - y0])
        part = np.clip(((points - start) @ along) / max(float(along @ along), 1e-9), 0, 1)
        near |= np.linalg.norm(points - start - part[..., None] * along, axis=-1) < 0.05
    return near


def classes(counts: Array) -> Array:
    """The class with the most spikes per row; -1 for silence and for a tie."""
    top = counts.max(axis=1)
    undecided = (top == 0) | (np.sum(counts == top[:, None], axis=1) > 1)
    return np.where(undecided, -1, counts.argmax(axis=1))
