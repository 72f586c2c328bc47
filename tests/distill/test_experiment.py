"""An experiment file: all of its mistakes at once, what was meant, and paths relative to the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sne_deploy.distill.experiment import as_experiment, load_experiment, parse_experiment
from sne_deploy.distill.mistakes import MOST
from sne_deploy.distill.students.networks import student_network
from sne_deploy.distill.students.surrogates import Surrogate
from sne_deploy.errors import ExperimentError, InputError
from tests.command_line import command
from tests.distill.test_run import DOCUMENT

TABLES = ("", "data", "teacher", "partition", "students", "joint", "policy", "teacher.schedule")


def fresh() -> dict[str, Any]:
    """A whole experiment of which no two tables are the same object."""
    document: dict[str, Any] = json.loads(json.dumps(DOCUMENT))
    return document


def table(document: dict[str, Any], dotted: str) -> dict[str, Any]:
    for name in filter(None, dotted.split(".")):
        document = document[name]
    return document


@given(st.data())
def test_every_misspelt_key_is_named_with_the_right_one(data: st.DataObject) -> None:
    document, wanted = fresh(), set()
    for dotted in data.draw(st.lists(st.sampled_from(TABLES), min_size=1, unique=True)):
        place = table(document, dotted)
        keys = [key for key, value in place.items() if len(key) > 3 and not isinstance(value, (dict, list))]
        for key in data.draw(st.lists(st.sampled_from(sorted(keys)), unique=True)) if keys else []:
            cut = data.draw(st.integers(0, len(key) - 1))
            wrong = key[:cut] + key[cut + 1 :]
            place[wrong] = place.pop(key)
            wanted.add(f"{f'{dotted}.' * bool(dotted)}{wrong}: unknown key; did you mean {key}?")
    if not wanted:
        parse_experiment(document)
        return
    with pytest.raises(ExperimentError) as caught:
        parse_experiment(document)
    assert set(caught.value.mistakes) == wanted
    assert caught.value.count == len(wanted)


@pytest.mark.parametrize(
    ("table_of", "key", "value", "message"),
    [
        ("", "timesteps", 3, "did you mean students.timesteps or students.more_steps.timesteps?"),
        ("", "qqq", 3, "qqq: unknown key; known: name, seed, threads, device, data, teacher, partition,"),
        ("data", "source", "mnits", "or 'arrays', not 'mnits'; did you mean 'mnist'?"),
        ("teacher", "architecture", "perceptron", "not 'perceptron'"),
        ("students", "layers", [], "students.layers: must not be empty"),
        ("students", "layers", [{"kind": "flaten"}], "did you mean 'Flatten'?"),
        ("students", "loss", 3, "students.loss: must be a table, not 3"),
        ("students", "surrogate", "rectangel", "or 'triangle', not 'rectangel'; did you mean 'rectangle'?"),
        ("students", "surrogate_width", 0.5, "surrogate_width 0.5 is of surrogate 'rectangle' and"),
        ("students", "count", 2.5, "students.count: input should be a valid integer"),
        ("students", "count", "\x1b[31m" + "x" * 200, r"not '\x1b[31mxxx"),
    ],
)
def test_a_mistake_has_place_value_and_remedy(table_of: str, key: str, value: Any, message: str) -> None:
    document = fresh()
    table(document, table_of)[key] = value
    with pytest.raises(ExperimentError) as caught:
        parse_experiment(document)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert caught.value.count == 1


def test_a_surrogate_has_its_own_key() -> None:
    document = fresh()
    assert "surrogate" not in parse_experiment(document).model_dump()["students"]
    document["students"] |= {"surrogate": "triangle", "surrogate_width": 2.0}
    assert parse_experiment(document).students.gradient == Surrogate("triangle", width=2.0)
    document["students"]["surrogate_alpha"] = 3.0
    with pytest.raises(
        ExperimentError, match="surrogate_alpha 3 is of surrogate 'superspike', not of 'triang"
    ):
        parse_experiment(document)


def test_a_key_that_is_missing_is_named_unless_it_is_misspelt() -> None:
    document = fresh()
    del document["students"]["count"], document["students"]["timesteps"]
    document["students"]["cuont"] = 2
    with pytest.raises(ExperimentError) as caught:
        parse_experiment(document, "own.toml")
    assert caught.value.lines == (
        "own.toml: 2 mistakes",
        "students.cuont: unknown key; did you mean count?",
        "students.timesteps: is missing",
    )


def test_a_file_of_nothing_but_mistakes_lists_the_first(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text("".join(f"x{index} = {index}\n" for index in range(5000)))
    done = command("train", path, "--out", tmp_path / "out", name="sne")
    first, *lines, last = done.stderr.splitlines()
    assert (done.status, done.stdout) == (2, "")
    assert first == f"error: {path}: 5004 mistakes"
    assert lines[0].startswith("  x0: unknown key; known: name")
    assert (len(lines), last) == (MOST, f"  and {5004 - MOST} more")


def test_paths_in_a_file_are_relative_to_it_and_others_are_not(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "own.toml"
    path.parent.mkdir()
    students = "students = {count = 1, timesteps = 2, layers = [{kind = 'Linear'}, {kind = 'LIBoxCell'}]}"
    data, teacher = "data = {{source = 'mnist', folder = '{}'}}", "teacher = {onnx = 't.onnx'}"

    def write(folder: object) -> None:
        path.write_text("\n".join(["name = 'a'", data.format(folder), teacher, students]))

    write("../images")
    read = load_experiment(path)
    assert read.data.folder == str(path.parent / "../images")
    assert read.teacher.onnx == str(path.parent / "t.onnx")
    assert as_experiment(path, {"data.folder": "here"}).data.folder == "here"
    write(tmp_path / "images")
    assert load_experiment(path).data.folder == str(tmp_path / "images")
    document = {**DOCUMENT, "data": {"source": "mnist", "folder": "images"}}
    assert as_experiment(document).data.folder == "images"


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (
            ["Conv2d", "LIFBoxCell", "Linear"],
            r"layers\.2 \(Linear\): takes a vector.*\(5, 6, 6\): the layer ",
        ),
        (["LIFRecurrentCell"], r"layers\.0 \(LIFRecurrentCell\).*'Flatten'} is missing"),
        (
            ["Flatten", "Conv2d"],
            r"layers\.1 \(Conv2d\): takes images .*shape \(64,\): put it before 'Flatten'",
        ),
        (["Flatten", "BatchNorm2d"], r"layers\.1 \(BatchNorm2d\): takes images"),
        (["BatchNorm1d"], r"layers\.0 \(BatchNorm1d\): takes a vector or .*'Flatten'} is missing"),
        (["Conv1d"], r"layers\.0 \(Conv1d\): takes \(channels, length\)"),
        (["Conv2d", "Conv2d", "Conv2d", "Conv2d"], r"layers\.3 \(Conv2d\): does not fit .*Kernel size"),
    ],
)
def test_a_layer_that_does_not_fit_says_what_it_takes(kinds: list[str], message: str) -> None:
    document = fresh()
    document["students"]["layers"] = [
        {"kind": kind, "out": 5} if "Conv" in kind else {"kind": kind} for kind in kinds
    ]
    layers = parse_experiment(document).students.layers
    with pytest.raises(InputError, match=r"^students\." + message):
        student_network(layers, (1, 8, 8), 4, 1e-3)
