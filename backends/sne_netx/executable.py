"""Running a student's ``.net`` file: one worker process per run, safe to call from several threads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.backend import Record, RunOptions
from sne_deploy.ir.program import NeuronGroup, Program
from sne_deploy.runtime.synops import synops_into
from sne_deploy.runtime.trace import LayerTrace, Trace
from sne_lava.lowering import checked_inputs
from sne_lava.pool import WorkerExecutable
from sne_netx.simulation import LayerJob, NetJob, NetResult

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class NetStudent:
    """A Program and its file.

    Attributes
    ----------
    program : Program
    net : bytes
    entry : tuple of int
        Shape of the file's first layer, (c, h, w) or (n,).
    """

    program: Program
    net: bytes
    entry: Shape


class NetxExecutable(WorkerExecutable):
    """A student that netx runs.

    Parameters
    ----------
    student : NetStudent
    options : RunOptions
    stall_s : float
        Seconds without a step after which a run is given up.
    """

    def __init__(self, student: NetStudent, options: RunOptions, stall_s: float) -> None:
        super().__init__("netx", student.program, options, stall_s)
        self._student = student

    def run(self, inputs: Array, record: Record = "counts") -> Trace:
        """Run N samples, streamed back to back.

        Parameters
        ----------
        inputs : array of shape (N, T, *shape) of 0 and 1, or (N, *shape)
        record : {"counts", "spikes", "all"}
            netx shows no registers: ``"all"`` is ``"spikes"``.

        Raises
        ------
        DataError
            The samples do not fit.
        RunError
            netx failed or was killed; names the student and the cause.
        """
        samples = checked_inputs(self._program, np.asarray(inputs))
        chunk = self._options.stream or max(len(samples), 1)
        results, saturated, done = [], 0, 0
        total = sum(
            self._steps(len(samples[start : start + chunk])) for start in range(0, len(samples), chunk)
        )
        for start in range(0, len(samples), chunk):
            job, clipped = self._job(samples[start : start + chunk])
            results.append(self._work(job, total, done))
            saturated, done = saturated + clipped, done + job.steps
        return self._trace(samples, results, saturated, record)

    def _steps(self, samples: int) -> int:
        return samples * self._program.timesteps + self._program.max_depth

    def _job(self, samples: Array) -> tuple[NetJob, int]:
        program, order = self._program, netx_order(self._student.entry)
        loops = {synapse.target for synapse in program.synapses if synapse.source == synapse.target}
        spike_bits, currents, saturated = None, None, 0
        if program.hosts:
            currents, saturated = program.hosts[0].drive(samples)
            currents = np.ascontiguousarray(currents[:, order])
        else:
            flat = samples.reshape(len(samples), program.timesteps, -1)
            spike_bits = np.packbits(flat[:, :, order].astype(bool), axis=-1)
        job = NetJob(
            net=self._student.net,
            layers=tuple(LayerJob(g.name, g.depth, g.spiking, g.name in loops) for g in program.groups),
            timesteps=program.timesteps,
            samples=len(samples),
            spike_bits=spike_bits,
            currents=currents,
            readout=program.readout_of(program.output_groups[0]),
            stall_s=self._stall_s,
        )
        return job, saturated

    def _trace(self, samples: Array, results: list[NetResult], saturated: int, record: Record) -> Trace:
        program, count = self._program, len(samples)
        spikes = {
            group.name: np.concatenate([_raster(group, result) for result in results])
            for group in program.groups
            if group.spiking
        }
        output = program.output_groups[0]
        raw = (
            spikes[output.name].sum(axis=1, dtype=np.int64)
            if output.spiking
            else np.concatenate([np.asarray(result.rows) for result in results])
        )
        entered = np.full(count, program.steady_messages * program.timesteps, np.int64)
        if not program.hosts:
            spikes_in = samples.reshape(count, program.timesteps, -1).astype(bool)
            entered += spikes_in.sum(axis=(1, 2), dtype=np.int64)
            spikes = {**spikes, program.input.name: spikes_in}
        return Trace(
            raw_outputs=raw,
            outputs=program.readout_in_units(raw),
            layers=tuple(self._layer(group, spikes, count, record) for group in program.groups),
            input_spikes=entered,
            host_macs=np.full(count, program.host_macs, np.int64),
            saturated_inputs=saturated,
        )

    def _layer(
        self, group: NeuronGroup, spikes: Mapping[str, Array], samples: int, record: Record
    ) -> LayerTrace:
        program = self._program

        def sent(name: str, steps: int) -> Array:
            if name not in spikes:  # a readout, which never spikes
                return np.zeros((samples, program.group(name).size), np.int64)
            return np.asarray(spikes[name][:, :steps].sum(axis=1, dtype=np.int64))

        raster = spikes.get(group.name)
        recorded = None
        if raster is not None and record != "counts":
            recorded = raster.reshape(samples, program.timesteps, *group.shape)
        return LayerTrace(
            name=group.name,
            synops=synops_into(program, group.name, samples, sent),
            spikes=np.zeros(samples, np.int64) if raster is None else raster.sum(axis=(1, 2), dtype=np.int64),
            updates_active=None,
            updates_idle=None,
            recorded_spikes=recorded,
        )


def netx_order(shape: Shape) -> Array:
    """Flat C-order indices of a file's shape, (c, h, w) or (n,), in the order in which netx has them."""
    return np.arange(int(np.prod(shape))).reshape(shape).transpose().reshape(-1)


def _raster(group: NeuronGroup, result: NetResult) -> Array:
    """Bool array of shape (N, T, n), C order."""
    bits, shape = result.spike_bits[group.name], result.shapes[group.name]
    order = netx_order(shape[::-1])
    raster = np.zeros((*bits.shape[:2], group.size), dtype=bool)
    raster[:, :, order] = np.unpackbits(bits, axis=-1, count=group.size)
    return raster
