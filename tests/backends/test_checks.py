"""``check`` says of a Program what ``compile`` says, on every target and without making what runs it."""

from __future__ import annotations

import contextlib
from typing import Any, Literal, get_args

import nir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.backend import Backend, Checker, RunOptions, load_backend
from sne_deploy.chips.chip import DEFAULT_CHIP, load_chip
from sne_deploy.errors import SneError
from sne_deploy.frontend.graph_models import ensemble_of_graphs
from sne_deploy.frontend.options import ReadOptions
from sne_deploy.ir.program import Program
from sne_deploy.passes.pipeline import compile_student
from tests.effort import examples
from tests.graphs import random_graphs

Target = Literal["lava", "loihi", "netx", "norse"]


def program(graph: nir.NIRGraph, backend: Backend, precision: Any) -> Program | None:
    made = ensemble_of_graphs([graph], ["student"], ReadOptions(timesteps=5))
    formats = backend.capabilities().formats(load_chip(DEFAULT_CHIP).registers, None)
    with contextlib.suppress(SneError):
        return compile_student(
            made.students[0],
            input_shape=made.input_shape,
            timesteps=made.timesteps,
            encoder=made.encoder,
            precision=precision,
            formats=formats,
        )
    return None


def refusal(call: Any) -> tuple[type[SneError], str] | None:
    try:
        call()
    except SneError as error:
        return type(error), str(error)
    return None


@pytest.mark.parametrize("name", get_args(Target))
@pytest.mark.parametrize("precision", ["fixed", "float"])
@settings(max_examples=examples(25))
@given(st.data())
def test_check_refuses_what_compile_refuses(name: Target, precision: str, data: st.DataObject) -> None:
    backend = load_backend(name)
    assert isinstance(backend, Checker)
    given_program = program(data.draw(random_graphs()), backend, precision)
    if given_program is None:
        return

    def compiled() -> None:
        with backend.compile(given_program, RunOptions()):
            pass

    assert refusal(lambda: backend.check(given_program)) == refusal(compiled)
