"""Sparse tensors: bit for bit what they were, smaller, and none that claims what it does not have."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.model.checkpoint import load_checkpoint, save_checkpoint
from sne_deploy.model.checkpoint.document import from_ensemble
from sne_deploy.model.checkpoint.sparse import SparseTensor, array_of, written
from sne_deploy.model.checkpoint.write import _with_tensors
from sne_deploy.model.ensemble import Ensemble, Layer
from tests.effort import examples

from .conftest import make_ensemble, refused
from .test_round_trip import same

ODD = [0.0, -0.0, 1.0, -2.5, 6e-8, 65504.0, 65520.0, 1e-30, 0.1, float("nan"), float("inf")]


@settings(max_examples=examples(60))
@given(st.data())
def test_any_tensor_is_what_it_was_bit_for_bit(data: st.DataObject) -> None:
    shape = data.draw(st.sampled_from([(1100,), (3, 5, 77), (1, 2048), (9, 0), ()]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    pool = data.draw(st.lists(st.sampled_from(ODD), min_size=1, max_size=5))
    array = rng.choice([0.0, *pool], size=shape).astype(data.draw(st.sampled_from([np.float32, np.float64])))
    array[rng.random(shape) < data.draw(st.floats(0, 1))] = 0.0
    stands = written(array)
    if isinstance(stands, np.ndarray):
        assert stands is array
        return
    again = array_of("here", SparseTensor(**stands))
    assert again.dtype == array.dtype
    assert again.shape == array.shape
    assert again.tobytes() == array.tobytes()
    assert stands["mask"].nbytes + stands["values"].nbytes <= 0.6 * array.nbytes


def test_halves_are_stored_as_such_where_nothing_is_lost() -> None:
    exact, odd = np.arange(2000, dtype=np.float32) / 8, np.arange(2000, dtype=np.float32) / 8
    odd[7] = 0.1
    assert written(exact)["values"].dtype == np.int16  # type: ignore[call-overload]
    assert written(odd) is odd
    odd[100:] = 0.0
    assert written(odd)["values"].dtype == np.float32  # type: ignore[call-overload]


def sparse_ensemble() -> Ensemble:
    ensemble = make_ensemble()
    first = ensemble.students[0]
    weight = np.zeros((2, 603), np.float32)
    weight[1, 8::9] = 0.3
    wide = Layer("Linear", {}, {"weight": weight, "bias": np.zeros(2, np.float32)})
    before = Layer("Linear", {}, {"weight": np.eye(603, 3, dtype=np.float32)})
    return dataclasses.replace(
        ensemble,
        students=(
            dataclasses.replace(first, network=(before, wide, first.network[1])),  # type: ignore[index]
            ensemble.students[1],
        ),
    )


def test_an_ensemble_is_what_it_was_and_smaller() -> None:
    ensemble = sparse_ensemble()
    assert from_ensemble(ensemble)["version"] == 5
    with tempfile.TemporaryDirectory() as folder:
        path, again = Path(folder) / "model.pt", Path(folder) / "again.pt"
        save_checkpoint(ensemble, path)
        loaded = load_checkpoint(path)
        assert same(loaded, ensemble)
        save_checkpoint(loaded, again)
        assert path.read_bytes() == again.read_bytes()
        with pytest.raises(ValueError, match="read-only"):
            loaded.students[0].network[1].tensors["weight"][0, 0] = 1.0  # type: ignore[index, union-attr]


Change = Callable[[dict[str, Any]], object]


def ones(count: int, dtype: Any = torch.float32) -> torch.Tensor:
    return torch.ones(count, dtype=dtype)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.update(mask=t["mask"][:-1].clone()),
            r"a mask of uint8 \[150\] for 1206 elements, must be",
        ),
        (lambda t: t.update(mask=t["mask"].to(torch.int16)), r"a mask of int16 \[151\]"),
        (lambda t: t.update(mask=t["mask"].view(1, 151).clone()), r"a mask of uint8 \[1, 151\]"),
        (lambda t: t.update(values=ones(66)), r"values of float32 \[66\] for a mask of 67"),
        (lambda t: t.update(values=ones(68)), r"values of float32 \[68\] for a mask of 67"),
        (lambda t: t.update(values=ones(67, torch.float64)), r"must be float32 or int16 \[67\]"),
        (lambda t: t.update(values=torch.zeros(67)), "a value that is 0"),
        (lambda t: t.update(shape=[2, 602]), "a mask with bits beyond its last element"),
        (lambda t: t.update(shape=[2**40, 2**40]), "sparse tensors of .* bytes as arrays, limit 1073741824"),
        (lambda t: t.update(shape=[2**28]), "sparse tensors of 107374.* bytes as arrays, limit"),
        (lambda t: t.update(shape=[2, -400]), "shape.1: Input should be greater than or equal to 0"),
        (lambda t: t.update(shape=[1] * 9), "shape: List should have at most 8 items"),
        (lambda t: t.update(shape=[2, 4e2]), "shape.1: Input should be a valid integer"),
        (lambda t: t.update(dtype="int64"), "dtype: Input should be 'float32' or 'float64'"),
        (lambda t: t.update(more=1), "more: Extra inputs are not permitted"),
        (lambda t: t.pop("mask"), "mask: Field required"),
    ],
)
def test_a_claim_that_is_not_kept_is_refused(saved: Any, change: Change, message: str) -> None:
    document = _with_tensors(from_ensemble(sparse_ensemble()))
    tensor = document["students"][0]["layers"][1]["tensors"]["weight"]
    change(tensor)
    refused(saved(document), message)


def test_an_earlier_version_has_none(saved: Any) -> None:
    document = _with_tensors(from_ensemble(sparse_ensemble()))
    document["version"] = 4
    refused(saved(document), "sparse tensors: not in format version 4")
