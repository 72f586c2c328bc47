"""What a run came from: everything in which the page's details are found, after the target was closed."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.backend import Record, RunOptions, backend_names, load_backend
from sne_deploy.brief import briefly
from sne_deploy.chips.chip import Chip
from sne_deploy.data.dataset import DataSet
from sne_deploy.data.encode import encode
from sne_deploy.errors import InputError
from sne_deploy.ir.program import Precision, Program
from sne_deploy.mapping.placement import Placement
from sne_deploy.mapping.wiring import Wiring
from sne_deploy.memory import mapped
from sne_deploy.model.ensemble import ActivationPolicy, Ensemble
from sne_deploy.runtime.execution import InProcess
from sne_deploy.runtime.lengths import alike, in_order, of_whole_length
from sne_deploy.runtime.placing import Placer, place_run
from sne_deploy.runtime.result import RunResult
from sne_deploy.runtime.run import run_ensemble
from sne_deploy.runtime.slices import run_slices, sample_slices

Array = npt.NDArray[Any]
FAST = "loihi"
"""Runs fixed-point Programs whatever their target was: all give the same integers."""
_PART = 256
"""Samples of which a checksum is taken at once."""


@briefly
@dataclass(frozen=True, eq=False, repr=False)
class Source:
    """A run, with the model and the samples that it is of.

    Attributes
    ----------
    ensemble : Ensemble
    programs : tuple of Program
    data : DataSet
        As the model takes it; not copied, so :meth:`check_samples` is there.
    run : RunResult
    chip : Chip
    placement : Placement or None
    target : str
    seed : int
        Of random encoders.
    checksum : int
        Of the samples as they were.
    """

    ensemble: Ensemble
    programs: tuple[Program, ...]
    data: DataSet
    run: RunResult
    chip: Chip
    placement: Placement | None
    target: str
    seed: int
    checksum: int = field(init=False)

    def __post_init__(self) -> None:
        """Keep the checksum."""
        object.__setattr__(self, "checksum", _checksum(self.data))

    def check_samples(self) -> None:
        """Refuse samples that are no longer those of the run.

        Raises
        ------
        InputError
            Someone wrote into the arrays that were run.
        """
        if _checksum(self.data) != self.checksum:
            raise InputError(
                f"the samples of {self.data.name} were changed after the run, and its details are found "
                "in them: ask for result.details before changing them, or run a copy, x.copy()"
            )

    @property
    def precision(self) -> Precision:
        """Of the Programs."""
        return self.programs[0].precision

    @property
    def placed(self) -> bool:
        """Whether the run was counted on cores."""
        return all(student.placed is not None for student in self.run.students)

    def again(self, samples: Array, record: Record = "counts", *, on_cores: bool = False) -> RunResult:
        """Run some samples again, by all students whatever the policy; on ``loihi`` in fixed point.

        Parameters
        ----------
        samples : int array of shape (M,)
            Their indices, rising.
        record : {"counts", "spikes", "all"}
        on_cores : bool
            Count on cores too, as the run was; without times.

        Returns
        -------
        RunResult
            Of M samples, in their order.
        """
        target = FAST if self.precision == "fixed" and FAST in backend_names() else self.target
        order = np.arange(len(samples))
        if self.data.lengths is not None:
            order = np.argsort(self.data.lengths[samples], kind="stable")
        which = np.asarray(samples)[order]
        placers = self._placers() if on_cores and self.placed else ()
        recorded: Record = "spikes" if placers and record == "counts" else record
        slices = sample_slices(self.programs, len(which), recorded=recorded != "counts")
        if self.data.lengths is not None:
            slices = alike(slices, self.data.lengths[which])
        run, _ = run_slices(
            slices,
            lambda part: self._part(target, which[part], recorded, placers),
            None,
            keep=record != "counts",
        )
        return in_order(run, order)

    def _placers(self) -> tuple[Placer, ...]:
        assert self.placement is not None  # noqa: S101  the run was placed
        wired = (Wiring.of(program, self.placement, self.chip) for program in self.programs)
        return tuple(Placer(wiring, None) for wiring in wired)

    def _part(self, target: str, samples: Array, record: Record, placers: tuple[Placer, ...]) -> RunResult:
        """Samples that all last as long."""
        steps = self.ensemble.timesteps
        programs, inputs = self.programs, self.encoded(samples)
        if self.data.lengths is not None:
            steps = int(self.data.lengths[samples[0]])
            programs = tuple(replace(program, timesteps=steps) for program in programs)
            inputs = np.ascontiguousarray(inputs[:, :steps])
        labels = None if self.data.y is None else self.data.y[samples]
        backend = load_backend(target)
        with ExitStack() as resources:
            runner = InProcess(
                [resources.enter_context(backend.compile(program, RunOptions())) for program in programs]
            )
            policy = ActivationPolicy()
            run = run_ensemble(self.ensemble, programs, runner, inputs, labels, policy=policy, record=record)
        if placers:
            run = place_run(run, placers, inputs, one_by_one=True)
        return of_whole_length(run, self.programs)

    def encoded(self, samples: Array) -> Array:
        """What students get of these samples, rising, as :func:`sne_deploy.data.encode.encode` has it."""
        encoder, steps = self.ensemble.encoder, self.ensemble.timesteps
        if encoder.kind == "spikes":
            return np.array(self.data.x[samples])
        return np.concatenate(list(self._encoded_runs(samples, steps)))

    def _encoded_runs(self, samples: Array, steps: int) -> Iterator[Array]:
        """Consecutive samples together: what an encoder draws follows from the index of each."""
        for part in np.split(samples, np.flatnonzero(np.diff(samples) != 1) + 1):
            x = self.data.x[part]
            yield encode(self.ensemble.encoder, x, steps, self.seed, first_index=int(part[0]))


def _checksum(data: DataSet) -> int:
    """CRC-32 of all arrays that anyone can write into, a part at a time: they may be views of larger ones."""
    found = 0
    for array in (data.x, data.y, data.lengths):
        if array is not None and mapped(array) is None:
            for start in range(0, len(array), _PART):
                found = zlib.crc32(array[start : start + _PART].tobytes(), found)
    return found
