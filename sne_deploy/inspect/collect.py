"""From a model's files to what can be said of it, without data and without running it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sne_deploy.chips.chip import DEFAULT_CHIP, load_chip
from sne_deploy.chips.registers import RegisterFormats
from sne_deploy.errors import InputError, SneError
from sne_deploy.files import is_folder
from sne_deploy.frontend.models import ModelPath, load_model
from sne_deploy.frontend.options import ReadOptions
from sne_deploy.frontend.readers import file_suffixes, read_network
from sne_deploy.inspect.numbers import in_range, number, shape_text
from sne_deploy.inspect.registers_view import connection_views, group_views
from sne_deploy.inspect.support import Outcome, target_support
from sne_deploy.inspect.views import ConnectionView, EdgeView, ModelView, NodeView, StudentView
from sne_deploy.ir.bounds import register_notes
from sne_deploy.ir.program import Precision, Program
from sne_deploy.model.ensemble import Ensemble, Student
from sne_deploy.model.policy import policy_text

if TYPE_CHECKING:
    import nir

_PRECISIONS: tuple[Precision, ...] = ("fixed", "float")


def inspect_model(
    model: ModelPath | Sequence[ModelPath],
    options: ReadOptions = ReadOptions(),  # noqa: B008  frozen
    *,
    weight_bits: int | None = None,
) -> ModelView:
    """Read a model and compile it for every target.

    Parameters are those of :func:`sne_deploy.frontend.models.load_model` and ``sne.compile``. A graph that
    does not say its time steps, and is not told them, is shown without what compiling it would give.

    Raises
    ------
    InputError
        The model cannot be read.
    """
    _formats(weight_bits)
    try:
        ensemble = load_model(model, options)
    except InputError as error:
        return _without_time(model, options.input_shape, error, timesteps=options.timesteps)
    return inspect_ensemble(ensemble, _title(model), weight_bits=weight_bits)


def inspect_ensemble(ensemble: Ensemble, title: str, *, weight_bits: int | None = None) -> ModelView:
    """What can be said of an ensemble in memory; ``title`` is what it is called."""
    return ModelView(
        model=title,
        facts=tuple(_facts(ensemble)),
        provenance=tuple(_flattened(ensemble.provenance)),
        students=tuple(_student_view(ensemble, student, weight_bits) for student in ensemble.students),
    )


def outline_ensemble(ensemble: Ensemble) -> ModelView:
    """The graphs of an ensemble in memory, without compiling it."""
    students = []
    for student in ensemble.students:
        graph = _exported(student, ensemble.input_shape)
        nodes, edges = _graph(graph, ensemble.input_shape, ())
        dt_s = None if graph is None else graph.metadata.get("dt_s")
        students.append(StudentView(student.name, student.readout, dt_s, nodes, edges, (), (), (), ()))
    return ModelView("", tuple(_facts(ensemble)), (), tuple(students))


def _formats(weight_bits: int | None) -> RegisterFormats:
    return load_chip(DEFAULT_CHIP).registers.narrowed(weight_bits)


def _title(model: ModelPath | Sequence[ModelPath]) -> str:
    paths = [model] if isinstance(model, (str, os.PathLike)) else model
    return " ".join(str(path) for path in paths)


def _student_view(ensemble: Ensemble, student: Student, weight_bits: int | None) -> StudentView:
    @cache
    def compiled(precision: Precision, formats: RegisterFormats) -> Outcome:
        return _compiled(ensemble, student, precision, formats)

    outcomes = [compiled(precision, _formats(weight_bits)) for precision in _PRECISIONS]
    fixed, floating = (p if isinstance(p, Program) else None for p in outcomes)
    program = fixed or floating
    proofs = [] if fixed is None else register_notes(fixed)
    connections = connection_views(program)
    graph = program.graph if program else _exported(student, ensemble.input_shape)
    nodes, edges = _graph(graph, ensemble.input_shape, connections)
    dt_s = program.dt_s if program else None if graph is None else graph.metadata.get("dt_s")
    return StudentView(
        name=student.name,
        readout=student.readout,
        dt_s=dt_s,
        nodes=nodes,
        edges=edges,
        groups=group_views(fixed, floating),
        connections=connections,
        support=target_support(compiled, load_chip(DEFAULT_CHIP).registers, weight_bits),
        notes=tuple(dict.fromkeys((*(program.warnings if program else student.notes), *proofs))),
    )


def _compiled(
    ensemble: Ensemble, student: Student, precision: Precision, formats: RegisterFormats
) -> Outcome:
    from sne_deploy.passes.pipeline import compile_member

    try:
        return compile_member(ensemble, student, precision, formats)
    except SneError as error:
        return error


def _exported(student: Student, input_shape: tuple[int, ...]) -> nir.NIRGraph | None:
    """The graph of a student that cannot be compiled, as far as it can be made."""
    from sne_deploy.frontend.norse.export import export_student

    try:
        return export_student(student, input_shape)
    except SneError:
        network = student.network
        return None if isinstance(network, (tuple, Program)) else _flat(network)


def _flat(graph: nir.NIRGraph) -> nir.NIRGraph | None:
    """A graph in the form that passes read; merely flat where its shapes do not fit; None where not that."""
    from sne_deploy.frontend.nir.flatten import inline
    from sne_deploy.frontend.nir.normalise import normalise

    for change in (normalise, inline):
        try:
            return change(graph)
        except SneError:
            continue
    return None


def _graph(
    graph: nir.NIRGraph | None, input_shape: tuple[int, ...] | None, connections: Sequence[ConnectionView]
) -> tuple[tuple[NodeView, ...], tuple[EdgeView, ...]]:
    from sne_deploy.inspect.graph_view import graph_views

    return ((), ()) if graph is None else graph_views(graph, input_shape, connections)


def _without_time(
    model: ModelPath | Sequence[ModelPath],
    input_shape: tuple[int, ...] | None,
    error: InputError,
    *,
    timesteps: int | None,
) -> ModelView:
    """The graphs of files that were refused as a model: for want of a time step, say."""
    paths = _graph_files(model)
    if not paths or len({path.stem for path in paths}) < len(paths):
        raise error
    missing = [str(error)]
    if timesteps is None and "--timesteps" not in missing[0]:
        missing.append("nor do the files say how many steps a sample lasts: --timesteps")
    students = tuple(_file_view(path, input_shape) for path in paths)
    return ModelView(_title(model), (("students", str(len(students))),), (), students, "; ".join(missing))


def _graph_files(model: ModelPath | Sequence[ModelPath]) -> list[Path]:
    """The files of a model that is graphs or networks of registers and nothing else; none otherwise."""
    paths = [Path(model)] if isinstance(model, (str, os.PathLike)) else [Path(path) for path in model]
    if len(paths) == 1 and is_folder(paths[0]):
        paths = sorted(path for suffix in file_suffixes() for path in paths[0].glob(f"*{suffix}"))
    return paths if all(path.suffix in file_suffixes() for path in paths) else []


def _file_view(path: Path, input_shape: tuple[int, ...] | None) -> StudentView:
    """One file by itself: a graph, or a network of registers, which has neurons in one unit."""
    network = read_network(path, input_shape=input_shape, dt_s=None)
    if isinstance(network, Program):
        program, graph, dt_s = network, network.graph, network.dt_s
    else:
        program, graph, dt_s = None, network, network.metadata.get("dt_s")
    connections = connection_views(program)
    nodes, edges = _graph(_flat(graph), input_shape, connections)
    return StudentView(
        path.stem, None, dt_s, nodes, edges, group_views(program, None), connections, support=(), notes=()
    )


def _facts(ensemble: Ensemble) -> Iterator[tuple[str, str]]:
    encoder, head, policy = ensemble.encoder, ensemble.head, ensemble.policy
    values = "" if encoder.kind == "spikes" else f", {in_range(encoder.input_range, number)}"
    values += "" if encoder.scale == 1 else f", times {number(encoder.scale)}"
    yield "input", f"{shape_text(ensemble.input_shape)}, {encoder.kind}{values}"
    yield "time", f"{ensemble.timesteps:,} steps per sample"
    divided = "" if head.temperature is None else ", a temperature for each number of students"
    if head.weight is None:
        weighted = "" if head.student_weight is None else ", each times its student's weight"
        yield "head", f"{head.kind} of the students' outputs{weighted}{divided}"
    else:
        classes, features = head.weight.shape
        yield "head", f"{head.kind}, {features:,} outputs -> {classes:,} classes{divided}, on the host"
    names = [student.name for student in ensemble.students]
    order = [names[at] for at in policy.order or range(len(names))]
    yield (
        "policy",
        policy_text(
            policy.kind,
            order,
            threshold=policy.threshold,
            students=policy.students,
            measure=policy.measure,
        ),
    )
    if policy.gate is not None:
        grid, hidden = " x ".join(map(str, policy.gate.grid)), policy.gate.hidden_bias.size
        yield "gate", f"mean of {grid} cells -> {hidden:,} hidden -> {len(names):,} students, on the host"


def _flattened(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested provenance as labels such as ``versions.torch``."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value)
