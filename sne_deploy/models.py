"""Whatever counts as a model becomes an Ensemble: ``model.pt``, ``.nir`` files, folders, live modules."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sne_deploy.ensembles import Encoder, Ensemble, Head, Readout, Student
from sne_deploy.errors import GraphError, InputError, UnsupportedError

if TYPE_CHECKING:
    import nir
    import torch

ModelPath = str | os.PathLike[str]
_INTEGRATORS = ("LIBoxCell", "LICell")
_NAME = re.compile(r"\w[\w.+ \-]{0,99}")


def load_model(
    model: ModelPath | Sequence[ModelPath], *, timesteps: int | None = None, dt_s: float | None = None
) -> Ensemble:
    """Read a model from disk.

    Parameters
    ----------
    model : path, or sequence of paths
        A ``model.pt``; a ``.nir`` file; several; or a folder that holds ``.nir`` files.
    timesteps : int or None
        Steps per sample, for NIR graphs, which do not say; a ``model.pt`` says itself.
    dt_s : float or None
        Seconds per step, for NIR graphs whose metadata does not say.

    Raises
    ------
    InputError
        Nothing there, an unknown kind of file, or a graph without time; CheckpointError and GraphError
        for what is wrong inside.
    """
    paths = _paths(model)
    if len(paths) == 1 and paths[0].suffix != ".nir":
        return _load_checkpoint(paths[0], timesteps, dt_s)
    wrong = [str(path) for path in paths if path.suffix != ".nir"]
    if wrong:
        raise InputError(f"{', '.join(wrong)}: an ensemble of several files is made of .nir files only")
    from sne_deploy.frontend.nir_file import read_nir

    graphs = [read_nir(path) for path in paths]
    return ensemble_of_graphs(graphs, [path.stem for path in paths], timesteps=timesteps, dt_s=dt_s)


def _paths(model: ModelPath | Sequence[ModelPath]) -> list[Path]:
    if isinstance(model, (str, os.PathLike)):
        path = Path(model)
        if not path.is_dir():
            return [path]
        found = sorted(path.glob("*.nir"))
        if not found:
            raise InputError(
                f"{path}: the folder holds no .nir files; give a model.pt, a .nir file or such a folder"
            )
        return found
    paths = [Path(item) for item in model]
    if not paths:
        raise InputError("an ensemble needs at least one file; got an empty list")
    return paths


def _load_checkpoint(path: Path, timesteps: int | None, dt_s: float | None) -> Ensemble:
    if path.suffix == ".net":
        raise InputError(f"{path}: lava-dl .net files cannot be read yet; give a model.pt or .nir files")
    for option, value in (("timesteps", timesteps), ("dt_s", dt_s)):
        if value is not None:
            raise InputError(f"{option} {value} was given, but {path} says it itself; leave it out")
    from sne_deploy.checkpoint import load_checkpoint

    return load_checkpoint(path)


def ensemble_of_graphs(
    graphs: Sequence[nir.NIRGraph], names: Sequence[str], *, timesteps: int | None, dt_s: float | None
) -> Ensemble:
    """An ensemble of NIR graphs that take spikes, joined by the mean of their outputs."""
    import nir

    shapes = []
    students = []
    for graph, name in zip(graphs, names, strict=True):
        inputs = [node for node in graph.nodes.values() if isinstance(node, nir.Input)]
        if len(inputs) != 1:
            raise GraphError(f"{name}: the graph has {len(inputs)} inputs; exactly one is supported")
        shapes.append(tuple(int(size) for size in inputs[0].input_type["input"]))
        check_name(name)
        students.append(Student(name, _with_dt(graph, name, dt_s), _graph_readout(graph, name)))
    if len(set(shapes)) != 1:
        raise GraphError(f"the graphs of one ensemble must take the same input, got shapes {shapes}")
    if timesteps is None:
        raise InputError(
            "a NIR graph does not say how many steps a sample lasts; give --timesteps (or timesteps=), "
            "or data with a time axis"
        )
    return Ensemble(tuple(students), shapes[0], timesteps, Encoder("spikes"), Head("mean"))


def check_name(name: str) -> None:
    """Check that a student's name can name its files.

    Raises
    ------
    InputError
        Empty, longer than 100 characters, or with others than letters, digits, ``_ . + -`` and spaces.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"student name {name[:100]!r} cannot name a file; use at most 100 letters, digits, _ . + - and "
            "spaces, the first a letter or a digit"
        )


def _with_dt(graph: nir.NIRGraph, name: str, dt_s: float | None) -> nir.NIRGraph:
    import nir

    known = graph.metadata.get("dt_s")
    if known is not None:
        if dt_s is not None and float(known) != dt_s:
            raise InputError(
                f"{name}: dt_s {dt_s} was given, but the graph says {float(known)}; leave it out"
            )
        return graph
    if dt_s is None:
        raise InputError(
            f"{name}: a NIR graph does not say how long a step is; give --dt-s (or dt_s=) in seconds"
        )
    if not 0.0 < dt_s < math.inf:
        raise InputError(f"dt_s {dt_s} must be a positive number of seconds")
    return nir.NIRGraph(
        nodes=dict(graph.nodes),
        edges=list(graph.edges),
        metadata={**graph.metadata, "dt_s": dt_s},
        type_check=False,
    )


def _graph_readout(graph: nir.NIRGraph, name: str) -> Readout:
    """Membranes of leaky integrators at the last step; spike counts of everything else."""
    import nir

    outputs = [key for key, node in graph.nodes.items() if isinstance(node, nir.Output)]
    if len(outputs) != 1:
        raise GraphError(f"{name}: the graph has {len(outputs)} outputs; exactly one is supported")
    current = outputs[0]
    for _ in graph.nodes:
        sources = [source for source, target in graph.edges if target == current]
        if not sources:
            break
        current = sources[0]
        if not isinstance(graph.nodes[current], nir.Flatten):
            break
    return "v_last" if isinstance(graph.nodes[current], (nir.LI, nir.CubaLI)) else "count"


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
        One per student: ``Sequential``, ``SequentialState`` and ``Lift`` of known layers.
    input_shape : tuple of int
        One sample at one step, without batch and time.
    timesteps : int
    encoder : Encoder or None
        Spikes by default.
    readout : Readout or None
        By default the membrane at the last step for a leaky integrator, else the spike count.
    head : Head or None
        By default the mean of the students' outputs, which then are logits.
    names : sequence of str or None
        ``student0``, ``student1``, ... by default.
    """
    from sne_deploy.frontend.norse import layers_from_module
    from sne_deploy.frontend.registry import check_stack

    names = names or [f"student{index}" for index in range(len(modules))]
    if len(names) != len(modules):
        raise InputError(f"{len(names)} names were given for {len(modules)} modules")
    students = []
    refused: list[UnsupportedError] = []
    for name, module in zip(names, modules, strict=True):
        check_name(name)
        try:
            layers = layers_from_module(module)
        except UnsupportedError as error:
            refused.append(UnsupportedError(f"student {name!r}", error.problems))
            continue
        check_stack(layers, input_shape)
        last = layers[-1].kind if layers else ""
        default: Readout = "v_last" if last in _INTEGRATORS else "count"
        students.append(Student(name, layers, readout or default))
    raise_unsupported(refused)
    return Ensemble(
        tuple(students), input_shape, timesteps, encoder or Encoder("spikes"), head or Head("mean")
    )


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
