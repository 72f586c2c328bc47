"""Measurements in rounds, kept in a work folder once done: one that is there is not measured again.

A round is whole: everything is measured in it, in turns, so that other load meets all alike. What was
interrupted in the midst of one is measured again from that round's beginning.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sne_deploy.errors import CheckpointError, DataError, InputError
from sne_deploy.frontend.compiled_file.codec import decode, encode
from sne_deploy.frontend.compiled_file.container import read_container, write_container
from sne_deploy.runtime import kept
from sne_deploy.runtime.work import ANEW, ROUNDS, Work, going_on

Round = Mapping[str, Mapping[str, float]]
"""Seconds of each run of each target."""
FORMAT, VERSION = "sne-deploy/rounds", 2


@dataclass(frozen=True)
class Sitting:
    """What one process has measured.

    Attributes
    ----------
    rounds : tuple of Round
    fallbacks : mapping of target to mapping of way to int
        Slower ways that were taken instead of the chosen one, with how often.
    """

    rounds: tuple[Round, ...]
    fallbacks: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Measured:
    """Rounds in order, by those who measured them, and the samples that each target ran in every one."""

    samples: Mapping[str, int]
    sittings: tuple[Sitting, ...]

    @property
    def rounds(self) -> tuple[Round, ...]:
        """Of all sittings."""
        return tuple(each for sitting in self.sittings for each in sitting.rounds)

    def first(self, count: int) -> Measured:
        """The first rounds alone."""
        sittings: list[Sitting] = []
        for sitting in self.sittings:
            left = count - sum(len(each.rounds) for each in sittings)
            sittings += [replace(sitting, rounds=sitting.rounds[:left])] if left > 0 else []
        return replace(self, sittings=tuple(sittings))

    def fallbacks(self, target: str) -> dict[str, int]:
        """Of all sittings."""
        found: Counter[str] = Counter()
        for sitting in self.sittings:
            found.update(sitting.fallbacks.get(target, {}))
        return dict(found)


class Rounds:
    """Takes rounds, and keeps them once they took long enough to be worth it.

    Parameters
    ----------
    work : Work or None
        None: nothing is kept, and nothing there.
    """

    def __init__(self, work: Work | None) -> None:
        self._work = work
        self._before = Measured({}, ()) if work is None or work.anew else _read(work)
        self._own = Sitting((), {})
        self._since = time.monotonic()

    @property
    def samples(self) -> Mapping[str, int]:
        """Of each target, in the rounds that are there already; empty where none is."""
        return self._before.samples

    @property
    def measured(self) -> Measured:
        """What was there, and what was measured since."""
        own = (self._own,) if self._own.rounds else ()
        return replace(self._before, sittings=(*self._before.sittings, *own))

    def begin(self, samples: Mapping[str, int]) -> None:
        """Go on after what is there with targets that run so many samples.

        Raises
        ------
        InputError
            What is there is of other targets.
        """
        there = self._before.rounds
        if self._work is not None:
            self._work.take_up()
        if self._work is not None and there:
            if dict(samples) != dict(self.samples):
                raise InputError(
                    f"{self._work.folder}: rounds of {', '.join(sorted(self.samples))} are kept, and now "
                    f"{', '.join(sorted(samples))} can be measured; {ANEW}"
                )
            going_on(f"{len(there)} round{'s'[: len(there) > 1]}", self._work.folder)
        self._before = replace(self._before, samples=dict(samples))
        self._since = time.monotonic()

    def add(self, seconds: Round, fallbacks: Mapping[str, Mapping[str, int]]) -> None:
        """Another round; ``fallbacks`` are those of this process until now."""
        self._own = Sitting((*self._own.rounds, seconds), fallbacks)
        if self._work is not None and time.monotonic() - self._since >= kept.KEEP_S:
            self._work.begin()
            measured = encode(self.measured, "measured", {})
            whole = {"format": FORMAT, "version": VERSION, "measured": measured}
            write_container(self._work.folder / ROUNDS, whole, {}, seal=self._work.seal)
            self._since = time.monotonic()


def _read(work: Work) -> Measured:
    """What is there; a damaged file is removed, and its rounds are measured again."""
    path = work.folder / ROUNDS
    if not path.is_file():
        return Measured({}, ())
    try:
        document, _ = read_container(path, FORMAT, VERSION, ("measured",), "it is measured again", work.seal)
        found: Measured = decode(Measured, document["measured"], "measured", {})
    except (CheckpointError, DataError):
        path.unlink(missing_ok=True)
        return Measured({}, ())
    return found
