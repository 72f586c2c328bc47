"""Splits that leave too little to learn from are refused with numbers, and what they say to change helps."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.distill.data.enough import MIN_TRAINED
from sne_deploy.distill.data.splits import load_splits
from sne_deploy.distill.experiment import parse_experiment
from sne_deploy.distill.schema.data import DataModel
from sne_deploy.errors import DataError, InputError
from tests.effort import examples


def split(y: list[int] | np.ndarray, **described: Any) -> Any:
    x = np.random.default_rng(0).random((len(y), 3), dtype=np.float32)
    return load_splits(DataModel(source="arrays", **described), 0, arrays=(x, np.asarray(y), None))


@settings(max_examples=examples(60))
@given(
    st.lists(st.integers(1, 30), min_size=2, max_size=5),
    st.integers(10, 60),
    st.none() | st.integers(1, 60),
    st.booleans(),
)
def test_either_all_classes_are_trained_on_or_it_is_refused(
    sizes: list[int], validation: int, train_samples: int | None, even: bool
) -> None:
    y = np.repeat(np.arange(len(sizes)), sizes)
    refusal = ""
    try:
        found = split(y, validation=validation, train_samples=train_samples, stratified=even)
    except DataError as error:
        refusal = str(error)
    if refusal:
        assert re.search(r"\d+ .*(lower|raise|give)", refusal)
        return
    assert len(found.x) >= MIN_TRAINED
    assert len(found.x) == (len(y) - validation if train_samples is None else train_samples)
    assert len(found.x_validation) == len(found.y_validation) == validation
    assert set(found.y.tolist()) == set(range(len(sizes)))


@pytest.mark.parametrize(
    ("y", "described", "message", "remedy"),
    [
        (
            [0, 1] * 6,
            {"validation": 10},
            "data.validation 10 leaves 2 of 12 samples to train on, and 10 are the least; give more",
            None,
        ),
        ([0, 1] * 4, {"validation": 10}, "leaves 0 of 8 samples to train on, .*; give more", None),
        ([0, 1] * 15, {"validation": 25}, "lower it to 20 or less", {"validation": 20}),
        (
            [0, 1] * 20,
            {"validation": 10, "train_samples": 31},
            "data.train_samples 31 is more than the 30 that data.validation 10 leaves of 40; lower one",
            {"validation": 10, "train_samples": 30},
        ),
        (
            [0, 1] * 20,
            {"validation": 10, "train_samples": 5},
            "data.train_samples 5 is less than 10, the least; raise it",
            {"validation": 10, "train_samples": 10},
        ),
        (
            [0] * 60 + [1],
            {"validation": 30, "stratified": False},
            "class 1 has 1 samples, and none of them is among the 31 that are trained on; lower data",
            {"validation": 30, "stratified": True},
        ),
        ([0] * 40, {"validation": 10}, "all 40 samples are of class 0; give samples of two classes", None),
        (
            [1, 2] * 20,
            {"validation": 10},
            "go up to 2, but no sample has label 0; number the classes",
            None,
        ),
    ],
)
def test_too_few_are_refused_with_numbers_and_a_remedy(
    y: list[int], described: dict[str, Any], message: str, remedy: dict[str, Any] | None
) -> None:
    with pytest.raises(DataError, match=message):
        split(y, **described)
    if remedy is not None:
        assert len(split(y, **remedy).x) >= MIN_TRAINED


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"source": "npz", "file": "a.npz"}, "file and test go together"),
        ({"source": "npz", "test": 10}, "file and test go together"),
        ({"source": "mnist", "file": "a.npz", "test": 10}, "file is of source 'npz' alone, without folder"),
        ({"source": "npz", "folder": "a", "file": "a.npz", "test": 10}, "without folder"),
        (
            {"source": "npz", "file": "a.npz", "test": 9},
            "data.test: input should be greater than or equal to 10",
        ),
    ],
)
def test_a_single_file_says_how_many_are_kept(data: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_experiment({"name": "a", "data": data})
