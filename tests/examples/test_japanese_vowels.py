"""The committed ensemble on speech: what its page says, a point at most below floating point."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import sne_deploy as sne
from sne_deploy.data import load_data

pytestmark = pytest.mark.usefixtures("warm_lava")

FOLDER = Path(__file__).parents[2] / "examples" / "japanese_vowels"


def test_the_data_are_the_published_split() -> None:
    for split, count in (("train", 270), ("test", 370)):
        with np.load(FOLDER / f"{split}.npz") as data:
            x, y, lengths = data["x"], data["y"], data["lengths"]
        assert x.shape == (count, 29, 12)
        assert (lengths.min(), int(y.max())) == (7, 8)
        ended = np.arange(29) >= lengths[:, None]
        assert not x[ended].any()
        assert x[~ended].any(axis=1).all()


def test_the_test_split_is_read_as_the_page_says() -> None:
    ensemble = sne.load(FOLDER / "model.pt")
    data = load_data(
        str(FOLDER / "test.npz"),
        input_shape=ensemble.input_shape,
        timesteps=ensemble.timesteps,
        encoder=ensemble.encoder,
    )
    with sne.compile(ensemble, "loihi") as compiled:
        report = compiled.run(
            data.x, data.y, lengths=data.lengths, teacher=FOLDER / "teacher.onnx", verify=1
        ).report
    stated = dict(re.findall(r"^\| (.*?) \|.*\| ([\d.]+) %, \d+ of 370 \|$", page(), re.MULTILINE))
    assert report.fidelity is not None and report.teacher is not None  # noqa: PT018  for the type checker
    found = {
        "ensemble, float": report.fidelity.float_accuracy,
        "ensemble, integers": report.ensemble.accuracy,
        "teacher": report.teacher.accuracy,
        **{student.name: student.accuracy for student in report.students},
    }
    assert {name: f"{100 * (accuracy or 0):.2f}" for name, accuracy in found.items()} == {
        name: stated[name] for name in found
    }
    assert abs(float(stated["ensemble, integers"]) - float(stated["ensemble, float"])) < 1
    assert float(stated["ensemble, integers"]) > float(stated["linear classifier"])
    assert not report.teacher.uncounted
    assert f"{report.teacher.macs:,} multiply-accumulates" in page()


def page() -> str:
    return (FOLDER / "README.md").read_text("utf-8")
