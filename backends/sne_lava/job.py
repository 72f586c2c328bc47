"""One simulation job, as plain arrays: what the caller sends to the process that runs Lava."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy.typing as npt
from scipy import sparse

from sne_deploy.backend import Record
from sne_deploy.chips.registers import SignMode
from sne_deploy.ir.program import Precision

Array = npt.NDArray[Any]
Output = Literal["none", "count", "v_last", "v_mean", "v_max"]


@dataclass(frozen=True)
class Clock:
    """How a Lava time step (from 1) maps to a sample and a step in it (both from 0).

    ``sample, step = divmod(time_step - 1 - depth, timesteps)``
    """

    timesteps: int
    samples: int

    def sample_at(self, time_step: int, depth: int) -> int:
        """The sample that a group at this depth works on; not :meth:`inside` before and after the stream."""
        return (time_step - 1 - depth) // self.timesteps

    def step_at(self, time_step: int, depth: int) -> int:
        """The step of its sample that a group at this depth works on."""
        return (time_step - 1 - depth) % self.timesteps

    def inside(self, sample: int) -> bool:
        """True for a sample of the stream."""
        return 0 <= sample < self.samples


@dataclass(frozen=True, eq=False)
class GroupJob:
    """A neuron group: registers as arrays of shape (n,), its place in the pipeline, what is read from it.

    ``vsub``: what a spike subtracts from v; None where it sets v to 0. ``reset_delayed``: it sets v in place
    of the next step. ``guarded``: u could leave 32 bits, and is watched. ``counted``: u or v could leave its
    register, and it is counted how often.
    """

    name: str
    kind: str
    size: int
    spiking: bool
    du: Array
    dv: Array
    vth: Array
    bias_mant: Array
    bias_exp: int
    v_init: Array
    vsub: Array | None
    reset_delayed: bool
    depth: int
    output: Output
    guarded: bool
    counted: bool


@dataclass(frozen=True, eq=False)
class SynapseJob:
    """A synapse.

    Attributes
    ----------
    weights : array or CSR matrix of shape (n_out, n_in)
        Integers (int32) or float64.
    lag : int
        Steps within the sample from sending to delivery; where not 0, a barrier drops what would arrive in
        another sample.
    source_depth, target_depth : int
    safe_sum : int or None
        Fixed point: largest weighted sum that cannot overflow the target's 32-bit arithmetic, where some
        input could exceed it; None where none can.
    """

    name: str
    source: str
    target: str
    weights: Array | sparse.csr_matrix
    weight_exp: int
    sign_mode: SignMode
    delay: int
    lag: int
    source_depth: int
    target_depth: int
    safe_sum: int | None


@dataclass(frozen=True, eq=False)
class HostJob:
    """The host's currents of all samples into one group.

    Attributes
    ----------
    target : str
    depth : int
        Of the target.
    currents : int32 or float64 array of shape (N, n), or (N, T, n) where they differ from step to step
    """

    target: str
    depth: int
    currents: Array


@dataclass(frozen=True, eq=False)
class Job:
    """One Program on N samples, streamed back to back in one Lava run.

    Attributes
    ----------
    spike_bits : uint8 array of shape (N, T, ceil(n / 8)), or None
        Spike input, packed along the last axis (``np.packbits``).
    hosts : tuple of HostJob
        Constant or graded input, one for each group that gets it; empty where the input is spikes.
    """

    precision: Precision
    timesteps: int
    samples: int
    max_depth: int
    groups: tuple[GroupJob, ...]
    synapses: tuple[SynapseJob, ...]
    input_name: str
    input_size: int
    spike_bits: Array | None
    hosts: tuple[HostJob, ...]
    record: Record
    stall_s: float

    @property
    def clock(self) -> Clock:
        """Time of one Lava run over all of the job's samples."""
        return Clock(self.timesteps, self.samples)

    @property
    def steps(self) -> int:
        """Lava steps of one run: all samples, and the pipeline's depth to empty it."""
        return self.samples * self.timesteps + self.max_depth


@dataclass(frozen=True, eq=False)
class GroupCounts:
    """What one group and its synapses did, per sample; recordings are None unless asked for.

    ``outside``: updates in which u wrapped and in which v saturated, int64 (N, 2).
    """

    synops: Array
    spikes: Array
    active: Array
    outside: Array
    output: Array | None
    spike_bits: Array | None
    u: Array | None
    v: Array | None
