"""Reading live modules: what is refused, what is unwrapped, and that nothing is changed."""

import copy
import re
from importlib import import_module

import norse.torch as norse
import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from sne_deploy.cli import app
from sne_deploy.errors import UnsupportedError
from sne_deploy.frontend.norse.build import module_from_layers
from sne_deploy.frontend.norse.modules import layers_from_module
from sne_deploy.frontend.norse.reading import CELL_OF_LAYER, is_known
from sne_deploy.frontend.norse.refusals import _REASONS
from sne_deploy.model.layers.registry import LAYER_KINDS, check_stack
from tests.norse_oracle import run_module


def kinds(module):
    return [layer.kind for layer in layers_from_module(module)]


def test_every_unsupported_module_is_listed_at_once():
    module = nn.Sequential(
        nn.Linear(3, 3),
        nn.ReLU(),
        nn.Sequential(nn.MaxPool2d(2, return_indices=True), norse.LIFAdExCell()),
        norse.LIFCell(),
        nn.Conv2d(1, 1, 2, padding="same"),
        nn.Conv2d(1, 1, 3, padding_mode="circular"),
        nn.AvgPool2d(2, ceil_mode=True),
        nn.AvgPool2d(3, padding=1, count_include_pad=False),
        nn.AvgPool2d(2, divisor_override=3),
        nn.BatchNorm2d(2, track_running_stats=False),
        nn.Linear(2, 2).half(),
        norse.LIFBoxCell(norse.LIFBoxParameters(reset_method=lambda z, v, reset, th: v)),
        norse.LIFCell(norse.LIFParameters(tau_mem_inv=torch.tensor(2000.0))),
    )
    with pytest.raises(UnsupportedError) as error:
        layers_from_module(module)
    expected = [
        "1 (ReLU)",
        "2.0 (MaxPool2d)",
        "2.1 (LIFAdExCell)",
        "4 (Conv2d)",
        "5 (Conv2d)",
        "6 (AvgPool2d)",
        "7 (AvgPool2d)",
        "8 (AvgPool2d)",
        "9 (BatchNorm2d)",
        "10 (Linear)",
        "11 (LIFBoxCell)",
        "12 (LIFCell)",
    ]
    assert [problem.split(":")[0] for problem in error.value.problems] == expected
    for word in (
        "circular",
        "ceil_mode",
        "return_indices",
        "count_include_pad",
        "divisor_override",
        "float16",
        "reset_method='<lambda>' is not supported",
        "dt * tau_mem_inv is 2",
        "track_running_stats",
        "padding='same'",
    ):
        assert word in str(error.value)
    assert "\n" not in str(error.value)


def test_a_readout_with_weights_of_its_own_is_two_layers():
    torch.manual_seed(4)
    module = nn.Sequential()
    module.add_module("hidden", norse.LIFCell())
    module.add_module("out", norse.LILinearCell(6, 3, norse.LIParameters(tau_mem_inv=torch.tensor(300.0))))
    layers = layers_from_module(module)
    named = [(layer.kind, layer.options.get("name")) for layer in layers]
    assert named == [("LIFCell", "hidden"), ("Linear", "out_input"), ("LICell", "out")]
    x, state, expected = (torch.rand(20, 2, 6) < 0.5).float(), None, []
    with torch.no_grad():
        for z in x:
            v, state = module.out(z, state)
            expected.append(v)
    assert torch.equal(run_module(module_from_layers(layers[1:]), x), torch.stack(expected))
    assert torch.stack(expected).abs().max() > 0.1


@pytest.mark.parametrize(
    "alpha", [100, torch.tensor(100), torch.tensor(100.0).half(), float("nan"), torch.ones(7)]
)
def test_parameters_that_inference_never_uses_may_be_anything(alpha):
    (layer,) = layers_from_module(norse.LIFCell(norse.LIFParameters(alpha=alpha)))
    assert check_stack([layer], (4,)) == (4,)


@pytest.mark.parametrize("one", [1, torch.tensor(1), np.float32(1), torch.tensor(1, dtype=torch.int8)])
def test_integers_are_the_numbers_that_they_are(one):
    (layer,) = layers_from_module(norse.LIFCell(norse.LIFParameters(v_th=one, tau_mem_inv=100 * one)))
    assert layer.tensors["v_th"] == 1.0
    assert layer.tensors["tau_mem_inv"] == 100.0


def test_what_is_said_of_half_precision_helps():
    p = norse.LIFParameters(v_th=torch.tensor(0.5).half())
    with pytest.raises(UnsupportedError, match=r"give the cell's parameters v_th=p.v_th.float\(\)"):
        layers_from_module(norse.LIFCell(p))
    assert layers_from_module(norse.LIFCell(p._replace(v_th=p.v_th.float())))[0].tensors["v_th"] == 0.5


REPLACED = {
    "LSNNCell": (norse.LSNNCell, norse.LIFCell, "adapts, .*use LIFCell and train"),
    "LSNN": (norse.LSNN, norse.LIF, "adapts, .*use LIF and train"),
    "LSNNRecurrentCell": (
        lambda: norse.LSNNRecurrentCell(4, 4),
        lambda: norse.LIFRecurrentCell(4, 4),
        "adapts, .*use LIFRecurrentCell and train",
    ),
    "LIFRefracCell": (
        norse.LIFRefracCell,
        lambda: norse.LIFCell(norse.LIFRefracCell().p.lif),
        "refractory, .*use LIFCell with parameters p.lif",
    ),
    "IzhikevichCell": (
        lambda: norse.IzhikevichCell(norse.tonic_spiking),
        norse.LIFCell,
        "another equation .*use LIFCell",
    ),
    "LayerNorm": (lambda: nn.LayerNorm(4), lambda: nn.BatchNorm1d(4), "use BatchNorm and train"),
    "Softmax": (nn.Softmax, nn.Identity, "leave it out, the class is the same"),
    "Tanh": (nn.Tanh, norse.LIFCell, "use a spiking cell, such as LIFCell"),
}


@pytest.mark.parametrize("case", REPLACED)
def test_each_refusal_names_what_helps(case):
    refused, instead, match = REPLACED[case]
    after = norse.LI() if case == "LSNN" else norse.LICell()
    with pytest.raises(UnsupportedError, match=match) as error:
        layers_from_module(norse.SequentialState(nn.Linear(4, 4), refused(), after))
    assert len(str(error.value)) < 200
    assert layers_from_module(norse.SequentialState(nn.Linear(4, 4), instead(), after))


def test_every_class_that_a_refusal_names_exists():
    modules = [nn, norse, import_module("norse.torch.module.encode")]
    quantised = [import_module(f"torch.ao.nn.{name}") for name in ("quantized", "quantized.dynamic")]
    classes = [found for module in quantised for found in vars(module).values() if isinstance(found, type)]
    called = {found._get_name(None) for found in classes if "_get_name" in vars(found)}
    for kind in _REASONS:
        assert kind in called or any(hasattr(module, kind) for module in modules), kind
        assert not is_known(kind)


def test_the_whole_list_is_given_on_request_alone():
    with pytest.raises(UnsupportedError, match=r"no such layer .* `sne inspect --layers`") as error:
        layers_from_module(nn.Bilinear(1, 1, 1))
    assert "LIFCell" not in str(error.value)
    result = CliRunner().invoke(app, ["inspect", "--layers"])
    assert result.exit_code == 0
    named = set(re.findall(r"\w+", result.output))
    assert named >= {*LAYER_KINDS, *CELL_OF_LAYER, "LILinearCell", "PoissonEncoder"}
    assert all(
        is_known(kind) for kind in named if hasattr(nn, kind) and kind not in ("Sequential", "Containers")
    )


class Shouting(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


def test_subclasses_may_compute_anything_and_are_refused():
    with pytest.raises(UnsupportedError, match="Shouting"):
        layers_from_module(nn.Sequential(Shouting(2, 2), norse.LIFCell()))
    with pytest.raises(UnsupportedError, match="holds no layers"):
        layers_from_module(nn.Sequential())


def test_the_module_is_left_as_it_was():
    torch.manual_seed(0)
    module = norse.SequentialState(
        nn.Conv2d(1, 2, 3),
        nn.BatchNorm2d(2),
        norse.IAFCell(),
        nn.Flatten(),
        norse.LIFRecurrentCell(72, 4),
        norse.LICell(),
    ).train()
    state = copy.deepcopy(module.state_dict())
    flags = {name: p.requires_grad for name, p in module.named_parameters()}
    defaults = [norse.IAFParameters().v_reset.requires_grad, norse.LIParameters().v_leak.requires_grad]
    layers = layers_from_module(module)
    run_module(module_from_layers(layers), torch.rand(2, 1, 8, 8), timesteps=3)
    for layer in layers:
        for array in layer.tensors.values():
            array[...] = 9
    assert module.training
    assert {name: p.requires_grad for name, p in module.named_parameters()} == flags
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
    assert float(module[2].p.v_th) == 1.0
    assert defaults == [
        norse.IAFParameters().v_reset.requires_grad,
        norse.LIParameters().v_leak.requires_grad,
    ]


def test_time_first_networks_become_the_same_cells():
    torch.manual_seed(2)
    p = norse.LIFParameters(v_th=torch.tensor(0.1))
    conv, linear = nn.Conv2d(1, 2, 3), nn.Linear(8, 3)
    recurrent = norse.LIFRecurrent(8, 8, p)
    module = norse.SequentialState(
        norse.Lift(nn.Sequential(conv, nn.AvgPool2d(2))),
        norse.LIF(p),
        nn.Flatten(2),
        recurrent,
        linear,
        norse.LI(),
    )
    x = 20 * torch.rand(15, 2, 1, 6, 6)
    with torch.no_grad():
        expected, _ = module(x)
    layers = layers_from_module(module)
    assert [layer.kind for layer in layers] == [
        "Conv2d",
        "AvgPool2d",
        "LIFCell",
        "Flatten",
        "LIFRecurrentCell",
        "Linear",
        "LICell",
    ]
    torch.testing.assert_close(run_module(module_from_layers(layers), x), expected)
    assert expected.abs().sum() > 0


@pytest.mark.parametrize(
    ("modules", "match"),
    [
        ([nn.Conv2d(1, 1, 3), norse.LIF()], r"0 \(Conv2d\): .*wrap it in norse.torch.Lift"),
        ([norse.LIFCell(), norse.LI()], r"0 \(LIFCell\): cells and time-first layers are mixed"),
        ([norse.Lift(norse.LIF())], r"0.lifted_module \(LIF\): a LIF in a Lift"),
        ([nn.Flatten(1), norse.LIF()], "start_dim=1 would flatten time or batch"),
        ([norse.Lift(norse.Lift(nn.Linear(1, 1)))], "Lift"),
    ],
)
def test_time_first_mistakes(modules, match):
    with pytest.raises(UnsupportedError, match=match):
        layers_from_module(norse.SequentialState(*modules))


def test_lifted_cells_and_dropped_modules():
    assert kinds(norse.SequentialState(norse.Lift(norse.LIFBoxCell()), nn.Dropout(), nn.Identity())) == [
        "LIFBoxCell"
    ]


def test_the_same_module_twice_is_two_layers():
    linear = nn.Linear(3, 3)
    assert kinds(norse.SequentialState(linear, norse.LIFCell(), linear, norse.LIFCell())) == [
        "Linear",
        "LIFCell",
        "Linear",
        "LIFCell",
    ]


def test_names_of_children_become_names_of_layers():
    module = nn.Sequential()
    module.add_module("fc1", nn.Linear(2, 2))
    module.add_module("block", nn.Sequential(norse.LIFCell()))
    assert [layer.options.get("name") for layer in layers_from_module(module)] == ["fc1", None]


def test_float64_is_float64_throughout():
    v_leak = torch.tensor(0.1, dtype=torch.float64)
    module = norse.SequentialState(
        norse.LIFRecurrentCell(2, 2, norse.LIFParameters(v_leak=v_leak)), norse.LICell()
    )
    built = module_from_layers(layers_from_module(module), torch.float64)
    _, state = built(torch.zeros(1, 2, dtype=torch.float64), None)
    for group in state:
        assert all(tensor.dtype == torch.float64 for tensor in group)
        assert not any(tensor.requires_grad for tensor in group)
    assert abs(float(state[0].v[0, 0]) - 0.1) < 1e-15
    assert not built.training
    assert not any(p.requires_grad for p in built.parameters())


def test_runs_do_not_share_state():
    built = module_from_layers(layers_from_module(norse.SequentialState(norse.IAFCell(), norse.LIBoxCell())))
    x = torch.rand(3, 4)
    first = run_module(built, x, timesteps=5)
    assert torch.equal(run_module(built, x, timesteps=5), first)
    assert torch.equal(run_module(built, x.expand(5, 3, 4)), first)
