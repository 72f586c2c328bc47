"""The split of the training samples: the classes' shares, and what has been split before as it was."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sne_deploy.distill.data.splits import load_splits, stratified
from sne_deploy.distill.schema.data import DataModel
from sne_deploy.errors import DataError


@given(st.lists(st.integers(1, 40), min_size=2, max_size=6), st.integers(0, 100), st.data())
def test_each_class_gives_its_share(sizes: list[int], seed: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    last = data.draw(st.integers(1, max(1, len(y) - len(sizes))))
    order = rng.permutation(len(y))
    found = stratified(order, y, last)
    assert sorted(found) == list(range(len(y)))
    held_out = np.bincount(y[found[-last:]], minlength=len(sizes))
    share = last * np.asarray(sizes) / len(y)
    if len(y) - len(sizes) >= last:
        assert (np.bincount(y[found[:-last]], minlength=len(sizes)) >= 1).all()
        roomy = share + 1 <= np.asarray(sizes) - 1
        assert (held_out[roomy] >= np.floor(share)[roomy]).all()
        if roomy.all():
            assert (np.abs(held_out - share) < 1).all()


def test_own_data_are_stratified_and_named_sets_are_split_as_ever() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [900, 80, 20])
    x = rng.random((1000, 6), dtype=np.float32)
    given_arrays = {"described": DataModel(source="arrays", validation=100), "arrays": (x, y, None)}
    assert np.bincount(load_splits(seed=3, **given_arrays).y_validation).tolist() == [90, 8, 2]
    plain = DataModel(source="arrays", validation=100, stratified=False)
    order = np.random.default_rng(3).permutation(1000)
    assert load_splits(plain, 3, arrays=(x, y, None)).y_validation.tolist() == y[order[-100:]].tolist()
    digits = load_splits(DataModel(source="digits", validation=100), 3)
    shares = load_splits(DataModel(source="digits", validation=100, stratified=True), 3)
    assert sorted(np.bincount(shares.y_validation)) != sorted(np.bincount(digits.y_validation))
    assert np.bincount(shares.y_validation).min() >= 9


@pytest.mark.parametrize("kind", ["crop-flip", "crop-flip-contrast", "crop-flip-cutout"])
def test_images_that_are_too_small_for_their_augmentation_are_refused(kind: str) -> None:
    x, y = np.random.default_rng(0).random((60, 1, 5, 4), dtype=np.float32), np.arange(60) % 3
    described = DataModel(source="arrays", validation=20, augment=kind)
    message = (
        rf"data.augment '{kind}' needs sides of 5 or more, not images of shape \(1, 5, 4\); take 'shift'"
    )
    with pytest.raises(DataError, match=message):
        load_splits(described, 0, copies=1, arrays=(x, y, None))
    large = np.concatenate([x, x], axis=3)
    assert load_splits(described, 0, copies=1, arrays=(large, y, None)).students_x.shape == (80, 1, 5, 8)
    least = described.model_copy(update={"augment": "shift"})
    assert load_splits(least, 0, copies=1, arrays=(x, y, None)).students_x.shape == (80, 1, 5, 4)
