"""Whatever counts as a model becomes an Ensemble: ``model.pt``, files of networks, live modules."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sne_deploy.errors import CheckpointError, InputError, UnsupportedError
from sne_deploy.files import is_folder
from sne_deploy.frontend.compiled_file.file import SUFFIX, read_compiled
from sne_deploy.frontend.graph_models import check_name, ensemble_of_graphs, ensemble_of_programs
from sne_deploy.frontend.options import ReadOptions
from sne_deploy.frontend.readers import file_suffixes, read_network
from sne_deploy.frontend.stated import agreed_encoder
from sne_deploy.ir.program import Program
from sne_deploy.model.ensemble import Encoder, Ensemble, Head, Readout, Student

if TYPE_CHECKING:
    import torch

    from sne_deploy.frontend.norse.live import Live

__all__ = [
    "ModelPath",
    "ReadOptions",
    "check_name",
    "ensemble_of_graphs",
    "ensemble_of_modules",
    "ensemble_of_programs",
    "load_model",
    "raise_unsupported",
]
ModelPath = str | os.PathLike[str]


def load_model(
    model: ModelPath | Sequence[ModelPath],
    options: ReadOptions = ReadOptions(),  # noqa: B008  frozen
) -> Ensemble:
    """Read a model from disk.

    Parameters
    ----------
    model : path, or sequence of paths
        A ``model.pt``; a ``.sne`` file of :meth:`sne_deploy.compiled.Compiled.save`; one ``.nir`` or ``.net``
        file; several of one kind; or a folder that holds such files.
    options : ReadOptions
        What the files do not say; a ``model.pt`` says everything itself.

    Raises
    ------
    InputError
        Nothing there, an unknown kind of file, or a graph without time; CheckpointError and GraphError
        for what is wrong inside.
    """
    paths = _paths(model)
    known = file_suffixes()
    kinds = {path.suffix for path in paths}
    if len(paths) == 1 and kinds == {SUFFIX}:
        _refuse_options(paths[0], options)
        content, chip = read_compiled(paths[0])
        return content.ensemble(chip)
    if len(paths) == 1 and not kinds & set(known):
        return _load_checkpoint(paths[0], options)
    wrong = [str(path) for path in paths if path.suffix not in known]
    if wrong:
        raise InputError(
            f"{', '.join(wrong)}: an ensemble of several files is made of {' or '.join(known)} files only"
        )
    if len(kinds) > 1:
        kind = " or of ".join(f"{suffix} files" for suffix in known)
        raise InputError(f"an ensemble is made of {kind}, not of both; give one kind")
    networks = [read_network(path, input_shape=options.input_shape, dt_s=options.dt_s) for path in paths]
    names, what = [path.stem for path in paths], f"a {paths[0].suffix} file"
    programs = [network for network in networks if isinstance(network, Program)]
    if not programs:
        return ensemble_of_graphs(networks, names, options)
    for option in ("reset", "decay", "gain", "convention"):
        if getattr(options, option) is not None:
            raise InputError(
                f"{option} {getattr(options, option)} was given, but {what} says it itself; leave it out"
            )
    return ensemble_of_programs(programs, names, options, what=what)


def _paths(model: ModelPath | Sequence[ModelPath]) -> list[Path]:
    if isinstance(model, (str, os.PathLike)):
        path = Path(model)
        if not is_folder(path):
            return [path]
        known = file_suffixes()
        found = sorted(entry for suffix in known for entry in path.glob(f"*{suffix}"))
        if not found:
            kinds, one = (word.join(known) for word in (" files and no ", " or "))
            raise InputError(
                f"{path}: the folder holds no {kinds} files; give a model.pt, a {one} file, or a folder of "
                "those"
            )
        return found
    paths = [Path(item) for item in model]
    if not paths:
        raise InputError("an ensemble needs at least one file; got an empty list")
    return paths


def _refuse_options(path: Path, options: ReadOptions) -> None:
    for option, value in options.given():
        raise InputError(f"{option} {value} was given, but {path} says it itself; leave it out")


def _load_checkpoint(path: Path, options: ReadOptions) -> Ensemble:
    _refuse_options(path, replace(options, encoder=None, input_range=None))
    from sne_deploy.model.checkpoint import load_checkpoint

    try:
        found = load_checkpoint(path)
        return replace(found, encoder=agreed_encoder(str(path), found.encoder, options))
    except CheckpointError as error:
        if path.suffix in ("", ".pt"):
            raise
        kinds = ", ".join(file_suffixes())
        raise CheckpointError(
            f"{error} (read as a model.pt, since {path.suffix} is none of {kinds})"
        ) from None


def ensemble_of_modules(
    modules: Sequence[torch.nn.Module],
    *,
    input_shape: tuple[int, ...],
    timesteps: int,
    encoder: Encoder | None = None,
    readout: Readout | None = None,
    head: Head | None = None,
    names: Sequence[str] | None = None,
) -> Ensemble:
    """An ensemble of live Norse modules, which are cloned and never changed.

    Parameters
    ----------
    modules : sequence of torch.nn.Module
        One per student, whose ``forward`` is a chain of known layers: a ``Sequential``, or a module of one's
        own. It is run on random input, and refused where its layers compute something else.
    input_shape : tuple of int
        One sample at one step, without batch and time.
    timesteps : int
    encoder : Encoder or None
        By default what encoder modules in front of the networks are, else spikes.
    readout : Readout or None
        By default the membrane at the last step for a leaky integrator, the mean over the steps for a linear
        map at the end, else the spike count.
    head : Head or None
        By default the mean of the students' outputs, which then are logits.
    names : sequence of str or None
        ``student0``, ``student1``, ... by default.
    """
    from sne_deploy.frontend.norse.encoders import agreed
    from sne_deploy.frontend.norse.entry import entry
    from sne_deploy.frontend.norse.live import read_live
    from sne_deploy.frontend.norse.readout import with_readout

    names = names or [f"student{index}" for index in range(len(modules))]
    if len(names) != len(modules):
        raise InputError(f"{len(names)} names were given for {len(modules)} modules")
    entries = [entry(module, timesteps) for module in modules]
    encoder = agreed(names, [found for found, _ in entries], encoder)
    students = []
    refused: list[UnsupportedError] = []
    for name, module, (_, said) in zip(names, modules, entries, strict=True):
        check_name(name)
        try:
            live = read_live(module, input_shape, timesteps, spikes=encoder.kind != "constant")
        except UnsupportedError as error:
            refused.append(UnsupportedError(f"student {name!r}", error.problems))
            continue
        layers, default, notes = with_readout(live.layers)
        chosen = readout or live.readout or default
        students.append(
            Student(name, layers, chosen, notes=(*said, *live.notes, *notes, *_overruled(live, chosen)))
        )
    raise_unsupported(refused)
    joined = students if head is not None or len(students) == 1 else _averaged(students)
    return Ensemble(tuple(joined), input_shape, timesteps, encoder, head or Head("mean"))


def _averaged(students: Sequence[Student]) -> list[Student]:
    """Students whose outputs are averaged: what is left out behind them must be the same of all.

    Raises
    ------
    InputError
        It is not, so that the class of the mean may be another.
    """
    from sne_deploy.frontend.norse.signals import SAME_CLASS

    left = [tuple(note for note in student.notes if note.endswith(SAME_CLASS)) for student in students]
    for student, found in zip(students, left, strict=True):
        if found != left[0]:
            first, other = (
                ", ".join(each).removesuffix(SAME_CLASS) or "nothing" for each in (left[0], found)
            )
            raise InputError(
                f"students {students[0].name!r} and {student.name!r} differ behind their outputs ({first}; "
                f"and {other}), so that the mean of what is read is not that of what they return; take it "
                "out of forward, or put factors into the last layers' weights"
            )
    if not any(note.startswith("softmax ") for note in left[0]):
        return list(students)
    said = "the mean over students is that of their logits, not of what softmax makes of them"
    return [replace(one, notes=(*one.notes, said)) for one in students]


def _overruled(live: Live, chosen: Readout) -> Iterator[str]:
    """What is said where the readout is another than that of the module's own ``forward``."""
    if live.readout is not None and live.readout != chosen:
        does = {
            "count": "sums or averages its spikes",
            "v_last": "returns the last step",
            "v_mean": "takes the mean or the sum over time",
            "v_max": "takes the maximum over time",
        }
        yield f"read as {chosen}, though its forward {does[live.readout]}"


def raise_unsupported(refused: Sequence[UnsupportedError]) -> None:
    """Raise what several students lack as one error; nothing where nothing was refused.

    Raises
    ------
    UnsupportedError
        Listing every student's problems.
    """
    if len(refused) == 1:
        raise refused[0]
    if refused:
        raise UnsupportedError(f"{len(refused)} students are unsupported", [str(error) for error in refused])
