"""One chunk of samples through a whole Program.

Groups run one after another, each over all steps: spikes only go forward, so nothing waits. Groups that a
cycle joins run step by step, together. Time is counted within a sample: a synapse delivers what its source
sent at step t at its target's step t + lag, or never where the sample ends before; lag is 0 where depth and
delay make up for each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.backend import Record
from sne_deploy.ir.program import Program
from sne_loihi import kernels
from sne_loihi.cost import Costs
from sne_loihi.operators import Operator
from sne_loihi.plan import GroupRun, Neurons, Plan

Array = npt.NDArray[Any]


class Engine:
    """Runs chunks of samples through a Plan; holds nothing that depends on the samples."""

    def __init__(self, plan: Plan, costs: Costs) -> None:
        self._plan = plan
        self._costs = costs

    def run(
        self, sent: Array | None, constants: Mapping[str, Array], samples: int, record: Record
    ) -> dict[str, GroupRun]:
        """Run B samples.

        Parameters
        ----------
        sent : uint8 (B, T, n_in) in the input's inner order, or None
        constants : mapping of group name to int32 (B, n)
            What the host sends at every step, in the Program's order.
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
            drives = {name: plan.constant(name, constants) for name in block}
            if len(block) == 1 and not self._loops(block[0]) and record != "all":
                done[block[0]] = self._run_group(block[0], drives[block[0]], samples, done)
            elif len(block) == 1 and self._is_loop(block[0]) and record != "all":
                done[block[0]] = self._run_loop(block[0], drives[block[0]], samples, done)
            else:
                done.update(self._run_block(block, drives, samples, done, record))
        return done

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
            kernels.run_groups_on_events(
                self._arriving(operator, done),
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
        """Whether a group drives itself through just one synapse."""
        loops = self._loops(name)
        return len(loops) == 1

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
        keep_u, keep_v, bias, *_ = neurons.registers
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
        """Synaptic input (B, T, n) from groups that are done, and the shift that is still missing."""
        steps = self._plan.program.timesteps
        if len(operators) == 1:
            sent = self._arriving(operators[0], done).reshape(samples * steps, -1)
            sums, shift = self._apply(operators[0], sent, self._method(operators[0], done))
            return sums.reshape(samples, steps, n), shift
        buffer = np.zeros((samples * steps, n), np.int32)
        for operator in operators:
            sent = self._arriving(operator, done).reshape(samples * steps, -1)
            sums, shift = self._apply(operator, sent, self._method(operator, done))
            buffer += sums << np.int32(shift)
        return buffer.reshape(samples, steps, n), 0

    def _arriving(self, operator: Operator, done: Mapping[str, GroupRun]) -> Array:
        """uint8 (B, T, n_in): the spikes of a group that is done, each at the step at which it arrives."""
        spikes = done[operator.synapse.source].spikes
        assert spikes is not None  # noqa: S101  sources spike
        return later(spikes, self._plan.lag(operator))

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


def later(spikes: Array, lag: int) -> Array:
    """Spikes (B, T, n) moved back by ``lag`` steps; those that leave the sample are dropped."""
    if lag == 0:
        return spikes
    moved = np.zeros_like(spikes)
    moved[:, lag:] = spikes[:, :-lag]
    return moved
