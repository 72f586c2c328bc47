"""Running a student in floating point, and counting what its spikes would cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sne_deploy.backend import LayerTrace, Record, RunOptions, Trace
from sne_deploy.ir.fan_out import fan_out
from sne_deploy.ir.program import ALWAYS_ON, NeuronGroup, Program, Synapse
from sne_deploy.model.ensemble import Readout
from sne_deploy.runtime.traces import concatenate_traces
from sne_norse.graph_executor import GraphExecutor
from sne_norse.norse_modules import norse_modules

Array = npt.NDArray[Any]

CHUNK = 256
"""Samples run at a time; bounds memory."""
_ACCUMULATED: dict[Readout, Callable[[Array, Array], Array]] = {
    "count": np.add,
    "v_last": lambda _, new: new,
    "v_mean": np.add,
    "v_max": np.maximum,
}
"""What was read so far and a step's value to what is read; the mean is divided later."""


class Simulated(Protocol):
    """A student that runs step by step."""

    def steps(self, inputs: Array) -> Iterator[Mapping[str, Array]]:
        """What every neuron group sends (a spike is not 0), at one step after the other: [N, ...]."""
        ...


class NorseExecutable:
    """One student in float64: Norse's own cells where it came from them, else its graph node by node."""

    def __init__(self, program: Program, options: RunOptions) -> None:
        self._program = program
        self._options = options
        self._student: Simulated = norse_modules(program) or GraphExecutor(program)
        self._fan_out = {
            (synapse.target, synapse.name): fan_out(synapse.weights) for synapse in program.synapses
        }

    def __enter__(self) -> NorseExecutable:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def run(self, inputs: Array, record: Record = "counts") -> Trace:
        """Run all samples; see :class:`sne_deploy.backend.Executable`."""
        parts = []
        for start in range(0, max(len(inputs), 1), CHUNK):
            parts.append(self._run_chunk(inputs[start : start + CHUNK], record))
            if self._options.progress is not None:
                done = min(start + CHUNK, len(inputs))
                self._options.progress(self._program.name, done, len(inputs))
        return concatenate_traces(parts)

    def _run_chunk(self, inputs: Array, record: Record) -> Trace:
        program = self._program
        spikes, read = self._simulate(inputs)
        layers = tuple(self._layer(group, spikes, inputs, record) for group in program.groups)
        means = [
            value / program.timesteps if program.readout_of(group) == "v_mean" else value
            for group, value in zip(program.output_groups, read, strict=True)
        ]
        return Trace(
            raw_outputs=np.concatenate(read, axis=1),
            outputs=np.concatenate(means, axis=1),
            layers=layers,
            input_spikes=self._input_spikes(inputs),
            host_macs=np.full(len(inputs), program.host_macs, dtype=np.int64),
        )

    def _simulate(self, inputs: Array) -> tuple[dict[str, Array], list[Array]]:
        """Spikes of every group, bool [N, T, *shape], and what each output group is read as, [N, n]."""
        program, samples = self._program, len(inputs)
        spikes = {
            group.name: np.zeros((samples, program.timesteps, *group.shape), dtype=bool)
            for group in program.groups
            if group.spiking
        }
        read: list[Array] = []
        for t, sent in enumerate(self._student.steps(inputs)):
            for name, raster in spikes.items():
                raster[:, t] = (sent[name] != 0).reshape(raster[:, t].shape)
            values = [sent[group.name].reshape(samples, group.size) for group in program.output_groups]
            read = (
                [
                    _ACCUMULATED[program.readout_of(group)](so_far, value)
                    for group, so_far, value in zip(
                        program.output_groups, read or values, values, strict=True
                    )
                ]
                if t
                else values
            )
        return spikes, read

    def _layer(
        self, group: NeuronGroup, spikes: Mapping[str, Array], inputs: Array, record: Record
    ) -> LayerTrace:
        synops = np.zeros(len(inputs), dtype=np.int64)
        for synapse in self._program.synapses_into(group.name):
            synops += self._synops(synapse, spikes, inputs)
        raster = spikes.get(group.name)
        return LayerTrace(
            name=group.name,
            synops=synops,
            spikes=np.zeros_like(synops)
            if raster is None
            else raster.reshape(len(inputs), -1).sum(axis=1, dtype=np.int64),
            updates_active=None,
            updates_idle=None,
            recorded_spikes=None if record == "counts" else raster,
        )

    def _synops(self, synapse: Synapse, spikes: Mapping[str, Array], inputs: Array) -> Array:
        """Spikes that a synapse delivers within the sample, at the time that the graph gives it."""
        program, fan_out = self._program, self._fan_out[synapse.target, synapse.name]
        if synapse.source == ALWAYS_ON:
            return np.full(len(inputs), fan_out.sum() * program.timesteps, dtype=np.int64)
        sent = inputs if synapse.source == program.input.name else spikes[synapse.source]
        sent = sent.reshape(len(inputs), program.timesteps, fan_out.size)
        arriving = sent[:, : max(program.timesteps - (program.lag(synapse) - synapse.late), 0)]
        return np.asarray(arriving.sum(axis=1, dtype=np.int64) @ fan_out)

    def _input_spikes(self, inputs: Array) -> Array:
        program = self._program
        steady = np.full(len(inputs), program.steady_messages * program.timesteps, dtype=np.int64)
        if program.constant_input:
            return steady
        flat = inputs.reshape(len(inputs), program.timesteps * program.input.size)
        return np.asarray(steady + flat.sum(axis=1, dtype=np.int64))
