"""A compiled ensemble."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import numpy.typing as npt

from sne_deploy import arguments as argument
from sne_deploy.backend import Executable, Record, RunOptions, load_backend
from sne_deploy.brief import brief
from sne_deploy.chips.chip import Chip
from sne_deploy.errors import DataError, InputError, MappingError
from sne_deploy.ir.program import Precision, Program
from sne_deploy.model.ensemble import Ensemble
from sne_deploy.result import Result
from sne_deploy.runtime.execution import Runner
from sne_deploy.runtime.result import RunResult

if TYPE_CHECKING:
    from sne_deploy.data.dataset import DataSet
    from sne_deploy.energy.lines import Operation, Powered
    from sne_deploy.mapping.placement import Placement
    from sne_deploy.report.compare import Names
    from sne_deploy.report.comparison import Network
    from sne_deploy.report.schema import VerifiedModel
    from sne_deploy.runtime.kept import Keeper
    from sne_deploy.runtime.placing import Placer
    from sne_deploy.runtime.sizes import RunSize
    from sne_deploy.runtime.slices import Compared

Array = npt.NDArray[Any]
RunnerFor = Callable[[tuple[Program, ...], ExitStack], Runner]
"""Makes what runs other Programs in the same place; the resources close it."""
ORACLE, FAST = "lava", "loihi"
"""Targets of the same integers: all are verified against the first, and it against the second."""


class Compiled:
    """An ensemble compiled for a target; a context manager that frees the target's resources."""

    def __init__(
        self,
        ensemble: Ensemble,
        programs: tuple[Program, ...],
        executables: tuple[Executable, ...],
        runner: Runner,
        reference: Compiled | None,
        *,
        target: str,
        hardware: Chip,
        seed: int,
        resources: ExitStack,
        run_with: RunnerFor,
        warnings: tuple[str, ...] = (),
    ) -> None:
        self.ensemble = ensemble
        self.programs = programs
        self.target = target
        self.hardware = hardware
        self._executables = executables
        self._runner = runner
        self._reference = reference
        self._seed = seed
        self._resources = resources
        self._run_with = run_with
        self._warnings = warnings

    def __enter__(self) -> Compiled:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.__exit__(kind, error, trace)

    def __repr__(self) -> str:
        """Target, precision, chip and the students' sizes."""
        neurons = sum(group.size for program in self.programs for group in program.groups)
        names = brief(tuple(program.name for program in self.programs))
        where = f"target={self.target!r}, precision={self.precision!r}, hardware={self.hardware.name!r}"
        return f"Compiled({where}, students={names}, neurons={neurons:,})"

    @property
    def precision(self) -> Precision:
        """Of the Programs."""
        return self.programs[0].precision

    @property
    def mapping(self) -> Placement:
        """Where every neuron is: cores, chips, and what binds each core.

        Raises
        ------
        InputError
            The Programs are in floating point.
        MappingError
            A layer fits no core, or the students more chips than there are.
        """
        if isinstance(self._mapped, str):
            raise MappingError(self._mapped)
        return self._mapped

    @cached_property
    def _mapped(self) -> Placement | str:
        """Found once, as is why there is none, which takes longest to find."""
        from sne_deploy.mapping.mapper import map_programs

        try:
            return map_programs(self.programs, self.hardware)
        except MappingError as error:
            return str(error)

    def run(
        self,
        x: Any,
        y: Any = None,
        record: Record = "counts",
        *,
        lengths: Any = None,
        model: str = "ensemble",
        data_name: str = "arrays",
        teacher: str | os.PathLike[str] | None = None,
        compare: Names | None = None,
        compare_onnx: Iterable[str | os.PathLike[str]] = (),
        verify: int = 0,
        rate: float | None = None,
        x86: int | None = None,
        powered: Powered = "chips",
        command: str | None = None,
        work: str | os.PathLike[str] | None = None,
        resume: bool = True,
    ) -> Result:
        """Run samples through the ensemble and report.

        Parameters
        ----------
        x : array of shape ``(N, *input_shape)``, or ``(N, T, *input_shape)`` where the model takes spikes
            Of NumPy, torch or pandas, or nested lists; or a ``torch.utils.data`` loader or data set, of x or
            of pairs (x, y). Samples of different lengths are a list of arrays of shape
            ``(steps, *input_shape)``.
        y : int array of shape (N,), or None
            Labels.
        record : {"counts", "spikes", "all"}
        lengths : int array of shape (N,), or None
            Steps of each sample, of which x has at least as many: each is run for its own alone.
        model, data_name : str
            Names for the report.
        teacher : path or None
            An ONNX file to compare with, on the same samples.
        compare : str, path or several, or None
            Processors that the teacher could run on: ``all``, ``boards``, ``published``, ``arithmetic``,
            names or TOML files; all where there is only ``compare_onnx``. The report then has
            ``comparison``.
        compare_onnx : several paths
            ONNX files of other networks to put on these processors.
        verify : int
            Samples, from the first, that are also run on ``lava`` (or, for target lava, on ``loihi``) and
            compared in every spike, register and count. They run in this process.
        rate : float or None
            Inferences a second, for the lines of power; as many as there is time for where None.
        x86 : int or None
            Embedded processors in use; one for each chip where None.
        powered : {"chips", "used"}
            Which cores leak: all of the chips in use, or only those that hold neurons.
        command : str or None
            For the report's provenance.
        work : path or None
            A folder in which what is done is kept, slice by slice, where that takes long: the same call goes
            on there after an interruption, and gives the same result. :meth:`Result.save` removes it.
        resume : bool
            Whether it goes on there; else what is kept is thrown away, once nothing refuses the run any more.

        Returns
        -------
        Result

        Raises
        ------
        DataError
            x or y does not fit the model.
        InputError
            What is kept in the work folder was made with something else: it says with what.
        OutputError
            The work folder cannot be written, or is in use.
        RunError
            A simulation failed.
        VerificationError
            Two targets differ: names student, sample, step, layer and neuron.
        """
        from sne_deploy.data.arrays import as_array, as_samples
        from sne_deploy.data.dataset import ModelInput, fit_to_model
        from sne_deploy.data.ragged import joined
        from sne_deploy.data.seen import seen_notes
        from sne_deploy.energy.lines import processors
        from sne_deploy.page.source import Source
        from sne_deploy.report.build import build_report
        from sne_deploy.report.compare import compared as compared_with
        from sne_deploy.report.context import provenance
        from sne_deploy.runtime.sizes import check_run, within_memory
        from sne_deploy.teacher.run import evaluate_teacher

        argument.choice("record", record, get_args(Record))
        operation = _operation(rate, x86, powered)
        verify = argument.whole("verify", verify, 0)
        model, data_name = argument.text("model", model), argument.text("data_name", data_name)
        command = None if command is None else argument.text("command", command)
        teacher = None if teacher is None else argument.file_path("teacher", teacher)
        folder = None if work is None else argument.file_path("work", work)
        others = self._others(compare, compare_onnx, teacher)
        started = time.perf_counter()
        takes = ModelInput(self.ensemble.input_shape, self.ensemble.timesteps, self.ensemble.encoder)
        x, own = joined(x)
        steps = own if lengths is None else as_array("lengths", lengths)
        data = fit_to_model(data_name, *as_samples(x, y), takes, lengths=steps)
        self._check_labels(data)
        size = self._size(data, record)
        check_run(size)
        evaluated = None if teacher is None else evaluate_teacher(teacher, data.x, data.y)
        verified = self._verify(data, verify)
        placement, unplaced = self._placement(size)
        size = replace(size, mapping=0)
        if placement is not None:
            processors(operation, placement, self.hardware)  # refuses before the run
        placers = () if placement is None else self._placers(placement, size)
        check_run(size)  # again: what a large placement takes is taken now
        anew = None if resume else folder
        with within_memory(size), self._keeper(folder, data, record, placers, anew) as keeper:
            run, compared = self._run_slices(data, record, placers, keeper)
        spared_s = 0.0 if keeper is None else keeper.spared_s
        report = build_report(
            self.ensemble,
            run,
            model=model,
            target=self.target,
            precision=self.precision,
            hardware=self.hardware,
            data_name=data_name,
            provenance=provenance(
                seed=self._seed, command=command, wall_s=time.perf_counter() - started + spared_s
            ),
            compared=compared,
            teacher=evaluated,
            verified=verified,
            placement=placement,
            unplaced=unplaced,
            operation=operation,
            warnings=(
                *self._warnings,
                *_length_notes(data),
                *seen_notes(self.ensemble.provenance, data),
            ),
        )
        source = Source(
            ensemble=self.ensemble,
            programs=self.programs,
            data=data,
            run=run,
            chip=self.hardware,
            placement=placement,
            target=self.target,
            seed=self._seed,
        )
        return Result(run, report if others is None else compared_with(report, *others), source, folder)

    def _others(
        self, names: Names | None, networks: Iterable[str | os.PathLike[str]], teacher: Path | None
    ) -> tuple[Names, tuple[Network, ...]] | None:
        """What to compare with, found before the run."""
        from sne_deploy.energy.processor import find_processors
        from sne_deploy.report.chip_figures import NO_UPDATES
        from sne_deploy.report.compare import NO_NETWORK, other_networks

        paths = list(networks)
        if names is None and not paths:
            return None
        if self.precision != "fixed":
            raise InputError(NO_UPDATES)
        if teacher is None and not paths:
            raise InputError(NO_NETWORK)
        names = "all" if names is None else names
        find_processors(names)
        return names, other_networks(argument.file_path("compare_onnx", path) for path in paths)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Keep what was compiled in one file, which :func:`sne_deploy.load_compiled` reads.

        It holds the integer registers with chip, scales, head, policy and provenance, as ``docs/compiled.md``
        says; the same compilation gives the same bytes. The floating-point network is not in it.

        Parameters
        ----------
        path : path
            Its name ends in ``.sne``, for other commands to know it.

        Raises
        ------
        InputError
            The Programs are in floating point.
        OutputError
            The file cannot be written.
        """
        from sne_deploy.frontend.compiled_file.file import CompiledFile, write_compiled

        ensemble = self.ensemble
        content = CompiledFile(
            target=self.target,
            seed=self._seed,
            programs=self.programs,
            input_shape=ensemble.input_shape,
            timesteps=ensemble.timesteps,
            encoder=ensemble.encoder,
            head=ensemble.head,
            policy=ensemble.policy,
            provenance=ensemble.provenance,
        )
        write_compiled(argument.file_path("path", path), content, self.hardware)

    def record(
        self, data: DataSet, work: Path | None = None, anew: Path | None = None
    ) -> tuple[RunResult, Placement | None]:
        """Run samples for their counts alone, without a report; every step of each student on cores is kept.

        Parameters
        ----------
        data : DataSet
            That fits the model: :func:`sne_deploy.data.load_data` gives such.
        work : Path or None
            As for :meth:`run`; it stays there.
        anew : Path or None
            A work folder, of which ``work`` may be a part, that is emptied when the run begins.

        Returns
        -------
        run : RunResult
        placement : Placement or None
            None where the students are on no cores.

        Raises
        ------
        DataError
            A label that the model cannot give.
        """
        from sne_deploy.runtime.sizes import check_run, within_memory

        self._check_labels(data)
        size = self._size(data, "counts", keep_steps=True)
        check_run(size)
        placement, _ = self._placement(size)
        size = replace(size, mapping=0)
        placers = () if placement is None else self._placers(placement, size)
        check_run(size)
        with within_memory(size), self._keeper(work, data, "counts", placers, anew) as keeper:
            return self._run_slices(data, "counts", placers, keeper)[0], placement

    def _size(self, data: DataSet, record: Record, *, keep_steps: bool = False) -> RunSize:
        """What the memory of a run depends on."""
        from sne_deploy.runtime.sizes import RunSize, mapping_bytes

        mapped = self.precision != "fixed" or "_mapped" in vars(self)
        return RunSize(
            programs=self.programs,
            samples=len(data),
            timesteps=self.ensemble.timesteps,
            record=record,
            reference=self._reference is not None,
            keep_steps=keep_steps,
            workers=self._runner.processes,
            mapping=0 if mapped else mapping_bytes(self.programs, self.hardware),
        )

    def _placement(self, size: RunSize) -> tuple[Placement | None, str | None]:
        """The students on cores; None, and why, where they are on none."""
        from sne_deploy.runtime.sizes import within_memory

        if self.precision != "fixed":
            return None, "floating point has no cores"
        with within_memory(size):
            found = self._mapped
        return (None, found) if isinstance(found, str) else (found, None)

    def _placers(self, placement: Placement, size: RunSize) -> tuple[Placer, ...]:
        """What counts each student on its cores; refused where there is no memory for it."""
        from sne_deploy.energy.time import StepRates
        from sne_deploy.mapping.wiring import Wiring
        from sne_deploy.runtime.placing import Placer
        from sne_deploy.runtime.sizes import check_run, within_memory

        size = replace(size, out_axons=sum(core.uses["out_axons"].used for core in placement.cores))
        check_run(size)
        rates = StepRates.of(self.hardware)
        wired = (Wiring.of(program, placement, self.hardware) for program in self.programs)
        with within_memory(size):
            return tuple(Placer(wiring, rates, keep_steps=size.keep_steps) for wiring in wired)

    @contextmanager
    def _keeper(
        self,
        folder: Path | None,
        data: DataSet,
        record: Record,
        placers: tuple[Placer, ...],
        anew: Path | None,
    ) -> Iterator[Keeper | None]:
        """What keeps the run in a work folder, while that is locked; None without one."""
        if folder is None:
            yield None
            return
        from sne_deploy.runtime.kept import Keeper
        from sne_deploy.runtime.work import Work, made_with

        real = () if self._reference is None else self._reference.programs
        slow = load_backend(self.target).capabilities().max_samples_default is not None

        def described() -> dict[str, str]:
            return made_with(
                self.ensemble,
                self.programs,
                real,
                target=self.target,
                chip=self.hardware,
                data=data,
                seed=self._seed,
                recorded=record + (" and steps" if any(placer.keep_steps for placer in placers) else ""),
            )

        with Work(folder, described, anew) as work:
            yield Keeper(work, self.programs, slow=slow)

    def _run_slices(
        self, data: DataSet, record: Record, placers: tuple[Placer, ...], keeper: Keeper | None
    ) -> tuple[RunResult, Compared | None]:
        """Run; count on cores; if there is a reference, run that too, and compare their spikes."""
        from sne_deploy.runtime.slices import each_as_it_is, run_slices, sample_slices

        real, keep = self._reference, record != "counts"
        spikes_needed = (real is not None or placers) and not keep
        needed: Record = "spikes" if spikes_needed else record
        slices = sample_slices(self.programs, len(data), recorded=needed != "counts")
        if data.lengths is not None:
            return self._run_lengths(data, slices, needed, placers, keeper, keep=keep)
        return run_slices(
            slices,
            lambda part: self._run_slice(data, part, needed, placers),
            None if real is None else lambda part: real._run_slice(data, part, "spikes"),  # noqa: SLF001  ours
            keep=keep,
            through=each_as_it_is if keeper is None else keeper.through,
        )

    def _run_lengths(
        self,
        data: DataSet,
        slices: Iterator[slice],
        record: Record,
        placers: tuple[Placer, ...],
        keeper: Keeper | None,
        *,
        keep: bool,
    ) -> tuple[RunResult, Compared | None]:
        """Run samples of different lengths, sorted by these; what comes out is in their own order."""
        from sne_deploy.runtime.lengths import alike, in_order
        from sne_deploy.runtime.slices import each_as_it_is, run_slices

        assert data.lengths is not None  # noqa: S101  the caller's
        order, real = np.argsort(data.lengths, kind="stable"), self._reference
        several = alike(slices, data.lengths[order])
        data = data.taken(order)
        run, compared = run_slices(
            several,
            lambda part: self._run_shorter(data, part, record, placers),
            None if real is None else lambda part: real._run_shorter(data, part, "spikes"),  # noqa: SLF001  ours
            keep=keep,
            through=each_as_it_is if keeper is None else keeper.through,
        )
        if compared is not None:
            compared = replace(compared, run=in_order(compared.run, order))
        return in_order(run, order), compared

    def _run_shorter(
        self, data: DataSet, part: slice, record: Record, placers: tuple[Placer, ...] = ()
    ) -> RunResult:
        """Run samples that all last as long, on the same Programs with so many steps."""
        from sne_deploy.runtime.lengths import of_whole_length
        from sne_deploy.runtime.run import run_ensemble

        assert data.lengths is not None  # noqa: S101  the caller's
        steps = int(data.lengths[part.start])
        inputs = np.ascontiguousarray(self._encoded(data, part)[:, :steps])
        labels = None if data.y is None else data.y[part]
        programs = tuple(replace(program, timesteps=steps) for program in self.programs)
        policy = self.ensemble.policy
        with ExitStack() as resources:
            runner = self._run_with(programs, resources)
            run = run_ensemble(self.ensemble, programs, runner, inputs, labels, policy=policy, record=record)
        return of_whole_length(self._placed(run, placers, inputs), self.programs)

    def _run_slice(
        self, data: DataSet, part: slice, record: Record, placers: tuple[Placer, ...] = ()
    ) -> RunResult:
        labels = None if data.y is None else data.y[part]
        inputs = self._encoded(data, part)
        return self._placed(self.run_encoded(inputs, labels, record), placers, inputs)

    def _placed(self, run: RunResult, placers: tuple[Placer, ...], inputs: Array) -> RunResult:
        from sne_deploy.runtime.placing import place_run

        if not placers:
            return run
        return place_run(run, placers, inputs, one_by_one=self.ensemble.policy.kind == "confidence")

    def _encoded(self, data: DataSet, part: slice) -> Array:
        from sne_deploy.data.encode import encode
        from sne_deploy.memory import let_go

        encoder, steps = self.ensemble.encoder, self.ensemble.timesteps
        if encoder.kind == "spikes":
            found = _writable(data.x[part])  # checked when the data set was made
        else:
            found = encode(encoder, data.x[part], steps, self._seed, first_index=part.start)
        let_go(data.x)
        return found

    def _verify(self, data: DataSet, samples: int) -> VerifiedModel | None:
        """Compare the first samples with another implementation, bit for bit."""
        from sne_deploy.report.schema import VerifiedModel
        from sne_deploy.runtime.verify import Names, verify_students

        if samples == 0:
            return None
        if samples > len(data):
            raise InputError(
                f"--verify {samples}: there are {len(data)} samples; choose between 1 and {len(data)}"
            )
        if self.precision != "fixed":
            raise InputError("--verify compares integers, bit for bit; it needs --precision fixed")
        against = ORACLE if self.target != ORACLE else FAST
        backend = load_backend(against)
        with ExitStack() as resources:
            theirs = [
                resources.enter_context(backend.compile(program, RunOptions())) for program in self.programs
            ]
            names = Names(self.target, against)
            inputs = self._encoded(data, slice(0, samples))
            verify_students(self.programs, self._executables, theirs, inputs, names)
        return VerifiedModel(against=against, samples=samples, differing_bits=0)

    def _check_labels(self, data: DataSet) -> None:
        head = self.ensemble.head
        classes = self.programs[0].output_size if head.weight is None else head.weight.shape[0]
        if data.y is not None and int(data.y.max()) >= classes:
            raise DataError(
                f"data set {data.name}: label {data.y.max()}, but the model has {classes} classes, 0 to "
                f"{classes - 1}; give the data that it was trained for"
            )

    def run_encoded(self, inputs: Array, y: Array | None, record: Record) -> RunResult:
        """Run samples that are encoded already: the counts alone, without a report.

        Parameters
        ----------
        inputs : array
            ``(N, T, *input_shape)`` of 0 and 1 for spikes, ``(N, *input_shape)`` for currents.
        y : int array of shape (N,), or None
        record : {"counts", "spikes", "all"}

        Returns
        -------
        RunResult
        """
        from sne_deploy.runtime.run import run_ensemble

        return run_ensemble(
            self.ensemble,
            self.programs,
            self._runner,
            inputs,
            y,
            policy=self.ensemble.policy,
            record=record,
        )


def _operation(rate: float | None, x86: int | None, powered: Powered) -> Operation:
    """How the chip is operated, checked."""
    from sne_deploy.energy.lines import POWERED, Operation

    rate = None if rate is None else argument.number("rate", rate)
    if rate is not None and not 0.0 < rate < 1e12:
        raise InputError(f"rate {rate:g} must be inferences a second, above 0; leave it out for the most")
    x86 = None if x86 is None else argument.whole("x86", x86, 0)
    argument.choice("powered", powered, POWERED)
    return Operation(rate, x86, powered)


def _length_notes(data: DataSet) -> Iterator[str]:
    """What was done with samples of different lengths."""
    if data.lengths is not None:
        low, high = data.lengths.min(), data.lengths.max()
        yield (
            f"samples last {low} to {high} of {data.x.shape[1]} steps, mean {data.lengths.mean():.1f}: "
            "each was run for its own steps alone; rates are over all steps"
        )


def _writable(spikes: Array) -> Array:
    """A view that libraries take which refuse read-only memory, or compile for it anew; nothing writes."""
    view = spikes.view()
    try:
        view.flags.writeable = True
    except ValueError:  # the memory itself is read-only
        return spikes.copy()
    return view
