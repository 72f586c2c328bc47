"""One chunk of samples through a whole Program.

Groups run one after another, each over all steps: spikes only go forward, so nothing waits. Groups that a
cycle joins run step by step, together. Time is counted within a sample: a forward synapse delivers what its
source sent at step t at its target's step t (depth and delay make up for each other), one on a cycle at
step t + lag.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.backend import Record
from sne_deploy.ir.program import ALWAYS_ON, NeuronGroup, Program
from sne_loihi import kernels
from sne_loihi.cost import Costs
from sne_loihi.layout import Layout, layouts
from sne_loihi.operators import Operator

Array = npt.NDArray[Any]
_NEVER = np.int32(2**31 - 1)


@dataclass(frozen=True, eq=False)
class Neurons:
    """A group's registers, expanded to int32 (n,) in the inner order."""

    group: NeuronGroup
    layout: Layout
    keep_u: Array
    keep_v: Array
    bias: Array
    vth: Array
    v_init: Array

    @staticmethod
    def of(group: NeuronGroup, layout: Layout) -> Neurons:
        """Expand and reorder."""

        def expand(value: Array) -> Array:
            full = np.broadcast_to(np.asarray(value, dtype=np.int32), (group.size,))
            return layout.inside(full).copy()

        vth = expand(group.vth_mant) << 6 if group.spiking else np.full(group.size, _NEVER)
        return Neurons(
            group=group,
            layout=layout,
            keep_u=np.int32(4095) - expand(group.du),
            keep_v=np.int32(4096) - expand(group.dv),
            bias=expand(group.bias_mant) << np.int32(group.bias_exp),
            vth=vth.astype(np.int32),
            v_init=expand(group.v_init),
        )

    @property
    def registers(self) -> tuple[Array, Array, Array, Array]:
        """keep_u, keep_v, bias, vth: in the kernels' order."""
        return self.keep_u, self.keep_v, self.bias, self.vth


@dataclass(frozen=True, eq=False)
class GroupRun:
    """What one group did in a chunk of B samples; arrays over neurons are in the inner order."""

    active: Array
    fired: Array
    counts: Array | None = None
    spikes: Array | None = None
    readout: Array | None = None
    u: Array | None = None
    v: Array | None = None


@dataclass(frozen=True, eq=False)
class Plan:
    """A Program laid out for this machine.

    Attributes
    ----------
    program : Program
    layouts : mapping
    neurons : mapping
    operators : mapping of group name to its incoming operators, the always-on axon's excluded
    always_on : mapping of group name to int32 (n,)
        What the always-on axon adds at every step.
    blocks : tuple of tuple of str
        Groups in order; those in one block run step by step.
    """

    program: Program
    layouts: Mapping[str, Layout]
    neurons: Mapping[str, Neurons]
    operators: Mapping[str, tuple[Operator, ...]]
    always_on: Mapping[str, Array]
    blocks: tuple[tuple[str, ...], ...]

    @staticmethod
    def of(program: Program, *, stepped: bool = False) -> Plan:
        """Lay out; ``stepped`` puts all groups into one block, so that states can be recorded."""
        places = layouts(program)
        operators: dict[str, tuple[Operator, ...]] = {}
        always_on: dict[str, Array] = {}
        for group in program.groups:
            layout = places[group.name]
            incoming = program.synapses_into(group.name)
            operators[group.name] = tuple(
                Operator.of(s, places[s.source], layout) for s in incoming if s.source != ALWAYS_ON
            )
            constant = np.zeros(group.size, np.int32)
            for synapse in (s for s in incoming if s.source == ALWAYS_ON):
                column = synapse.weights.matrix().toarray()[:, 0].astype(np.int32)
                constant += column << np.int32(synapse.weight_exp)
            always_on[group.name] = layout.inside(constant)
        names = tuple(group.name for group in program.groups)
        return Plan(
            program=program,
            layouts=places,
            neurons={group.name: Neurons.of(group, places[group.name]) for group in program.groups},
            operators=operators,
            always_on=always_on,
            blocks=(names,) if stepped else _blocks(program, names),
        )

    def lag(self, operator: Operator) -> int:
        """Steps within the sample from sending to delivery: 0 for forward synapses."""
        source = operator.synapse.source
        sent = 0 if source == self.program.input.name else self.program.group(source).depth
        return sent + 1 + operator.synapse.delay - self.program.group(operator.synapse.target).depth


def _blocks(program: Program, names: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Merge the groups between both ends of every synapse that goes back."""
    joined = [False] * len(names)
    """Whether a group runs together with the one before it."""
    alone = [True] * len(names)
    for synapse in program.synapses:
        if synapse.recurrent:
            first, last = sorted((names.index(synapse.source), names.index(synapse.target)))
            alone[first] = False
            for index in range(first + 1, last + 1):
                joined[index] = True
    blocks: list[list[str]] = []
    for name, with_previous in zip(names, joined, strict=True):
        if with_previous:
            blocks[-1].append(name)
        else:
            blocks.append([name])
    return tuple(tuple(block) for block in blocks)


class Engine:
    """Runs chunks of samples through a Plan; holds nothing that depends on the samples."""

    def __init__(self, plan: Plan, costs: Costs) -> None:
        self._plan = plan
        self._costs = costs
        self._cyclic = {s.source for s in plan.program.synapses if s.recurrent} | {
            s.target for s in plan.program.synapses if s.recurrent
        }

    def run(
        self, sent: Array | None, constant: Array | None, samples: int, record: Record
    ) -> dict[str, GroupRun]:
        """Run B samples.

        Parameters
        ----------
        sent : uint8 (B, T, n_in) in the input's inner order, or None
        constant : int32 (B, n) of the host's target in the Program's order, or None
        samples : int
            B.
        record : {"counts", "spikes", "all"}

        Returns
        -------
        dict of group name to GroupRun; the input's own counts under its name.
        """
        plan = self._plan
        done: dict[str, GroupRun] = {}
        if sent is not None:
            counts = np.empty((samples, sent.shape[2]), np.int32)
            kernels.count_spikes(sent, sent.shape[1], counts)
            zeros = np.zeros(samples, np.int64)
            done[plan.program.input.name] = GroupRun(zeros, counts.sum(axis=1, dtype=np.int64), counts, sent)
        for block in plan.blocks:
            drives = {name: self._constant(name, constant) for name in block}
            if len(block) == 1 and block[0] not in self._cyclic and record != "all":
                done[block[0]] = self._run_group(block[0], drives[block[0]], samples, done)
            elif len(block) == 1 and self._is_loop(block[0]) and record != "all":
                done[block[0]] = self._run_loop(block[0], drives[block[0]], samples, done)
            else:
                done.update(self._run_block(block, drives, samples, done, record))
        return done

    def _constant(self, name: str, constant: Array | None) -> Array:
        """int32 (1 or B, n): what reaches the group at every step."""
        host = self._plan.program.host
        always = self._plan.always_on[name][None]
        if host is None or constant is None or host.target != name:
            return always
        return np.ascontiguousarray(self._plan.layouts[name].inside(constant) + always)

    def _run_group(self, name: str, constant: Array, samples: int, done: Mapping[str, GroupRun]) -> GroupRun:
        neurons, operators = self._plan.neurons[name], self._plan.operators[name]
        steps, n = self._plan.program.timesteps, neurons.group.size
        if not neurons.group.spiking:
            return self._run_readout(neurons, operators, constant, samples, done)
        spikes = np.empty((samples, steps, n), np.uint8)
        counts = np.empty((samples, n), np.int32)
        active, fired = np.empty(samples, np.int64), np.empty(samples, np.int64)
        results = (spikes, counts, active, fired)
        if len(operators) == 1 and self._method(operators[0], done) == "events":
            operator = operators[0]
            source = done[operator.synapse.source].spikes
            kernels.run_groups_on_events(
                source,
                *operator.events,
                np.int32(operator.shift),
                constant,
                *neurons.registers,
                neurons.v_init,
                *results,
            )
        else:
            a_in, shift = self._sums(operators, samples, n, done) if operators else (None, 0)
            kernels.run_groups(a_in, np.int32(shift), constant, *neurons.registers, neurons.v_init, *results)
        return GroupRun(active, fired, counts, spikes)

    def _is_loop(self, name: str) -> bool:
        """Whether a spiking group drives itself through just one synapse, later than at once."""
        loops = self._loops(name)
        spiking = self._plan.neurons[name].group.spiking
        return spiking and len(loops) == 1 and self._plan.lag(loops[0]) >= 1

    def _loops(self, name: str) -> tuple[Operator, ...]:
        return tuple(o for o in self._plan.operators[name] if o.synapse.source == name)

    def _run_loop(self, name: str, constant: Array, samples: int, done: Mapping[str, GroupRun]) -> GroupRun:
        """A group with a loop onto itself: its own spikes are added as events, whatever came in before."""
        neurons, (loop,) = self._plan.neurons[name], self._loops(name)
        steps, n = self._plan.program.timesteps, neurons.group.size
        external = tuple(o for o in self._plan.operators[name] if o is not loop)
        a_in = None
        if external:
            a_in, missing = self._sums(external, samples, n, done)
            if missing:
                np.left_shift(a_in, np.int32(missing), out=a_in)
        spikes = np.empty((samples, steps, n), np.uint8)
        counts = np.empty((samples, n), np.int32)
        active, fired = np.empty(samples, np.int64), np.empty(samples, np.int64)
        kernels.run_loops_on_events(
            a_in,
            *loop.events,
            np.int32(loop.shift),
            self._plan.lag(loop),
            constant,
            *neurons.registers,
            neurons.v_init,
            *(spikes, counts, active, fired),
        )
        return GroupRun(active, fired, counts, spikes)

    def _run_readout(
        self,
        neurons: Neurons,
        operators: tuple[Operator, ...],
        constant: Array,
        samples: int,
        done: Mapping[str, GroupRun],
    ) -> GroupRun:
        n, steps = neurons.group.size, self._plan.program.timesteps
        if operators:
            a_in, shift = self._sums(operators, samples, n, done)
        else:
            a_in, shift = np.zeros((samples, steps, n), np.int32), 0
        last, highest = np.empty((samples, n), np.int32), np.empty((samples, n), np.int32)
        total, active = np.empty((samples, n), np.int64), np.empty(samples, np.int64)
        keep_u, keep_v, bias, _ = neurons.registers
        kernels.run_readouts(
            a_in,
            np.int32(shift),
            constant,
            keep_u,
            keep_v,
            bias,
            neurons.v_init,
            last,
            total,
            highest,
            active,
        )
        readouts: dict[str, Array] = {"v_last": last, "v_mean": total, "v_max": highest}
        readout = readouts[self._plan.program.readout]
        return GroupRun(active, np.zeros(samples, np.int64), readout=readout)

    def _method(self, operator: Operator, done: Mapping[str, GroupRun]) -> str:
        source = done[operator.synapse.source]
        assert source.counts is not None  # noqa: S101  sources spike
        rows = len(source.counts) * self._plan.program.timesteps
        synops = float(source.counts.sum(axis=0, dtype=np.int64) @ operator.fan_out)
        return self._costs.best(operator, rows, synops)

    def _sums(
        self, operators: tuple[Operator, ...], samples: int, n: int, done: Mapping[str, GroupRun]
    ) -> tuple[Array, int]:
        """Synaptic input (B, T, n) of forward synapses, and the shift that is still missing."""
        steps = self._plan.program.timesteps
        if len(operators) == 1:
            source = done[operators[0].synapse.source].spikes
            assert source is not None  # noqa: S101  sources spike
            sums, shift = self._apply(
                operators[0], source.reshape(samples * steps, -1), self._method(operators[0], done)
            )
            return sums.reshape(samples, steps, n), shift
        buffer = np.zeros((samples * steps, n), np.int32)
        for operator in operators:
            source = done[operator.synapse.source].spikes
            assert source is not None  # noqa: S101  sources spike
            sums, shift = self._apply(
                operator, source.reshape(samples * steps, -1), self._method(operator, done)
            )
            buffer += sums << np.int32(shift)
        return buffer.reshape(samples, steps, n), 0

    def _apply(self, operator: Operator, sent: Array, method: str) -> tuple[Array, int]:
        """Sums (R, n_out) of spikes (R, n_in), and the left shift that is still missing."""
        if method == "matrix" and operator.product is not None:
            sums, missing = operator.product.apply(sent)
            return sums, missing + operator.shift
        if method == "convolution" and operator.convolution is not None:
            return operator.convolution.apply(sent), operator.shift
        buffer = np.zeros((len(sent), operator.matrix.shape[0]), np.int32)
        kernels.add_events(sent, *operator.events, np.int32(0), buffer)
        return buffer, operator.shift

    def _run_block(
        self,
        block: tuple[str, ...],
        drives: Mapping[str, Array],
        samples: int,
        done: Mapping[str, GroupRun],
        record: Record,
    ) -> dict[str, GroupRun]:
        """Step by step: what comes from outside the block is summed beforehand, what is inside as it goes."""
        plan, steps = self._plan, self._plan.program.timesteps
        members = {name: _Member.start(plan.neurons[name], samples, steps, record == "all") for name in block}
        outside: dict[str, Array | None] = {}
        inside: dict[str, list[tuple[Operator, int]]] = {}
        for name in block:
            external = tuple(o for o in plan.operators[name] if o.synapse.source not in members)
            inside[name] = [(o, plan.lag(o)) for o in plan.operators[name] if o.synapse.source in members]
            outside[name] = None
            if external:
                sums, shift = self._sums(external, samples, plan.neurons[name].group.size, done)
                outside[name] = sums << np.int32(shift)
        for t in range(steps):
            for name in block:
                drive = np.broadcast_to(drives[name], (samples, plan.neurons[name].group.size)).copy()
                before = outside[name]
                if before is not None:
                    drive += before[:, t]
                for operator, lag in inside[name]:
                    if t - lag >= 0:
                        sent = np.ascontiguousarray(members[operator.synapse.source].spikes[:, t - lag])
                        method = "matrix" if operator.product is not None else "events"
                        sums, shift = self._apply(operator, sent, method)
                        drive += sums << np.int32(shift)
                members[name].step(t, drive)
        return {name: member.finish(plan.program) for name, member in members.items()}


@dataclass(frozen=True, eq=False)
class _Member:
    """A group that runs step by step; its arrays are written as it goes."""

    neurons: Neurons
    spikes: Array
    u: Array
    v: Array
    active: Array
    fired: Array
    total: Array
    highest: Array
    recorded_u: Array | None
    recorded_v: Array | None

    @staticmethod
    def start(neurons: Neurons, samples: int, steps: int, record: bool) -> _Member:
        n = neurons.group.size
        full = (samples, steps, n)
        return _Member(
            neurons=neurons,
            spikes=np.zeros(full, np.uint8),
            u=np.zeros((samples, n), np.int32),
            v=np.tile(neurons.v_init, (samples, 1)),
            active=np.zeros(samples, np.int64),
            fired=np.zeros(samples, np.int64),
            total=np.zeros((samples, n), np.int64),
            highest=np.full((samples, n), np.iinfo(np.int32).min, np.int32),
            recorded_u=np.empty(full, np.int32) if record else None,
            recorded_v=np.empty(full, np.int32) if record else None,
        )

    def step(self, t: int, drive: Array) -> None:
        now = np.empty(drive.shape, np.uint8)
        kernels.step_groups(drive, self.u, self.v, *self.neurons.registers, now, self.active, self.fired)
        self.spikes[:, t] = now
        if not self.neurons.group.spiking:
            np.add(self.total, self.v, out=self.total)
            np.maximum(self.highest, self.v, out=self.highest)
        if self.recorded_u is not None and self.recorded_v is not None:
            self.recorded_u[:, t] = self.u
            self.recorded_v[:, t] = self.v

    def finish(self, program: Program) -> GroupRun:
        readout = None
        if not self.neurons.group.spiking:
            readout = {"v_last": self.v, "v_mean": self.total, "v_max": self.highest}[program.readout]
        return GroupRun(
            active=self.active,
            fired=self.fired,
            counts=self.spikes.sum(axis=1, dtype=np.int32),
            spikes=self.spikes,
            readout=readout,
            u=self.recorded_u,
            v=self.recorded_v,
        )
