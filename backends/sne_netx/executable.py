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
from sne_deploy.runtime.trace import LayerTrace, Trace, not_run
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

    def not_run(self, samples: int, record: Record) -> Trace:
        """Of samples on which it did not run; see :class:`sne_deploy.backend.Silent`."""
        return not_run(self._program, samples, record)

    def _job(self, samples: Array, record: Record) -> tuple[NetJob, int]:  # noqa: ARG002  # spikes always
        program, order = self._program, netx_order(self._student.entry)
        loops = {synapse.target for synapse in program.synapses if synapse.source == synapse.target}
        delayed = {synapse.target for synapse in program.synapses if synapse.delay}
        spike_bits, currents, saturated = None, None, 0
        if program.hosts:
            currents, saturated = program.hosts[0].drive(samples)
            saturated = 0 if program.clips_harmlessly(program.hosts[0]) else saturated
            currents = np.ascontiguousarray(currents[:, order])
        else:
            flat = samples.reshape(len(samples), program.timesteps, -1)
            spike_bits = np.packbits(flat[:, :, order].astype(bool), axis=-1)
        job = NetJob(
            net=self._student.net,
            layers=tuple(
                LayerJob(g.name, g.depth, g.spiking, g.name in loops, g.name in delayed)
                for g in program.groups
            ),
            timesteps=program.timesteps,
            samples=len(samples),
            spike_bits=spike_bits,
            currents=currents,
            readout=program.readout_of(program.output_groups[0]),
            stall_s=self._stall_s,
        )
        return job, saturated

    def _trace(self, samples: Array, found: NetResult, saturated: int, record: Record) -> Trace:
        program, count = self._program, len(samples)
        spikes = {group.name: _raster(group, found) for group in program.groups if group.spiking}
        output = program.output_groups[0]
        raw = spikes[output.name].sum(axis=1, dtype=np.int64) if output.spiking else np.asarray(found.rows)
        if not program.hosts:
            spikes[program.input.name] = samples.reshape(count, program.timesteps, -1).astype(bool)
        return Trace(
            raw_outputs=raw,
            outputs=program.readout_in_units(raw),
            layers=tuple(self._layer(group, spikes, count, record) for group in program.groups),
            input_spikes=self._entered(samples),
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
