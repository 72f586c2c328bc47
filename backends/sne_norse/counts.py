"""Spikes and synaptic operations of what was sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.ir.program import Program
from sne_deploy.runtime.synops import synops_into
from sne_norse.map_kernels import count

Array = npt.NDArray[Any]


class Counts:
    """Spikes of some samples: uint8 (B, T, ...) of the input, and of every group that spikes."""

    def __init__(self, program: Program, rasters: Mapping[str, Array], samples: int) -> None:
        self._program, self._rasters, self._samples = program, rasters, samples
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
        """Spikes that arrive at a group at the time that the graph gives them, per sample: int64 (B,)."""
        return synops_into(self._program, target, self._samples, self.of, graph_timing=True)
