"""Running a compiled student: chunks of samples that fit a memory budget, joined in order."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sne_deploy.backend import Record, RunOptions
from sne_deploy.errors import DataError
from sne_deploy.ir.program import NeuronGroup, Program
from sne_deploy.runtime.synops import synops_into, updates_of
from sne_deploy.runtime.threads import all_threads, run_in_chunks
from sne_deploy.runtime.trace import LayerTrace, Trace, not_run
from sne_loihi import kernels
from sne_loihi.cost import Costs, measured_costs
from sne_loihi.device import DeviceEngine, open_device
from sne_loihi.engine import Engine
from sne_loihi.plan import GroupRun, Plan
from sne_loihi.sums import Ways

Array = npt.NDArray[Any]

MEMORY_BUDGET_BYTES = 2**26
"""Working memory of the chunks that run together; results come on top."""
CHUNK_ROWS = 4096
"""Samples x steps of a thread's chunk: enough to use weights often, few enough for the core's own cache."""


class LoihiExecutable:
    """A Program laid out for this machine.

    Parameters
    ----------
    program : Program
    options : RunOptions
        ``extra``: ``memory_bytes`` (working memory), ``method`` (force one of
        :data:`sne_loihi.cost.METHODS` wherever it exists), ``device`` (a PyTorch device such as "cuda"
        instead of this machine's own kernels; the same integers).

    Attributes
    ----------
    ways : Ways
        How the sums of each synapse came about so far, and fallbacks.
    """

    def __init__(self, program: Program, options: RunOptions) -> None:
        self._program = program
        self._options = options
        self._plan = Plan.of(program)
        self._budget = int(options.extra.get("memory_bytes", MEMORY_BUDGET_BYTES))
        self._forced = options.extra.get("method")
        device = options.extra.get("device")
        self._device = None if device is None else open_device(str(device))
        self.ways = Ways()

    @property
    def fallbacks(self) -> Mapping[str, int]:
        """Slower ways that were taken since a library's result was wrong, with how often."""
        return self.ways.fallbacks

    def __enter__(self) -> LoihiExecutable:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__dict__.pop("_engine", None)  # what it holds may be on a device

    @property
    def chunk(self) -> int:
        """Samples that are run together, by the memory budget; at least 1."""
        return self._chunk(torch.get_num_threads())

    def _chunk(self, threads: int) -> int:
        program = self._program
        sizes = {group.name: group.size for group in program.groups}
        spikes = sum(sizes.values()) + self._entering_bytes
        widest = max(sum(sizes[name] for name in block) for block in self._plan.blocks)
        per_sample = program.timesteps * (spikes + 2 * 4 * widest) + 16 * widest
        rows = max(1, CHUNK_ROWS // program.timesteps)
        return max(1, min(self._options.stream or rows, rows, self._budget // (per_sample * threads)))

    @property
    def _entering_bytes(self) -> int:
        """What one step of a sample and what it drives take."""
        program = self._program
        if program.spike_input:
            return program.input.size
        if program.constant_input:
            return 0
        return 8 * program.input.size + sum(16 * program.group(host.target).size for host in program.hosts)

    def run(self, inputs: Array, record: Record = "counts") -> Trace:
        """Run N samples; see :class:`sne_deploy.backend.Executable`.

        Raises
        ------
        DataError
            The samples do not fit the Program.
        """
        self._check(inputs)
        with all_threads() as cores:
            threads = cores if self._device is None else 1
            engine = self._engine
            return run_in_chunks(
                lambda first, last: self._run_chunk(engine, inputs[first:last], record),
                len(inputs),
                self._chunk(threads),
                threads=threads,
                name=self._program.name,
                progress=self._options.progress,
            )

    def not_run(self, samples: int, record: Record) -> Trace:
        """Of samples on which it did not run; see :class:`sne_deploy.backend.Silent`."""
        neurons = self._plan.neurons
        return not_run(
            self._program,
            samples,
            record,
            updates=True,
            outside=lambda group: neurons[group.name].kernel.outside is not None,
            states=np.int32,
        )

    @cached_property
    def _engine(self) -> Engine | DeviceEngine:
        if self._device is not None:
            return DeviceEngine(self._plan, self._device)
        return Engine(self._plan, self._costs(), self.ways)

    def _costs(self) -> Costs:
        measured = measured_costs()
        if self._forced is None:
            return measured
        return Costs(**{**measured.__dict__, "forced": self._forced})

    def _check(self, inputs: Array) -> None:
        program = self._program
        if inputs.shape[1:] != program.sample_shape:
            raise DataError(
                f"student {program.name!r}: samples have shape {inputs.shape[1:]}, the model takes "
                f"{program.sample_shape}"
            )

    def _run_chunk(self, engine: Engine | DeviceEngine, inputs: Array, record: Record) -> Trace:
        program, plan, samples = self._program, self._plan, len(inputs)
        sent = None
        driven, saturated = program.driven(inputs)
        if program.spike_input:
            flat = np.asarray(inputs, np.uint8).reshape(samples, program.timesteps, program.input.size)
            sent = np.require(plan.orders[program.input.name].inside(flat), requirements="W")
        runs = engine.run(sent, driven, samples, record)
        raw = _raw(plan, runs)
        return Trace(
            raw_outputs=raw,
            outputs=program.readout_in_units(raw),
            layers=tuple(_layer_trace(plan, group, runs, samples, record) for group in program.groups),
            input_spikes=_input_spikes(program, runs, samples),
            host_macs=np.full(samples, program.host_macs, np.int64),
            saturated_inputs=saturated,
        )


def _raw(plan: Plan, runs: dict[str, GroupRun]) -> Array:
    """(B, output_size): counts, or what was read of v."""
    parts = []
    for group in plan.program.output_groups:
        values = runs[group.name].counts if group.spiking else runs[group.name].readout
        assert values is not None  # noqa: S101  spiking groups are counted, the others read
        parts.append(plan.orders[group.name].outside(values).astype(np.int64, copy=False))
    return np.concatenate(parts, axis=1)


def _layer_trace(
    plan: Plan, group: NeuronGroup, runs: dict[str, GroupRun], samples: int, record: Record
) -> LayerTrace:
    program, run, order = plan.program, runs[group.name], plan.orders[group.name]
    full = (samples, program.timesteps, *group.shape)
    keep_spikes = record != "counts" and group.spiking
    active, idle = updates_of(program, group, run.active)
    wraps, saturations = _outside(plan, run, group.name)
    return LayerTrace(
        name=group.name,
        synops=synops_into(program, group.name, samples, lambda name, steps: _sent(plan, runs, name, steps)),
        spikes=run.fired,
        updates_active=active,
        updates_idle=idle,
        u_wraps=wraps,
        v_saturations=saturations,
        recorded_spikes=order.outside(run.spikes).reshape(full).astype(bool)
        if keep_spikes and run.spikes is not None
        else None,
        recorded_u=None if run.u is None else order.outside(run.u).reshape(full),
        recorded_v=None if run.v is None else order.outside(run.v).reshape(full),
    )


def _outside(plan: Plan, run: GroupRun, name: str) -> tuple[Array | None, Array | None]:
    """How often u wrapped and v saturated, int64 (B,); None where the model's kernel does not count it."""
    if run.outside is not None:
        return run.outside[:, 0], run.outside[:, 1]
    neurons = plan.neurons[name]
    if neurons.kernel.outside is None:
        return None, None
    return np.zeros(len(run.active), np.int64), np.zeros(len(run.active), np.int64)


def _sent(plan: Plan, runs: dict[str, GroupRun], name: str, steps: int) -> Array:
    """Spikes of each neuron of a group in the first steps, int32 (B, n), in the Program's order."""
    run = runs[name]
    assert run.counts is not None and run.spikes is not None  # noqa: S101, PT018  sources spike
    counts = run.counts
    if steps < plan.program.timesteps:
        counts = np.empty(run.counts.shape, np.int32)
        kernels.count_spikes(run.spikes, steps, counts)
    return plan.orders[name].outside(counts)


def _input_spikes(program: Program, runs: dict[str, GroupRun], samples: int) -> Array:
    total = np.full(samples, program.steady_messages * program.timesteps, np.int64)
    if program.input.name in runs:
        total += runs[program.input.name].fired
    return total
