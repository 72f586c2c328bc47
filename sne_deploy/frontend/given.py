"""What a Python caller gives as a model: an Ensemble, files, graphs in memory, or live modules."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, TypeGuard, cast

from sne_deploy import arguments as argument
from sne_deploy.chips.chip import DEFAULT_CHIP, Chip, load_chip
from sne_deploy.errors import InputError
from sne_deploy.frontend.graph_models import ensemble_of_graphs
from sne_deploy.frontend.models import ensemble_of_modules, load_model
from sne_deploy.frontend.options import ReadOptions
from sne_deploy.ir.readout import READOUTS, Readout
from sne_deploy.model.ensemble import ENCODERS, Encoder, Ensemble, Head

if TYPE_CHECKING:
    import torch

MODULE_OPTIONS = ("input_shape", "timesteps", "encoder", "input_range", "readout", "head", "names")
"""What :func:`modules_as_ensemble` takes."""
_CHECKS: Mapping[str, Callable[[str, Any], Any]] = {
    "timesteps": partial(argument.whole, minimum=1),
    "dt_s": argument.number,
    "input_shape": argument.shape,
    "reset": lambda name, value: value if isinstance(value, Mapping) else argument.text(name, value),
    "decay": argument.text,
    "gain": argument.text,
    "convention": argument.text,
    "readout": partial(argument.choice, known=READOUTS),
    "encoder": partial(argument.choice, known=ENCODERS),
    "input_range": partial(argument.numbers, count=2),
}
"""Of each option for reading, by itself."""
_MODELS = "a path, several, a nir.NIRGraph, a torch module, or an Ensemble"


def chip_and_seed(
    ensemble: Ensemble, hardware: str | os.PathLike[str] | Chip | None, seed: int | None
) -> tuple[Chip, int]:
    """The chip and the seed of random encoders: as given, else what it was made for, else the usual.

    Parameters
    ----------
    ensemble : Ensemble
    hardware, seed
        None: not given.

    Raises
    ------
    InputError
        An argument does not fit; HardwareError: no such chip.
    """
    made = ensemble.made_for
    if hardware is None:
        hardware = DEFAULT_CHIP if made is None else made.chip
    if seed is None:
        seed = 0 if made is None else made.seed
    chip = hardware if isinstance(hardware, Chip) else load_chip(argument.file_path("hardware", hardware))
    return chip, argument.whole("seed", seed, 0)


def as_ensemble(model: Any, options: Mapping[str, Any]) -> Ensemble:
    """An Ensemble from whatever describes one.

    Parameters
    ----------
    model : Ensemble, path, nir.NIRGraph, torch.nn.Module, or a sequence of one of the last three
    options : mapping
        As for :func:`files_as_ensemble` or :func:`modules_as_ensemble`; none for an Ensemble.

    Raises
    ------
    InputError
        No such model, or an option that does not go with it.
    """
    if isinstance(model, Ensemble):
        for name, value in options.items():
            if value is not None:
                raise InputError(f"{name} was given, but an Ensemble says it itself; leave it out")
        return model
    if are_modules(model):
        _check_names(options, MODULE_OPTIONS, "torch modules")
        return modules_as_ensemble(model, **options)
    _check_names(options, [field.name for field in fields(ReadOptions)], "files and graphs")
    return files_as_ensemble(model, read_options(**options))


def files_as_ensemble(model: Any, options: ReadOptions) -> Ensemble:
    """Read files, or take NIR graphs that are in memory.

    Raises
    ------
    InputError
        The model is neither; see :func:`sne_deploy.frontend.models.load_model`.
    """
    graphs = [model] if _is_graph(model) else list(model) if isinstance(model, (list, tuple)) else []
    if graphs and all(map(_is_graph, graphs)):
        return ensemble_of_graphs(graphs, _numbered(graphs), options)
    if are_modules(model):
        raise InputError("a torch module is no file; give it to sne.ensemble(module, input_shape=, ...)")
    if isinstance(model, (str, os.PathLike)):
        return load_model(model, options)
    several = argument.entries(model)
    if isinstance(model, Mapping):
        raise InputError(f"a {type(model).__name__} says no network; load it into its module, and give that")
    if several is None:
        raise InputError(f"a {type(model).__name__} is no model; give {_MODELS}")
    return load_model([argument.file_path("model", item) for item in several], options)


def modules_as_ensemble(
    modules: Any,
    *,
    input_shape: Any = None,
    timesteps: Any = None,
    encoder: Any = None,
    input_range: Any = None,
    readout: Any = None,
    head: Any = None,
    names: Any = None,
) -> Ensemble:
    """An ensemble of one live module or several; see :func:`sne_deploy.frontend.models.ensemble_of_modules`.

    Raises
    ------
    InputError
        Not modules, or an argument of another type or value than it can have.
    """
    if any(map(_is_graph, modules if isinstance(modules, (list, tuple)) else [modules])):
        raise InputError("a nir.NIRGraph is no torch module; give it to sne.load(graph, timesteps=, dt_s=)")
    if not are_modules(modules):
        if isinstance(modules, Sequence) and not modules:
            raise InputError(
                "an ensemble needs at least one student; give a torch.nn.Module, or a list of them"
            )
        raise InputError(f"{_kinds(modules)} cannot be students; give a torch.nn.Module, or a list of them")
    if input_shape is None:
        raise InputError("input_shape is missing; give a sample's shape at one step, such as (1, 28, 28)")
    if timesteps is None:
        raise InputError("timesteps is missing; give how many steps a sample lasts, such as 16")
    stack = _listed(modules)
    if names is not None:
        names = [argument.text("names: a name", name) for name in argument.entries(names) or [names]]
    return ensemble_of_modules(
        stack,
        input_shape=argument.shape("input_shape", input_shape),
        timesteps=argument.whole("timesteps", timesteps, 1),
        encoder=None if encoder is None and input_range is None else as_encoder(encoder, input_range),
        readout=None if readout is None else cast("Readout", argument.choice("readout", readout, READOUTS)),
        head=None if head is None else argument.instance("head", head, Head, "sne.Head(...)"),
        names=names,
    )


def read_options(**options: Any) -> ReadOptions:
    """The options for reading files, each checked by itself."""
    for name, check in _CHECKS.items():
        if options.get(name) is not None:
            options[name] = check(name, options[name])
    return ReadOptions(**options)


def as_encoder(encoder: Any, input_range: Any = None) -> Encoder:
    """An Encoder, also by the name of its kind, with the range of its values."""
    if input_range is not None and (not isinstance(encoder, str) or encoder == "spikes"):
        raise InputError(
            'input_range goes with encoder="constant", "bernoulli" or "graded"; leave it out, or give one'
        )
    if isinstance(encoder, str):
        return Encoder(encoder, (0.0, 1.0) if input_range is None else input_range)  # type: ignore[arg-type]  # it checks
    return cast("Encoder", argument.instance("encoder", encoder, Encoder, 'sne.Encoder(...), or "constant"'))


def are_modules(model: Any) -> TypeGuard[torch.nn.Module | Sequence[torch.nn.Module]]:
    """Whether it is a torch module, or a sequence of them; torch is not imported for it."""
    torch = sys.modules.get("torch")
    if torch is None:
        return False
    entries = _listed(model) if isinstance(model, (torch.nn.Module, list, tuple)) else []
    return bool(entries) and all(isinstance(entry, torch.nn.Module) for entry in entries)


def own_options(model: torch.nn.Module | Sequence[torch.nn.Module]) -> dict[str, Any]:
    """What the first module brings by an encoder module in front: options for an ensemble."""
    from sne_deploy.frontend.norse.entry import options_of

    return options_of(_listed(model)[0])


def _listed(modules: Any) -> list[Any]:
    """One module is one student, though it may be a sequence of its children; ModuleList is students."""
    import torch

    if isinstance(modules, torch.nn.Module) and not isinstance(modules, torch.nn.ModuleList):
        return [modules]
    return list(modules)


def _is_graph(model: Any) -> bool:
    nir = sys.modules.get("nir")
    return nir is not None and isinstance(model, nir.NIRGraph)


def _numbered(graphs: Collection[Any]) -> list[str]:
    return [f"student{index}" for index in range(len(graphs))]


def _kinds(modules: Any) -> str:
    entries = modules if isinstance(modules, (list, tuple)) else (modules,)
    kinds = sorted({type(entry).__name__ for entry in entries})
    return f"{', '.join(kinds[:5])}"


def _check_names(options: Mapping[str, Any], known: Collection[str], what: str) -> None:
    for name in options:
        if name not in known:
            raise InputError(f"unknown option {name!r} for {what}; known: {', '.join(known)}")
