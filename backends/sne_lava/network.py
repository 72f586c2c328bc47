"""From a job to connected Lava processes and the shared arrays that they fill. Imports Lava."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from lava.magma.compiler.compiler_graphs import find_processes
from lava.magma.core.process.process import AbstractProcess
from lava.utils.weightutils import SignMode
from scipy import sparse

from sne_deploy.ir.program import ALWAYS_ON
from sne_lava.arrays import Board, shared_zeros
from sne_lava.job import GroupCounts, GroupJob, Job, SynapseJob
from sne_lava.neurons import process_of
from sne_lava.processes.barriers.process import PartLink, SampleBarrier
from sne_lava.processes.neurons.process import SampledLIF
from sne_lava.processes.sources.process import AlwaysOn, CurrentSource, SpikeSource
from sne_lava.processes.synapses.process import CountingDense, CountingSparse

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Network:
    """A job's Lava processes.

    Attributes
    ----------
    lead : AbstractProcess
        A source. It is the process that is run, and so are those connected with it; it reports the steps.
    processes : tuple of AbstractProcess
    board : Board
    groups : dict
        Group name to its shared arrays, by Var name.
    synops : dict
        Group name to the int64 arrays of shape (N,) of the synapses that end on it.
    """

    lead: AbstractProcess
    processes: tuple[AbstractProcess, ...]
    board: Board
    groups: dict[str, dict[str, Array]]
    synops: dict[str, list[Array]]

    def counts(self, job: Job) -> dict[str, GroupCounts]:
        """What each group did, copied out of the shared arrays."""
        return {group.name: self._group_counts(group, job) for group in job.groups}

    def _group_counts(self, group: GroupJob, job: Job) -> GroupCounts:
        arrays = self.groups[group.name]

        def recorded(name: str) -> Array | None:
            return arrays[name].copy() if arrays[name].size else None

        synops = np.zeros(job.samples, np.int64)
        for part in self.synops[group.name]:
            synops += part
        return GroupCounts(
            synops=synops,
            spikes=arrays["spikes"].copy(),
            active=arrays["active"].copy(),
            outside=arrays["outside"].copy(),
            output=recorded("rows"),
            spike_bits=recorded("spike_bits"),
            u=recorded("u_rows"),
            v=recorded("v_rows"),
        )


def build(job: Job) -> Network:
    """Make and connect the processes of one Lava run over all of the job's samples.

    Inputs to a group are added in this order: the host's current, then its synapses in the job's order.
    """
    board = Board()
    state = np.int32 if job.precision == "fixed" else np.float64
    arrays = {group.name: _group_arrays(group, job, state) for group in job.groups}
    groups = {group.name: _group(group, job, arrays[group.name], board) for group in job.groups}
    sources = _sources(job, board)
    outputs = {name: process.s_out for name, process in groups.items()}
    if job.hosts:
        for host, source in zip(job.hosts, sources, strict=True):
            source.s_out.connect(groups[host.target].a_in)
    else:
        outputs[job.input_name] = sources[0].s_out
    sources[0].proc_params["leads"] = True
    synapses, synops = _connect(job, board, groups, outputs)
    return Network(sources[0], (*sources, *groups.values(), *synapses), board, arrays, synops)


def linked(network: Network) -> Network:
    """Connect with the process that leads whatever is not: two groups may share no input.

    Every process but a source is connected with a group, so that linking groups is enough.
    """
    lead, links = network.lead, []
    for group in network.processes:
        if isinstance(group, SampledLIF) and not any(group is one for one in find_processes(lead)):
            link = PartLink(
                size_in=lead.s_out.shape[0],
                size_out=group.a_in.shape[0],
                shared={},
                board=network.board,
                label=f"link to {group.proc_params['label']}",
            )
            lead.s_out.connect(link.s_in)
            link.a_out.connect(group.a_in)
            links.append(link)
    return replace(network, processes=(*network.processes, *links))


def _connect(
    job: Job, board: Board, groups: dict[str, AbstractProcess], outputs: dict[str, Any]
) -> tuple[list[AbstractProcess], dict[str, list[Array]]]:
    processes: list[AbstractProcess] = []
    synops: dict[str, list[Array]] = {group.name: [] for group in job.groups}
    if any(synapse.source == ALWAYS_ON for synapse in job.synapses):
        always = AlwaysOn(shared={}, board=board, label="always-on axon")
        outputs[ALWAYS_ON] = always.s_out
        processes.append(always)
    for synapse in job.synapses:
        counter = shared_zeros((job.samples,), np.int64)
        process = _synapse(synapse, job, counter, board)
        output = outputs[synapse.source]
        if synapse.lag:
            barrier = _barrier(synapse, job, board)
            output.connect(barrier.s_in)
            output = barrier.s_out
            processes.append(barrier)
        output.connect(process.s_in)
        process.a_out.connect(groups[synapse.target].a_in)
        synops[synapse.target].append(counter)
        processes.append(process)
    return processes, synops


def _group_arrays(group: GroupJob, job: Job, state: type) -> dict[str, Array]:
    samples, timesteps = job.samples, job.timesteps
    bits = -(-group.size // 8) if job.record != "counts" and group.spiking else 0
    states = group.size if job.record == "all" else 0
    rows = group.size if group.output != "none" else 0
    return {
        "spikes": shared_zeros((samples,), np.int64),
        "active": shared_zeros((samples,), np.int64),
        "outside": shared_zeros((samples, 2), np.int64),
        "rows": shared_zeros((samples, rows), np.int64 if state is np.int32 else np.float64),
        "spike_bits": shared_zeros((samples, timesteps, bits), np.uint8),
        "u_rows": shared_zeros((samples, timesteps, states), state),
        "v_rows": shared_zeros((samples, timesteps, states), state),
    }


def _group(group: GroupJob, job: Job, arrays: dict[str, Array], board: Board) -> AbstractProcess:
    return process_of(group)(
        shape=(group.size,),
        du=group.du,
        dv=group.dv,
        vth=group.vth,
        bias_mant=group.bias_mant,
        bias_exp=group.bias_exp,
        v_init=group.v_init,
        depth=group.depth,
        clock=job.clock,
        output=group.output,
        guarded=group.guarded,
        counted=group.counted,
        shared=arrays,
        board=board,
        label=f"group {group.name!r}",
        **({} if group.vsub is None else {"vsub": group.vsub}),
    )


def _synapse(synapse: SynapseJob, job: Job, counter: Array, board: Board) -> AbstractProcess:
    kind = CountingSparse if sparse.issparse(synapse.weights) else CountingDense
    return kind(
        weights=synapse.weights,
        weight_exp=synapse.weight_exp,
        sign_mode=SignMode[synapse.sign_mode.upper()],
        delay=synapse.delay,
        clock=job.clock,
        target_depth=synapse.target_depth,
        safe_sum=synapse.safe_sum,
        shared={"synops": counter},
        board=board,
        label=f"synapse {synapse.name!r}",
    )


def _barrier(synapse: SynapseJob, job: Job, board: Board) -> AbstractProcess:
    return SampleBarrier(
        size=int(synapse.weights.shape[1]),
        clock=job.clock,
        depth=synapse.source_depth,
        lag=synapse.lag,
        shared={},
        board=board,
        label=f"barrier of {synapse.name!r}",
    )


def _sources(job: Job, board: Board) -> list[AbstractProcess]:
    """The input, or the currents of every host in the job's order."""
    if not job.hosts:
        label = f"input {job.input_name!r}"
        return [
            SpikeSource(bits=job.spike_bits, shape=(job.input_size,), shared={}, board=board, label=label)
        ]
    return [
        CurrentSource(
            currents=host.currents,
            clock=job.clock,
            depth=host.depth,
            each_step=host.currents.ndim == 3,
            shared={},
            board=board,
            label=f"current into {host.target!r}",
        )
        for host in job.hosts
    ]
