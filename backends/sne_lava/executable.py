"""Running a compiled student: one worker process per run, safe to call from several threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.backend import Record, RunOptions
from sne_deploy.ir.program import NeuronGroup, Program
from sne_deploy.runtime.synops import updates_of
from sne_deploy.runtime.trace import LayerTrace, Trace, not_run
from sne_lava.job import GroupCounts, Job
from sne_lava.lowering import Lowered, make_job
from sne_lava.pool import WorkerExecutable

Array = npt.NDArray[Any]


class LavaExecutable(WorkerExecutable):
    """A Program ready to run in Lava.

    Parameters
    ----------
    lowered : Lowered
    options : RunOptions
    stall_s : float
        Seconds without a step after which a run is given up.
    """

    def __init__(self, lowered: Lowered, options: RunOptions, stall_s: float) -> None:
        super().__init__("lava", lowered.program, options, stall_s)
        self._lowered = lowered

    def not_run(self, samples: int, record: Record) -> Trace:
        """Of samples on which it did not run; see :class:`sne_deploy.backend.Silent`."""
        fixed = self._program.precision == "fixed"
        return not_run(
            self._program,
            samples,
            record,
            updates=True,
            outside=lambda _: fixed,
            states=np.int32 if fixed else np.float64,
        )

    def _job(self, samples: Array, record: Record) -> tuple[Job, int]:
        return make_job(self._lowered, samples, record, self._stall_s)

    def _trace(self, samples: Array, found: dict[str, GroupCounts], saturated: int, record: Record) -> Trace:  # noqa: ARG002  # recorded is what was found
        program, count = self._program, len(samples)
        raw = np.concatenate([_readout(group, found[group.name]) for group in program.output_groups], axis=1)
        return Trace(
            raw_outputs=raw,
            outputs=program.readout_in_units(raw),
            layers=tuple(_layer_trace(program, group, found[group.name], count) for group in program.groups),
            input_spikes=self._entered(samples),
            host_macs=np.full(count, program.host_macs, np.int64),
            saturated_inputs=saturated,
        )


def _readout(group: NeuronGroup, counts: GroupCounts) -> Array:
    """Array of shape (N, n): spike counts as integers, or what was read of v."""
    rows = np.asarray(counts.output)
    return rows.astype(np.int64) if group.spiking else rows


def _layer_trace(program: Program, group: NeuronGroup, counts: GroupCounts, samples: int) -> LayerTrace:
    full = (samples, program.timesteps, *group.shape)
    spikes = None
    if counts.spike_bits is not None:
        spikes = np.unpackbits(counts.spike_bits, axis=-1, count=group.size).astype(bool).reshape(full)
    active, idle = updates_of(program, group, counts.active)
    wraps, saturations = counts.outside.T if program.precision == "fixed" else (None, None)
    return LayerTrace(
        name=group.name,
        synops=counts.synops,
        spikes=counts.spikes,
        updates_active=active,
        updates_idle=idle,
        u_wraps=wraps,
        v_saturations=saturations,
        recorded_spikes=spikes,
        recorded_u=None if counts.u is None else counts.u.reshape(full),
        recorded_v=None if counts.v is None else counts.v.reshape(full),
    )
