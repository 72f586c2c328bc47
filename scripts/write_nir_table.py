"""Compile every NIR primitive for every target and write docs/nir.md of what happened.

usage: python scripts/write_nir_table.py [--check]

``--check`` writes nothing and leaves out the runs in Lava; it exits with 1 if the page would change.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nir
import numpy as np
from nir_examples import PRIMITIVES, REFUSALS, TOPOLOGIES
from nir_semantics import DESCRIPTIONS
from pages import checking, filled, keep, table

from sne_deploy.backend import RunOptions, load_backend
from sne_deploy.chips.chip import DEFAULT_CHIP, load_chip
from sne_deploy.errors import SneError, UnsupportedError
from sne_deploy.frontend.graph_models import ASSUMED, ensemble_of_graphs
from sne_deploy.frontend.hdf5.file import LIMITS
from sne_deploy.frontend.options import ReadOptions
from sne_deploy.ir.program import Precision, Program
from sne_deploy.passes.pipeline import compile_student

PAGE = Path(__file__).resolve().parents[1] / "docs" / "nir.md"
TEXT = Path(__file__).with_name("nir_page.md")
TARGETS: tuple[tuple[str, Precision], ...] = (
    ("norse", "float"), ("lava", "float"), ("lava", "fixed"), ("loihi", "fixed"),
)  # fmt: skip
REGISTERS = ("weight_exp_max", "bias_exp_max", "decay_max", "decay_unity")
NAME = "net"
SAMPLES, TIMESTEPS = 3, 6


@dataclass(frozen=True)
class Outcome:
    """Why each target refuses a graph, None where it runs it; and what compiling it warned of."""

    refusals: Mapping[tuple[str, Precision], str | None]
    warnings: tuple[str, ...]


def primitives() -> list[str]:
    """Every node class of the installed ``nir``, in the order of our table.

    Raises
    ------
    SystemExit
        The package has one that the table or the examples lack, or the other way round.
    """
    found = {
        name
        for name, kind in vars(nir.ir).items()
        if inspect.isclass(kind) and issubclass(kind, nir.ir.NIRNode) and kind is not nir.ir.NIRNode
    }
    for what, known in (("DESCRIPTIONS", DESCRIPTIONS), ("PRIMITIVES", PRIMITIVES)):
        if found != set(known):
            raise SystemExit(
                f"{what} and nir {nir.version} differ in {', '.join(sorted(found ^ set(known)))}"
            )
    return list(DESCRIPTIONS)


def try_out(graph: nir.NIRGraph, *, lava: bool) -> Outcome:
    """Compile a graph for every target, and run it there on random spikes."""
    try:
        ensemble = ensemble_of_graphs([graph], [NAME], ReadOptions(timesteps=TIMESTEPS))
    except SneError as error:
        return Outcome(dict.fromkeys(TARGETS, _reason(error)), ())
    student = ensemble.students[0]
    inputs = np.random.default_rng(0).random((SAMPLES, TIMESTEPS, *ensemble.input_shape)) < 0.5
    registers = load_chip(DEFAULT_CHIP).registers
    refusals: dict[tuple[str, Precision], str | None] = {}
    warnings: dict[str, None] = {}
    for target, precision in TARGETS:
        try:
            program = compile_student(
                student,
                input_shape=ensemble.input_shape,
                timesteps=TIMESTEPS,
                encoder=ensemble.encoder,
                precision=precision,
                formats=registers,
            )
            warnings.update(dict.fromkeys(w for w in program.warnings if not w.startswith(ASSUMED)))
            _run(program, target, inputs if lava or target != "lava" else None)
            refusals[target, precision] = None
        except SneError as error:
            refusals[target, precision] = _reason(error)
    return Outcome(refusals, tuple(warnings))


def _run(program: Program, target: str, inputs: Any) -> None:
    """Compile for one target; run where there are inputs, and see that what comes out is right in size."""
    with load_backend(target).compile(program, RunOptions()) as executable:
        if inputs is None:
            return
        trace = executable.run(inputs.astype(np.float64))
        if trace.outputs.shape != (SAMPLES, program.output_size) or not np.isfinite(trace.outputs).all():
            raise SystemExit(f"{target} gave outputs of shape {trace.outputs.shape}")


def _without_name(text: str) -> str:
    for prefix in (f"student {NAME!r}, ", f"student {NAME!r}: ", f"{NAME}: "):
        text = text.removeprefix(prefix)
    return text


def _reason(error: SneError) -> str:
    return _without_name("; ".join(error.problems) if isinstance(error, UnsupportedError) else str(error))


def _cells(outcome: Outcome) -> Iterator[str]:
    reasons = (outcome.refusals[key] for key in TARGETS)
    return ("yes" if reason is None else f"no: {reason}" for reason in reasons)


def tables(*, lava: bool) -> dict[str, str]:
    """By the name of their place.

    Where every primitive runs, what a step of it is, and what is lost in fixed point; its equation, place in
    the Program, and limits; which graphs run where, and what is said of them; what is refused, by whom and
    in what words.
    """
    words = {name: DESCRIPTIONS[name] for name in primitives()}
    heads = [f"`{target}` {precision}" for target, precision in TARGETS]
    runs = {name: _cells(try_out(PRIMITIVES[name](), lava=lava)) for name in words}
    topologies = {title: try_out(make(), lava=lava) for title, make in TOPOLOGIES.items()}
    return {
        "PRIMITIVES": table(
            ("primitive", *heads, "one step", "lost in fixed point"),
            [(f"`{name}`", *runs[name], one.step, one.lost) for name, one in words.items()],
        ),
        "DETAILS": table(
            ("primitive", "NIR's equation", "becomes", "limits"),
            [
                (f"`{name}`", "-" if one.equation == "-" else f"`{one.equation}`", one.lowered, one.limits)
                for name, one in words.items()
            ],
        ),
        "TOPOLOGIES": table(
            ("graph", *heads, "warnings"),
            [
                (title, *_cells(outcome), "; ".join(map(_without_name, outcome.warnings)))
                for title, outcome in topologies.items()
            ],
        ),
        "REFUSALS": table(("graph", "refused by", "reason"), _refusals(lava=lava)),
    }


def _refusals(*, lava: bool) -> Iterator[tuple[str, str, str]]:
    for title, make in REFUSALS.items():
        by_reason: dict[str, list[str]] = {}
        for (target, precision), reason in try_out(make(), lava=lava).refusals.items():
            if reason is not None:
                by_reason.setdefault(reason, []).append(f"`{target}` {precision}")
        if not by_reason:
            raise SystemExit(f"{title!r} is refused by no target; move it to TOPOLOGIES")
        for reason, targets in by_reason.items():
            yield title, "all" if len(targets) == len(TARGETS) else ", ".join(targets), reason


def page(*, lava: bool) -> str:
    """The whole page: the prose of nir_page.md with the tables in its places."""
    values = {"nir version": nir.version, "name length": LIMITS.name_length}
    registers = load_chip(DEFAULT_CHIP).registers
    values |= {name.upper(): getattr(registers, name) for name in REGISTERS}
    text = filled(TEXT.read_text("utf-8"), values)
    for name, made in tables(lava=lava).items():
        place = f"{{{name}}}\n"
        if text.count(place) != 1:
            raise SystemExit(f"{TEXT}: {text.count(place)} places for {place.strip()}, expected one")
        text = text.replace(place, f"{made}\n")
    return text


if __name__ == "__main__":
    sys.exit(keep(PAGE, page(lava=not checking())))
