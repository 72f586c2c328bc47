"""Augmentation: what batches get."""

import torch

from sne_deploy.distill.data.augment import LEAST_CONTRAST, batch_transform


def transformed(kind: str, x: torch.Tensor) -> torch.Tensor:
    transform = batch_transform(kind)
    assert transform is not None
    torch.manual_seed(0)
    return transform([x])[0]


def test_contrast_draws_half_of_the_images_towards_their_mean() -> None:
    x = torch.rand(2000, 1, 1, 1, generator=torch.Generator().manual_seed(1)).expand(-1, 2, 32, 32) * 0.5
    x = x + 0.25 * torch.randn(1, 2, 32, 32, generator=torch.Generator().manual_seed(2)).tanh()
    placed, faded = transformed("shift", x), transformed("shift-contrast", x)
    spread = faded.flatten(1).std(1) / placed.flatten(1).std(1)
    torch.testing.assert_close(faded.mean((1, 2, 3)), placed.mean((1, 2, 3)), rtol=1e-4, atol=1e-5)
    changed = spread < 0.999
    assert 0.46 < changed.float().mean() < 0.54
    torch.testing.assert_close(faded[~changed], placed[~changed], rtol=1e-3, atol=1e-3)
    assert spread.min() >= LEAST_CONTRAST - 1e-4
    assert spread[changed].min() < LEAST_CONTRAST + 0.02
    assert abs(float(spread[changed].mean()) - (1 + LEAST_CONTRAST) / 2) < 0.02


def test_a_cut_out_square_has_a_quarter_of_the_shorter_side_and_the_image_s_mean() -> None:
    x = torch.rand(3000, 3, 16, 24, generator=torch.Generator().manual_seed(4))
    placed, cut = transformed("crop-flip", x), transformed("crop-flip-cutout", x)
    hole = (cut != placed).any(dim=1)
    rows, columns = hole.any(dim=2), hole.any(dim=1)
    assert torch.equal(hole, rows[:, :, None] & columns[:, None, :])
    for inside in (rows, columns):
        assert inside.any(1).all()
        assert ((inside.int().diff(dim=1) == 1).sum(1) + inside[:, 0].int() == 1).all()  # one run
        assert inside.sum(1).max() == 4
        whole = inside.sum(1) == 4
        assert abs(float(whole.float().mean()) - (1 - 3 / inside.shape[1])) < 0.03  # the border cuts the rest
    mean = placed.mean((1, 2, 3), keepdim=True).expand_as(placed)
    filled = hole[:, None].expand_as(placed)
    assert torch.equal(cut[filled], mean[filled])


def test_a_shifted_image_is_a_window_of_its_padded_self() -> None:
    x = torch.rand(50, 1, 6, 6, generator=torch.Generator().manual_seed(3))
    padded = torch.nn.functional.pad(x, (2, 2, 2, 2))
    windows = padded.unfold(2, 6, 1).unfold(3, 6, 1).reshape(50, 25, 1, 6, 6)
    equal = (windows == transformed("shift", x)[:, None]).all(dim=(2, 3, 4))
    assert (equal.sum(1) == 1).all()
    assert len(set(equal.int().argmax(1).tolist())) > 15


def test_a_mirror_image_is_drawn_half_of_the_time() -> None:
    ramp = torch.arange(16.0).expand(1000, 1, 16, 16)
    rising = transformed("crop-flip", ramp)[:, 0, 0].diff(dim=1).sum(1) > 0
    assert 0.45 < rising.float().mean() < 0.55
