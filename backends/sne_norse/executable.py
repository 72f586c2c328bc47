"""Running a student in floating point, and counting what its spikes would cost."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sne_deploy.backend import Record, RunOptions
from sne_deploy.ir.program import NeuronGroup, Program
from sne_deploy.runtime.threads import all_threads, run_in_chunks
from sne_deploy.runtime.trace import LayerTrace, Trace, not_run
from sne_norse.counts import Counts
from sne_norse.graph_executor import GraphExecutor
from sne_norse.layer_executor import LayerExecutor

Array = npt.NDArray[Any]


class Simulated(Protocol):
    """A student that runs."""

    @property
    def chunk(self) -> int:
        """Samples that run together, to bound memory; at least 1."""
        ...

    @property
    def slow(self) -> tuple[str, ...]:
        """Kinds of cells that are computed in the slow way."""
        ...

    def run(self, inputs: Array) -> Mapping[str, Array]:
        """What every neuron group sends: uint8 spikes or float64 membranes, (B, T, *shape)."""
        ...


class NorseExecutable:
    """One student in float64: by its own layers where it has them, else its graph node by node."""

    def __init__(self, program: Program, options: RunOptions) -> None:
        self._program = program
        self._options = options
        self.student: Simulated = LayerExecutor(program) if program.layers else GraphExecutor(program)
        self._runs = 0

    def __enter__(self) -> NorseExecutable:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    @property
    def fallbacks(self) -> Mapping[str, int]:
        """How often a slow way was taken, by its name."""
        slow = dict.fromkeys(self.student.slow) if self._runs else {}
        return {f"{kind} without a kernel, step by step": self._runs for kind in slow}

    def run(self, inputs: Array, record: Record = "counts") -> Trace:
        """Run all samples; see :class:`sne_deploy.backend.Executable`."""
        program = self._program
        self._runs += 1
        inputs = np.asarray(inputs, np.uint8 if program.spike_input else np.float64)

        def run_chunk(first: int, last: int) -> Trace:
            return self._run_chunk(inputs[first:last], record)

        with all_threads() as threads:
            return run_in_chunks(
                run_chunk,
                len(inputs),
                self.student.chunk,
                threads=threads,
                name=program.name,
                progress=self._options.progress,
            )

    def not_run(self, samples: int, record: Record) -> Trace:
        """Of samples on which it did not run; see :class:`sne_deploy.backend.Silent`."""
        return not_run(self._program, samples, record)

    def _run_chunk(self, inputs: Array, record: Record) -> Trace:
        program, samples = self._program, len(inputs)
        sent = self.student.run(inputs)
        rasters = {group.name: sent[group.name] for group in program.groups if group.spiking}
        if program.spike_input:
            rasters[program.input.name] = inputs
        counts = Counts(program, rasters, samples)
        read = [self._read(group, sent[group.name], counts) for group in program.output_groups]
        means = [
            value / program.timesteps if program.readout_of(group) == "v_mean" else value
            for group, value in zip(program.output_groups, read, strict=True)
        ]
        steady = np.full(samples, program.steady_messages * program.timesteps, np.int64)
        return Trace(
            raw_outputs=np.concatenate(read, axis=1),
            outputs=np.concatenate(means, axis=1),
            layers=tuple(_layer(group, rasters.get(group.name), counts, record) for group in program.groups),
            input_spikes=steady + counts.spikes(program.input.name),
            host_macs=np.full(samples, program.host_macs, np.int64),
        )

    def _read(self, group: NeuronGroup, sent: Array, counts: Counts) -> Array:
        """What an output group is read as, float64 (B, n); sums run from step to step."""
        readout = self._program.readout_of(group)
        if readout == "count":
            return counts.of(group.name, self._program.timesteps).astype(np.float64)
        v = sent.reshape(len(sent), self._program.timesteps, group.size)
        if readout == "v_last":
            return np.array(v[:, -1])
        return np.array(v.max(axis=1) if readout == "v_max" else np.add.accumulate(v, axis=1)[:, -1])


def _layer(group: NeuronGroup, raster: Array | None, counts: Counts, record: Record) -> LayerTrace:
    return LayerTrace(
        name=group.name,
        synops=counts.synops(group.name),
        spikes=counts.spikes(group.name),
        updates_active=None,
        updates_idle=None,
        recorded_spikes=None if record == "counts" or raster is None else raster.view(np.bool_),
    )
