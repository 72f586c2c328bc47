"""The studies of both examples: what is finished is not done again, choices keep their rule, all run."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sne_deploy as sne
from experiments import cifar10, mnist
from experiments.ablation import OPTIONS, ablation
from experiments.reproduction.command import EXAMPLES, Example, Options, main, reproduce
from experiments.reproduction.measure import Subject
from experiments.reproduction.rows import (
    Candidate,
    Document,
    Record,
    choose_best,
    choose_sparse,
    read_documents,
)
from experiments.reproduction.runs import Lab, Measurement, Run, Task
from experiments.reproduction.studies import Bench, Study
from experiments.results import divisions
from experiments.results.page import make_page
from experiments.study.summary import weights
from sne_deploy.distill.experiment import Experiment, load_experiment
from sne_deploy.distill.training.epochs import Epoch
from sne_deploy.errors import InputError

pytestmark = pytest.mark.usefixtures("warm_lava")

BASE = mnist.EXAMPLE.base


class KilledError(Exception):
    """Stands for a signal."""


def counting(taken: list[Task], fail: int = 0) -> Measurement:
    def take(task: Task) -> dict[str, Any]:
        taken.append(task)
        task.log("stage", 1, 2, Epoch({"loss": 1.0}, learning_rate=1e-3, seconds=0.1))
        if len(taken) <= fail:
            raise KilledError
        return {"value": len(taken)}

    return Measurement("counting", take)


def lab(out: Path, **common: Any) -> Lab:
    return Lab(BASE, common, out)


def test_a_finished_run_is_read_and_not_done_again(tmp_path: Path) -> None:
    taken: list[Task] = []
    run = Run("study", "variant", 3, {"students.timesteps": 2})
    first = lab(tmp_path).record(run, counting(taken))
    assert lab(tmp_path).record(run, counting(taken)) == first
    assert len(taken) == 1
    assert taken[0].experiment.seed == 3
    assert taken[0].experiment.students.timesteps == 2
    stored = json.loads((tmp_path / "runs" / "study-variant-seed3.json").read_text())
    assert stored["figures"] == {"value": 1}


@pytest.mark.parametrize(
    ("run", "common", "name"),
    [
        (Run("study", "variant", 0, {"students.timesteps": 3}), {}, "counting"),
        (Run("study", "variant", 0), {"students.timesteps": 3}, "counting"),
        (Run("study", "variant", 0), {}, "counted otherwise"),
    ],
)
def test_a_run_that_would_be_another_is_done_again(
    tmp_path: Path, run: Run, common: dict[str, Any], name: str
) -> None:
    taken: list[Task] = []
    lab(tmp_path).record(Run("study", "variant", 0), counting(taken))
    lab(tmp_path, **common).record(run, replace(counting(taken), name=name))
    assert len(taken) == 2


def test_where_the_data_lies_makes_no_other_run(tmp_path: Path) -> None:
    taken: list[Task] = []
    for folder in ("here", "there"):
        lab(tmp_path, **{"data.folder": folder}).record(Run("study", "variant", 0), counting(taken))
    assert len(taken) == 1


def test_a_killed_run_is_done_again_and_its_time_is_added(tmp_path: Path) -> None:
    taken: list[Task] = []
    clock = [10.0 * tick for tick in range(20)]
    with mock.patch("time.perf_counter", side_effect=clock):
        with pytest.raises(KilledError):
            lab(tmp_path).record(Run("study", "variant", 0), counting(taken, fail=1))
        assert not list((tmp_path / "runs").glob("*.json"))
        record = lab(tmp_path).record(Run("study", "variant", 0), counting(taken, fail=1))
    assert len(taken) == 2
    assert record.wall_s == 30.0  # 10 up to the epoch that the kill came after; 20 in the second attempt


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    lab(tmp_path).record(Run("study", "variant", 0), counting([]))
    path = tmp_path / "runs" / "study-variant-seed0.json"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(InputError, match=r"study-variant-seed0\.json: is no record .*; delete it") as error:
        lab(tmp_path).record(Run("study", "variant", 0), counting([]))
    assert "\n" not in str(error.value)


def test_a_model_without_its_teacher_is_refused_and_bytes_name_a_subject(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--model and --teacher go together"):
        Subject(tmp_path / "model.pt")
    files = []
    for name in ("a", "b"):
        files.append(tmp_path / name)
        files[-1].write_bytes(b"bytes")
    assert Subject(files[0], files[1]).name != Subject(files[0], files[0]).name
    before = Subject(files[0], files[1]).name
    files[0].write_bytes(b"other")
    assert Subject(files[0], files[1]).name != before


numbers = st.integers(0, 20).map(float)
candidates = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=8).map(
    lambda pairs: [
        Candidate(variant=str(index), accuracy=right / 20, spikes=spikes)
        for index, (right, spikes) in enumerate(pairs)
    ]
)


@given(candidates, numbers, st.sampled_from([0.0, 0.25, 0.5]))
def test_the_most_accurate_of_the_sparse_is_chosen(
    offered: list[Candidate], spikes: float, fewer: float
) -> None:
    reference = Candidate(variant="reference", accuracy=1.0, spikes=spikes)
    choice = choose_sparse("what", offered, reference, fewer)
    chosen = next(one for one in offered if one.variant == choice.chosen)
    enough = [one for one in offered if one.spikes <= spikes - fewer * spikes]
    assert choice.met == bool(enough)
    if enough:
        assert chosen in enough
        assert chosen.accuracy == max(one.accuracy for one in enough)
    else:
        assert chosen.spikes == min(one.spikes for one in offered)


@given(candidates)
def test_the_best_is_the_most_accurate_then_the_cheapest(offered: list[Candidate]) -> None:
    choice = choose_best("what", offered)
    chosen = next(one for one in offered if one.variant == choice.chosen)
    best = max(one.accuracy for one in offered)
    assert chosen.accuracy == best
    assert chosen.spikes == min(one.spikes for one in offered if one.accuracy == best)


def run_small(example: Example, out: Path, **more: Any) -> dict[str, Document]:
    reproduce(example, Options(out=out, setting="small", **more))
    return {document.study: document for document in read_documents(out / "results")}


def no_training(*_: Any, **__: Any) -> None:
    raise AssertionError("trains or measures again")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Document]]:
    """Every MNIST study at the small setting, on digits."""
    out = tmp_path_factory.mktemp("mnist")
    run_small(mnist.EXAMPLE, out, verify=1, only=("model",))
    return out, run_small(
        mnist.EXAMPLE, out, verify=0, only=("variants", "bits", "mnist-quantisation", "noise")
    )


def test_every_study_of_mnist_runs_and_has_its_section(digits: tuple[Path, dict[str, Document]]) -> None:
    _, documents = digits
    assert set(documents) == {study.name for study in mnist.EXAMPLE.studies["full"]}
    text = make_page(list(documents.values())).text
    for study in documents:
        assert f"experiments.mnist --only {study} --setting small" in text
    assert text.count("The small setting, a test of the machinery") == len(documents)


def test_variants_differ_in_their_losses_alone(digits: tuple[Path, dict[str, Document]]) -> None:
    _, documents = digits
    variants = documents["variants"]
    assert variants.variants == [
        "no-distillation", "conventional", "two-temperatures", "activity-cost", "combination",
    ]  # fmt: skip
    assert {key for row in variants.rows for key in row.changes} == {"students.loss"}
    losses = {row.variant: row.changes["students.loss"] for row in variants.rows}
    assert "logits" not in losses["no-distillation"]
    assert losses["conventional"]["tau_teacher"] == losses["conventional"]["tau_student"]
    assert losses["two-temperatures"]["tau_teacher"] != losses["two-temperatures"]["tau_student"]
    costs = {"synops", "spike_rate"}
    assert len(costs & set(losses["activity-cost"])) == len(costs & set(losses["combination"])) == 1
    taus = ("tau_teacher", "tau_student")
    assert [losses["activity-cost"][tau] for tau in taus] == [losses["conventional"][tau] for tau in taus]
    assert losses["combination"]["tau_teacher"] != losses["combination"]["tau_student"]


def test_a_choice_saw_validation_data_alone(digits: tuple[Path, dict[str, Document]]) -> None:
    out, documents = digits
    offered = [one.variant for choice in documents["variants"].choices for one in choice.candidates]
    for variant, seed in product(offered, documents["variants"].seeds):
        record = json.loads((out / "runs" / f"variants-candidate-{variant}-seed{seed}.json").read_text())
        assert list(record["figures"]) == ["validation"]
        assert record["figures"]["validation"]["samples"] == 100
    conventional, temperatures = documents["variants"].choices[:2]
    reference = next(one for one in conventional.candidates if one.variant == conventional.chosen)
    assert temperatures == choose_sparse(temperatures.what, temperatures.candidates, reference, mnist.SAVING)


def test_a_finished_reproduction_trains_nothing_and_gives_the_same_rows(
    digits: tuple[Path, dict[str, Document]],
) -> None:
    out, documents = digits
    with (
        mock.patch("experiments.reproduction.measure.run_experiment", no_training),
        mock.patch("experiments.reproduction.measure.measure", no_training),
    ):
        again = run_small(mnist.EXAMPLE, out, verify=0, only=("variants", "bits", "quantisation"))
    for study in ("variants", "bits", "quantisation"):
        assert again[study].rows == documents[study].rows
        assert again[study].choices == documents[study].choices


def test_a_model_is_verified_on_lava(digits: tuple[Path, dict[str, Document]]) -> None:
    _, documents = digits
    (row,) = documents["model"].rows
    assert (row.figures["test"]["verified_against"], row.figures["test"]["verified_samples"]) == ("lava", 1)


def write_images(folder: Path) -> None:
    """Made-up images in CIFAR-10's own files: of each class a colour, with noise."""
    random = np.random.default_rng(0)
    colours = random.integers(40, 216, (10, 3, 1, 1))
    folder.mkdir()
    for name in (*(f"data_batch_{index}" for index in range(1, 6)), "test_batch"):
        labels = random.integers(0, 10, 100)
        images = colours[labels] + random.integers(-40, 40, (100, 3, 32, 32))
        content = {b"data": images.astype(np.uint8).reshape(100, -1), b"labels": labels.tolist()}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Document]:
    """Every CIFAR-10 study at the small setting, on made-up images."""
    out = tmp_path_factory.mktemp("cifar10")
    write_images(out / "images")
    return run_small(
        cifar10.EXAMPLE, out, verify=0, data_folder=out / "images", data_note="A note on the data."
    )


def test_every_study_of_cifar10_runs_and_has_its_section(images: dict[str, Document]) -> None:
    full = {study.name for study in cifar10.EXAMPLE.studies["full"]}
    assert set(images) == full - {"partition-full"}  # of a teacher that is not small
    text = make_page(list(images.values())).text
    assert text.count("- Data: A note on the data.") == len(images)
    assert "--data-folder FOLDER" in text
    assert all("data.folder" not in document.changes for document in images.values())


def test_the_full_divisions_are_of_the_committed_teacher() -> None:
    (study,) = [one for one in cifar10.EXAMPLE.studies["full"] if one.name == "partition-full"]
    assert study.base is not None
    described = load_experiment(study.base)
    assert described.teacher.onnx is not None
    assert Path(described.teacher.onnx).resolve() == EXAMPLES / "cifar10" / "teacher.onnx"
    assert described.students.count == 4
    assert set(cifar10.CHOSEN) > set(divisions.UNINFORMED)


@pytest.mark.parametrize("study", ["partition", "decorrelation"])
def test_the_partition_studies_have_every_division(images: dict[str, Document], study: str) -> None:
    assert images[study].variants == list(cifar10.STRATEGIES)
    for row in images[study].rows:
        assert [point["students"] for point in row.figures["first"]] == [1, 2]
        assert row.figures["first"][-1]["accuracy"] == row.figures["test"]["accuracy"]


def test_the_decorrelation_study_trains_the_teacher_further() -> None:
    (study,) = (one for one in cifar10.EXAMPLE.studies["full"] if one.name == "decorrelation")
    planned = Planned(cifar10.DIVISIONS, study.changes, Path())
    study.run(Bench(study.name, planned, (0,), Subject(), 0))
    assert all(experiment.partition.decorrelate > 0 for _, experiment in planned.experiments)


def test_the_ablation_measures_on_validation_data_and_counts_weights(images: dict[str, Document]) -> None:
    document = images["ablation"]
    assert document.base == "experiments/settings/ablation.toml"
    assert document.variants == ["recipe", "labels-alone"]
    for row in document.rows:
        assert row.figures["validation"]["samples"] == 60
        assert row.figures["weights_kept"] < row.figures["weights"]


def test_weights_that_are_not_0_are_counted() -> None:
    ensemble = sne.load(cifar10.EXAMPLES / "digits" / "model.pt")
    dense = weights(ensemble)
    assert 0 < dense["weights_kept"] <= dense["weights"]
    student = ensemble.students[0]
    assert isinstance(student.network, tuple)
    layers = [
        replace(layer, tensors={name: 0 * tensor for name, tensor in layer.tensors.items()})
        for layer in student.network
    ]
    emptied = replace(ensemble, students=(replace(student, network=tuple(layers)), *ensemble.students[1:]))
    lost = sum((t != 0).sum() for layer in student.network for t in layer.tensors.values() if t.ndim > 1)
    assert weights(emptied) == {**dense, "weights_kept": dense["weights_kept"] - lost}


@dataclass(frozen=True)
class Planned(Lab):
    """Makes every experiment and trains none."""

    experiments: list[tuple[Run, Experiment]] = field(default_factory=list)

    def record(self, run: Run, measurement: Measurement) -> Record:
        self.experiments.append((run, self.experiment(run)))
        figures = {"validation": {"accuracy": 0.9, "spikes": 100.0}}
        return Record(
            study=run.study,
            variant=run.variant,
            seed=run.seed,
            digest="",
            changes={},
            wall_s=0,
            figures=figures,
        )


@pytest.mark.parametrize(
    ("example", "study"),
    [(example, study) for example in (mnist.EXAMPLE, cifar10.EXAMPLE) for study in example.studies["full"]],
    ids=lambda value: value.name,
)
def test_every_experiment_of_the_full_setting_is_valid_and_its_seeds_share_a_plan(
    example: Example, study: Study
) -> None:
    planned = Planned(study.base or example.base, study.changes, Path())
    bench = Bench(study.name, planned, (0, 1, 2), Subject(), 0)
    study.run(bench)
    runs = [run for run, _ in planned.experiments]
    assert len({run.name for run in runs}) == len(runs)
    trained = {run.variant for run in runs if run.seed == 1}
    for variant in trained:
        assert [run.seed for run in runs if run.variant == variant] == [0, 1, 2]
    for run, experiment in planned.experiments:
        assert experiment.seed == run.seed
        own = load_experiment(study.base or example.base).data.train_samples
        assert experiment.data.train_samples == study.changes.get("data.train_samples", own)


def called(example: Example, *arguments: Any) -> int:
    with mock.patch("sys.argv", ["reproduce", *(str(argument) for argument in arguments)]):
        return main(example)


def test_the_command_names_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert called(mnist.EXAMPLE, "--out", tmp_path, "--only", "nothing") == 2
    assert "--only nothing: no study of mnist; known: variants, model" in capsys.readouterr().err
    assert called(mnist.EXAMPLE, "--out", tmp_path, "--only", "variants") == 2
    assert "data.folder is missing" in capsys.readouterr().err
    assert called(mnist.EXAMPLE, "--out", tmp_path, "--set", "seed") == 2
    assert "--set seed: is no change; give KEY=VALUE" in capsys.readouterr().err
    assert called(mnist.EXAMPLE, "--out", tmp_path, "--set", "students.colour=3") == 2
    assert "students.colour: unknown key" in capsys.readouterr().err


def test_a_change_is_part_of_the_rows_and_of_the_command_that_makes_them(
    digits: tuple[Path, dict[str, Document]], tmp_path: Path
) -> None:
    changes = {"students.timesteps": 2, "name": "other"}
    found = run_small(mnist.EXAMPLE, tmp_path, verify=0, seeds=2, only=("model",), changes=changes)["model"]
    assert found.seeds == (0,)  # a model is measured once, with however many seeds others are
    assert found.changes.items() >= changes.items()
    assert "--set students.timesteps=2 --set 'name=\"other\"'" in found.command
    assert found.rows[0].figures["test"]["timesteps"] == 2
    assert digits[1]["model"].rows[0].figures["test"]["timesteps"] == 4


def test_the_command_says_what_the_studies_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        called(mnist.EXAMPLE, "--help")
    assert left.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert all(study.name in text for study in mnist.EXAMPLE.studies["full"])


@pytest.mark.parametrize("name", ["experiment", "gpu"])
def test_the_experiments_beside_the_model_are_valid(name: str) -> None:
    described = load_experiment(cifar10.EXAMPLE.base.with_name(f"{name}.toml"))
    assert described.data.source == "cifar10"
    assert described.noise is not None
    assert described.teacher.weights == "float16"
    assert described.students.pruning is not None
    assert described.students.warm_start is not None
    assert described.device == ("cuda" if name == "gpu" else "cpu")


def test_finished_rows_are_shown_and_no_more_is_done(tmp_path: Path) -> None:
    """Of two options with two seeds, one row is there."""
    lab = Lab(cifar10.ABLATION, {}, tmp_path, finished=True)
    bench = Bench("ablation", lab, (0, 1), Subject(), 0)
    with pytest.raises(InputError, match="recipe is not finished, and the others are compared with it"):
        ablation({name: OPTIONS[name] for name in ("recipe", "labels-alone")}, bench)
    taken: list[Task] = []
    with mock.patch("experiments.ablation._measured", return_value=counting(taken)):
        done = replace(bench, lab=replace(lab, finished=False), seeds=(0,))
        ablation({"recipe": OPTIONS["recipe"]}, done)
        found = ablation({name: OPTIONS[name] for name in ("recipe", "labels-alone")}, bench)
    assert [(row.variant, row.seed) for row in found.rows] == [("recipe", 0)]
    assert len(taken) == 1
