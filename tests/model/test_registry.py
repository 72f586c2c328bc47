"""The closed registry: what is valid, and shapes against torch's own."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.errors import GraphError
from sne_deploy.frontend.norse.build import module_from_layers
from sne_deploy.model.ensemble import Layer
from sne_deploy.model.layers.registry import LAYER_KINDS, check_stack, output_shape, validate_layer


def cell(kind="LIFBoxCell", /, dt=0.001, **changes):
    values = {
        "tau_mem_inv": 100.0,
        "tau_syn_inv": 200.0,
        "v_leak": 0.0,
        "v_th": 1.0,
        "v_reset": 0.0,
        "alpha": 100.0,
    }
    tensors = {k: np.array(v) for k, v in values.items() if k in LAYER_KINDS[kind].tensors}
    return Layer(kind, {"dt": dt}, {**tensors, **changes})


W = np.ones((2, 3))
INVALID = [
    (Layer("Pickle"), "layer kind 'Pickle' is unknown; known kinds: Linear"),
    (Layer("Linear"), "tensor weight is missing"),
    (Layer("Linear", {"stride": 2}, {"weight": W}), "unknown option 'stride'; known: name"),
    (Layer("Linear", {"name": "a/b"}, {"weight": W}), "option name='a/b' must be"),
    (Layer("Linear", {}, {"weight": W, "x": W}), "unknown tensor 'x'; known: weight, bias"),
    (Layer("Linear", {}, {"weight": W[0]}), r"tensor weight has shape \(3,\), must have 2 axes"),
    (Layer("Linear", {}, {"weight": W * np.nan}), "NaN or infinite"),
    (Layer("Linear", {}, {"weight": W.astype(int)}), "dtype int64"),
    (Layer("Linear", {}, {"weight": np.zeros((0, 3))}), "must not be empty"),
    (Layer("Linear", {}, {"weight": W, "bias": np.ones(3)}), r"bias has shape \(3,\), weight needs \(2,\)"),
    (
        Layer("Conv2d", {"stride": 0}, {"weight": np.ones((1, 1, 2, 2))}),
        "stride=0 must be an int or a tuple of 2",
    ),
    (Layer("Conv2d", {"padding": "same"}, {"weight": np.ones((1, 1, 2, 2))}), "padding='same' must be"),
    (Layer("Conv2d", {"dilation": (1,)}, {"weight": np.ones((1, 1, 2, 2))}), "1 entries, 2 are needed"),
    (Layer("Conv1d", {"groups": 2}, {"weight": np.ones((3, 1, 2))}), "groups=2 does not divide the 3"),
    (Layer("Conv1d", {"groups": True}, {"weight": np.ones((3, 1, 2))}), "groups=True"),
    (Layer("AvgPool2d"), "option kernel_size is missing"),
    (Layer("AvgPool2d", {"kernel_size": 2, "padding": 2}), "more than half"),
    (Layer("AvgPool2d", {"kernel_size": 2, "ceil_mode": True}), "ceil_mode=True only False"),
    (
        Layer("BatchNorm1d", {}, {"running_mean": np.ones(2), "running_var": np.array([1.0, -1.0])}),
        "negative values",
    ),
    (
        Layer("BatchNorm1d", {}, {"running_mean": np.ones(2), "running_var": np.ones(3)}),
        r"running_mean has \(2,\)",
    ),
    (Layer("Dropout", {"p": 1.5}), r"p=1.5 must be a number in \[0, 1\]"),
    (cell(dt=0.0), "dt=0.0 must be a finite number above 0"),
    (cell(dt=0.02), r"dt \* tau_mem_inv is 2, must be in \(0, 1\]"),
    (cell(tau_mem_inv=np.array([10.0, -1.0])), r"-0.001 to 0.01, must be in \(0, 1\]"),
    (
        Layer("LIFCell", {**cell().options, "method": "logistic"}, cell("LIFCell").tensors),
        "method='logistic' must be",
    ),
    (
        Layer("IAFCell", {"reset_method": "reset_none"}, cell("IAFCell").tensors),
        "reset_method='reset_none' must",
    ),
    (
        Layer("IAFCell", {"reset_method": "reset_subtract"}, cell("IAFCell").tensors),
        "LIFBoxCell's alone",
    ),
    (
        cell("LIFRecurrentCell", input_weights=W, recurrent_weights=np.ones((3, 3))),
        r"\(3, 3\), input_weights need",
    ),
    (cell("LIFRecurrentCell", input_weights=W, recurrent_weights=np.ones((2, 2))), "set autapses=True"),
]


@pytest.mark.parametrize(("layer", "match"), INVALID)
def test_invalid_layers_have_problems(layer, match):
    problems = validate_layer(layer)
    assert len(problems) >= 1
    with pytest.raises(GraphError, match=match) as error:
        check_stack([layer], (3,))
    assert str(error.value).startswith("layer 0: ")
    assert "\n" not in str(error.value)


def test_a_decay_of_one_in_float32_is_accepted():
    for dt in (0.003, 0.0007, 0.001, 1 / 3):
        assert validate_layer(cell(dt=dt, tau_mem_inv=np.array(np.float32(1) / np.float32(dt)))) == []


MISFITS = [
    (
        Layer("Linear", {}, {"weight": W}),
        (4,),
        r"Linear: input has shape \(4,\), weight \(2, 3\) needs \(3,\)",
    ),
    (Layer("Linear", {"name": "fc"}, {"weight": W}), (5, 3), r"Linear 'fc': .*put a Flatten before it"),
    (Layer("Conv2d", {}, {"weight": np.ones((1, 2, 3, 3))}), (1, 8, 8), "needs .*channels"),
    (Layer("Conv2d", {}, {"weight": np.ones((1, 1, 3, 3))}), (1, 2, 8), "does not fit"),
    (Layer("AvgPool2d", {"kernel_size": 2}), (4,), r"needs \(channels, height, width\)"),
    (Layer("Flatten", {"start_dim": 0}), (2, 3), "start_dim=0"),
    (Layer("Flatten", {"start_dim": 3}), (2, 3), "are not axes"),
    (cell(v_th=np.ones(3)), (4,), r"v_th of shape \(3,\) does not broadcast"),
    (cell(v_th=np.ones((2, 4))), (4,), "does not broadcast"),
    (cell("LIFRecurrentCell", input_weights=W, recurrent_weights=np.zeros((2, 2))), (2,), r"need \(3,\)"),
]


@pytest.mark.parametrize(("layer", "shape", "match"), MISFITS)
def test_misfits_name_layer_and_shapes(layer, shape, match):
    assert validate_layer(layer) == []
    with pytest.raises(GraphError, match=match):
        output_shape(layer, shape)


two = st.tuples(st.integers(1, 3), st.integers(1, 3))


@settings(max_examples=60, deadline=None)
@given(two, two, st.tuples(st.integers(0, 2), st.integers(0, 2)), two, st.integers(1, 9), st.integers(1, 9))
def test_conv_shapes_are_torchs(kernel, stride, padding, dilation, height, width):
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    layer = Layer("Conv2d", options, {"weight": np.ones((2, 1, *kernel), dtype=np.float32)})
    module = module_from_layers([layer])
    x = torch.zeros(1, 1, height, width)
    try:
        expected = tuple(module(x)[0].shape[1:])
    except RuntimeError:
        with pytest.raises(GraphError, match="does not fit"):
            output_shape(layer, (1, height, width))
    else:
        assert output_shape(layer, (1, height, width)) == expected


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(-5, 5), st.integers(-5, 5))
def test_flatten_shapes_are_torchs(shape, start, end):
    layer = Layer("Flatten", {"start_dim": start, "end_dim": end})
    ndim = len(shape) + 1
    try:
        expected = tuple(torch.nn.Flatten(start, end)(torch.zeros(7, *shape)).shape)
        sensible = start % ndim >= 1
    except (RuntimeError, IndexError):
        sensible = False
    if sensible:
        assert (7, *output_shape(layer, tuple(shape))) == expected
    else:
        with pytest.raises(GraphError, match="are not axes"):
            output_shape(layer, tuple(shape))


def test_the_registry_does_not_import_torch():
    code = (
        "import sys, sne_deploy.model.layers.registry; "
        "sys.exit('torch' in sys.modules or 'nir' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
