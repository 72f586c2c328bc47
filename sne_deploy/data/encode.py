"""Spike encoders: from samples to what a student's input gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sne_deploy.data.dataset import Array, binary_spikes
from sne_deploy.errors import DataError

if TYPE_CHECKING:
    from sne_deploy.model.ensemble import Encoder


def encode(encoder: Encoder, x: Array, timesteps: int, seed: int, first_index: int = 0) -> Array:
    """Encode samples.

    ``constant``, ``graded``: x itself, a current at every step. ``bernoulli``: a spike at each step with
    probability x, times the encoder's scale, drawn from
    ``Philox(SeedSequence(seed, spawn_key=(sample index,)))``: a sample's spikes depend on the seed and its
    index alone, not on batch or order. ``spikes``: x itself, checked.

    Parameters
    ----------
    encoder : Encoder
    x : array of shape (N, *input_shape), or (N, T, *input_shape) for ``spikes`` and ``graded``
    timesteps : int
        T, at least 1.
    seed : int
        Not negative.
    first_index : int
        Index of ``x[0]`` in its data set.

    Returns
    -------
    float64 (N, *input_shape) for ``constant``, (N, T, *input_shape) for ``graded``; uint8
    (N, T, *input_shape) of 0 and 1 otherwise.

    Raises
    ------
    DataError
        Probabilities outside [0, 1], spikes that are not 0 or 1 or not T steps long, a negative seed.
    """
    if timesteps < 1:
        raise DataError(f"timesteps {timesteps} must be at least 1")
    if encoder.timed:
        _check_steps(encoder, x, timesteps)
    if encoder.kind in ("constant", "graded"):
        return np.ascontiguousarray(x, dtype=np.float64)
    if encoder.kind == "spikes":
        return binary_spikes("spikes", x)
    if seed < 0 or first_index < 0:
        raise DataError(
            f"seed {seed} and first index {first_index} must not be negative; choose another with --seed"
        )
    if encoder.scale == 1 and x.size and not (np.min(x) >= 0.0 and np.max(x) <= 1.0):
        raise DataError(
            f"bernoulli encoder: values from {np.min(x):g} to {np.max(x):g} are no probabilities; scale x"
        )
    spikes = np.empty((len(x), timesteps, *x.shape[1:]), dtype=np.uint8)
    for index, sample in enumerate(x):
        spikes[index] = _bernoulli(sample * encoder.scale, timesteps, seed, first_index + index)
    return spikes


def _check_steps(encoder: Encoder, x: Array, timesteps: int) -> None:
    if x.ndim < 2 or x.shape[1] != timesteps:
        what = "spikes" if encoder.kind == "spikes" else "graded input"
        raise DataError(f"{what} of shape {x.shape} does not have {timesteps} steps on its second axis")


def _bernoulli(sample: Array, timesteps: int, seed: int, index: int) -> Array:
    sequence = np.random.SeedSequence(entropy=seed, spawn_key=(index,))
    uniform = np.random.Generator(np.random.Philox(sequence)).random((timesteps, *sample.shape))
    return uniform < sample
