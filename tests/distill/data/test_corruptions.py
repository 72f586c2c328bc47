"""Corruptions among the augmentations: what each does, and that an image's seed says all of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from experiments.study.corruptions import corrupt
from sne_deploy.distill.data import corruptions
from sne_deploy.distill.data.augment import batch_transform, transform_of
from sne_deploy.distill.data.corruptions import SEEDS, corrupted, normal, uniform
from sne_deploy.distill.data.splits import load_splits
from sne_deploy.distill.experiment import parse_experiment
from sne_deploy.distill.schema.corruptions import FAMILIES, CorruptionsModel
from sne_deploy.distill.schema.data import DataModel
from sne_deploy.errors import InputError
from tests.distill.test_run import DOCUMENT
from tests.effort import examples

ALL = CorruptionsModel(
    share=0.8, gaussian=(0.05, 0.3), salt_and_pepper=(0.0, 0.4), occlusion=(0.2, 0.8), contrast=(0.2, 1.0)
)


def images(count: int, shape: tuple[int, ...] = (3, 12, 17)) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(7))


def always(**ranges: Any) -> CorruptionsModel:
    return CorruptionsModel(share=1.0, **ranges)


@settings(max_examples=examples(20))
@given(st.lists(st.integers(0, SEEDS - 1), min_size=1, max_size=12), st.randoms())
def test_an_image_and_its_seed_give_the_same_in_any_batch(seeds: list[int], random: Any) -> None:
    x, own = images(len(seeds)), torch.tensor(seeds)
    whole = corrupted(x, own, ALL)
    order = list(range(len(seeds)))
    random.shuffle(order)
    assert torch.equal(corrupted(x[order], own[order], ALL), whole[order])
    assert torch.equal(corrupted(x[:1], own[:1], ALL), whole[:1])
    assert torch.equal(x, images(len(seeds)))
    assert whole.min() >= 0.0
    assert whole.max() <= 1.0


def test_where_nothing_may_wait_all_images_are_computed_and_the_chosen_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, seeds = images(40), torch.arange(40)
    chosen_alone = corrupted(x, seeds, ALL)
    monkeypatch.setattr(corruptions, "_worked_on", lambda chosen: torch.arange(len(chosen)))
    assert torch.equal(corrupted(x, seeds, ALL), chosen_alone)


def test_the_share_of_images_is_corrupted_and_each_family_as_often() -> None:
    x = images(8000, (1, 4, 4)) * 0.5 + 0.2
    seeds = torch.arange(8000)
    unlike = always(gaussian=(0.1, 0.1), contrast=(0.0, 0.0)).model_copy(update={"share": 0.4})
    made = corrupted(x, seeds, unlike)
    changed = (made != x).flatten(1).any(1)
    flat = (made == made[:, :, :1, :1]).flatten(1).all(1)
    assert abs(float(changed.float().mean()) - 0.4) < 0.02
    assert abs(float(flat.float().mean()) - 0.2) < 0.015
    assert not (flat & ~changed).any()


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-2.0, 6.0)])
def test_gaussian_noise_has_a_deviation_of_the_range_s_unit_and_is_clipped(low: float, high: float) -> None:
    grey, size = torch.full((2000, 2, 8, 8), (low + high) / 2), high - low
    made = corrupted(grey, torch.arange(2000), always(gaussian=(0.05, 0.15)), (low, high))
    deviation = ((made - grey) / size).flatten(1).std(1)
    assert abs(float(deviation.mean()) - 0.1) < 0.003
    assert abs(float(deviation.std()) - 0.1 / 12**0.5) < 0.004  # uniform in its range, and 128 values of each
    loud = corrupted(grey, torch.arange(2000), always(gaussian=(3.0, 3.0)), (low, high))
    assert (float(loud.min()), float(loud.max())) == (low, high)


def test_salt_and_pepper_take_whole_pixels_and_half_of_them_each() -> None:
    grey = torch.full((400, 3, 16, 16), 0.5)
    made = corrupted(grey, torch.arange(400), always(salt_and_pepper=(0.3, 0.3)))
    assert torch.equal(made, made[:, :1].expand_as(made))
    for value, part in ((0.0, 0.15), (1.0, 0.15), (0.5, 0.7)):
        assert abs(float((made == value).float().mean()) - part) < 0.005


def test_an_occluded_square_lies_anywhere_inside() -> None:
    white = torch.ones(4000, 2, 8, 12)
    dark = corrupted(white, torch.arange(4000), always(occlusion=(0.5, 0.5)))[:, 0] == 0
    rows, columns = dark.any(2), dark.any(1)
    assert torch.equal(dark, rows[:, :, None] & columns[:, None, :])
    for inside, places in ((rows, 5), (columns, 9)):
        assert (inside.sum(1) == 4).all()
        first = inside.int().argmax(1)
        assert torch.equal(inside.int().diff(dim=1).abs().sum(1) <= 2, torch.ones(4000, dtype=torch.bool))
        counts = torch.bincount(first, minlength=places)
        assert len(counts) == places
        assert (counts - 4000 / places).abs().max() < 5 * (4000 / places) ** 0.5


@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0, 2.5])
def test_contrast_is_the_study_s(factor: float) -> None:
    x = images(5)
    made = corrupted(x, torch.arange(5), always(contrast=(factor, factor)))
    expected = corrupt(x.numpy(), "contrast", factor)
    np.testing.assert_allclose(made.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_random_numbers_are_uniform_normal_and_independent() -> None:
    seeds = torch.arange(300)  # neighbours, as no generator would draw them
    drawn = uniform(seeds, 1, 400).double()
    assert drawn.min() >= 0.0
    assert drawn.max() < 1.0
    counts = torch.histc(drawn, 64, 0.0, 1.0)
    expected = drawn.numel() / 64
    assert float(((counts - expected) ** 2 / expected).sum()) < 63 + 5 * (2 * 63) ** 0.5
    assert len(set(drawn.flatten().tolist())) > 0.99 * drawn.numel()
    bell = normal(seeds, 2, 401).double()
    moments = [float((bell**power).mean()) for power in (1, 2, 4)]
    np.testing.assert_allclose(moments, [0.0, 1.0, 3.0], atol=0.06)
    for table in (drawn, bell, drawn.T, torch.cat([drawn, uniform(seeds, 2, 400).double()])):
        correlations = torch.corrcoef(table).fill_diagonal_(0.0)
        assert float(correlations.abs().max()) < 6 / table.shape[1] ** 0.5


def test_without_corruptions_the_same_is_drawn_as_before() -> None:
    x = images(20)
    plain, other = DataModel(source="cifar10", augment="crop-flip"), batch_transform("crop-flip")
    own = transform_of(plain)
    assert own is not None
    assert other is not None
    torch.manual_seed(3)
    expected = other([x])[0]
    torch.manual_seed(3)
    assert torch.equal(own([x])[0], expected)
    assert transform_of(DataModel(source="cifar10")) is None


def test_copies_of_the_students_are_corrupted_and_the_samples_are_not() -> None:
    described = DataModel(source="digits", validation=40, train_samples=100, corruptions=ALL)
    splits = load_splits(described, seed=1, copies=2)
    first, *copies = torch.split(splits.students_x, 100)
    assert torch.equal(first, splits.x)
    shares = [float((copy != first).flatten(1).any(1).float().mean()) for copy in copies]
    assert all(0.6 < share < 0.95 for share in shares)
    assert not torch.equal(*copies)
    again = load_splits(described, seed=1, copies=2)
    assert torch.equal(again.students_x, splits.students_x)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "data.corruptions: no family has a range: give one of gaussian, salt_and_pepper, occlusion"),
        ({"gaussian": [0.3, 0.1]}, r"gaussian \[0.3, 0.1\] must be two numbers, low <= high"),
        ({"gaussian": [-0.1, 0.1]}, r"corruptions.gaussian.0: input should be greater than or equal to 0"),
        ({"occlusion": [0.1, 1.5]}, r"data.corruptions.occlusion.1: input should be less than or equal to 1"),
        ({"share": 0, "gaussian": [0, 1]}, r"data.corruptions.share: input should be greater than 0, not 0"),
        ({"gausian": [0, 1]}, r"data.corruptions.gausian: unknown key; did you mean gaussian\?"),
    ],
)  # fmt: skip
def test_wrong_corruptions_are_named_with_their_place(given: dict[str, Any], message: str) -> None:
    data = {**DOCUMENT["data"], "corruptions": given}
    with pytest.raises(InputError, match=message):
        parse_experiment({**DOCUMENT, "data": data})


def test_corruptions_are_for_images() -> None:
    data = {"source": "npz", "file": "x.npz", "test": 10, "corruptions": {"contrast": [0.5, 1]}}
    with pytest.raises(
        InputError, match="corruptions are for images, not for input 'current': leave them out"
    ):
        parse_experiment({**DOCUMENT, "data": {**data, "input": "current"}})
    x, y = np.random.default_rng(0).random((60, 5), np.float32), np.arange(60) % 3
    vectors = DataModel(source="arrays", validation=10, corruptions=CorruptionsModel(contrast=(0.5, 1.0)))
    with pytest.raises(InputError, match=r"data.corruptions needs images .* not samples of shape \(5,\)"):
        load_splits(vectors, 0, 0, (x, y, None))


def test_every_family_has_its_function() -> None:
    for family in FAMILIES:
        made = corrupted(images(4), torch.arange(4), always(**{family: (0.6, 0.6)}))
        assert (made != images(4)).flatten(1).any(1).all()
