"""Affine copies of the digits: deterministic, in range, and as said."""

import pytest
import torch

from examples.digits.affine import Affine, augmented
from sne_deploy.errors import InputError


def images(samples: int = 5) -> torch.Tensor:
    return torch.rand(samples, 2, 8, 6, generator=torch.Generator().manual_seed(0))


def test_originals_come_first_and_copies_stay_in_range():
    x = images()
    result = augmented(x, 3, Affine(), seed=1)
    assert result.shape == (20, 2, 8, 6)
    assert torch.equal(result[:5], x)
    assert result.min() >= 0
    assert result.max() <= x.max()
    assert not torch.equal(result[5:10], result[10:15])
    assert torch.equal(result, augmented(x, 3, Affine(), seed=1))
    assert not torch.equal(result, augmented(x, 3, Affine(), seed=2))


def test_limits_of_zero_change_nothing():
    x = images()
    result = augmented(x, 1, Affine(0.0, 0.0, 0.0), seed=0)
    torch.testing.assert_close(result[5:], x, rtol=1e-5, atol=1e-6)


def test_a_shift_moves_the_centre_of_mass_no_further_than_its_limit():
    x = torch.zeros(1, 1, 16, 16)
    x[0, 0, 7:9, 7:9] = 1.0
    moved = augmented(x, 200, Affine(0.0, 0.0, shift=0.125), seed=0)[1:, 0]
    columns = torch.arange(16.0)
    centre = (moved.sum(1) * columns).sum(1) / moved.sum((1, 2))
    distance = (centre - 7.5).abs()
    assert distance.max() <= 0.125 * 16 + 1e-4
    assert distance.max() > 0.1 * 16


def test_no_copies_is_the_images():
    assert augmented(images(), 0, Affine(), seed=0).shape == (5, 2, 8, 6)


@pytest.mark.parametrize(("shape", "copies"), [((5, 8, 8), 1), ((5, 1, 8, 8), -1)])
def test_refuses(shape, copies):
    with pytest.raises(InputError, match=rf"{copies} copies of shape .*; give >= 0, \(N, C, H, W\)"):
        augmented(torch.zeros(shape), copies, Affine(), seed=0)
