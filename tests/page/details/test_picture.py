"""Samples as pictures: the file is a PNG, and its pixels are the sample's values."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image
from pydantic import ValidationError

from sne_deploy.model.parts import Encoder
from sne_deploy.page.details import picture as pictures
from sne_deploy.page.details.picture import PictureModel, picture, png
from tests.effort import examples

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))
CONSTANT = Encoder("constant", (-1.0, 3.0))


def pixels_of(found: PictureModel) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(found.png, validate=True))) as image:
        image.load()
        assert image.size == (found.width, found.height)
        return np.asarray(image)


@settings(max_examples=examples(30), deadline=None)
@given(
    pixels=st.one_of(SIZES, SIZES.map(lambda size: (*size, 3))).flatmap(lambda s: npst.arrays(np.uint8, s))
)
def test_another_reader_gets_the_same_pixels(pixels):
    with Image.open(io.BytesIO(png(pixels))) as image:
        assert image.mode == ("RGB" if pixels.ndim == 3 else "L")
        np.testing.assert_array_equal(np.asarray(image), pixels)


@settings(max_examples=examples(30), deadline=None)
@given(seed=st.integers(0, 2**32 - 1), channels=st.sampled_from([1, 2, 3, 5]), size=SIZES)
def test_small_images_keep_every_value(seed, channels, size):
    sample = np.random.default_rng(seed).uniform(-1.0, 3.0, (channels, *size))
    found = pixels_of(picture(CONSTANT, sample))
    grey = np.rint(255.0 * (sample + 1.0) / 4.0)
    want = {
        1: grey[0],
        2: np.stack([grey[0], 0 * grey[0], grey[-1]], axis=-1),
        3: np.moveaxis(grey[:3], 0, -1) if channels == 3 else None,
        5: np.rint(255.0 * ((sample + 1.0) / 4.0).mean(axis=0)),
    }[channels]
    down, right = found.shape[0] // size[0], found.shape[1] // size[1]
    assert found.shape[:2] == (down * size[0], right * size[1])
    np.testing.assert_array_equal(found, want.repeat(down, axis=0).repeat(right, axis=1))


@settings(max_examples=examples(20), deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.tuples(st.integers(1, 200), st.integers(1, 3000)))
def test_large_images_are_means_of_blocks(seed, size):
    sample = np.random.default_rng(seed).uniform(0.0, 1.0, (1, *size))
    shrunk = pictures._shrunk(sample)
    assert shrunk[0].size <= pictures.MAX_PIXELS
    assert max(shrunk.shape) <= pictures.MAX_SIDE
    down, right = pictures._block(*size)
    assert shrunk.shape[1:] == (-(-size[0] // down), -(-size[1] // right))
    row, column = shrunk.shape[1] // 2, shrunk.shape[2] // 2
    block = sample[0, row * down : (row + 1) * down, column * right : (column + 1) * right]
    assert shrunk[0, row, column] == pytest.approx(block.mean(), rel=1e-12)


def test_series_have_a_row_for_each_channel_and_time_to_the_right():
    sample = np.array([[0, 0, 1], [1, 0, 0]], np.uint8)  # (T, channels)
    found = pixels_of(picture(Encoder("spikes"), sample))
    side = found.shape[0] // 3
    np.testing.assert_array_equal(found[::side, :: found.shape[1] // 2], [[0, 255], [0, 0], [255, 0]])


def test_images_over_time_are_summed():
    events = np.zeros((5, 2, 4, 4), np.uint8)
    events[:, 0, 1, 2] = 1
    events[:2, 1, 3, 0] = 1
    found = pixels_of(picture(Encoder("spikes"), events))
    step = found.shape[0] // 4
    small = found[::step, ::step]
    assert small[1, 2].tolist() == [255, 0, 0]
    assert small[3, 0].tolist() == [0, 0, 102]
    assert small.sum() == 255 + 102


@pytest.mark.parametrize(
    ("size", "rows", "columns"), [(5, 1, 5), (48, 1, 48), (49, 7, 7), (50, 7, 8), (784, 28, 28)]
)
def test_vectors_are_wrapped_into_rows(size, rows, columns):
    wrapped = pictures._wrapped(np.arange(1.0, size + 1))
    assert wrapped.shape == (rows, columns)
    np.testing.assert_array_equal(wrapped.ravel()[:size], np.arange(1.0, size + 1))
    assert not wrapped.ravel()[size:].any()
    assert picture(CONSTANT, np.zeros(size)).height >= 12


@pytest.mark.parametrize(
    "shape", [(3, 48, 48), (3, 500, 700), (3, 24, 96), (3, 2, 5000), (2304,), (100_000,)]
)
def test_noise_of_any_size_is_within_the_bound(shape):
    noise = np.random.default_rng(0).uniform(-1.0, 3.0, shape)
    assert len(picture(CONSTANT, noise).png) <= pictures.MAX_TEXT


def test_a_flat_series_is_black():
    assert not pixels_of(picture(Encoder("graded", (-5.0, 5.0)), np.full((6, 4), 2.0))).any()


@pytest.mark.parametrize(
    "text", ["", '"onload=alert(1)', "iVBORw0KGgo=\n", "javascript:alert(1)", "A" * 12_001]
)
def test_what_is_no_base64_is_refused(text):
    with pytest.raises(ValidationError):
        PictureModel(width=1, height=1, png=text)
