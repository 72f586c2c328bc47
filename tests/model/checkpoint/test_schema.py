"""Documents that are plain data, but not a model that can be."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from sne_deploy.errors import CheckpointError
from sne_deploy.model.checkpoint import load_checkpoint
from sne_deploy.model.ensemble import ActivationPolicy


def layer(document, student, index):
    return document["students"][student]["layers"][index]


def put(*path):
    """A change that writes the last item at the path before it."""
    *keys, last, value = path

    def change(document):
        for key in keys:
            document = document[key]
        document[last] = value

    return change


def drop(*path):
    *keys, last = path

    def change(document):
        for key in keys:
            document = document[key]
        del document[last]

    return change


FIRST = ("students", 0, "layers")
NAN, INF = torch.full((4,), float("nan")), torch.full((4,), float("inf"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("format", "other"), "format 'other' is not 'sne-deploy/model'"),
        (put("version", 8), "format version 8 is newer than 7, the newest known; update sne-deploy"),
        (put("version", 0), "format version 0 is not 1 to 7"),
        (put("version", True), "format version True is not 1 to 7"),
        (put("version", "1"), "format version '1' is not 1 to 7"),
        (drop("head"), "head: Field required"),
        (put("extra", 1), r"extra: Extra inputs are not permitted \(got 1\)"),
        (put("students", []), "students: List should have at least 1 item"),
        (put("timesteps", 0), "timesteps: Input should be greater than or equal to 1"),
        (put("timesteps", 2.5), "timesteps: Input should be a valid integer"),
        (put("timesteps", True), "timesteps: Input should be a valid integer"),
        (put("timesteps", 10**9), "timesteps: Input should be less than or equal to 1000000"),
        (put("input_shape", []), "input_shape: List should have at least 1 item"),
        (put("input_shape", [-3]), "input_shape.0: Input should be greater than or equal to 1"),
        (
            put("input_shape", [10**5, 10**5]),
            "the input has shape .* more than the limit of 134217728 values",
        ),
        (
            put("encoder", "kind", "x"),
            "encoder.kind: Input should be 'constant', 'bernoulli', 'spikes' or 'graded'",
        ),
        (put("encoder", "input_range", [1.0, 0.0]), r"input_range \(1.0, 0.0\) must be two finite numbers"),
        (
            put("encoder", "input_range", [0.0, float("inf")]),
            "input_range.1: Input should be a finite number",
        ),
        (put("policy", "order", [0, 0]), r"policy order \(0, 0\) is not a permutation of 0..1"),
        (put("policy", "threshold", 1.5), r"threshold 1.5 is not in \(0, 1\]"),
        (put("policy", "threshold", None), "threshold None is not in"),
        (put("policy", "kind", "lucky"), "policy.kind: Input should be 'static', 'confidence' or 'gate'"),
        (put("students", 0, "name", "../../etc"), "students.0.name: String should match pattern"),
        (put("students", 0, "name", ""), "students.0.name: String should match pattern"),
        (put("students", 0, "name", "second"), "student names must be unique"),
        (put("students", 0, "readout", "sum"), "students.0.readout: Input should be 'count'"),
        (put("students", 0, "readout", "v_last"), "readout 'v_last' of a spiking last cell; .* can be count"),
        (put("students", 1, "readout", "count"), "readout 'count' of a non-spiking last cell"),
        (put("students", 0, "features", torch.tensor([1])), r"features \(1,\) of int64 must be 2 indices"),
        (put("students", 0, "features", torch.tensor([1, -1])), "must be 2 indices"),
        (put("students", 0, "features", torch.tensor([1.0, 2.0])), "of float32 must be 2 indices"),
        (put(*FIRST, []), "students.0.layers: List should have at least 1 item"),
        (put(*FIRST, 0, "kind", "Magic"), "layer kind 'Magic' is unknown; known kinds: Linear, Conv1d"),
        (put(*FIRST, 0, "code", "x"), "students.0.layers.0.code: Extra inputs are not permitted"),
        (put(*FIRST, 0, "options", "colour", 1), "unknown option 'colour'"),
        (put(*FIRST, 0, "options", "name", {"a": 1}), r"options\.name"),
        (put(*FIRST, 1, "options", "dt", -1.0), "student 'first', layer 1: .*dt=-1.0"),
        (put(*FIRST, 1, "options", "dt", float("nan")), r"options\.dt.*finite number"),
        (put(*FIRST, 0, "tensors", "colour", torch.zeros(2)), "unknown tensor 'colour'"),
        (
            put(*FIRST, 0, "tensors", "weight", "text"),
            "tensors.weight: Input should be an instance of ndarray",
        ),
        (drop(*FIRST, 0, "tensors", "weight"), "student 'first', layer 0: .*tensor weight is missing"),
        (
            put(*FIRST, 0, "tensors", "weight", torch.zeros(2, 4)),
            r"student 'first', layer 0: .*\(3,\).*\(2, 4\)",
        ),
        (put(*FIRST, 0, "tensors", "weight", torch.zeros(5, 3)), "student 'first', layer 0: "),
        (put(*FIRST, 0, "tensors", "weight", torch.zeros(2, 3, dtype=torch.int64)), "has dtype int64"),
        (
            put(*FIRST, 0, "tensors", "weight", torch.tensor([[0, float("nan"), 0], [0, 0, 0]])),
            r"student 'first', layer 0 \(Linear\), tensor weight: holds NaN",
        ),
        (
            put(*FIRST, 1, "tensors", "v_th", torch.tensor([1.0, float("-inf")])),
            r"student 'first', layer 1 \(LIFBoxCell\), tensor v_th: holds infinity",
        ),
        (put(*FIRST, 1, "tensors", "v_th", torch.ones(3)), "student 'first', layer 1: "),
        (put("head", "kind", "mean"), "head 'mean' has no tensors, got weight, bias, mean, subset_bias"),
        (put("head", "kind", "tree"), "head.kind: Input should be 'linear' or 'mean'"),
        (put("head", "weight", None), "head 'linear' needs weight"),
        (
            put("head", "weight", torch.zeros(4, 2)),
            r"head, tensor weight: shape \(4, 2\) is not \(4, 3\) .*first 2",
        ),
        (put("head", "bias", torch.zeros(3)), "head, tensor weight: shape"),
        (put("head", "mean", torch.zeros(4)), r"head, tensor mean: shape \(4,\) is not \(3,\)"),
        (put("head", "subset_bias", torch.zeros(4, 2)), r"subset_bias: shape \(4, 2\) is not \(2, 4\)"),
        (put("head", "bias", NAN), "head, tensor bias: holds NaN"),
        (put("head", "bias", INF), "head, tensor bias: holds infinity"),
        (
            put("head", "bias", torch.zeros(4, dtype=torch.int64)),
            "head, tensor bias: dtype int64 is not a float",
        ),
        (put("provenance", None), "provenance: Input should be a valid dictionary"),
        (put("provenance", "x", float("nan")), "provenance holds NaN or infinity"),
        (put("provenance", "x", torch.tensor(float("nan"))), "provenance holds NaN or infinity"),
    ],
)
def test_documents_that_cannot_be_are_refused(document, saved, change, message):
    change(document)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(saved(document))
    text = str(caught.value)
    assert "\n" not in text
    assert "model.pt: " in text


def gate(**changes):
    """The parts of a gate of 2 cells and 5 hidden neurons for the two students."""
    tensors = {
        "hidden_weight": torch.zeros(5, 2), "hidden_bias": torch.zeros(5), "weight": torch.zeros(2, 5),
        "bias": torch.zeros(2),
    }  # fmt: skip
    return {"grid": [2], **tensors} | changes


GATED = {"kind": "gate", "order": [], "threshold": 0.5, "students": None, "measure": "max_probability"}


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"gate": None}, "policy 'gate': there is no gate; train one"),
        ({"gate": gate(), "threshold": None}, r"policy 'gate': threshold None is not in \(0, 1\]"),
        ({"gate": gate(), "threshold": 0.0}, r"policy 'gate': threshold 0\.0 is not in \(0, 1\]"),
        ({"gate": gate(), "kind": "static"}, "policy 'static': gate has a meaning for policy 'gate' alone"),
        ({"gate": gate(), "measure": "margin"}, "measure has a meaning for policy 'confidence' alone"),
        ({"gate": gate(), "measure": "luck"}, "policy.measure: Input should be 'max_probability', 'margin'"),
        ({"gate": None, "kind": "static", "students": 3}, "students 3 is more than the ensemble's 2"),
        ({"gate": None, "kind": "static", "students": 0}, "students 0 must be at least 1"),
        ({"gate": None, "kind": "static", "students": True}, "policy.students: Input should be a valid int"),
        ({"gate": None, "kind": "confidence", "students": 3}, "'confidence': students 3 is more than the"),
        (
            {"gate": gate(), "students": 1},
            "students has a meaning for policy 'static' and 'confidence' alone",
        ),
        ({"gate": []}, "policy.gate: Input should be a valid dictionary"),
        ({"gate": gate(extra=1)}, "policy.gate.extra: Extra inputs are not permitted"),
        ({"gate": gate(bias="text")}, "policy.gate.bias: Input should be an instance of ndarray"),
        ({"gate": gate(grid=[])}, "policy.gate.grid: List should have at least 1 item"),
        ({"gate": gate(grid=[0])}, "policy.gate.grid.0: Input should be greater than or equal to 1"),
        ({"gate": gate(grid=[1, 2])}, r"a grid of \(1, 2\) does not fit an input of shape \(3,\)"),
        ({"gate": gate(grid=[10**30])}, r"gate: hidden_weight has shape \(5, 2\), not \(5, 10{30}\)"),
        (
            {"gate": gate(grid=[4], hidden_weight=torch.zeros(5, 4))},
            r"a grid of \(4,\) does not fit an input of shape \(3,\)",
        ),
        ({"gate": gate(hidden_weight=torch.zeros(5, 3))}, r"hidden_weight has shape \(5, 3\), not \(5, 2\)"),
        ({"gate": gate(hidden_bias=torch.zeros(5, 1))}, r"hidden_bias has shape \(5, 1\), not \(5,\)"),
        ({"gate": gate(hidden_bias=torch.zeros(4))}, r"gate: hidden_weight has shape \(5, 2\), not \(4, 2\)"),
        ({"gate": gate(weight=torch.zeros(5, 2))}, r"gate: weight has shape \(5, 2\), not \(2, 5\)"),
        (
            {"gate": gate(weight=torch.zeros(3, 5), bias=torch.zeros(3))},
            "it decides on 3 students, the ensemble has 2; train it anew",
        ),
        ({"gate": gate(bias=torch.tensor([0, float("nan")]))}, "gate: bias: holds NaN or infinity"),
        ({"gate": gate(bias=torch.tensor([0, float("inf")]))}, "gate: bias: holds NaN or infinity"),
        ({"gate": gate(bias=torch.zeros(2, dtype=torch.float64))}, "gate: bias: dtype float64; it takes"),
        ({"gate": gate(bias=torch.zeros(2, dtype=torch.int64))}, "gate: bias: dtype int64; it takes"),
        (
            {
                "gate": gate(
                    hidden_weight=torch.zeros(4097, 2),
                    hidden_bias=torch.zeros(4097),
                    weight=torch.zeros(2, 4097),
                )
            },
            "gate: 4097 hidden neurons and 2 students; it takes 1 to 4096",
        ),
        (
            {
                "gate": gate(
                    hidden_weight=torch.zeros(0, 2), hidden_bias=torch.zeros(0), weight=torch.zeros(2, 0)
                )
            },
            "gate: 0 hidden neurons and 2 students; it takes 1 to 4096",
        ),
    ],
)
def test_policies_that_cannot_be_are_refused(document, saved, policy, message):
    document.update(version=4, policy=GATED | policy)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(saved(document))
    assert "\n" not in str(caught.value)


def test_the_gate_itself_is_fine_and_version_1_does_not_have_it(document, saved):
    document.update(version=2, policy=GATED | {"gate": gate()})
    assert load_checkpoint(saved(document)).policy.gate.weight.shape == (2, 5)
    document["version"] = 1
    with pytest.raises(CheckpointError, match="policy: students, measure, gate: not in format version 1"):
        load_checkpoint(saved(document))


def test_a_cascade_of_some_students_comes_with_version_4(document, saved):
    document.update(version=4, policy=GATED | {"gate": None, "kind": "confidence", "students": 1})
    assert load_checkpoint(saved(document)).policy == ActivationPolicy("confidence", (), 0.5, students=1)
    document["version"] = 3
    with pytest.raises(CheckpointError, match="students of kind 'confidence': not in format version 3"):
        load_checkpoint(saved(document))


def test_weights_of_students_come_with_version_7(document, saved):
    weight = np.array([0.5, 1.5])
    head = dict.fromkeys(("weight", "bias", "mean", "subset_bias"))
    own = torch.from_numpy(weight)
    students = [document["students"][1], copy.deepcopy(document["students"][1]) | {"name": "first"}]
    document.update(version=7, students=students, head={**head, "kind": "mean", "student_weight": own})
    np.testing.assert_array_equal(load_checkpoint(saved(document)).head.student_weight, weight)
    document["version"] = 6
    with pytest.raises(CheckpointError, match="head: student_weight: not in format version 6"):
        load_checkpoint(saved(document))
    document.update(version=7)
    document["head"]["student_weight"] = torch.ones(3, dtype=torch.float64)
    with pytest.raises(
        CheckpointError, match=r"student_weight: shape \(3,\) is not \(2,\), one for each stud"
    ):
        load_checkpoint(saved(document))
    document["head"]["student_weight"] = -own
    with pytest.raises(CheckpointError, match=r"head: student_weight -1\.5 must be above 0"):
        load_checkpoint(saved(document))


def test_version_2_needs_none_of_what_it_adds(document, saved):
    document["version"] = 2
    assert load_checkpoint(saved(document)).policy.threshold == 0.9


def test_the_document_itself_is_fine(document, saved):
    assert [student.name for student in load_checkpoint(saved(document)).students] == ["first", "second"]


def test_huge_layer_outputs_are_refused(document, saved):
    document["input_shape"] = [1, 4, 4]
    document["students"][0]["layers"].insert(
        0,
        {
            "kind": "Conv2d",
            "options": {"padding": 10**6},
            "tensors": {"weight": torch.zeros(1, 1, 3, 3)},
        },
    )
    with pytest.raises(CheckpointError, match=r"layer 0 \(Conv2d\) has shape .* more than the limit"):
        load_checkpoint(saved(document))


def test_many_problems_fit_in_one_line(document, saved):
    for student in document["students"]:
        student.update({f"key{index}": "\n" * 500 for index in range(20)})
    with pytest.raises(CheckpointError, match="and 36 more problems") as caught:
        load_checkpoint(saved(document))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
