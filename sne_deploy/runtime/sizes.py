"""What a run takes in memory, from sizes alone, and what to do where it is not there.

A run holds one slice of samples (encoded, recorded, compared with the reference), what the simulators work
in, and the results of all samples. The figures are upper ones; what a process holds before is not among them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from sne_deploy.backend import Record
from sne_deploy.chips.chip import Chip
from sne_deploy.errors import InputError, RunError
from sne_deploy.ir.program import Program
from sne_deploy.ir.weights import DenseWeights
from sne_deploy.memory import available_bytes, in_words
from sne_deploy.runtime.compile_size import ALONE, bytes_of, neurons_in, weights_in
from sne_deploy.runtime.packed import FROM
from sne_deploy.runtime.slices import bytes_per_sample, counted_bytes, slice_samples

WORK_BYTES = 2**26
"""What simulators work in at most, unless one sample needs more."""
WORKER_BYTES = 2**28
"""A process with the libraries that it simulates with, beside what it shares with the others."""
PLACED_BYTES, PLACING_BYTES = 160, 2**24
"""While the cores of spikes are found: for an out-axon (81 to 140 were measured), and whatever is placed."""
MAPPED_BYTES, MAPPED_WEIGHT_BYTES, MAPPING_BYTES = 2048, 16, 2**24
"""While neurons get their cores: for a neuron, for a weight other than 0, and whatever is mapped."""


@dataclass(frozen=True, eq=False)
class RunSize:
    """What the memory of a run depends on.

    Attributes
    ----------
    programs : sequence of Program
    samples, timesteps : int
    record : {"counts", "spikes", "all"}
    reference : bool
        Whether the same samples run in floating point too.
    keep_steps : bool
        Whether the times of every step are kept.
    workers : int
        Processes of this machine that the samples run in; 1: this one.
    out_axons : int
        Of the cores that spikes are to be counted on; 0: on none, or what they need is there already.
    mapping : int
        Bytes that finding the neurons' cores takes first, see :func:`mapping_bytes`; 0: they are found.
    """

    programs: Sequence[Program]
    samples: int
    timesteps: int
    record: Record
    reference: bool
    keep_steps: bool = False
    workers: int = 1
    out_axons: int = 0
    mapping: int = 0

    @property
    def need(self) -> int:
        """Bytes, beyond what is held before the run: it begins when the neurons have their cores."""
        return max(self._running, self.mapping)

    @property
    def _running(self) -> int:
        programs = [replace(program, timesteps=self.timesteps) for program in self.programs]
        each = bytes_per_sample(programs, recorded=True) + self._states * 2
        each += 2 * self._spikes if self.reference else 0
        rows = max(1, min(self.samples, slice_samples(programs, recorded=True)))
        placing = PLACED_BYTES * self.out_axons + PLACING_BYTES * (self.out_axons > 0)
        return placing + rows * each + self._simulating(rows, each) + self._kept(rows)

    def _simulating(self, rows: int, each: int) -> int:
        """What a slice is simulated in: here, or in processes that each hold their part of it."""
        cores, work = os.cpu_count() or 1, self._work
        threads = max(1, cores // self.workers)
        part = -(-rows // self.workers)
        working = max(min(part, threads) * work, min(part * work, WORK_BYTES))
        if self.workers == 1:
            return working
        weights, neurons = (sum(map(count, self.programs)) for count in (weights_in, neurons_in))
        held = WORKER_BYTES + bytes_of(weights, neurons, reference=self.reference)
        return self.workers * (held + working) + rows * each

    def _kept(self, rows: int) -> int:
        """Results of all samples, and what they are joined of: recordings, and counts not yet packed."""
        copies = 1 if rows >= self.samples else 2
        kept = self.samples * self._recorded * copies
        if self.samples < FROM:
            return kept + self.samples * self._counted * copies
        packed = (6 * len(program.groups) + 20 * program.output_size + 16 for program in self.programs)
        return kept + self.samples * sum(packed) + min(self.samples, FROM + rows) * self._counted * copies

    @property
    def _spikes(self) -> int:
        """Of a sample."""
        groups = (group for program in self.programs for group in program.groups)
        return self.timesteps * sum(group.size for group in groups if group.spiking)

    @property
    def _states(self) -> int:
        sizes = sum(group.size for program in self.programs for group in program.groups)
        return 8 * self.timesteps * sizes if self.record == "all" else 0

    @property
    def _work(self) -> int:
        """What a sample is simulated in: currents of a group's steps; of two layers of the reference."""
        most = 0
        for program in self.programs:
            sizes = [program.input.size, *(group.size for group in program.groups)]
            most = max(most, 4 * max(sizes[1:]))
            if self.reference:
                most = max(most, 8 * max(a + b for a, b in pairwise(sizes)))
        return most * self.timesteps

    @property
    def _recorded(self) -> int:
        """Of a sample, that stays when its slice is done."""
        recorded = 0 if self.record == "counts" else self._spikes + self._states
        if self.keep_steps:
            recorded += sum(16 * (self.timesteps + program.max_depth) for program in self.programs)
        return recorded

    @property
    def _counted(self) -> int:
        """Of a sample, before it is packed."""
        return sum(counted_bytes(program) for program in self.programs)


def mapping_bytes(programs: Sequence[Program], chip: Chip) -> int:
    """Tables of which source reaches which core; of the largest student's, one at a time.

    A dense layer whose neurons have more inputs than a core is refused before there are any.
    """
    axons = chip.limits.in_axons_per_core
    each = (
        MAPPED_BYTES * neurons_in(program) + MAPPED_WEIGHT_BYTES * _synapses_in(program)
        for program in programs
        if axons is None or _first_inputs(program) <= axons.value
    )
    return MAPPING_BYTES + max(each, default=0)


def _synapses_in(program: Program) -> int:
    """Weights other than 0; a convolution's kernels once."""
    return sum(int(np.count_nonzero(each.weights.values)) for each in program.synapses)


def _first_inputs(program: Program) -> int:
    """The most inputs that the first neuron of a dense layer has."""
    dense = (each.weights.array for each in program.synapses if isinstance(each.weights, DenseWeights))
    return max((int(np.count_nonzero(array[:1])) for array in dense), default=0)


def check_run(size: RunSize) -> None:
    """Refuse a run for which there is not enough memory.

    Raises
    ------
    InputError
        With the need, what is there, and what would fit.
    """
    available = available_bytes()
    if available is not None and size.need > available:
        raise InputError(_refusal(size, available))


@contextmanager
def within_memory(size: RunSize) -> Iterator[None]:
    """Say so in one line where memory ends in spite of the estimate, and what would take half of it.

    Raises
    ------
    RunError
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "allocate memory" not in str(error):  # PyTorch's own
            raise
        left = min(available_bytes() or size.need, size.need // 2)
        raise RunError(f"out of memory: {_refusal(size, left)}") from error


def _refusal(size: RunSize, available: int) -> str:
    found = list(_remedies(size, available))
    advice = "; or ".join(found) or "run a smaller model, or on a larger machine"
    what = f"running {size.samples} samples of {size.timesteps} steps"
    return f"{what} needs about {in_words(size.need)} of memory, and {in_words(available)} are left: {advice}"


def _remedies(size: RunSize, available: int) -> Iterator[str]:
    """Each is enough by itself."""
    counted, alone = replace(size, record="counts"), replace(size, reference=False)
    if size.record != "counts" and counted.need <= available:
        yield 'record="counts"'
    if size.reference and alone.need <= available:
        yield ALONE
    workers = _largest(size, "workers", available)
    if workers:
        yield f"at most {workers} worker{'s' if workers > 1 else ''} (--workers {workers})"
    samples = _largest(size, "samples", available)
    if samples:
        yield f"at most {samples} samples at a time (--samples {samples})"
    steps = _largest(size, "timesteps", available)
    if steps:
        yield f"at most {steps} steps"


def _largest(size: RunSize, name: str, available: int) -> int:
    """The most of it that fits, to two digits; 0 where none does."""
    low, high = 0, getattr(size, name)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if replace(size, **{name: middle}).need <= available else (low, middle)
    unit = int(10 ** max(0, len(str(low)) - 2))
    return low // unit * unit
