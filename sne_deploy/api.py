"""What ``import sne_deploy as sne`` offers: the command line, in Python."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from sne_deploy import arguments as argument
from sne_deploy.backend import (
    Backend,
    Executable,
    Progress,
    RunOptions,
    backend_names,
    chosen_target,
    load_backend,
)
from sne_deploy.chips.chip import Chip
from sne_deploy.chips.registers import RegisterFormats
from sne_deploy.compiled import Compiled
from sne_deploy.errors import GraphError, InputError, UnsupportedError
from sne_deploy.frontend.given import (
    are_modules,
    as_encoder,
    as_ensemble,
    chip_and_seed,
    files_as_ensemble,
    modules_as_ensemble,
    own_options,
    read_options,
)
from sne_deploy.frontend.models import ModelPath, raise_unsupported
from sne_deploy.inspect import notebook as _notebook  # noqa: F401  registers how an ensemble is shown
from sne_deploy.ir.program import Precision, Program
from sne_deploy.model.ensemble import ActivationPolicy, Encoder, EncoderKind, Ensemble, Head, Readout
from sne_deploy.model.policy import PolicyKind, changed_policy
from sne_deploy.result import Result
from sne_deploy.runtime.compile_size import check_compile
from sne_deploy.runtime.engine import Engine
from sne_deploy.runtime.execution import InProcess, OnExecutor, Runner
from sne_deploy.runtime.executors import check_engine, open_engine
from sne_deploy.runtime.head import check_head

if TYPE_CHECKING:
    import nir
    import numpy.typing as npt
    import torch

    from sne_deploy.frontend.nir.decay import DecayMode
    from sne_deploy.frontend.nir.gain import GainMode
    from sne_deploy.frontend.nir.resets import Resets

    Array = npt.NDArray[Any]

__all__ = ["Compiled", "compile", "ensemble", "estimate", "load", "load_compiled"]
REFERENCE = "norse"
"""The target that a fixed-point run is compared with."""
MAX_WORKERS = 1024
"""Processes of one machine, at most."""


def load(
    model: ModelPath | Sequence[ModelPath] | nir.NIRGraph | Sequence[nir.NIRGraph],
    *,
    timesteps: int | None = None,
    dt_s: float | None = None,
    input_shape: int | Sequence[int] | None = None,
    reset: Resets | None = None,
    decay: DecayMode | None = None,
    gain: GainMode | None = None,
    convention: str | None = None,
    readout: Readout | None = None,
    encoder: EncoderKind | None = None,
    input_range: Sequence[float] | None = None,
) -> Ensemble:
    """Read a model: files, or NIR graphs in memory.

    All but the first are for what the model does not say; None where it says it, or the default will do.

    Parameters
    ----------
    model : path, nir.NIRGraph, or a sequence of either
        A ``model.pt``, a ``.sne`` file, one or several ``.nir`` or ``.net`` files, or a folder of those; the
        files of a sequence are the students of one ensemble.
    timesteps : int or None
        Steps per sample, for NIR graphs, which do not say, and ``.net`` files that do not.
    dt_s : float or None
        Seconds per step, for NIR graphs whose metadata does not say, and ``.net`` files.
    input_shape : int, sequence of int, or None
        One sample at one step, for NIR graphs that do not say or are in doubt, and ``.net`` files that begin
        with a convolution.
    reset : {"value", "subtract", "value-delayed", "subtract-delayed", "none"}, dict, or None
        What a spike does to the membrane in NIR graphs: a mode for all nodes, or modes by nodes' names, with
        ``"*"`` for all others. None: NIR's own, ``"value"``.
    decay : {"exponential"} or None
        Of NIR graphs whose framework decays by exp(-dt / tau) in a step.
    gain : {"full", "current"} or None
        Of NIR graphs whose exporter left the gains of inputs out.
    convention : str or None
        The framework that exported a NIR graph, such as ``"snntorch"``: its step, reset, decay and gain, each
        where neither the graph nor another option says it.
    readout : {"v_last", "v_mean", "v_max"} or None
        How neurons that integrate are read; None: as the file says, else at the last step.
    encoder : {"spikes", "constant", "bernoulli", "graded"} or None
        What a sample is; None: as the file says, else spikes.
    input_range : (float, float) or None
        In which every value of a sample lies, for the other encoders; None: as the file says, else 0 to 1.

    Returns
    -------
    Ensemble

    Raises
    ------
    InputError
        Nothing there, an unknown kind of file, or an option that does not fit; CheckpointError, GraphError
        and UnsupportedError for what is wrong inside.
    """
    options = read_options(
        timesteps=timesteps,
        dt_s=dt_s,
        input_shape=input_shape,
        reset=reset,
        decay=decay,
        gain=gain,
        convention=convention,
        readout=readout,
        encoder=encoder,
        input_range=input_range,
    )
    return files_as_ensemble(model, options)


def ensemble(
    modules: torch.nn.Module | Sequence[torch.nn.Module],
    *,
    input_shape: int | Sequence[int] | None = None,
    timesteps: int | None = None,
    encoder: Encoder | EncoderKind | None = None,
    input_range: Sequence[float] | None = None,
    readout: Readout | None = None,
    head: Head | None = None,
    names: Sequence[str] | None = None,
) -> Ensemble:
    """Make an ensemble of live Norse modules, which are cloned and never changed.

    Parameters
    ----------
    modules : torch.nn.Module, or a sequence of them
        Each is one student, whatever children it has: a chain of known layers, or a ``forward`` that is one.
        It is run on random input, and refused where its layers compute something else.
    input_shape : int or sequence of int
        One sample at one step, without batch and time; a vector's by its size.
    timesteps : int
        Steps per sample.
    encoder : Encoder, the name of its kind, or None
        None: what encoder modules in front of the networks are, else spikes.
    input_range : (float, float) or None
        Of the samples' values, where the encoder is given by its name.
    readout : {"count", "v_last", "v_mean", "v_max"} or None
        None: the membrane at the last step for a leaky integrator, the mean over the steps for a linear map
        at the end, else the spike count.
    head : Head or None
        None: the mean of the students' outputs, which then are logits.
    names : sequence of str or None
        None: ``student0``, ``student1``, ...

    Returns
    -------
    Ensemble

    Raises
    ------
    InputError
        An argument is missing or does not fit; UnsupportedError for what a module holds.
    """
    return modules_as_ensemble(
        modules,
        input_shape=input_shape,
        timesteps=timesteps,
        encoder=encoder,
        input_range=input_range,
        readout=readout,
        head=head,
        names=names,
    )


def estimate(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    target: str = "loihi",
    hardware: str | os.PathLike[str] | Chip | None = None,
    **options: Any,
) -> Result:
    """Answer the common question in one call: accuracy and cost of a model on a chip, from samples.

    Parameters
    ----------
    model : Ensemble, path, nir.NIRGraph, torch.nn.Module, or a sequence of one of the last three
    x, y
        As for :meth:`Compiled.run`.
    target, hardware
        As for :func:`compile`.
    **options
        As for :func:`load` or :func:`ensemble`. For modules that take spikes or graded values, the input's
        shape and the time steps are those of x, of shape (N, T, ...), unless they are given.

    Returns
    -------
    Result

    Raises
    ------
    InputError
        As :func:`compile` and :meth:`Compiled.run`.
    """
    from sne_deploy.data.arrays import as_samples
    from sne_deploy.data.ragged import joined

    x, lengths = joined(x)
    samples, labels = as_samples(x, y)
    if are_modules(model):
        options = options_with_shape(samples, {**own_options(model), **options})
    with compile(model, target, hardware=hardware, **options) as compiled:
        return compiled.run(samples, labels, lengths=lengths)


def options_with_shape(samples: Array, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options for modules, with the shape and the steps that the samples have."""
    in_time = as_encoder(options.get("encoder") or "spikes").timed
    shape = samples.shape[1:]
    if in_time and len(shape) < 2 and not {"input_shape", "timesteps"} <= {*options}:
        raise InputError(
            f"x has shape {samples.shape} and no time axis; give samples of shape (N, T, ...), or, for "
            'values that are presented at every step, encoder="constant" and timesteps='
        )
    found: dict[str, Any] = {"input_shape": shape[1:] if in_time else shape}
    if in_time and shape:
        found["timesteps"] = shape[0]
    return {**{name: value for name, value in found.items() if value}, **options}


def compile(  # noqa: A001  the design's name for it
    model: Any,
    target: str | None = None,
    *,
    precision: Precision | None = None,
    hardware: str | os.PathLike[str] | Chip | None = None,
    policy: ActivationPolicy | PolicyKind | None = None,
    seed: int | None = None,
    weight_bits: int | None = None,
    fidelity: bool = True,
    progress: Progress | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    timeout_s: float | None = None,
    device: str | None = None,
    **options: Any,
) -> Compiled:
    """Compile an ensemble for a target.

    Parameters
    ----------
    model : Ensemble, path, nir.NIRGraph, torch.nn.Module, or a sequence of one of the last three
    target : str or None
        A backend's name: ``lava``, ``loihi``, ``norse``, or one that another package adds. None: ``lava``, or
        ``loihi``, with a warning in the report, where Lava is not installed.
    precision : {"fixed", "float"} or None
        None: fixed point where the target has it.
    hardware : str, path, Chip or None
        A built-in name or a chip's TOML file: what can be compiled, and what operations cost. None: the chip
        of what was read from a ``.sne`` file, ``loihi1`` for all else.
    policy : ActivationPolicy, the name of its kind, or None
        Overrides the ensemble's own.
    seed : int or None
        Of random encoders. None: that of what was read from a ``.sne`` file, 0 for all else.
    weight_bits : int or None
        Of a fixed-point weight: from 2 to the chip's, or 16 for two synapses of 8 bits per weight. None: the
        chip's.
    fidelity : bool
        Compare a fixed-point run with the floating-point reference.
    progress : callable or None
    workers : int or None
        Number of processes of this machine to run on, instead of in this one.
    scheduler : str or None
        Run on the Dask cluster of this scheduler, such as ``tcp://host:8786``.
    timeout_s : float or None
        How long to be without any worker of the scheduler before giving up; None: for ever.
    device : str or None
        A PyTorch device for target ``loihi``, such as ``cuda``; None: this machine's processor. The same
        integers, which ``verify`` of :meth:`Compiled.run` checks on your device.
    **options
        As for :func:`load` or :func:`ensemble`, where the model is not an Ensemble.

    Returns
    -------
    Compiled

    Raises
    ------
    InputError
        An argument does not fit.
    TargetError
        Unknown target, or something it needs is not installed.
    UnsupportedError
        Everything that cannot be compiled, at once.
    """
    weight_bits = None if weight_bits is None else argument.whole("weight_bits", weight_bits, 1)
    workers = None if workers is None else argument.whole("workers", workers, 1, MAX_WORKERS)
    scheduler = None if scheduler is None else argument.text("scheduler", scheduler)
    timeout_s = None if timeout_s is None else argument.number("timeout_s", timeout_s)
    check_engine(workers, scheduler, timeout_s)
    progress = None if progress is None else argument.function("progress", progress)
    target, note = chosen_target(None if target is None else argument.text("target", target))
    backend = load_backend(target)
    capabilities = backend.capabilities()
    chosen = chosen_precision(precision, target, capabilities.precisions)
    extra = device_options(device, target)
    ensemble = as_ensemble(model, options)
    chip, seed = chip_and_seed(ensemble, hardware, seed)
    if isinstance(policy, str):
        policy = changed_policy(ensemble.policy, kind=policy)
    if policy is not None:
        remedy = 'sne.ActivationPolicy(...), or "static"'
        ensemble = replace(ensemble, policy=argument.instance("policy", policy, ActivationPolicy, remedy))
    compared = fidelity and chosen == "fixed"
    check_compile(ensemble, reference=compared)
    formats = capabilities.formats(chip.registers, weight_bits)
    whole = chip.registers.narrowed(weight_bits)
    programs, real = _programs(ensemble, chosen, formats, whole, progress, keep=compared)
    check_head(ensemble.head, [program.output_size for program in programs])
    with ExitStack() as resources:
        targets = (target, REFERENCE) if compared and REFERENCE in backend_names() else (target,)
        engine = resources.enter_context(open_engine(workers, scheduler, timeout_s, targets))
        run_options = RunOptions(progress=progress, extra=extra)
        executables, runner = _executables(backend, programs, engine, resources, run_options)
        compiled = partial(Compiled, ensemble, hardware=chip, seed=seed)

        def run_with(others: tuple[Program, ...], held: ExitStack) -> Runner:
            return _executables(backend, others, engine, held, run_options)[1]

        reference: Compiled | None = None
        warnings: tuple[str, ...] = () if note is None else (note,)
        if compared:
            reference, notes = _reference(compiled, ensemble, real, chip, engine, resources)
            warnings += notes
        return compiled(
            programs,
            executables,
            runner,
            reference,
            target=target,
            resources=resources.pop_all(),
            run_with=run_with,
            warnings=warnings,
        )


def chosen_precision(given: Precision | None, target: str, known: tuple[Precision, ...]) -> Precision:
    """The precision asked for, or fixed point where the target has it; raises InputError."""
    if given is not None and argument.text("precision", given) not in known:
        raise InputError(
            f"target {target!r} has no precision {given!r}; it has {', '.join(known)}: give --precision"
        )
    return given or ("fixed" if "fixed" in known else "float")


def device_options(device: str | None, target: str) -> dict[str, str]:
    """What the target is told of a device; raises InputError where it has no choice of any."""
    if device is None:
        return {}
    if argument.text("device", device) and target != "loihi":
        raise InputError(f"--device {device} is for target 'loihi' alone, not {target!r}; leave it out")
    return {"device": device}


def load_compiled(
    path: str | os.PathLike[str],
    target: str | None = None,
    *,
    progress: Progress | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    timeout_s: float | None = None,
    device: str | None = None,
) -> Compiled:
    """Take up what :meth:`Compiled.save` kept: the same integers, on the same chip, not quantised again.

    Parameters
    ----------
    path : path
    target : str or None
        None: the target that it was compiled for.
    progress, workers, scheduler, timeout_s, device
        As for :func:`compile`.

    Returns
    -------
    Compiled

    Raises
    ------
    CheckpointError
        No such file, or what is in it is damaged or impossible.
    UnsupportedError
        The target has not got these registers.
    """
    from sne_deploy.frontend.compiled_file.file import read_compiled

    content, chip = read_compiled(argument.file_path("path", path))
    return compile(
        content.ensemble(chip),
        target or content.target,
        precision="fixed",
        fidelity=False,
        progress=progress,
        workers=workers,
        scheduler=scheduler,
        timeout_s=timeout_s,
        device=device,
    )


def _executables(
    backend: Backend,
    programs: tuple[Program, ...],
    engine: Engine | None,
    resources: ExitStack,
    options: RunOptions,
) -> tuple[tuple[Executable, ...], Runner]:
    """Executables of this process, which the resources close, and the runner that is to be used."""
    executables: list[Executable] = []
    for program in programs:
        executables.append(backend.compile(program, options))
        resources.push(executables[-1])
    if engine is None:
        return tuple(executables), InProcess(tuple(executables))
    return tuple(executables), OnExecutor(
        engine, backend.name, programs, options.progress, options.extra, executables
    )


def _programs(
    ensemble: Ensemble,
    precision: Precision,
    formats: RegisterFormats,
    whole: RegisterFormats,
    progress: Progress | None,
    *,
    keep: bool,
) -> tuple[tuple[Program, ...], dict[str, Program]]:
    """Compile every student; what is unsupported in any of them is one error.

    ``whole``: the chip's formats, where a target with less of them says what that costs.

    Returns
    -------
    programs : tuple of Program
    real : dict of student name to Program
        Those that were compiled in floating point on the way, where they are to be kept.
    """
    from sne_deploy.passes.narrowing import what_narrowing_costs
    from sne_deploy.passes.pipeline import compile_member, quantised

    programs: list[Program] = []
    real: dict[str, Program] = {}
    refused: list[UnsupportedError] = []
    for index, student in enumerate(ensemble.students):
        if progress is not None:
            progress("compiling", index, len(ensemble.students))
        try:
            if precision == "float" or isinstance(student.network, Program):  # registers, as they were read
                programs.append(compile_member(ensemble, student, precision, formats))
            else:
                real[student.name] = compile_member(ensemble, student, "float", formats)
                made = quantised(real[student.name], formats)
                if formats != whole:
                    costs = what_narrowing_costs(made, quantised(real[student.name], whole))
                    made = replace(made, warnings=(*made.warnings, *costs))
                programs.append(made)
                real = real if keep else {}
        except UnsupportedError as error:
            refused.append(error)
    raise_unsupported(refused)
    if progress is not None:
        progress("compiling", len(ensemble.students), len(ensemble.students))
    return tuple(programs), real


def _reference(
    compiled: Callable[..., Compiled],
    ensemble: Ensemble,
    real: Mapping[str, Program],
    chip: Chip,
    engine: Engine | None,
    resources: ExitStack,
) -> tuple[Compiled | None, tuple[str, ...]]:
    """The same ensemble in floating point, or the reason why there is none."""
    from sne_deploy.passes.pipeline import compile_member

    if REFERENCE not in backend_names():
        return None, (f"no floating-point comparison: target {REFERENCE!r} is not installed",)
    try:
        programs = tuple(
            real.get(student.name) or compile_member(ensemble, student, "float", chip.registers)
            for student in ensemble.students
        )
        backend = load_backend(REFERENCE)
        ran = _executables(backend, programs, engine, resources, RunOptions())
    except (UnsupportedError, GraphError) as error:  # it is compiled already: Norse alone cannot express it
        return None, (f"no floating-point comparison: {error}",)

    def run_with(others: tuple[Program, ...], held: ExitStack) -> Runner:
        return _executables(backend, others, engine, held, RunOptions())[1]

    return compiled(programs, *ran, None, target=REFERENCE, resources=ExitStack(), run_with=run_with), ()
