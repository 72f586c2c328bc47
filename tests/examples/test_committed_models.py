"""The committed models: the page's figures are of these very files, and they do what it says."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

import sne_deploy as sne
from experiments.reproduction.rows import read_documents
from experiments.results.page import EARLIER
from experiments.study.operating_points import run_all
from sne_deploy.data import load_data
from sne_deploy.teacher.run import evaluate_teacher
from tests.shared_data import shared

ROOT = Path(__file__).parents[2]
ELSEWHERE = ("digits", "japanese_vowels")
MODELS = sorted(path for path in (ROOT / "examples").glob("*/model.pt") if path.parent.name not in ELSEWHERE)
MAX_BYTES, MAX_TEACHER_BYTES = 10_000_000, 12_000_000
NAMES = [path.parent.name for path in MODELS]


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_the_pages_figures_are_of_this_model_and_it_is_small(model: Path) -> None:
    assert model.stat().st_size < MAX_BYTES
    teacher = model.with_name("teacher.onnx")
    assert not teacher.exists() or teacher.stat().st_size < MAX_TEACHER_BYTES
    digest = hashlib.sha256(model.read_bytes()).hexdigest()[:12]
    documents = [one for one in read_documents(ROOT / "docs" / "results") if one.example == model.parent.name]
    assert {"model", "noise"} <= {one.study for one in documents}
    own = f"`model.pt` of SHA-256 {digest}..."
    earlier = {one.study for one in documents if one.variant("model") and not one.subject.startswith(own)}
    assert "model" not in earlier
    page = (ROOT / "docs" / "results.md").read_text("utf-8")
    chapters = {part.splitlines()[0].lower().replace("-", ""): part for part in page.split("\n## ")}
    assert chapters[model.parent.name].count(EARLIER) == len(earlier)  # each says so


def test_mnist_on_its_first_test_images_is_as_accurate_as_the_page_says_of_all() -> None:
    folder = ROOT / "examples" / "mnist"
    ensemble = sne.load(folder / "model.pt")
    data = load_data(
        f"mnist:{shared('data', 'mnist')}",
        input_shape=ensemble.input_shape,
        timesteps=ensemble.timesteps,
        encoder=ensemble.encoder,
    )
    assert data.y is not None
    x, y = data.x[:400], data.y[:400]
    full = run_all(ensemble, x, y)
    found = float(np.mean(full.run.predictions == y))
    (document,) = (one for one in read_documents(ROOT / "docs" / "results") if one.name == "mnist-model")
    figures = document.rows[0].figures
    assert figures["test"]["accuracy"] >= 0.99
    stated = figures["first"][-1]  # all students, as here
    assert abs(found - stated["accuracy"]) < 0.02
    judged = evaluate_teacher(folder / "teacher.onnx", np.asarray(x), np.asarray(y))
    assert judged.macs == stated["teacher_macs"]
    assert judged.accuracy is not None
    assert abs(judged.accuracy - stated["teacher_accuracy"]) < 0.02
