"""``sne init``: an experiment file for one's data, each key explained, that trains as it is; or a refusal."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.distill.data.splits import load_splits, load_test
from sne_deploy.distill.data.survey import MIN_SAMPLES, Survey, survey
from sne_deploy.distill.experiment import load_experiment, parse_experiment
from sne_deploy.distill.plan import NONE_FINISHED
from sne_deploy.distill.students.checks import check_students
from sne_deploy.distill.teacher.architectures import teacher_network
from sne_deploy.distill.template import experiment_text, toml
from sne_deploy.toml import parse_toml
from tests.command_line import Outcome, command
from tests.effort import examples

RNG = np.random.default_rng(0)
Y = np.arange(90) % 3
IMAGES = RNG.integers(0, 256, (90, 12, 12), dtype=np.uint8)
_TIMES = np.sort(RNG.random((90, 40)) * 3.7, axis=1)
EVENTS = {
    "t": _TIMES.ravel(),
    "x": np.resize(np.arange(5), _TIMES.size),
    "y": np.resize(np.arange(3), _TIMES.size),
    "p": np.resize(np.arange(2), _TIMES.size),
    "offsets": np.arange(91) * 40,
    "labels": Y,
}


def npz(folder: Path, **arrays: Any) -> Path:
    path = folder / "own.npz"
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


def init(folder: Path, *options: Any, **arrays: Any) -> Outcome:
    return command(
        "init", "--data", npz(folder, **arrays), "--out", folder / "own.toml", *options, name="sne"
    )


SHAPES = st.one_of(
    st.tuples(st.just("vector"), st.tuples(st.integers(1, 99))),
    st.tuples(st.just("image"), st.tuples(st.integers(1, 4), st.integers(1, 300), st.integers(1, 300))),
    st.tuples(st.just("series"), st.tuples(st.integers(2, 50), st.integers(1, 20))),
)


@settings(max_examples=examples(25))
@given(
    SHAPES,
    st.lists(st.integers(3, 3000), min_size=2, max_size=12).filter(lambda found: sum(found) >= MIN_SAMPLES),
    st.floats(0, 1000),
    st.booleans(),
)
def test_it_writes_an_experiment_that_explains_every_key(
    kind_and_shape: tuple[Any, tuple[int, ...]], counts: list[int], value: float, binary: bool
) -> None:
    kind, shape = kind_and_shape
    limits = (0.0, 1.0) if binary else (-value, value + 1)
    data = Survey("npz", "own.npz", kind, shape, tuple(counts), limits, binary)
    text = experiment_text(data, Path("own.toml"), "own")
    described = parse_experiment(parse_toml(text.encode()))
    assert described.data.encoder.input_range == limits
    assert described.data.validation + (described.data.test or 0) <= sum(counts) / 2
    for line in text.splitlines():
        assert "=" not in line.split("#")[0] or re.search(r"  # \S", line), line
        assert len(line) <= 130


@pytest.mark.parametrize(("without", "shape"), [("", (2, 3, 5)), ("p", (3, 5)), ("yp", (5,))])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 12345.0])
def test_recorded_events_become_an_experiment_that_is_trained_as_it_is(
    without: str, shape: tuple[int, ...], scale: float, tmp_path: Path
) -> None:
    """As many steps as the longest recording has, each event in one of them, and students that take these."""
    arrays = {name: part for name, part in EVENTS.items() if name not in without}
    done = init(tmp_path, **(arrays | {"t": arrays["t"] * scale}))
    assert done.status == 0, done.stderr
    described = load_experiment(tmp_path / "own.toml", {})
    steps, width = described.students.timesteps, described.data.bin_width
    assert width is not None
    longest = np.ptp(_TIMES, axis=1).max() * scale
    assert (described.data.shape, described.data.input) == (shape, "spikes")
    assert steps == longest // width + 1
    assert 15 < steps <= 21
    splits = load_splits(described.data, 0, timesteps=steps)
    test = load_test(described.data, splits)
    assert len(splits.x) + len(splits.x_validation) + len(test) == 90
    assert splits.sample_shape == (steps, *shape)
    assert set(np.unique(splits.x)) == {0, 1}
    check_students(described, splits, described.teacher.features, NONE_FINISHED)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("vector", (1,)),
        ("vector", (13,)),
        ("image", (3, 3, 5)),
        ("image", (1, 4, 9)),
        ("image", (1, 8, 8)),
        ("image", (3, 17, 40)),
        ("image", (1, 131, 70)),
        ("series", (5, 3)),
        ("series", (4, 2, 3, 3)),
    ],
)
@pytest.mark.parametrize("binary", [False, True])
def test_the_networks_that_it_describes_fit(kind: Any, shape: tuple[int, ...], binary: bool) -> None:
    if binary and kind != "series":
        return
    x = RNG.integers(0, 2, (60, *shape)).astype(np.uint8) if binary else RNG.random((60, *shape), np.float32)
    data = Survey("npz", "own.npz", kind, shape, (30, 30), binary=binary)
    described = parse_experiment(parse_toml(experiment_text(data, Path("own.toml"), "own").encode()))
    alone = {"source": "arrays", "file": None, "test": None}
    arrays = (x, np.arange(60) % 2, None)
    splits = load_splits(
        described.data.model_copy(update=alone), 0, arrays=arrays, timesteps=described.students.timesteps
    )
    teacher_network(described.teacher, shape, 2)
    check_students(described, splits, described.teacher.features, NONE_FINISHED)


@settings(max_examples=examples(25))
@given(st.text())
def test_any_text_is_written_as_toml_reads_it(text: str) -> None:
    try:
        content = f"x = {toml({'y': [text, 1, 0.5, True]})}".encode()
    except UnicodeEncodeError:
        return
    assert parse_toml(content) == {"x": {"y": [text, 1, 0.5, True]}}


def test_three_commands_from_own_data_to_a_report(tmp_path: Path) -> None:
    """With fewer epochs than it writes; what is measured on is never trained on; the file is recognised."""
    marks = RNG.integers(0, 60, (90, 12, 12), dtype=np.uint8)
    marks[np.arange(90), 2 + 3 * Y] += 190
    done = init(tmp_path, x=marks, y=Y)
    assert done.status == 0, done.stderr
    written = f"Written: {tmp_path}/own.toml: 90 images of shape [1, 12, 12], 3 classes"
    assert done.stderr.splitlines()[1:] == [
        written,
        f"Next: sne train {tmp_path}/own.toml --out out/own",
    ]
    path = tmp_path / "own.toml"
    path.write_text(re.sub(r"epochs = \d+", "epochs = 4", path.read_text()))
    out = tmp_path / "out"
    done = command("train", path, "--out", out, name="sne")
    assert done.status == 0, done.stderr
    report = json.loads((out / "report.json").read_text())
    assert report["data"]["samples"] == 18
    assert report["data"]["name"] == f"{tmp_path}/own.npz, 18 of 90 samples"
    described = load_experiment(path).data
    splits = load_splits(described, 0)
    test = load_test(described, splits)
    trained = {image.numpy().tobytes() for image in (*splits.x, *splits.x_validation)}
    assert not trained & {image.tobytes() for image in test.x}
    assert len(trained) == 72
    again = load_test(described, load_splits(described, 1))
    assert again.x.tobytes() == test.x.tobytes()
    for data, seen in ((tmp_path / "own.npz", True), (out / "test.npz", False)):
        done = command(
            "compile",
            out / "model.pt",
            "--data",
            data,
            "--target",
            "loihi",
            "--out",
            tmp_path / "r",
            name="sne",
        )
        assert done.status == 0, done.stderr
        warnings = json.loads((tmp_path / "r" / "report.json").read_text())["warnings"]
        assert any("72 of the 90 samples of this file were trained on" in text for text in warnings) == seen


def test_a_file_is_not_overwritten_unless_it_is_asked_for(tmp_path: Path) -> None:
    assert init(tmp_path, x=IMAGES, y=Y).status == 0
    path = tmp_path / "own.toml"
    path.write_text("mine")
    done = init(tmp_path, x=IMAGES, y=Y)
    assert (done.status, done.stderr.count("\n")) == (2, 1)
    assert "own.toml is there already; give another --out, or --force to overwrite it" in done.stderr
    assert path.read_text() == "mine"
    assert init(tmp_path, "--force", x=IMAGES, y=Y).status == 0
    assert load_experiment(path).name == "own"


@pytest.mark.parametrize("spec", ["digits", "digits:x", "cats", "mnist:", "x.npz"])
def test_named_data(spec: str, tmp_path: Path) -> None:
    done = command("init", "--data", spec, "--out", tmp_path / "a.toml", name="sne")
    if spec == "digits":
        described = load_experiment(tmp_path / "a.toml")
        assert (described.data.source, described.data.test, described.data.validation) == (
            "digits",
            None,
            222,
        )
        return
    assert (done.status, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: ")
    assert not list(tmp_path.iterdir())


def test_paths_are_relative_to_the_file_that_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npz(tmp_path, x=IMAGES, y=Y)
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    assert command("init", "--data", "own.npz", "--out", "sub/a.toml", name="sne").status == 0
    assert 'file = "../own.npz"' in (tmp_path / "sub" / "a.toml").read_text()
    monkeypatch.chdir("/")
    assert len(load_splits(load_experiment(tmp_path / "sub" / "a.toml").data, 0).x) == 60


@pytest.mark.parametrize(
    ("arrays", "options", "wanted"),
    [
        ({"x": IMAGES}, [], ("image", (1, 12, 12), (0.0, 255.0))),
        ({"x": (IMAGES > 9).astype(np.uint8)}, [], ("image", (1, 12, 12), (0.0, 1.0))),
        ({"x": IMAGES / 255}, [], ("image", (1, 12, 12), (0.0, 1.0))),
        ({"x": np.repeat(IMAGES[:, None], 3, 1)}, [], ("image", (3, 12, 12), (0.0, 255.0))),
        ({"x": IMAGES[:, :, 0] - 100.5}, [], ("vector", (12,), (-110.0, 160.0))),
        ({"x": IMAGES[:, :, :5]}, [], ("series", (12, 5), (0.0, 255.0))),
        ({"x": IMAGES[:, :, :5]}, ["--kind", "image"], ("image", (1, 12, 5), (0.0, 255.0))),
        ({"x": IMAGES}, ["--kind", "series"], ("series", (12, 12), (0.0, 255.0))),
        ({"x": IMAGES, "lengths": np.full(90, 5)}, [], ("series", (12, 12), (0.0, 255.0))),
    ],
)
def test_what_data_are(
    arrays: dict[str, Any], options: list[Any], wanted: tuple[str, Any, Any], tmp_path: Path
) -> None:
    kind: Any = options[1] if options else None
    found = survey(str(npz(tmp_path, y=Y, **arrays)), kind)
    assert (found.kind, found.shape, found.input_range, found.counts) == (*wanted, (30, 30, 30))


BAD = IMAGES.astype(np.float32)
BAD[7, 3, 3] = np.nan


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": IMAGES, "y": None}, "has no labels y, .* np.savez"),
        ({"x": None, "y": Y}, "has no array x"),
        (
            {"x": IMAGES, "y": Y + 1},
            r"go up to 3, but no sample has label 0; number the classes from 0: y =",
        ),
        ({"x": IMAGES, "y": Y * 2}, r"go up to 4, but no sample has label 1"),
        ({"x": IMAGES, "y": Y * 0}, "all 90 samples are of class 0"),
        ({"x": IMAGES, "y": Y - 1}, "labels from -1 to 1"),
        ({"x": IMAGES, "y": Y + 0.5}, "not whole numbers"),
        ({"x": IMAGES, "y": Y.astype(str)}, "number the classes that it names"),
        ({"x": IMAGES, "y": np.eye(3)[Y]}, r"give y.argmax\(1\)"),
        ({"x": IMAGES, "y": np.minimum(np.arange(90), 1)}, "class 0 has 1 samples, 3 are needed"),
        (
            {"x": BAD, "y": Y},
            r"x is not finite in 1 samples, the first is 7; fill the gaps, or drop them: good =",
        ),
        ({"x": np.ones((90, 4)), "y": Y}, "every value of x is 1"),
        ({"x": np.repeat(IMAGES[..., None], 3, 3), "y": Y}, r"channels last; .*x.transpose\(0, 3, 1, 2\)"),
        ({"x": np.float32(3), "y": Y}, r"x has shape \(\)"),
        ({"x": IMAGES[:, 0, 0], "y": Y}, r"x has shape \(90,\); give"),
        ({"x": np.array([{}] * 90), "y": Y}, "pickled objects are never read"),
        ({"x": IMAGES[:12, :, 0], "y": Y[:12]}, "12 samples"),
        ({**EVENTS, "labels": None}, "no labels of its recordings"),
        ({**EVENTS, "x": EVENTS["x"] + 0.5}, "x of the events must be whole numbers"),
        ({**EVENTS, "x": EVENTS["x"] + 2**40}, f"up to {2**40 + 4}; below 32768"),
        ({**EVENTS, "y": EVENTS["y"] - 9}, "y from -9 to"),
        ({**EVENTS, "t": EVENTS["t"] * 0}, "every recording is a single moment"),
        ({**EVENTS, "offsets": EVENTS["offsets"][:-1]}, "offsets must be whole numbers from 0 to"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_with_a_remedy(
    arrays: dict[str, Any], message: str, tmp_path: Path
) -> None:
    done = init(tmp_path, **arrays)
    assert (done.status, done.stderr.count("\n")) == (2, 1), done.stderr
    assert re.search(message, done.stderr), done.stderr
    assert not (tmp_path / "own.toml").exists()


def test_remedies_work(tmp_path: Path) -> None:
    """What the messages say to do to x and y."""
    last = np.repeat(IMAGES[..., None], 3, 3)
    assert survey(str(npz(tmp_path, x=last.transpose(0, 3, 1, 2), y=Y))).shape == (3, 12, 12)
    assert survey(str(npz(tmp_path, x=IMAGES, y=np.unique(Y + 5, return_inverse=True)[1]))).samples == 90
    good = np.isfinite(BAD.reshape(len(BAD), -1)).all(1)
    assert survey(str(npz(tmp_path, x=BAD[good], y=Y[good]))).samples == 89
