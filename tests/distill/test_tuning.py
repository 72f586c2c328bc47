"""``sne.tune``: a network of one's own, trained further on the chip's integers."""

import itertools
import re

import norse.torch as norse
import numpy as np
import pytest
import torch
from norse.torch.functional.lif_box import LIFBoxParameters
from torch import nn

import sne_deploy as sne
from sne_deploy.errors import DataError, InputError, UnsupportedError
from sne_deploy.frontend.norse.modules import layers_from_module

BOX = LIFBoxParameters(tau_mem_inv=torch.tensor(400.0), v_th=torch.tensor(0.3))


def vectors(count: int = 120, seed: int = 0):
    """Vectors of 6 values; the class is the larger of two sums."""
    x = np.random.default_rng(seed).random((count, 6), dtype=np.float32)
    return x, (x[:, :3].sum(axis=1) > x[:, 3:].sum(axis=1)).astype(np.int64)


def boxes() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Linear(6, 20),
        nn.BatchNorm1d(20),
        norse.LIFBoxCell(BOX),
        nn.Dropout(0.1),
        nn.Linear(20, 2),
        norse.LIBoxCell(),
    ).eval()


def recurrent() -> nn.Module:
    torch.manual_seed(2)
    return norse.SequentialState(
        norse.LIFRecurrentCell(6, 16), nn.Linear(16, 10), norse.LIFCell(), nn.Linear(10, 2), norse.LICell()
    )


def images() -> nn.Module:
    torch.manual_seed(3)
    made = norse.SequentialState(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        norse.IAFCell(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 2),
        norse.LIFBoxCell(BOX),
    ).eval()
    with torch.no_grad():
        made[0].weight.mul_(5.0)
        made[5].weight.mul_(5.0)
    return made


def series(count: int = 60):
    x = (np.random.default_rng(4).random((count, 8, 6)) < 0.4).astype(np.uint8)
    return x, (x[:, :, :3].sum(axis=(1, 2)) > x[:, :, 3:].sum(axis=(1, 2))).astype(np.int64)


def pictures(count: int = 60):
    x = np.random.default_rng(5).random((count, 1, 4, 4), dtype=np.float32)
    return x, (x[:, 0, :2].mean(axis=(1, 2)) > x[:, 0, 2:].mean(axis=(1, 2))).astype(np.int64)


CONSTANT = {"encoder": "constant", "timesteps": 6}
NETWORKS = {
    "boxes": (boxes, vectors, CONSTANT),
    "recurrent": (recurrent, series, {}),
    "images": (images, pictures, {**CONSTANT, "readout": "count"}),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_accuracies_are_those_of_a_run_and_the_module_stays(name):
    make, samples, options = NETWORKS[name]
    module, (x, y) = make(), samples()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    heard = []
    tuned = sne.tune(
        module, x, y, epochs=2, batch_size=16, learning_rate=1e-2,
        progress=lambda *told: heard.append(told), **options,
    )  # fmt: skip
    held = np.arange(len(x)) % 10 == 9
    for one, measured in ((module, tuned.before), (tuned.module, tuned.after)):
        for target, accuracy in (("loihi", measured.integers), ("norse", measured.floating_point)):
            assert sne.estimate(one, x[held], y[held], target=target, **options).accuracy == accuracy
    assert heard == [(1, 2, tuned.losses[0]), (2, 2, tuned.losses[1])]
    assert tuned.losses[1] < tuned.losses[0]
    assert tuned.samples == held.sum()
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    kinds = [layer.kind for layer in layers_from_module(module)]
    left = [kind for kind in kinds if not kind.startswith("BatchNorm") and kind != "Dropout"]
    assert [layer.kind for layer in layers_from_module(tuned.module)] == left


def test_it_learns_what_few_bits_lose_and_is_repeatable():
    (x, y), held = vectors(400), vectors(200, seed=9)
    options = {**CONSTANT, "validation": held, "learning_rate": 1e-2, "batch_size": 32, "weight_bits": 3}
    first, second = (sne.tune(boxes(), x, y, epochs=6, **options) for _ in range(2))
    assert first.after.integers > first.before.integers + 0.1
    assert first.after.integers > 0.85
    assert first.samples == 200
    for one, other in zip(first.module.parameters(), second.module.parameters(), strict=True):
        assert torch.equal(one, other)
    assert f"{first.after.integers:.1%} in integers" in repr(first)
    assert "3-bit weights, 200 validation samples" in repr(first)


def test_weights_that_are_zero_stay_so():
    module = boxes()
    with torch.no_grad():
        module[4].weight[:, ::2] = 0.0
    x, y = vectors()
    tuned = sne.tune(module, x, y, epochs=1, learning_rate=1e-2, **CONSTANT)
    assert not tuned.module[2].weight[:, ::2].any()
    assert tuned.module[2].weight[:, 1::2].all()


def test_the_gradient_of_a_spike_is_the_one_that_was_asked_for():
    x, y = vectors()
    asked = ({}, *({"surrogate": "rectangle", "surrogate_width": width} for width in (0.5, 2.0)))
    made = [sne.tune(boxes(), x, y, epochs=1, **CONSTANT, **one).module[0].weight for one in asked]
    assert not any(torch.equal(one, other) for one, other in itertools.combinations(made, 2))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"y": None}, "give y, one class from 0"),
        ({"y": vectors()[1] + 5}, "label 6 is beyond the network's 2 outputs"),
        ({"y": vectors()[1] - 1}, "labels must be whole numbers from 0"),
        ({"y": vectors()[1][:7]}, "120 samples have labels of shape (7,)"),
        ({"module": "model.pt"}, "give one torch module, not str"),
        ({"epochs": 0}, "epochs 0 must be at least 1"),
        ({"learning_rate": 0}, "learning_rate 0 must be above 0"),
        ({"weight_bits": 9}, "9"),
        ({"surrogate": "step"}, "surrogate 'step' is not one of superspike"),
        ({"surrogate_width": 2.0}, "surrogate_width 2.0 is of 'rectangle'"),
        ({"validation": 3}, "validation: give a pair (x, y), not int"),
        ({"encoder": "spikes"}, "no time axis"),
        ({"device": "abacus"}, "device 'abacus' cannot be used"),
    ],
)
def test_what_does_not_fit_is_refused(change, said):
    x, y = vectors()
    with pytest.raises((InputError, DataError), match=re.escape(said)):
        sne.tune(**{"module": boxes(), "x": x, "y": y, **CONSTANT, **change})


def test_too_few_samples_and_maps_in_a_row_are_refused():
    x, y = vectors(9)
    with pytest.raises(DataError, match="9 samples are too few"):
        sne.tune(boxes(), x, y, **CONSTANT)
    module = nn.Sequential(*boxes()[:3], nn.Linear(20, 8), nn.Linear(8, 2), norse.LIBoxCell())
    x, y = vectors(20)
    with pytest.raises(UnsupportedError, match="without neurons between them"):
        sne.tune(module, x, y, **CONSTANT)
