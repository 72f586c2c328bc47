"""Students of different sizes: each has its own keys, its own state, and may come from a file."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import tomllib

import sne_deploy as sne
from sne_deploy.distill.command import train_experiment
from sne_deploy.distill.estimate import estimate
from sne_deploy.distill.experiment import Experiment, load_experiment, parse_experiment
from sne_deploy.distill.plan import Plan
from sne_deploy.distill.run import run_experiment
from sne_deploy.distill.students.networks import student_network
from sne_deploy.errors import InputError, SneError
from tests.distill.test_run import tensors

ONE = {"epochs": 1, "batch_size": 32}
SMALL = [{"kind": "Flatten"}, {"kind": "Linear"}, {"kind": "LIBoxCell"}]
LARGE = [
    {"kind": "Flatten"}, {"kind": "Linear", "out": 12}, {"kind": "LIFBoxCell", "v_th": 0.3},
    {"kind": "Linear"}, {"kind": "LIBoxCell"},
]  # fmt: skip
DIRECT: dict[str, Any] = {
    "name": "members",
    "threads": 1,
    "data": {"source": "digits", "validation": 40, "train_samples": 100},
    "teacher": {"architecture": "mlp", "width": 8, "features": 8, "schedule": ONE},
    "students": {
        "timesteps": 2,
        "outputs": "logits",
        "layers": SMALL,
        "loss": {"feature": 0.0, "logits": 1.0},
        "schedule": ONE,
        "member": [{}, {"layers": LARGE, "schedule": {"epochs": 2}}],
    },
    "quantisation": {"epochs": 1},
}


def document(members: list[dict[str, Any]] | None = None, **students: Any) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(DIRECT))
    made["students"].update(students)
    if members is not None:
        made["students"]["member"] = members
    return made


def described(members: list[dict[str, Any]] | None = None, **students: Any) -> Experiment:
    return parse_experiment(document(members, **students))


def trained(
    experiment: Experiment, work: Path, planned: Callable[[Plan], None] = lambda _: None
) -> tuple[list[str], list[np.ndarray]]:
    """The stages that had epochs to train, and what came out."""
    stages: list[str] = []
    done = run_experiment(experiment, work, lambda stage, *_: stages.append(stage), planned=planned)
    return list(dict.fromkeys(stages)), tensors(done.ensemble)


def test_a_member_has_its_own_keys_and_the_others_of_all() -> None:
    students = described().students
    small, large = students.of(0), students.of(1)
    assert students.count == 2
    assert [layer.kind for layer in small.layers] == [layer["kind"] for layer in SMALL]
    assert (small.schedule.epochs, large.schedule.epochs) == (1, 2)
    assert small.schedule.batch_size == large.schedule.batch_size == 32
    assert large.layers[1].out == 12
    assert (students.like(0), students.like(1)) == (0, 1)
    pruned = described([{}, {"pruning": {"start": 0.2}}], pruning={"sparsity": 0.8}).students
    assert [pruned.of(k).pruning.start for k in range(2)] == [0.1, 0.2]  # type: ignore[union-attr]
    assert all(pruned.of(k).pruning.sparsity == 0.8 for k in range(2))  # type: ignore[union-attr]
    again = described([{}, {"layers": LARGE}, {"layers": LARGE}, {"schedule": {"epochs": 1}}]).students
    assert [again.like(k) for k in range(4)] == [0, 1, 1, 0]
    finished = described([{"weights": "0.pt"}, {}, {"weights": "0.pt"}, {}]).students
    assert [finished.like(k) for k in range(4)] == [0, 1, 2, 1]  # those of files are like nothing else


def test_members_are_sent_to_other_processes() -> None:
    one = described([{}, {"layers": LARGE, "schedule": {"epochs": 2}, "pruning": {"sparsity": 0.5}}])
    sent = pickle.loads(pickle.dumps(one))
    assert sent == one
    assert [sent.of(k) for k in range(2)] == [one.of(k) for k in range(2)]
    assert sent.fingerprint("teacher", "students") == one.fingerprint("teacher", "students")


def test_a_member_beside_a_finished_one_of_its_keys_is_checked(tmp_path: Path) -> None:
    train_experiment(described([{}, {}]), tmp_path / "before")
    done = str(tmp_path / "before" / "students" / "student0.pt")
    wrong = [{"kind": "Linear"}, {"kind": "LIBoxCell"}]
    heard: list[str] = []
    with pytest.raises(SneError, match=r"students\.member\.1\.layers\.0"):
        run_experiment(
            described([{"weights": done}, {}], layers=wrong),
            tmp_path / "work",
            lambda stage, *_: heard.append(stage),
        )
    assert heard == []  # before the teacher is trained


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ({"timesteps": 3}, "students.member.1.timesteps: unknown key; did you mean students.timesteps"),
        ({"layer": LARGE}, "students.member.1.layer: unknown key; did you mean layers?"),
        ({"schedule": {"epochs": 0}}, "students.member.1.schedule.epochs: input should be greater than"),
        ({"layers": []}, "students.member.1.layers: must not be empty"),
        (
            {"loss": {"logits": 0.0}},
            "students: member.1.loss: feature, cross_entropy or logits must be above 0",
        ),
        ({"loss": {"feature": 1.0}}, "students: member.1: outputs 'logits' have no features to learn"),
    ],
)
def test_a_mistake_in_a_member_is_named_with_its_place(member: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match="students") as caught:
        described([{}, member])
    assert message in str(caught.value)
    assert str(caught.value).count("member.1") == 1


def test_the_number_of_students_is_that_of_the_members() -> None:
    with pytest.raises(
        InputError, match=r"count 3 is not the number of \[\[students.member\]\], 2: leave it out"
    ):
        described(count=3)


def test_layers_that_do_not_fit_are_refused_in_their_member(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"students.member.1.layers.0 \(Linear\): takes a vector"):
        run_experiment(described([{}, {"layers": SMALL[1:]}]), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_changing_or_adding_a_member_trains_that_one_alone(tmp_path: Path) -> None:
    """Bit for bit what a run of its own gives; where features are not divided."""
    stages, first = trained(described(), tmp_path / "work")
    assert stages == ["teacher", "student0", "quantised0", "student1", "quantised1"]
    changed = described([{"schedule": {"learning_rate": 1e-3}}, DIRECT["students"]["member"][1]])
    assert trained(changed, tmp_path / "work")[0] == ["student0", "quantised0"]
    more = described([*DIRECT["students"]["member"], {"layers": LARGE}])
    stages, found = trained(more, tmp_path / "work")
    assert stages == ["student2", "quantised2"]
    for wanted, array in zip(first, found[: len(first)], strict=True):
        np.testing.assert_array_equal(wanted, array)
    alone = trained(more, tmp_path / "alone")[1]
    for wanted, array in zip(alone, found, strict=True):
        np.testing.assert_array_equal(wanted, array)


def test_a_finished_student_is_taken_up_again_bit_for_bit(tmp_path: Path) -> None:
    """From its own file, or from a whole model; the others are trained as they were."""
    path = tmp_path / "own.toml"
    whole = train_experiment(described(), tmp_path / "out")
    files = [tmp_path / "out" / "students" / f"student{k}.pt" for k in range(2)]
    assert all(file.is_file() for file in files)
    plans: list[Plan] = []
    for weights in ("out/students/student0.pt", "out/model.pt"):
        path.write_text(TOML.replace("[[students.member]]", f'[[students.member]]\nweights = "{weights}"', 1))
        experiment = load_experiment(path)
        stages, found = trained(experiment, tmp_path / weights.replace("/", "-"), plans.append)
        assert stages == [stage.name for stage in plans[-1]] == ["teacher", "student1", "quantised1"]
        for wanted, array in zip(tensors(whole.ensemble), found, strict=True):
            np.testing.assert_array_equal(wanted, array)
    assert estimate(experiment).plan == plans[-1]


def test_a_student_is_trained_on_from_its_file(tmp_path: Path) -> None:
    """At a rate of nothing it stays what it was; it is trained alone, and resumed only from the same file."""
    first = train_experiment(described([{"layers": LARGE}]), tmp_path / "first", work=tmp_path / "work")
    still = {"start": str(first.model), "schedule": {"learning_rate": 1e-30}}
    plans: list[Plan] = []
    stages, found = trained(described([{}, still]), tmp_path / "work", plans.append)
    assert stages == [stage.name for stage in plans[-1]][1:] == [
        "student0", "quantised0", "student1", "quantised1",
    ]  # fmt: skip
    for wanted, array in zip(tensors(first.ensemble), found[-len(tensors(first.ensemble)) :], strict=True):
        np.testing.assert_allclose(wanted, array, rtol=1e-6, atol=1e-9)
    on = {"start": str(first.model)}
    stages, learned = trained(described([{}, on]), tmp_path / "work")
    assert stages == ["student1", "quantised1"]
    assert any(not np.array_equal(one, other) for one, other in zip(learned, found, strict=True))
    other = train_experiment(described([{"layers": LARGE}], dt_s=1e-3), tmp_path / "second").model
    assert trained(described([{}, {"start": str(other)}]), tmp_path / "work")[0] == []  # the same weights
    different = described([{"layers": LARGE, "schedule": {"learning_rate": 1e-3}}])
    third = train_experiment(different, tmp_path / "third").model
    assert trained(described([{}, {"start": str(third)}]), tmp_path / "work")[0] == ["student1", "quantised1"]
    assert estimate(described([{}, still])).plan == plans[-1]
    provenance = train_experiment(described([{}, on]), tmp_path / "out").ensemble.provenance
    assert json.loads(provenance["experiment"])["students"]["member"][1] == {"start": "model.pt"}


@pytest.mark.parametrize(
    "pruning", [None, {"sparsity": 0.5, "every": 1, "last": 1.0, "start": 0.5, "end": 1.0}]
)
def test_what_was_pruned_learns_again_until_it_is_pruned_anew(
    tmp_path: Path, pruning: dict[str, Any] | None
) -> None:
    """Without pruning its zeros stay; with it other weights may be 0 in the end, but as many."""
    cut = {"pruning": {"sparsity": 0.5, "every": 1, "last": 1.0}}
    first = train_experiment(described([{"layers": LARGE, **cut}]), tmp_path / "first")
    member = {"start": str(first.model), "schedule": {"epochs": 4, "learning_rate": 0.05}, "pruning": pruning}
    found = trained(described([{key: value for key, value in member.items() if value}]), tmp_path / "work")[1]
    before, after = (
        [array for array in arrays if array.ndim == 2][-1] == 0 for arrays in (tensors(first.ensemble), found)
    )
    assert before.mean() == pytest.approx(0.5, abs=0.02)
    if pruning is None:
        np.testing.assert_array_equal(after & before, before)
    else:
        assert after.mean() == pytest.approx(before.mean(), abs=0.02)
        assert (before & ~after).any()


def test_zeros_of_a_finished_student_stay_through_all_later_stages(tmp_path: Path) -> None:
    """Trained together and on the chip's integers, though nothing in its own keys says that it was pruned."""
    divided = document(outputs="features", loss={"feature": 1.0, "logits": 0.0})
    divided |= {"joint": {"schedule": {**ONE, "learning_rate": 0.05}}}
    members = divided["students"]["member"]
    members[1]["pruning"] = {"sparsity": 0.5, "every": 1, "last": 1.0}
    train_experiment(parse_experiment(divided), tmp_path / "out")
    del members[1]["pruning"]
    members[1]["weights"] = str(tmp_path / "out" / "students" / "student1.pt")
    made = run_experiment(parse_experiment(divided), tmp_path / "work").ensemble
    (before,), after = sne.load(members[1]["weights"]).students, made.students[1]
    maps = [
        [layer.tensors["weight"] for layer in student.network if layer.kind == "Linear"]  # type: ignore[union-attr]
        for student in (before, after)
    ]
    assert sum((one == 0).sum() for one in maps[0]) > 20
    for one, other in zip(*maps, strict=True):
        np.testing.assert_array_equal(other[one == 0], 0)
        assert not np.array_equal(one, other)


def test_a_member_may_be_the_mirror_image_of_another(tmp_path: Path) -> None:
    plans: list[Plan] = []
    experiment = described([{"layers": LARGE}, {"mirror_of": 0}, {}])
    done = run_experiment(experiment, tmp_path / "work", planned=plans.append)
    assert [stage.name for stage in plans[-1]] == [
        "teacher",
        "student0",
        "quantised0",
        "student2",
        "quantised2",
    ]
    x = np.random.default_rng(0).random((9, 1, 8, 8)).astype(np.float32)
    with sne.compile(done.ensemble, "loihi", policy=sne.ActivationPolicy("static")) as compiled:
        ours, theirs = (compiled.run(images).run.students for images in (x, x[..., ::-1].copy()))
    np.testing.assert_array_equal(ours[0].outputs, theirs[1].outputs)
    np.testing.assert_array_equal(ours[1].outputs, theirs[0].outputs)
    assert not np.array_equal(ours[0].outputs, ours[1].outputs)
    assert (experiment.students.like(1), experiment.students.trained) == (0, (0, 2))
    assert estimate(experiment).plan == plans[-1]


def test_students_weigh_what_their_answers_are_worth(tmp_path: Path) -> None:
    """By the validation samples as deployed; nothing is trained again, and students stay as they are."""
    policy = {"kind": "confidence", "accuracy_drop": 0.01}
    plain = run_experiment(parse_experiment(document() | {"policy": policy}), tmp_path / "work").ensemble
    stages: list[str] = []
    weighted = parse_experiment(document() | {"policy": {**policy, "weighted": True}})
    done = run_experiment(weighted, tmp_path / "work", lambda stage, *_: stages.append(stage))
    weight = done.ensemble.head.student_weight
    assert stages == []
    assert plain.head.student_weight is None
    assert weight is not None
    assert weight.shape == (2,)
    assert weight.mean() == pytest.approx(1.0)
    assert weight[0] != weight[1]
    for ours, theirs in zip(done.ensemble.students, plain.students, strict=True):
        np.testing.assert_array_equal(*(one.network[1].tensors["weight"] for one in (ours, theirs)))
    divided = document(outputs="features", loss={"feature": 1.0, "logits": 0.0})
    with pytest.raises(InputError, match=r"policy.weighted gives whole classifiers weights; .*leave it out"):
        parse_experiment(divided | {"policy": {**policy, "weighted": True}})


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([{}, {"mirror_of": 1}], "member.1.mirror_of 1: give the number of a student before it"),
        ([{}, {"mirror_of": 0}, {"mirror_of": 1}], "member.2.mirror_of 1: give the number of a student"),
        (
            [{}, {"mirror_of": 0, "surrogate": "triangle", "schedule": {"epochs": 2}}],
            "leave out schedule, surrogate",
        ),
        (
            [{"weights": "a.pt", "start": "b.pt"}],
            "weights 'a.pt' are of a finished student, start 'b.pt' of one",
        ),
        (
            [{"start": "a.pt", "loss": {"inner": 1.0}, "warm_start": {"epochs": 1}}],
            "students.member.0.start: loss.inner 1 needs the student's ReLU twin",
        ),
    ],
)
def test_where_a_student_cannot_come_from(members: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError) as caught:
        described(members)
    assert message in str(caught.value)


def test_a_slice_has_no_mirror_image() -> None:
    divided = document([{}, {"mirror_of": 0}], outputs="features", loss={"feature": 1.0, "logits": 0.0})
    with pytest.raises(InputError, match=r"students.member.1.mirror_of: a mirror image learns no slice"):
        parse_experiment(divided)


def test_students_are_stored_in_16_bits_and_not_trained_again(tmp_path: Path) -> None:
    before = trained(described(), tmp_path / "work")[1]
    stages, found = trained(described(storage="float16"), tmp_path / "work")
    assert stages == []
    for whole, half in zip(before, found, strict=True):
        wanted = whole.astype(np.float16).astype(whole.dtype) if whole.ndim > 1 else whole
        np.testing.assert_array_equal(wanted, half)


def test_where_all_students_are_finished_the_teacher_is_not_asked(tmp_path: Path) -> None:
    """Head, order and threshold are those of the run that trained them."""
    confidence = {"policy": {"kind": "confidence"}}
    whole = train_experiment(parse_experiment(document() | confidence), tmp_path / "out", work=tmp_path / "w")
    members = [{"weights": str(whole.model)}] * 2
    with mock.patch("sne_deploy.distill.stages.extract_features", side_effect=AssertionError):
        again = run_experiment(parse_experiment(document(members) | confidence), tmp_path / "w")
    for wanted, array in zip(tensors(whole.ensemble), tensors(again.ensemble), strict=True):
        np.testing.assert_array_equal(wanted, array)
    assert again.ensemble.policy == whole.ensemble.policy


def test_a_model_names_no_folder_of_the_machine_that_trained_it(tmp_path: Path) -> None:
    made = train_experiment(described([{}]), tmp_path / "out").model
    experiment = described([{"weights": str(made)}])
    found = train_experiment(experiment, tmp_path / "again").ensemble.provenance
    assert json.loads(found["experiment"])["students"]["member"] == [{"weights": "model.pt"}]
    assert str(tmp_path) not in str(found)


def test_a_file_that_is_not_this_student_is_refused(tmp_path: Path) -> None:
    first = described([{}])
    run_experiment(first, tmp_path / "work")
    made = train_experiment(first, tmp_path / "out", work=tmp_path / "work").model
    wrong = {
        "its timesteps is 2, that of this experiment 3": document([{"weights": str(made)}], timesteps=3),
        "its readout is v_mean, that of this experiment v_max": document(
            [{"weights": str(made)}], readout="v_max"
        ),
        "its outputs is logits, that of this experiment features": document(
            [{"weights": str(made)}], outputs="features"
        ),
        "cannot be read": document([{"weights": str(tmp_path / "none.pt")}]),
    }
    for message, changed in wrong.items():
        with pytest.raises(SneError) as caught:
            run_experiment(parse_experiment(changed), tmp_path / "other")
        assert message in str(caught.value) or message == "cannot be read", caught.value
        assert "\n" not in str(caught.value)
    assert not list((tmp_path / "other").glob("*.pt"))


def test_students_with_slices_differ_too_and_are_trained_together_from_files(tmp_path: Path) -> None:
    divided = document(outputs="features", loss={"feature": 1.0, "logits": 0.0})
    divided |= {"joint": {"schedule": ONE}, "policy": {"kind": "confidence"}}
    experiment = parse_experiment(divided)
    whole = train_experiment(experiment, tmp_path / "out")
    members = [
        {**member, "weights": str(tmp_path / "out" / "students" / f"student{k}.pt")}
        for k, member in enumerate(divided["students"]["member"])
    ]
    divided["students"]["member"] = members
    stages, found = trained(parse_experiment(divided), tmp_path / "work")
    assert stages == ["teacher", "together", "quantised0", "quantised1"]
    for wanted, array in zip(tensors(whole.ensemble), found, strict=True):
        np.testing.assert_array_equal(wanted, array)
    divided["partition"] = {"strategy": "contiguous"}
    with pytest.raises(InputError, match=r"members?.*learned other features"):
        trained(parse_experiment(divided), tmp_path / "work")


def test_the_experiment_of_the_docs_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "ensembles.md").read_text("utf-8")
    whole, files, mirror = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    experiment = parse_experiment(tomllib.loads(whole))
    assert [len(experiment.students.of(k).layers) for k in range(3)] == [6, 9, 9]
    assert [experiment.students.like(k) for k in range(3)] == [0, 1, 1]
    for k in range(3):
        of = experiment.students.of(k)
        student_network(of.layers, (3, 32, 32), 10, of.dt_s)
    named = tomllib.loads(files)
    assert set(named["students"]["member"][0]) == {"weights"}
    image = parse_experiment(tomllib.loads(whole.replace("\n[policy]", f"{mirror}\n[policy]")))
    assert [image.students.like(k) for k in range(4)] == [0, 1, 1, 0]


TOML = """
name = "members"
threads = 1
[data]
source = "digits"
validation = 40
train_samples = 100
[teacher]
architecture = "mlp"
width = 8
features = 8
schedule = {epochs = 1, batch_size = 32}
[students]
timesteps = 2
outputs = "logits"
layers = [{kind = "Flatten"}, {kind = "Linear"}, {kind = "LIBoxCell"}]
loss = {feature = 0.0, logits = 1.0}
schedule = {epochs = 1, batch_size = 32}
[[students.member]]
[[students.member]]
layers = [
    {kind = "Flatten"}, {kind = "Linear", out = 12}, {kind = "LIFBoxCell", v_th = 0.3},
    {kind = "Linear"}, {kind = "LIBoxCell"},
]
schedule = {epochs = 2}
[quantisation]
epochs = 1
"""
