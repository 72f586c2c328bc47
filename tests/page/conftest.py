"""A browser, and the page of a run on the committed digits model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import sne_deploy as sne
from sne_deploy.data import digits_split
from tests.page.browser import Browser, started

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One for all tests."""
    with started() as found:
        yield found


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run on 40 samples wrote, with teacher and processors."""
    folder = tmp_path_factory.mktemp("run")
    _, _, x, y = digits_split()
    with sne.compile(sne.load(EXAMPLES / "digits" / "model.pt"), target="loihi") as compiled:
        teacher = EXAMPLES / "digits" / "teacher.onnx"
        result = compiled.run(x[:40], y[:40], teacher=teacher, compare="all", command="sne-compile model.pt")
    result.save(folder)
    return folder
