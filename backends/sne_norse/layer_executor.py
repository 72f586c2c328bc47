"""A student's own layers, one after the other, each over all steps of the samples."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.errors import VerificationError
from sne_deploy.ir.program import Program
from sne_norse.stages import Stage, Way, make_stage

Array = npt.NDArray[Any]

CHUNK_BYTES = 2**23
"""Of what the widest layer takes and gives: it stays near the core."""


class LayerExecutor:
    """The layers that a Program was compiled from, in float64 on the CPU.

    Raises
    ------
    VerificationError
        The Program's neuron groups are not the cells.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        stages: list[Stage] = []
        shape = program.input.shape
        for layer in program.layers:
            stages.append(make_stage(layer, shape))
            shape = stages[-1].shape
        cells = [stage.shape for stage in stages if stage.cell]
        if cells != [group.shape for group in program.groups]:
            raise VerificationError(
                f"student {program.name!r}: its cells have shapes {cells}, its neuron groups "
                f"{[group.shape for group in program.groups]}; please report this as a bug"
            )
        self._stages = tuple(stages)

    @property
    def ways(self) -> tuple[Way, ...]:
        """What computes each layer."""
        return tuple(stage.way for stage in self._stages)

    @property
    def slow(self) -> tuple[str, ...]:
        """The cells that have no kernel, so that Norse's own modules step through them."""
        return tuple(stage.layer.kind for stage in self._stages if stage.way == "norse")

    @property
    def chunk(self) -> int:
        """Samples that run together."""
        sizes = [self._program.input.size, *(int(np.prod(stage.shape)) for stage in self._stages)]
        widest = max(a + b for a, b in pairwise(sizes))
        return max(1, CHUNK_BYTES // (8 * self._program.timesteps * widest))

    def run(self, inputs: Array) -> Mapping[str, Array]:
        """What every group sends: uint8 spikes or float64 membranes, (B, T, *shape).

        Parameters
        ----------
        inputs : uint8 or float64 array of shape (B, T, *shape), or (B, *shape) for a constant current
        """
        x = inputs[:, None] if self._program.constant_input else inputs
        sent = {}
        groups = iter(self._program.groups)
        for stage in self._stages:
            x = stage.run(x, self._program.timesteps)
            if stage.cell:
                sent[next(groups).name] = x
        return sent
