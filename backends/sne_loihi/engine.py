"""One chunk of samples through a whole Program.

Groups run one after another, each over all steps: spikes only go forward, so nothing waits. Groups that a
cycle joins run step by step, together. Time is counted within a sample: a synapse delivers what its source
sent at step t at its target's step t + lag, or never where the sample ends before; lag is 0 where depth and
delay make up for each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.backend import Record
from sne_loihi import kernels
from sne_loihi.cost import Costs
from sne_loihi.cycles import Cycle
from sne_loihi.plan import GroupRun, Plan
from sne_loihi.sums import Sums, Ways

Array = npt.NDArray[Any]
States = tuple[Array, Array]


class Engine:
    """Runs chunks of samples through a Plan; holds nothing that depends on the samples."""

    def __init__(self, plan: Plan, costs: Costs, ways: Ways) -> None:
        self._plan = plan
        self._ways = ways
        self._sums = Sums(plan, costs, ways)
        self._cycles = {block: Cycle.of(block, plan) for block in plan.blocks if plan.is_cycle(block)}

    def run(
        self, sent: Array | None, constants: Mapping[str, Array], samples: int, record: Record
    ) -> dict[str, GroupRun]:
        """Run B samples.

        Parameters
        ----------
        sent : uint8 (B, T, n_in) in the input's inner order, or None
        constants : mapping of group name to int32 (B, n), or (B, T, n)
            What the host sends at every step, or at each, in the Program's order.
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
            if block in self._cycles:
                done |= self._run_cycle(self._cycles[block], drives, samples, done, record)
                continue
            name = block[0]
            spiking = plan.neurons[name].group.spiking
            run = self._run_group if spiking else self._run_readout
            done[name] = run(name, drives[name], samples, done, self._states(name, samples, record))
        return done

    def _states(self, name: str, samples: int, record: Record) -> States | None:
        """Room for u and v after every step."""
        if record != "all":
            return None
        shape = (samples, self._plan.program.timesteps, self._plan.neurons[name].group.size)
        return np.empty(shape, np.int32), np.empty(shape, np.int32)

    def _run_group(
        self,
        name: str,
        constant: Array,
        samples: int,
        done: Mapping[str, GroupRun],
        states: States | None,
    ) -> GroupRun:
        neurons, operators = self._plan.neurons[name], self._plan.operators[name]
        steps, n = self._plan.program.timesteps, neurons.group.size
        spikes, counts = np.empty((samples, steps, n), np.uint8), np.empty((samples, n), np.int32)
        active, fired = np.empty(samples, np.int64), np.empty(samples, np.int64)
        outside = neurons.room_outside(samples)
        run = kernels.compiled(neurons.kernel.update, neurons.kernel.outside)
        results = (spikes, counts, active, fired, outside)
        single = len(operators) == 1 and constant.ndim == 2
        if single and self._sums.method(operators[0], done) == "events":
            (operator,) = operators
            self._ways.took(operator.synapse.name, "events")
            arriving = self._sums.arriving(operator, done)
            drive = (constant, neurons.registers, neurons.v_init, results, states)
            run.run_groups_on_events(arriving, operator.events, np.int32(operator.shift), *drive)
        else:
            a_in, shift, constant = _entering(*self._sums.of(operators, done), constant)
            run.run_groups(
                a_in, np.int32(shift), constant, neurons.registers, neurons.v_init, results, states
            )
        u, v = states or (None, None)
        return GroupRun(active, fired, counts, spikes, u=u, v=v, outside=outside if len(outside) else None)

    def _run_readout(
        self,
        name: str,
        constant: Array,
        samples: int,
        done: Mapping[str, GroupRun],
        states: States | None,
    ) -> GroupRun:
        neurons, steps = self._plan.neurons[name], self._plan.program.timesteps
        n = neurons.group.size
        a_in, shift, constant = _entering(*self._sums.of(self._plan.operators[name], done), constant)
        if a_in is None:
            a_in = np.zeros((samples, steps, n), np.int32)
        last, highest = np.empty((samples, n), np.int32), np.empty((samples, n), np.int32)
        total, active = np.empty((samples, n), np.int64), np.empty(samples, np.int64)
        outside = neurons.room_outside(samples)
        results = (last, total, highest, active, outside)
        run = kernels.compiled(neurons.kernel.update, neurons.kernel.outside)
        run.run_readouts(a_in, np.int32(shift), constant, neurons.registers, neurons.v_init, results, states)
        readouts: dict[str, Array] = {"v_last": last, "v_mean": total, "v_max": highest}
        readout = readouts[self._plan.program.readout]
        u, v = states or (None, None)
        return GroupRun(
            active,
            np.zeros(samples, np.int64),
            readout=readout,
            u=u,
            v=v,
            outside=outside if len(outside) else None,
        )

    def _run_cycle(
        self,
        cycle: Cycle,
        drives: Mapping[str, Array],
        samples: int,
        done: Mapping[str, GroupRun],
        record: Record,
    ) -> dict[str, GroupRun]:
        """What comes from outside is summed beforehand, what goes round as it goes, spike by spike."""
        a_in: list[Array | None] = []
        constants: list[Array] = []
        for name in cycle.names:
            sums, missing, constant = _entering(*self._sums.of(cycle.outside[name], done), drives[name])
            a_in.append(sums if sums is None or missing == 0 else sums << np.int32(missing))
            constants.append(constant)
        shape = (samples, self._plan.program.timesteps)
        return cycle.run(a_in, constants, shape, record=record == "all")


def _entering(sums: Array | None, missing: int, drive: Array) -> tuple[Array | None, int, Array]:
    """What synapses sum up, the shift that it lacks, and what comes at every step beside it.

    A drive that differs from step to step, (B, T, n), is added to the sums.
    """
    if drive.ndim == 2:
        return sums, missing, drive
    total = drive if sums is None else (sums << np.int32(missing)) + drive
    return total, 0, np.zeros((1, drive.shape[2]), np.int32)
