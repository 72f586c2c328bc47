"""What a run has done, kept slice by slice in a work folder; a slice that is there is not run again.

A file ``samples-FIRST-LAST.npz`` holds what those samples gave: counts and outputs of each, and what a report
adds up. It is data alone, and has a seal that follows from every bit of it and of what the run was made with;
one with another seal is removed, and its samples run again. Results do not depend on how samples are sliced,
so it does not matter where a run was interrupted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from sne_deploy.errors import CheckpointError, DataError
from sne_deploy.frontend.compiled_file.codec import Arrays, decode, encode
from sne_deploy.frontend.compiled_file.container import read_container, write_container
from sne_deploy.ir.program import Program
from sne_deploy.runtime.slices import Part, RunPart, join_parts
from sne_deploy.runtime.work import Work, going_on

KEEP_S = 5.0
"""After so many seconds of work it is kept: what is quicker is done again, and never touches the disk."""
GOAL_S = 120.0
"""About how long a slice of a slow target takes: some twenty times as long as Lava needs to start."""
FIRST_OPERATIONS, FIRST_SAMPLES = 2**26, 128
"""Synapses times steps of a slow target's first slice, at most, and its samples."""
GROWTH = 8
"""Of a slow target's slices, at most, from one to the next."""
FORMAT, VERSION = "sne-deploy/samples", 2
MAX_BYTES = 2**32
"""A part with more, of recordings, is not kept."""

_REMEDY = "it is run again"


class Keeper:
    """Goes through slices of samples: what lies in the work folder is read, the rest is run and kept.

    Parameters
    ----------
    work : Work
    programs : sequence of Program
        Of the students.
    slow : bool
        Whether slices are made short enough that each is worth keeping.
    """

    def __init__(self, work: Work, programs: Sequence[Program], *, slow: bool) -> None:
        self._work, self._programs, self._slow = work, programs, slow
        self.spared_s = 0.0
        """Seconds that the parts took which were there already."""

    def through(self, slices: Iterable[slice], run: RunPart) -> Iterator[Part]:
        """The parts in order; see :data:`sne_deploy.runtime.slices.Through`."""
        self._work.take_up()
        there, new, pace = self._read(), _New(self._keep), _Pace(self._programs)
        if there:
            samples = sum(part.last - part.first for part in there)
            going_on(f"{samples:,} sample{'s'[: samples > 1]}", self._work.folder)
        for each in _interleaved(slices, there):
            if isinstance(each, Part):
                new.flush()
                yield each
                continue
            for piece in pace.pieces(each) if self._slow else [each]:
                part = run(piece)
                pace.took(part)
                new.add(part)
                yield part

    def _read(self) -> list[Part]:
        """Everything that is there, in order; what overlaps with what is before it is left out."""
        found: list[Part] = []
        for first, last, path in _files(self._work.folder):
            if found and first < found[-1].last:
                continue
            try:
                found.append(self._part(path, first, last))
            except (CheckpointError, DataError):
                path.unlink(missing_ok=True)
        self.spared_s = sum(part.seconds for part in found)
        return found

    def _part(self, path: Path, first: int, last: int) -> Part:
        if path.stat().st_size > MAX_BYTES:
            raise CheckpointError("too large")
        document, arrays = read_container(path, FORMAT, VERSION, ("part",), _REMEDY, self._work.seal)
        part: Part = decode(Part, document["part"], "part", arrays)
        if (part.first, part.last) != (first, last):
            raise CheckpointError("not what its name says")
        students = zip(part.run.students, self._programs, strict=True)
        completed = tuple(replace(each, program=program) for each, program in students)
        return replace(part, run=replace(part.run, students=completed))

    def _keep(self, part: Part) -> None:
        arrays: Arrays = {}
        document = encode(part, "part", arrays)
        if sum(array.nbytes for array in arrays.values()) > MAX_BYTES // 2:
            return
        self._work.begin()
        path = self._work.folder / f"samples-{part.first}-{part.last}.npz"
        whole = {"format": FORMAT, "version": VERSION, "part": document}
        write_container(path, whole, arrays, seal=self._work.seal)


class _New:
    """Parts that are not kept yet."""

    def __init__(self, keep: Callable[[Part], None]) -> None:
        self._keep = keep
        self._parts: list[Part] = []
        self._since = time.monotonic()

    def add(self, part: Part) -> None:
        """Another one; all are kept when they took long enough."""
        self._parts.append(part)
        if time.monotonic() - self._since >= KEEP_S:
            self._keep(join_parts(self._parts))
            self.flush()

    def flush(self) -> None:
        """What is left was quick; what follows does not join on to it."""
        self._parts.clear()
        self._since = time.monotonic()


class _Pace:
    """How many samples a slice takes, so that each is worth keeping and not much is lost."""

    def __init__(self, programs: Sequence[Program]) -> None:
        operations = sum(map(_operations, programs))
        self._size = max(1, min(FIRST_SAMPLES, FIRST_OPERATIONS // max(1, operations)))

    def pieces(self, part: slice) -> Iterator[slice]:
        """A slice in pieces, each as large as those before it suggest; the last takes what little is left."""
        first = part.start
        while first < part.stop:
            size = self._size if part.stop - first > 1.5 * self._size else part.stop - first
            yield slice(first, first + size)
            first += size

    def took(self, part: Part) -> None:
        """Note how long a piece took."""
        size = part.last - part.first
        wanted = math.floor(size * GOAL_S / max(part.seconds, 1e-6))
        self._size = max(1, min(wanted, GROWTH * max(size, self._size)))


def _operations(program: Program) -> int:
    """Synapses times steps of a sample, about."""
    synapses = 0
    for synapse in program.synapses:
        values = synapse.weights.values
        synapses += max(values.size, synapse.weights.shape[0] * values.size // max(1, len(values)))
    return program.timesteps * (synapses + sum(group.size for group in program.groups))


def _files(folder: Path) -> list[tuple[int, int, Path]]:
    """First sample, the one after the last, and path, sorted."""
    found = []
    for path in folder.glob("samples-*.npz"):
        first, _, last = path.stem.removeprefix("samples-").partition("-")
        if path.is_file() and all(each.isdecimal() and len(each) < 16 for each in (first, last)):
            found.append((int(first), int(last), path))
    return sorted(each for each in found if each[0] < each[1])


def _interleaved(slices: Iterable[slice], there: Sequence[Part]) -> Iterator[slice | Part]:
    """Parts that are there, and the slices without their samples, in order."""
    waiting, at = list(there[::-1]), 0
    for part in slices:
        first = max(part.start, at)
        while waiting and waiting[-1].first < part.stop:
            next_one = waiting.pop()
            if first < next_one.first:
                yield slice(first, next_one.first)
            yield next_one
            first = next_one.last
        if first < part.stop:
            yield slice(first, part.stop)
        at = max(first, part.stop)
