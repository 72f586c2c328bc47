"""Energy and time of a run by SANA-FE and by sne-deploy: the same spikes on the same cores."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from operator import add
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.compiled import Compiled
from sne_deploy.data.encode import encode
from sne_deploy.energy.accounting import (
    COUNTED,
    MOVED,
    Counts,
    Traffic,
    add_traffic,
    energy_parts,
    prices_of,
)
from sne_deploy.energy.time import StepRates, step_floors
from sne_deploy.errors import VerificationError
from sne_deploy.ir.fan_out import fan_out
from sne_deploy.ir.program import ALWAYS_ON
from sne_deploy.runtime.result import StudentResult
from sne_sanafe.chip import Found, student
from sne_sanafe.constants import Charges, charges

Array = npt.NDArray[Any]

ROUNDS = 5
"""How often a run is repeated to see how long it takes."""


@dataclass(frozen=True)
class Term:
    """One term of the energy, of all samples together.

    Attributes
    ----------
    sanafe, ours : str
        What it is called there and here.
    sanafe_j, ours_j : float
    """

    sanafe: str
    ours: str
    sanafe_j: float
    ours_j: float

    @property
    def ratio(self) -> float | None:
        """Theirs over ours; None where ours is 0."""
        return self.sanafe_j / self.ours_j if self.ours_j else None


@dataclass(frozen=True)
class Comparison:
    """A run of an ensemble, by both.

    Attributes
    ----------
    samples : int
    found : Found
        By SANA-FE.
    counts : Counts
    traffic : Traffic
        Here.
    terms : tuple of Term
    charges : Charges
        What SANA-FE takes for an operation.
    late_synops : int
        SynOps of spikes on cycles that would be delivered to the next sample: not counted here.
    quiet_s : float
        What SANA-FE takes for as many steps without spikes.
    time_s, time_quiet_s : float or None
        Here, on the neurocores with the chip's own barrier; None where the chip's file has no rates.
    sanafe_s : float
        Processor time of building, loading and driving SANA-FE's networks.
    run_s : float
        Processor time of simulating, counting and reporting here: the median of :data:`ROUNDS`.
    """

    samples: int
    found: Found
    counts: Counts
    traffic: Traffic
    terms: tuple[Term, ...]
    charges: Charges
    late_synops: int
    quiet_s: float
    time_s: float | None
    time_quiet_s: float | None
    sanafe_s: float
    run_s: float

    @property
    def updates(self) -> int:
        """Of all compartments, with input and without."""
        return (self.counts.updates_active or 0) + (self.counts.updates_idle or 0)

    @property
    def idle_j(self) -> float:
        """What SANA-FE charges less by its own rule: neurons without input or potential are read only."""
        return (self.counts.updates_idle or 0) * (self.charges.update_j - self.charges.access_j)

    @property
    def total(self) -> Term:
        """The sum of the terms."""
        ours = sum(term.ours_j for term in self.terms)
        return Term("total", "total", sum(term.sanafe_j for term in self.terms), ours)


def compare(compiled: Compiled, x: Any, seed: int = 0) -> Comparison:
    """Run samples, and the same spikes by SANA-FE.

    Parameters
    ----------
    compiled : Compiled
        In fixed point, on a target that records spikes.
    x : array of shape (N, ...)
        As :meth:`Compiled.run` takes it, all samples of one length.
    seed : int
        That of the compilation: an encoder may draw spikes.

    Raises
    ------
    MappingError
        The students are not on one Loihi 1.
    VerificationError
        SANA-FE counted something else.
    """
    run = compiled.run(x, record="spikes").run
    run_s = median(_timed(compiled, x) for _ in range(ROUNDS))
    started = time.process_time()
    networks = [student(program, compiled.mapping) for program in compiled.programs]
    found, late, quiet_s = Found(), 0, 0.0
    for result, network in zip(run.students, networks, strict=True):
        if not result.active.any():
            continue
        program = result.program
        inputs = encode(compiled.ensemble.encoder, np.asarray(x), program.timesteps, seed)
        sent = _sent(result, inputs)
        steps = int(np.count_nonzero(result.active)) * program.timesteps
        after_one = {name: np.pad(each, ((1, 0), (0, 0))) for name, each in sent.items()}
        quiet, *driven = network.run(after_one, 1 + steps)
        one = reduce(add, driven)
        late += _checked(result, one, sent, steps)
        found, quiet_s = found + one, quiet_s + quiet.time_s * steps
    sanafe_s = time.process_time() - started
    totals = [asdict(result.counts) for result in run.students]
    counts = Counts(
        **{name: sum(one[name] for one in totals) for name in COUNTED}, samples_run=len(run.active)
    )
    traffic = add_traffic(_traffic(result) for result in run.students)
    parts = energy_parts(counts, prices_of(compiled.hardware), traffic=traffic)
    terms = (
        Term("synapse", "SynOps", found.synapse_j, parts["synops"]),
        Term("dendrite", "(in updates)", found.dendrite_j, 0.0),
        Term("soma", "updates", found.soma_j, parts["updates"]),
        Term("network", "messages, hops", found.network_j, parts["spikes"] + (parts["hops"] or 0.0)),
    )
    time_s, time_quiet_s = _times_s(compiled, run.students)
    samples = len(run.active)
    return Comparison(
        samples,
        found,
        counts,
        traffic,
        terms,
        charges(),
        late,
        quiet_s,
        time_s,
        time_quiet_s,
        sanafe_s,
        run_s,
    )


def _timed(compiled: Compiled, x: Any) -> float:
    started = time.process_time()
    compiled.run(x)
    return time.process_time() - started


def _sent(result: StudentResult, x: Array) -> dict[str, Array]:
    """Spikes of every source on the samples on which a student ran: bool, of shape (steps, n)."""
    program, rows = result.program, np.flatnonzero(result.active)
    steps = len(rows) * program.timesteps
    sources = {synapse.source for synapse in program.synapses}
    sent = {name: spikes[rows] for name, spikes in result.spikes.items() if program.group(name).spiking}
    if program.input.name in sources:
        sent[program.input.name] = x[rows]
    if ALWAYS_ON in sources:
        sent[ALWAYS_ON] = np.ones(steps)
    return {name: spikes.reshape(steps, -1).astype(bool) for name, spikes in sent.items()}


def _checked(result: StudentResult, found: Found, sent: Mapping[str, Array], steps: int) -> int:
    """Hold what SANA-FE counted to the run; gives the SynOps that end with their sample there."""
    program, trace = result.program, result.trace
    late = 0
    for synapse in program.synapses:
        each = sent[synapse.source].astype(np.int64) @ fan_out(synapse.weights)
        ends = np.arange(steps) % program.timesteps >= program.timesteps - program.lag(synapse)
        late += int(each[ends].sum())
    entered = sum(int(sent[name].sum()) for name in sent if name in (ALWAYS_ON, program.input.name))
    updates = sum(program.compartments(group) * group.size for group in program.groups)
    for what, theirs, ours in (
        ("SynOps", found.synops, int(trace.synops.sum()) + late),
        ("spikes", found.spikes, int(trace.spikes.sum()) + entered),
        ("updates", found.updates, updates * steps + entered),
    ):
        if theirs != ours:
            raise VerificationError(f"student {program.name!r}: SANA-FE counted {theirs} {what}, not {ours}")
    return late


def _traffic(result: StudentResult) -> Traffic:
    placed = result.placed
    if placed is None:
        raise VerificationError(f"student {result.name!r} has no counts on cores; choose target loihi")
    return Traffic(**{name: int(getattr(placed, name).sum()) for name in MOVED})


def _times_s(compiled: Compiled, students: Sequence[StudentResult]) -> tuple[float | None, float | None]:
    """One student after another, as SANA-FE runs them; and as many steps without spikes."""
    rates, cores = StepRates.of(compiled.hardware), compiled.mapping.cores
    total = quiet = 0.0
    for result in students:
        sites = [cores[core].site for core in compiled.mapping.cores_of(result.name)]
        barrier, placed = step_floors(compiled.hardware, sites).get("barrier"), result.placed
        if rates is None or barrier is None or placed is None or placed.busy_s is None:
            return None, None
        barriers = barrier * float(placed.steps.sum())
        total += float(placed.busy_s.sum()) + barriers
        quiet += float(placed.updates.max()) * rates.update_s + barriers
    return total, quiet
