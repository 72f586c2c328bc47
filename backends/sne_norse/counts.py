"""Spikes and synaptic operations of what was sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.ir.fan_out import fan_out
from sne_deploy.ir.program import ALWAYS_ON, Program, Synapse
from sne_norse.map_kernels import count

Array = npt.NDArray[Any]


class Counter:
    """Counts by a Program's synapses."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._fan_out = {(s.target, s.name): fan_out(s.weights) for s in program.synapses}

    def counts(self, rasters: Mapping[str, Array], samples: int) -> Counts:
        """Of the spikes of some samples: uint8 (B, T, ...) of the input, and of every group that spikes."""
        return Counts(self._program, self._fan_out, rasters, samples)


class Counts:
    """Spikes of some samples."""

    def __init__(
        self,
        program: Program,
        fan_outs: Mapping[tuple[str, str], Array],
        rasters: Mapping[str, Array],
        samples: int,
    ) -> None:
        self._program, self._fan_out, self._samples = program, fan_outs, samples
        self._rasters = rasters
        self._known: dict[tuple[str, int], Array] = {}

    def of(self, name: str, steps: int) -> Array:
        """Of every neuron of a group, or the input, at the first steps: int32 (B, n)."""
        if (name, steps) not in self._known:
            raster = self._rasters[name]
            flat = raster.reshape(*raster.shape[:2], -1)
            counts = np.empty((len(flat), flat.shape[2]), np.int32)
            count(flat, steps, counts)
            self._known[name, steps] = counts
        return self._known[name, steps]

    def spikes(self, name: str) -> Array:
        """Of a group, or the input, per sample: int64 (B,); 0 where it does not spike."""
        if name not in self._rasters:
            return np.zeros(self._samples, np.int64)
        return np.asarray(self.of(name, self._program.timesteps).sum(axis=1, dtype=np.int64))

    def synops(self, target: str) -> Array:
        """Spikes that the synapses onto a group deliver, per sample: int64 (B,)."""
        total = np.zeros(self._samples, np.int64)
        for synapse in self._program.synapses_into(target):
            total += self._delivered(synapse)
        return total

    def _delivered(self, synapse: Synapse) -> Array:
        """Within the sample, at the time that the graph gives it; sums in float64 are exact below 2^53."""
        program, fan_outs = self._program, self._fan_out[synapse.target, synapse.name]
        if synapse.source == ALWAYS_ON:
            return np.full(self._samples, fan_outs.sum() * program.timesteps, np.int64)
        steps = max(program.timesteps - (program.lag(synapse) - synapse.late), 0)
        counts = self.of(synapse.source, steps).astype(np.float64)
        return np.asarray(np.rint(counts @ fan_outs.astype(np.float64)), np.int64)
