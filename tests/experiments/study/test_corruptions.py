"""Noise: values worked out by hand, its statistics, and that neither batches nor order change it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.study import corruptions as noise
from sne_deploy.distill.schema.corruptions import FAMILIES, Family
from sne_deploy.errors import DataError, InputError
from tests.effort import examples

IDENTITY = {"gaussian": 0.0, "salt_and_pepper": 0.0, "occlusion": 0.0, "contrast": 1.0}
families = st.sampled_from(FAMILIES)


def images(count: int = 6, channels: int = 2, size: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, channels, size, size), dtype=np.float32)


@given(family=families, seed=st.integers(0, 2**31))
def test_no_noise_changes_nothing(family: Family, seed: int) -> None:
    x = images(seed=1)
    np.testing.assert_array_equal(noise.corrupt(x, family, IDENTITY[family], seed), x)


@settings(max_examples=examples(30))
@given(family=families, strength=st.floats(0.0, 1.0), seed=st.integers(0, 2**31), cut=st.integers(0, 6))
def test_a_batch_is_the_same_in_parts_stays_in_range_and_leaves_its_input_alone(
    family: Family, strength: float, seed: int, cut: int
) -> None:
    x = images()
    whole = noise.corrupt(x, family, strength, seed)
    parts = [
        noise.corrupt(x[:cut], family, strength, seed),
        noise.corrupt(x[cut:], family, strength, seed, cut),
    ]
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    assert whole.dtype == np.float32
    assert whole.min() >= 0.0
    assert whole.max() <= 1.0
    np.testing.assert_array_equal(x, images())


@pytest.mark.parametrize("family", ["gaussian", "salt_and_pepper", "occlusion"])
def test_seed_index_and_strength_draw_other_noise(family: Family) -> None:
    x = np.full((2, 1, 16, 16), 0.5, np.float32)
    first = noise.corrupt(x, family, 0.3, 0)
    assert (first[0] != first[1]).any()
    assert (first != noise.corrupt(x, family, 0.3, 1)).any()
    other = noise.corrupt(x, family, 0.31, 0)
    assert ((first == 0.5) != (other == 0.5)).any() or (np.sign(first - 0.5) != np.sign(other - 0.5)).any()


def test_contrast_by_hand() -> None:
    x = np.array([[[[0.0, 0.25], [0.5, 0.25]]]], np.float32)  # mean 0.25
    np.testing.assert_array_equal(noise.corrupt(x, "contrast", 0.5)[0, 0], [[0.125, 0.25], [0.375, 0.25]])
    np.testing.assert_array_equal(noise.corrupt(x, "contrast", 2.0)[0, 0], [[0.0, 0.25], [0.75, 0.25]])
    np.testing.assert_array_equal(noise.corrupt(x, "contrast", 0.0)[0, 0], np.full((2, 2), 0.25))


@given(seed=st.integers(0, 1000), side=st.sampled_from([0.125, 0.25, 0.5, 1.0]))
def test_occlusion_is_one_square_of_the_stated_side(seed: int, side: float) -> None:
    dark = noise.corrupt(np.ones((3, 2, 8, 12), np.float32), "occlusion", side, seed) == 0.0
    for image in dark:
        np.testing.assert_array_equal(image[0], image[1])
        rows, columns = np.nonzero(image[0])
        pixels = round(8 * side)
        assert len(rows) == pixels**2
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (pixels, pixels)


def test_occlusion_reaches_every_place() -> None:
    dark = noise.corrupt(np.ones((2000, 1, 4, 4), np.float32), "occlusion", 0.5, 0)[:, 0] == 0.0
    places = {tuple(np.argwhere(image)[0]) for image in dark}
    assert places == {(row, column) for row in range(3) for column in range(3)}


def test_gaussian_has_the_stated_deviation_and_independent_values() -> None:
    x = np.full((50, 3, 32, 32), 0.5, np.float32)
    added = (noise.corrupt(x, "gaussian", 0.05, 0) - 0.5).astype(
        np.float64
    )  # clipping is ten deviations away
    count = added.size
    assert abs(added.mean()) < 5 * 0.05 / count**0.5
    assert added.std() == pytest.approx(0.05, rel=5 / (2 * count) ** 0.5)
    assert abs(np.corrcoef(added[:, 0].ravel(), added[:, 1].ravel())[0, 1]) < 5 / (count / 3) ** 0.5


def test_salt_and_pepper_is_half_black_half_white_in_all_channels() -> None:
    x = np.full((50, 3, 32, 32), 0.5, np.float32)
    noisy = noise.corrupt(x, "salt_and_pepper", 0.2, 0)
    pixels = 50 * 32 * 32
    for value in (0.0, 1.0):
        hit = noisy == value
        np.testing.assert_array_equal(hit[:, 0], hit[:, 1])
        assert hit[:, 0].mean() == pytest.approx(0.1, abs=5 * (0.09 / pixels) ** 0.5)
    assert set(np.unique(noise.corrupt(x, "salt_and_pepper", 1.0, 0))) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: noise.corrupt(images(), "gaussian", -0.1, 0),
            r"strength -0\.1 of gaussian must be 0 or more, and finite",
        ),
        (
            lambda: noise.corrupt(images(), "gaussian", float("nan"), 0),
            "strength nan of gaussian must be 0 or more",
        ),
        (
            lambda: noise.corrupt(images(), "occlusion", 1.5, 0),
            r"strength 1\.5 of occlusion must be between 0 and 1",
        ),
        (
            lambda: noise.corrupt(images(), "contrast", 1.0, -1),
            "seed -1 and first index 0 must not be negative",
        ),
        (lambda: noise.corrupt(images(), "fog", 1.0, 0), "noise 'fog' is unknown; known: gaussian, salt"),  # type: ignore[arg-type]
    ],
)
def test_impossible_noise_is_refused(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_images_that_are_none_are_refused() -> None:
    with pytest.raises(DataError, match=r"give floats of shape \(N, C, H, W\)"):
        noise.corrupt(images()[0], "gaussian", 0.1, 0)
    with pytest.raises(DataError, match=r"values from 0\.\d+ to 2 leave \[0, 1\]"):
        noise.corrupt(np.float32(images().clip(0.1) / images().max() * 2), "gaussian", 0.1, 0)
