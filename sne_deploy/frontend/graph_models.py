"""NIR graphs, and Programs read from files of registers, as the students of an Ensemble."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING

from sne_deploy.errors import GraphError, InputError, UnsupportedError
from sne_deploy.frontend.stated import agreed_encoder, agreed_readout
from sne_deploy.model.ensemble import Encoder, EncoderKind, Ensemble, Head, Readout, Student

if TYPE_CHECKING:
    import nir

    from sne_deploy.frontend.nir.facts import Facts
    from sne_deploy.frontend.options import ReadOptions
    from sne_deploy.ir.program import Program

ASSUMED = "assumed, since the file does not say"
SNNTORCH_RESETS = (
    "; its constants imply a step of 0.0001 s, as snnTorch writes it, whose neurons subtract the threshold "
    "a step later by default: if it wrote this, give --convention snntorch"
)
"""Begins the note on what neither the file nor the user said."""
_NAME = re.compile(r"\w[\w.+ \-]{0,99}")


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


def ensemble_of_graphs(
    graphs: Sequence[nir.NIRGraph],
    names: Sequence[str],
    options: ReadOptions,
) -> Ensemble:
    """An ensemble of NIR graphs, joined by the mean of their outputs.

    Parameters
    ----------
    graphs : sequence of nir.NIRGraph
        Of any tool; they are not changed. Students hold them normalised.
    names : sequence of str
    options : ReadOptions

    Raises
    ------
    InputError, GraphError, UnsupportedError
        As :func:`sne_deploy.frontend.models.load_model`.
    """
    from sne_deploy.frontend.nir.facts import facts_of
    from sne_deploy.frontend.nir.resets import check_names
    from sne_deploy.frontend.nir.shapes import joined_input_shape

    students, encoders, stored = [], [], set()
    for graph, name in zip(graphs, names, strict=True):
        check_name(name)
        try:
            facts = facts_of(graph)
            encoders.append(agreed_encoder(name, facts.encoder, options))
            students.append(_student(graph, name, options, facts))
            stored.add(facts.timesteps)
        except UnsupportedError as error:
            raise UnsupportedError(f"{name}: {error.context}", error.problems) from None
        except GraphError as error:
            raise GraphError(f"{name}: {error}") from None
    if options.reset is not None:
        check_names([student.network for student in students], options.reset)
    shapes = [joined_input_shape(student.network) for student in students]
    timesteps = options.timesteps
    if timesteps is None and len(stored) == 1:
        timesteps = stored.pop()
    return _ensemble(students, shapes, timesteps, "a NIR graph", encoders)


def _student(graph: nir.NIRGraph, name: str, options: ReadOptions, facts: Facts) -> Student:
    from sne_deploy.frontend.nir.discretise import discretised
    from sne_deploy.frontend.nir.findings import examine
    from sne_deploy.frontend.nir.frameworks import settled
    from sne_deploy.frontend.nir.resets import with_resets

    if facts.stated:
        _check_stated(graph, name, options)
    made, notes = examine(graph, options.input_shape)
    made = made if options.reset is None else with_resets(made, options.reset)
    made, options, told = settled(made, options)
    made = _with_dt(made, name, options.dt_s)
    made, more = discretised(made, float(made.metadata["dt_s"]), options)
    readout = agreed_readout(name, facts.readout, options, graph_readout(made))
    assumed = () if facts.stated else _assumed(made, readout, options)
    return Student(name, made, readout, notes=(*notes, *more, *told, *assumed))


def _check_stated(graph: nir.NIRGraph, name: str, options: ReadOptions) -> None:
    """Check that no option contradicts a graph that says its resets, and whose constants are exact."""
    import nir

    from sne_deploy.frontend.nir.neuron_nodes import fires
    from sne_deploy.frontend.nir.resets import with_resets
    from sne_deploy.neurons.resets import reset_of

    for option in ("decay", "gain", "convention"):
        if getattr(options, option) is not None:
            raise InputError(
                f"{name}: {option} {getattr(options, option)} was given, but the file's constants are exact: "
                "this project wrote it; leave it out"
            )
    if options.reset is None:
        return
    bare = {key: copy(node) for key, node in graph.nodes.items()}
    for node in bare.values():
        node.metadata = {key: value for key, value in node.metadata.items() if not key.startswith("reset")}
    asked = with_resets(nir.NIRGraph(bare, list(graph.edges), metadata={}, type_check=False), options.reset)
    for key, node in graph.nodes.items():
        if fires(node) and reset_of(key, node) != reset_of(key, asked.nodes[key]):
            raise InputError(
                f"{name}: reset {options.reset} was given, but the file says another; leave it out"
            )


def _assumed(graph: nir.NIRGraph, readout: Readout, options: ReadOptions) -> Iterator[str]:
    """What neither the file nor the user says."""
    from sne_deploy.frontend.nir.conventions import time_step_hint
    from sne_deploy.frontend.nir.frameworks import CONVENTIONS
    from sne_deploy.frontend.nir.neuron_nodes import fires

    silent = any(fires(node) and "reset" not in node.metadata for node in graph.nodes.values())
    found = [
        *([] if options.readout is not None or readout == "count" else [f"readout {readout} (--readout)"]),
        *([] if options.encoder is not None else ["input of spikes (--encoder)"]),
        *(["reset to v_reset (--reset)"] if silent else []),
    ]
    known = silent and time_step_hint(graph) == CONVENTIONS["snntorch"].dt_s
    if found:
        yield f"{ASSUMED}: {', '.join(found)}{SNNTORCH_RESETS if known else ''}"


def ensemble_of_programs(
    programs: Sequence[Program],
    names: Sequence[str],
    options: ReadOptions,
    *,
    what: str = "a file of registers",
) -> Ensemble:
    """An ensemble of Programs that were read from files of registers, joined by the mean of their outputs.

    Parameters
    ----------
    programs : sequence of Program
        All of the same input.
    names : sequence of str
    options : ReadOptions
        Without ``timesteps``, they are as the Programs say, where they agree on more than 1.
    what : str
        What messages call a file that a Program came from.

    Raises
    ------
    InputError
        No time steps, Programs of different inputs, or an option that contradicts a file.
    """
    from sne_deploy.frontend.nir.facts import facts_of

    timesteps = options.timesteps
    stored = {program.timesteps for program in programs}
    if timesteps is None and len(stored) == 1 and stored != {1}:
        timesteps = next(iter(stored))
    encoders, students = [], []
    for program, name in zip(programs, names, strict=True):
        check_name(name)
        facts = facts_of(program.graph)
        readout = agreed_readout(name, facts.readout, options, program.readout)
        encoders.append(_registers_encoder(name, program, facts, options))
        network = replace(
            program,
            name=name,
            readout=readout,
            timesteps=timesteps or program.timesteps,
            input=replace(program.input, range=encoders[-1].input_range),
        )
        assumed = not facts.stated and options.readout is None and readout != "count"
        notes = (f"{ASSUMED}: readout {readout} (--readout)",)
        students.append(Student(name, network, readout, notes=notes if assumed else ()))
    shapes = [program.input.shape for program in programs]
    return _ensemble(students, shapes, timesteps, what, encoders)


def _registers_encoder(name: str, program: Program, facts: Facts, options: ReadOptions) -> Encoder:
    """What registers take: spikes, which may be drawn from probabilities, or a constant current."""
    taken: tuple[EncoderKind, ...] = ("constant",) if program.constant_input else ("spikes", "bernoulli")
    if options.encoder is not None and options.encoder not in taken:
        raise InputError(
            f"{name}: encoder {options.encoder} was given, but its first layer's registers take "
            f"{' or '.join(taken)}; leave it out"
        )
    stored = facts.encoder
    if stored is None and program.constant_input:
        limits = options.input_range or program.input.range
        return Encoder("constant", limits)
    return agreed_encoder(name, stored, options)


def _ensemble(
    students: Sequence[Student],
    shapes: Sequence[tuple[int, ...]],
    timesteps: int | None,
    what: str,
    encoders: Sequence[Encoder],
) -> Ensemble:
    if len(set(encoders)) != 1:
        raise InputError(
            "the networks of one ensemble must take the same input, got "
            + ", ".join(f"{encoder.kind} in {encoder.input_range}" for encoder in encoders)
        )
    if len(set(shapes)) != 1:
        raise GraphError(f"the graphs of one ensemble must take the same input, got shapes {list(shapes)}")
    if timesteps is None:
        raise InputError(
            f"{what} does not say how many steps a sample lasts; give --timesteps (or timesteps=), or data "
            "with a time axis"
        )
    return Ensemble(tuple(students), shapes[0], timesteps, encoders[0], Head("mean"))


def _with_dt(graph: nir.NIRGraph, name: str, dt_s: float | None) -> nir.NIRGraph:
    """The graph with its time step, in seconds, in its metadata."""
    import nir

    known = _known_dt(graph)
    if known is not None and dt_s is not None and known != dt_s:
        raise InputError(f"{name}: dt_s {dt_s} was given, but the graph says {known}; leave it out")
    chosen = dt_s if known is None else known
    if chosen is None:
        from sne_deploy.frontend.nir.conventions import time_step_hint

        hint = time_step_hint(graph)
        implied = "" if hint is None else f"; its constants imply dt = {hint:g} s: give --dt-s {hint:g}"
        raise InputError(
            f"{name}: a NIR graph does not say how long a step is; give --dt-s (or dt_s=) in seconds{implied}"
        )
    if not 0.0 < chosen < math.inf:
        raise InputError(f"{name}: dt_s {chosen} must be a positive number of seconds")
    metadata = {**graph.metadata, "dt_s": chosen}
    return nir.NIRGraph(dict(graph.nodes), list(graph.edges), metadata=metadata, type_check=False)


def _known_dt(graph: nir.NIRGraph) -> float | None:
    value = graph.metadata.get("dt_s")
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        raise GraphError(f"metadata dt_s is {str(value)[:100]!r}, must be a number of seconds") from None


def graph_readout(graph: nir.NIRGraph) -> Readout:
    """Membranes at the last step where an output reads neurons that integrate; else spike counts.

    Between the neurons and the output there may be nodes without a state, such as Flatten and Scale.
    """
    import nir

    from sne_deploy.frontend.nir.neuron_nodes import NEURONS, integrates

    sources: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for source, target in graph.edges:
        sources[target].append(source)
    waiting = [name for name, node in graph.nodes.items() if isinstance(node, nir.Output)]
    seen = set(waiting)
    while waiting:
        for name in sources[waiting.pop()]:
            if integrates(graph.nodes[name]):
                return "v_last"
            if name not in seen and type(graph.nodes[name]) not in NEURONS:
                seen.add(name)
                waiting.append(name)
    return "count"
