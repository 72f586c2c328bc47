"""From recorded spikes to :class:`sne_deploy.runtime.placed.PlacedCounts`: products of spikes and wiring.

What a spike of each neuron sets off is one row of a matrix; a product with the spikes of all steps gives what
each core and link did in each step. Products run in chunks of neurons and rows that stay in a processor's
cache, in float32 where that is exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse

from sne_deploy.energy.time import StepRates
from sne_deploy.errors import VerificationError
from sne_deploy.ir.program import ALWAYS_ON, Program
from sne_deploy.mapping.wiring import FROM_HOST, PATHS, Axons, Wiring
from sne_deploy.runtime.placed import PlacedCounts, StepTimes
from sne_deploy.runtime.result import RunResult, StudentResult
from sne_deploy.runtime.step_times import TERMS, Columns, in_turn, side_by_side
from sne_deploy.runtime.threads import all_threads
from sne_deploy.runtime.trace import Trace

Array = npt.NDArray[Any]

CHUNK_NEURONS = 512
"""Neurons whose spikes are multiplied together: their numbers stay in a processor's cache."""
CHUNK_ROWS = 2048
"""Samples times steps of the same."""
BLOCK_BYTES = 2**25
"""What the cores and links of a block of samples did in each step, at most."""
EXACT = 2**24
"""Whole numbers below are exact in float32."""
SYNOPS = len(PATHS) + 1
"""The column of SynOps after those of :attr:`sne_deploy.mapping.wiring.Axons.paths`."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """Consecutive neurons of one source, and what their spikes set off in the columns from ``low``."""

    neurons: slice
    low: int
    matrix: sparse.csr_matrix


class Placer:
    """Counts a student's runs on its cores.

    Parameters
    ----------
    wiring : Wiring
    rates : StepRates or None
        None: no times.
    keep_steps : bool
        Whether a run keeps every step of every student by itself.
    """

    def __init__(self, wiring: Wiring, rates: StepRates | None, *, keep_steps: bool = False) -> None:
        self.keep_steps = keep_steps
        columns = None if rates is None else Columns.find(wiring, rates)
        empty = tuple(sparse.csr_matrix((axons.synops.shape[0], 0)) for axons in wiring.axons)
        of = empty if columns is None else columns.of
        self._width = of[0].shape[1] if of else 0
        self._chunks = [list(_chunks(*both)) for both in zip(wiring.axons, of, strict=True)]
        # the chunks hold what is in the columns and the links: half of all that is found on cores
        self._columns = None if columns is None else replace(columns, of=())
        self.wiring = replace(
            wiring, axons=tuple(replace(axons, links=axons.links[:, :0]) for axons in wiring.axons)
        )
        largest = [chunk.matrix.sum(axis=0).max() for chunks in self._chunks for chunk in chunks]
        self._dtype = np.float32 if sum(largest) < EXACT else np.float64

    def count(
        self, student: StudentResult, inputs: Array
    ) -> tuple[PlacedCounts, StepTimes | None] | tuple[None, None]:
        """Count; None where the target did not record the spikes.

        Parameters
        ----------
        student : StudentResult
            With recorded spikes, of N samples.
        inputs : array of shape (N, *sample_shape)
            Encoded.

        Raises
        ------
        VerificationError
            The sums are not those of the run.
        """
        rows, program = np.flatnonzero(student.active), student.program
        sent = {} if len(rows) == 0 else _sent(program, student.trace, inputs)
        if len(rows) and any(group.spiking and group.name not in sent for group in program.groups):
            return None, None
        tally = _Tally(self.wiring, program, len(inputs), timed=self._columns is not None)
        for block in self._blocks(program, rows):
            whole = len(block) == len(inputs)
            taken = {name: each if whole else each[block] for name, each in sent.items()}
            with all_threads():
                load = self._add(tally, block, taken)
            if self._columns is not None:
                tally.add_times(self._columns, block, load)
        counts = tally.counts(rows)
        _check(counts, tally.paths[:, SYNOPS], student)
        return counts, tally.times(self._columns)

    def _blocks(self, program: Program, rows: Array) -> Iterator[Array]:
        per_sample = 8 * (program.timesteps + program.max_depth) * max(self._width, 1)
        size = max(1, min(CHUNK_ROWS // program.timesteps, BLOCK_BYTES // per_sample))
        for first in range(0, len(rows), size):
            yield rows[first : first + size]

    def _add(self, tally: _Tally, block: Array, sent: dict[str, Array]) -> Array:
        """Count a block of samples, and give what was done in each column in each step: (B, T + D, C)."""
        steps = tally.program.timesteps
        load = np.zeros((len(block), steps + tally.program.max_depth, self._width), self._dtype)
        for name, spikes in sent.items():
            mine = [index for index, axons in enumerate(self.wiring.axons) if axons.source == name]
            size = spikes.shape[2]
            for number, first in enumerate(range(0, size, CHUNK_NEURONS)):
                neurons = slice(first, min(first + CHUNK_NEURONS, size))
                part = spikes[:, :, neurons].astype(self._dtype)
                total = _summed(part)
                tally.sent[name][neurons] += total
                for index in mine:
                    axons, chunk = self.wiring.axons[index], self._chunks[index][number]
                    kept = max(steps - axons.lag, 0)
                    arriving = part[:, :kept]
                    tally.delivered[index][neurons] += total if kept == steps else _summed(arriving)
                    found = _product(arriving, chunk.matrix.toarray().astype(self._dtype))
                    wide = found.shape[2] - SYNOPS - 1
                    at = slice(axons.sent_at, axons.sent_at + kept)
                    load[:, at, chunk.low : chunk.low + wide] += found[:, :, :wide]
                    tally.paths[block] += found[:, :, wide:].sum(axis=1, dtype=np.float64).astype(np.int64)
        return load


class _Tally:
    """What was counted so far."""

    def __init__(self, wiring: Wiring, program: Program, samples: int, *, timed: bool) -> None:
        self.wiring, self.program = wiring, program
        self.paths = np.zeros((samples, SYNOPS + 1), np.int64)
        self.delivered = [np.zeros(axons.synops.shape[0]) for axons in wiring.axons]
        self.sent = {group.name: np.zeros(group.size) for group in program.groups if group.spiking}
        self.sent |= {axons.source: np.zeros(axons.synops.shape[0]) for axons in wiring.axons}
        steps = program.timesteps
        self.streamed = np.zeros((samples, steps)) if timed else None
        self.alone = np.zeros((samples, steps + program.max_depth)) if timed else None
        self.bound = np.zeros(len(TERMS), np.int64)
        self.longest = np.zeros(len(wiring.cores), np.int64)
        self.busiest_s = np.zeros(len(wiring.cores)) if timed else None

    def add_times(self, columns: Columns, block: Array, load: Array) -> None:
        """The longest column of every step, for a sample alone and for one that follows itself."""
        assert self.alone is not None and self.streamed is not None  # noqa: S101, PT018  timed
        assert self.busiest_s is not None  # noqa: S101  timed
        steps = self.program.timesteps
        self.alone[block], _ = columns.longest(load)
        folded = load[:, :steps].copy()
        for first in range(steps, load.shape[1], steps):
            rest = load[:, first : first + steps]
            folded[:, : rest.shape[1]] += rest
        self.streamed[block], which = columns.longest(folded)
        self.bound += np.bincount(np.append(columns.term, 0)[which.reshape(-1)], minlength=len(TERMS))
        busiest = int(self.wiring.compartments.argmax())
        cores = np.append(columns.core, busiest)[which.reshape(-1)]
        self.longest += np.bincount(cores[cores >= 0], minlength=len(self.longest))
        most_s, of_cores = folded.max(axis=(0, 1)) * columns.rate_s, columns.core >= 0
        self.busiest_s = np.maximum(self.busiest_s, columns.idle_s)
        np.maximum.at(self.busiest_s, columns.core[of_cores], most_s[of_cores])

    def counts(self, rows: Array) -> PlacedCounts:
        """Per core and per sample."""
        wiring, program, samples = self.wiring, self.program, len(self.paths)
        steps = np.zeros(samples, np.int64)
        steps[rows] = program.timesteps
        spikes = np.zeros(len(wiring.cores), np.int64)
        for name, where in wiring.core_of.items():
            if name in self.sent:
                found = np.bincount(where, weights=self.sent[name], minlength=len(spikes))
                spikes += np.rint(found).astype(np.int64)
        host = int(wiring.host_messages.sum())
        from_host = self.paths[:, FROM_HOST] + host * steps
        paths = {name: self.paths[:, index] for index, name in enumerate(PATHS)}
        timed = self.streamed is not None and self.alone is not None
        return PlacedCounts(
            synops=self._on_cores("synops"),
            updates=self._everywhere(wiring.compartments * int(steps.sum())),
            memory_words=self._on_cores("words"),
            spikes=self._everywhere(spikes),
            messages_in=self._on_cores("messages")
            + self._everywhere(wiring.host_messages * int(steps.sum())),
            longest=self._everywhere(self.longest),
            busiest_s=None if self.busiest_s is None else self._everywhere(self.busiest_s),
            **paths,
            from_host=from_host,
            host_steps=steps * (host > 0 or any(a.paths[:, FROM_HOST].any() for a in wiring.axons)),
            steps=steps,
            latency_steps=np.where(steps, steps + program.max_depth, 0),
            busy_s=self.streamed.sum(axis=1) if timed and self.streamed is not None else None,
            latency_busy_s=self.alone.sum(axis=1) if timed and self.alone is not None else None,
            bound_by=dict(zip(TERMS, self.bound.tolist(), strict=True)),
            sent_by=self._sent_by(),
        )

    def times(self, columns: Columns | None) -> StepTimes | None:
        """Of every step; None where they were not counted."""
        if columns is None or self.streamed is None or self.alone is None:
            return None
        return StepTimes(self.streamed, self.alone, columns.idle_s)

    def _sent_by(self) -> dict[str, tuple[int, ...]]:
        """What each group's spikes add to each of PATHS."""
        found = {group.name: np.zeros(len(PATHS), np.int64) for group in self.program.groups}
        for axons, delivered in zip(self.wiring.axons, self.delivered, strict=True):
            if axons.source in found:
                found[axons.source] += axons.paths[:, :FROM_HOST].T @ np.rint(delivered).astype(np.int64)
        return {name: tuple(total.tolist()) for name, total in found.items()}

    def _on_cores(self, what: str) -> Array:
        total = np.zeros(len(self.wiring.cores), np.int64)
        for axons, delivered in zip(self.wiring.axons, self.delivered, strict=True):
            total += np.asarray(getattr(axons, what).T @ np.rint(delivered).astype(np.int64))
        return self._everywhere(total)

    def _everywhere(self, values: Array) -> Array:
        """Per core of the student to per core of the placement."""
        found = np.zeros(self.wiring.total_cores, values.dtype)
        found[self.wiring.cores] = values
        return found


def place_run(run: RunResult, placers: Sequence[Placer], inputs: Array, *, one_by_one: bool) -> RunResult:
    """The same run with its counts on cores, where the target recorded spikes.

    Parameters
    ----------
    run : RunResult
    placers : one per student
    inputs : encoded samples
    one_by_one : bool
        A cascade: a student begins when the one before is through, and the next sample after the last.
        Otherwise those that are active run side by side, and a step lasts as long as the longest of theirs.
    """
    found = [placer.count(student, inputs) for placer, student in zip(placers, run.students, strict=True)]
    placed = [counts for counts, _ in found if counts is not None]
    recorded = len(placed) == len(found)
    students = tuple(
        replace(student, placed=counts if recorded or student.active.any() else None)
        for student, (counts, _) in zip(run.students, found, strict=True)
    )
    if not recorded:
        return replace(run, students=students)
    times = [each for _, each in found if each is not None]
    joined = in_turn(placed) if one_by_one else side_by_side(placed, times, run.active)
    if all(placer.keep_steps for placer in placers):
        joined = replace(joined, each=tuple(times))
    return replace(run, students=students, placed=joined)


def _sent(program: Program, trace: Trace, inputs: Array) -> dict[str, Array]:
    """Spikes (N, T, n) of every source that was recorded."""
    samples, steps = len(inputs), program.timesteps
    found = {
        layer.name: layer.recorded_spikes.reshape(samples, steps, -1)
        for layer in trace.layers
        if layer.recorded_spikes is not None
    }
    if program.spike_input:
        found[program.input.name] = inputs.reshape(samples, steps, -1)
    if any(synapse.source == ALWAYS_ON for synapse in program.synapses):
        found[ALWAYS_ON] = np.broadcast_to(np.ones((1, 1, 1), np.uint8), (samples, steps, 1))
    return found


def _chunks(axons: Axons, columns: sparse.csr_matrix) -> Iterator[Chunk]:
    """The rows of the columns that a chunk's neurons reach, then their paths and SynOps."""
    synops = np.asarray(axons.synops.sum(axis=1)).reshape(-1, 1)
    last = np.concatenate([axons.paths, synops], axis=1)
    for first in range(0, columns.shape[0], CHUNK_NEURONS):
        neurons = slice(first, min(first + CHUNK_NEURONS, columns.shape[0]))
        part = columns[neurons]
        low, high = (part.indices.min(), part.indices.max() + 1) if part.nnz else (0, 0)
        matrix = sparse.hstack([part[:, low:high], sparse.csr_matrix(last[neurons])], format="csr")
        yield Chunk(neurons, int(low), matrix)


def _summed(spikes: Array) -> Array:
    """Over samples and steps."""
    return np.asarray(spikes.reshape(-1, spikes.shape[2]).sum(axis=0))


def _product(spikes: Array, matrix: Array) -> Array:
    """(B, T, n) times (n, m), by PyTorch, whose threads :func:`all_threads` keeps from waiting for others."""
    flat = torch.from_numpy(spikes.reshape(-1, len(matrix)))
    found = (flat @ torch.from_numpy(matrix)).numpy()
    return np.asarray(found.reshape(*spikes.shape[:2], matrix.shape[1]))


def _check(counts: PlacedCounts, synops: Array, student: StudentResult) -> None:
    """The sums over cores, and the SynOps of each sample, are those of the run."""
    trace = student.trace
    messages = sum(int(getattr(counts, name).sum()) for name in (*PATHS[:4], "from_host"))
    sums = {
        "SynOps of each sample": (synops, trace.synops),
        "SynOps": (counts.synops.sum(), trace.synops.sum()),
        "spikes": (counts.spikes.sum(), trace.spikes.sum()),
        "messages": (counts.messages_in.sum(), messages),
    }
    if trace.updates_active is not None and trace.updates_idle is not None:
        sums["updates"] = (counts.updates.sum(), (trace.updates_active + trace.updates_idle).sum())
    for what, (placed, unplaced) in sums.items():
        if not np.array_equal(placed, unplaced):
            raise VerificationError(
                f"student {student.name!r}: {what} on cores are {placed}, those of the run {unplaced}; "
                "please report this as a bug"
            )
