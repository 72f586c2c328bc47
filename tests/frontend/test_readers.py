"""Files of networks are read by the readers that are installed, found by their suffix."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest

import sne_deploy as sne
from sne_deploy.errors import CheckpointError, InputError
from sne_deploy.frontend import readers
from sne_deploy.frontend.nir.file import read_nir
from sne_deploy.frontend.nir.raise_program import raise_program
from sne_deploy.frontend.options import ReadOptions
from sne_deploy.inspect.collect import inspect_model
from tests.frontend.test_models import graph_file
from tests.small_programs import one_layer

STEPS = 5


def read_toy(path: Path, *, input_shape: tuple[int, ...] | None, dt_s: float | None) -> Any:
    """A reader as another package would offer it: a file of weights, or of a graph's path."""
    first, *rest = path.read_text().split()
    assert (input_shape, dt_s) == (None, None)
    if not rest:
        return read_nir(first)
    program = one_layer([[int(first), *map(int, rest)]], "mixed")
    return replace(program, graph=raise_program(program).graph)


def install(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    """Let these readers, by suffix, be those that are installed."""
    found = EntryPoints(EntryPoint(name, value, readers.ENTRY_POINT_GROUP) for name, value in values.items())
    monkeypatch.setattr(readers, "entry_points", lambda group: found.select(group=group))


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader of ``.toy`` files, and nothing else beside the core's."""
    install(monkeypatch, toy=f"{__name__}:read_toy")


def test_the_installed_readers() -> None:
    assert readers.file_suffixes() == (".nir", ".net")


@pytest.mark.usefixtures("toy")
def test_a_reader_of_registers(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.toy").write_text("60 60 0")
    for model in (tmp_path, [tmp_path / "a.toy", tmp_path / "b.toy"]):
        loaded = sne.load(model, timesteps=STEPS)
        assert [student.name for student in loaded.students] == ["a", "b"]
        assert (loaded.input_shape, loaded.timesteps) == ((3,), STEPS)
    with pytest.raises(InputError, match=r"reset subtract was given, but a \.toy file says it itself"):
        sne.load(tmp_path, timesteps=STEPS, reset="subtract")
    assert inspect_model(tmp_path / "a.toy", ReadOptions(timesteps=STEPS)).students[0].name == "a"


@pytest.mark.usefixtures("toy")
def test_a_reader_of_graphs(tmp_path: Path) -> None:
    (tmp_path / "a.toy").write_text(str(graph_file(tmp_path / "graph.nir")))
    theirs, ours = (sne.load(tmp_path / name, timesteps=STEPS) for name in ("a.toy", "graph.nir"))
    assert theirs.students[0].network.nodes.keys() == ours.students[0].network.nodes.keys()  # type: ignore[union-attr]


@pytest.mark.usefixtures("toy")
def test_what_no_reader_reads_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "a.net"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(CheckpointError, match=r"an HDF5 file.*read as a model\.pt.*none of \.nir, \.toy"):
        sne.load(path)
    with pytest.raises(InputError, match=r"the folder holds no \.nir files and no \.toy files"):
        sne.load(tmp_path)


def test_a_reader_whose_package_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, toy="no_such_package:read")
    (tmp_path / "a.toy").touch()
    with pytest.raises(InputError, match=r"\.toy files cannot be read, 'no_such_package:read'.*install") as e:
        sne.load(tmp_path / "a.toy", timesteps=STEPS)
    assert "\n" not in str(e.value)
