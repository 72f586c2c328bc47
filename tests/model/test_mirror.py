"""A mirror image answers an image as the student answers the mirrored one: bit for bit, at the same cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sne_deploy as sne
from sne_deploy.errors import GraphError
from sne_deploy.frontend.norse.build import module_from_layers
from sne_deploy.model.ensemble import Ensemble, Head, Layer, Student
from sne_deploy.model.layers.mirror import mirrored
from sne_deploy.model.layers.registry import stack_shapes
from sne_deploy.runtime.result import RunResult
from tests.effort import examples

Shape = tuple[int, ...]
LI = {"tau_mem_inv": np.array(250.0, np.float32), "v_leak": np.array(0.0, np.float32)}
LIF = {**LI, "v_reset": np.array(0.0, np.float32)}


def conv(rng: np.random.Generator, channels: int, out: int, kernel: tuple[int, int], **options: Any) -> Layer:
    weight = rng.normal(size=(out, channels, *kernel)) * (rng.random((out, channels, *kernel)) < 0.7)
    bias = {"bias": rng.normal(size=out).astype(np.float32)} if options.pop("bias", False) else {}
    return Layer("Conv2d", options, {"weight": weight.astype(np.float32), **bias})


def cell(rng: np.random.Generator, shape: Shape) -> Layer:
    """Neurons that all differ."""
    return Layer(
        "LIFBoxCell", {"dt": 1e-3}, {**LIF, "v_th": np.asarray(rng.uniform(0.05, 0.4, shape), np.float32)}
    )


@st.composite
def students(draw: Any) -> tuple[Shape, tuple[Layer, ...]]:
    """Two convolutions of any geometry, a skip or none, an average that fits or none, two linear maps."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (2, draw(st.integers(5, 8)), draw(st.integers(5, 9)))
    sizes = st.tuples(st.integers(1, 3), st.integers(1, 4))
    padding, stride = (
        st.tuples(st.integers(0, 1), st.integers(0, 2)),
        st.tuples(st.just(1), st.integers(1, 3)),
    )
    first = conv(rng, 2, 3, draw(sizes), padding=draw(padding), stride=draw(stride), bias=draw(st.booleans()))
    layers = [first]
    *_, between = stack_shapes(layers, shape)
    norm = {name: rng.uniform(0.5, 2, 3).astype(np.float32) for name in ("running_var", "weight")}
    norm |= {name: rng.normal(size=3).astype(np.float32) for name in ("running_mean", "bias")}
    layers += [Layer("BatchNorm2d", {"eps": 1e-5}, norm), cell(rng, between)]
    layers += [conv(rng, 3, 3, (3, 3), padding=(1, 1)), cell(rng, between)]
    if draw(st.booleans()):
        layers += [conv(rng, 3, 3, (1, 1))]
        weight = rng.normal(size=(3, 3, 3, 3)).astype(np.float32)
        layers += [Layer("SkipConv2d", {"padding": 1, "over": 1}, {"weight": weight}), cell(rng, between)]
    if draw(st.booleans()):
        layers += [Layer("AvgPool2d", {"kernel_size": (1, between[2])}, {})]
    layers += [Layer("Flatten", {}, {})]
    *_, (flat,) = stack_shapes(layers, shape)
    hidden = rng.normal(size=(6, flat)).astype(np.float32)
    layers += [Layer("Linear", {}, {"weight": hidden}), cell(rng, (6,))]
    layers += [Layer("Linear", {}, {"weight": rng.normal(size=(3, 6)).astype(np.float32)})]
    return shape, (*layers, Layer("LIBoxCell", {"dt": 1e-3}, LI))


def ran(layers: tuple[Layer, ...], x: np.ndarray) -> RunResult:
    student = Student("one", layers, "v_mean")
    ensemble = Ensemble((student,), x.shape[1:], 3, sne.Encoder("constant"), Head("mean"))
    with sne.compile(ensemble, "loihi", fidelity=False) as compiled:
        return compiled.run(x).run


@settings(max_examples=examples(25), deadline=None)
@given(students(), st.integers(0, 2**32 - 1))
def test_it_answers_as_the_student_answers_the_mirrored_image(
    made: tuple[Shape, tuple[Layer, ...]], seed: int
) -> None:
    shape, layers = made
    x = np.random.default_rng(seed).random((4, *shape)).astype(np.float32)
    image = mirrored(layers, shape)
    one, other = ran(layers, x).students[0], ran(image, x[..., ::-1].copy()).students[0]
    np.testing.assert_array_equal(one.outputs, other.outputs)
    np.testing.assert_array_equal(one.trace.synops, other.trace.synops)
    np.testing.assert_array_equal(one.trace.host_macs, other.trace.host_macs)
    counted = [[layer.spikes.tolist() for layer in each.layers] for each in (one, other)]
    assert counted[0] == counted[1]
    again = ran(mirrored(image, shape), x).students[0]  # kernels that are wider by zeros compute the same
    np.testing.assert_array_equal(one.outputs, again.outputs)


def test_a_flattened_image_is_turned_around_where_it_lies() -> None:
    """Norms, neurons and recurrent neurons behind a Flatten, in floating point by Norse."""
    import torch

    rng, shape = np.random.default_rng(3), (2, 3, 5)
    norm = {name: rng.uniform(0.5, 2, 30).astype(np.float32) for name in ("running_var", "weight", "bias")}
    recurrent = {
        "input_weights": rng.normal(size=(4, 30)).astype(np.float32),
        "recurrent_weights": np.zeros((4, 4), np.float32),
        "tau_syn_inv": np.array(200.0, np.float32),
        "v_th": rng.uniform(0.01, 0.1, 4).astype(np.float32),
    }
    layers = (
        Layer("Flatten", {}, {}),
        Layer("BatchNorm1d", {"eps": 1e-5}, {**norm, "running_mean": rng.normal(size=30).astype(np.float32)}),
        cell(rng, (30,)),
        Layer("LIFRecurrentCell", {"dt": 1e-3}, {**LIF, **recurrent}),
    )
    x = torch.tensor(rng.normal(size=(6, *shape)).astype(np.float32)) * 3
    answers = []
    for network, given_x in ((layers, x), (mirrored(layers, shape), x.flip(-1))):
        module, state, seen = module_from_layers(network), None, []
        for _ in range(4):
            out, state = module(given_x, state)
            seen.append(out)
        answers.append(torch.stack(seen))
    torch.testing.assert_close(*answers, rtol=0, atol=0)
    assert answers[0].sum() > 0


def test_a_kernel_is_wider_by_the_columns_that_its_windows_leave_over() -> None:
    layer = conv(np.random.default_rng(0), 1, 1, (3, 3), stride=(2, 2), padding=(1, 1))
    (made,) = mirrored((layer,), (1, 16, 16))
    assert made.tensors["weight"].shape == (1, 1, 3, 4)
    np.testing.assert_array_equal(made.tensors["weight"][..., 0], 0)
    np.testing.assert_array_equal(made.tensors["weight"][..., 1:], layer.tensors["weight"][..., ::-1])
    (made,) = mirrored((layer,), (1, 15, 15))
    assert made.tensors["weight"].shape == (1, 1, 3, 3)


def test_what_neurons_have_in_common_stays_in_common() -> None:
    """A threshold for each channel has no left and no right; one for each column has."""
    rng, shape = np.random.default_rng(5), (2, 3, 4)
    for own, wanted in (((2, 1, 1), (2, 1, 1)), ((1,), (1,)), ((), ()), ((4,), shape), (shape, shape)):
        layer = cell(rng, own)
        (made,) = mirrored((layer,), shape)
        assert made.tensors["v_th"].shape == wanted
        turned = np.broadcast_to(layer.tensors["v_th"], shape)[..., ::-1]
        np.testing.assert_array_equal(np.broadcast_to(made.tensors["v_th"], shape), turned)


@pytest.mark.parametrize(
    ("shape", "layer", "message"),
    [
        ((4,), Layer("Flatten", {}, {}), r"not of an input of shape \(4,\)"),
        ((1, 4, 5), Layer("AvgPool2d", {"kernel_size": 2}, {}), r"AvgPool2d: its windows do not end where 5"),
        (
            (1, 6, 6),
            conv(np.random.default_rng(0), 1, 1, (2, 2), stride=(2, 2), dilation=(2, 2)),
            "Conv2d: its windows, of dilation 2, leave 1 of 6 columns over",
        ),
    ],
)
def test_what_has_no_mirror_image_is_refused(shape: Shape, layer: Layer, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        mirrored((layer,), shape)
