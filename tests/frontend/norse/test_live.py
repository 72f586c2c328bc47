"""Live modules against the layers that they become: parameters as forward has them, hooks, loops."""

import gc
import random

import norse.torch as norse
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

from sne_deploy.errors import UnsupportedError
from sne_deploy.frontend.norse.build import module_from_layers
from sne_deploy.frontend.norse.copies import copied
from sne_deploy.frontend.norse.live import read_live
from sne_deploy.frontend.norse.modules import layers_from_module
from tests.norse_oracle import run_module

STEPS = 9


def dense(wrap=lambda _: None):
    module = norse.SequentialState(nn.Linear(6, 8), norse.LIFCell(), nn.Linear(8, 3), norse.LICell())
    with torch.no_grad():
        module[0].weight.mul_(3)
    wrap(module[0])
    return module


def recurrent(wrap=lambda _: None):
    module = norse.SequentialState(norse.LIFRecurrentCell(6, 8), nn.Linear(8, 3), norse.LICell())
    with torch.no_grad():
        module[0].input_weights.mul_(4)
        module[0].recurrent_weights.mul_(4)
    wrap(module[0])
    return module


def read(module, shape=(6,), timesteps=STEPS, *, spikes=True):
    return read_live(module, shape, timesteps, spikes=spikes)


def refusal(module, *arguments, **options):
    with pytest.raises(UnsupportedError) as error:
        read(module, *arguments, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def same(module, layers, x):
    """Whether both give the same outputs for x [T, B, ...]."""
    ours = run_module(module_from_layers(layers), x)
    return torch.allclose(run_module(copied(module), x), ours, atol=1e-6) and bool(ours.any())


def spikes(*shape):
    return (torch.rand(STEPS, 4, *shape, generator=torch.Generator().manual_seed(0)) < 0.5).float()


class Halved(nn.Module):
    def forward(self, weight):
        return 0.5 * weight


WRAPS = {
    "prune": (dense, lambda layer: prune.l1_unstructured(layer, "weight", amount=0.5)),
    "weight_norm": (dense, weight_norm),
    "spectral_norm": (dense, spectral_norm),
    "parametrized weight_norm": (dense, parametrizations.weight_norm),
    "parametrized spectral_norm": (dense, parametrizations.spectral_norm),
    "parametrized": (dense, lambda layer: parametrize.register_parametrization(layer, "weight", Halved())),
    "pruned cell": (recurrent, lambda c: prune.l1_unstructured(c, "recurrent_weights", amount=0.9)),
    "parametrized cell": (
        recurrent,
        lambda c: parametrize.register_parametrization(c, "input_weights", Halved()),
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", WRAPS)
def test_parameters_are_those_that_forward_takes_right_after_loading(name):
    make, wrap = WRAPS[name]
    torch.manual_seed(0)
    trained = make(wrap)
    with torch.no_grad():  # so that the state dict holds what hooks made of the weights
        trained(spikes(6)[0], None)
    torch.manual_seed(9)
    fresh = make(wrap)
    fresh.load_state_dict(trained.state_dict())
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    attributes = vars(fresh[0]).get("weight")
    layers = read(fresh).layers
    for one, other in zip(layers, layers_from_module(fresh), strict=True):
        assert all(np.array_equal(array, other.tensors[key]) for key, array in one.tensors.items())
    assert all(torch.equal(value, before[name]) for name, value in fresh.state_dict().items())
    assert vars(fresh[0]).get("weight") is attributes
    assert fresh.training
    assert same(fresh, layers, spikes(6))


def test_random_generators_and_the_module_are_left_as_they_were():
    module = dense()
    seen = [torch.get_rng_state().clone(), random.getstate(), np.random.get_state()[1].copy()]  # noqa: NPY002
    keys = set(vars(module[0])), len(module[1]._forward_hooks)
    read(module)
    assert torch.equal(torch.get_rng_state(), seen[0])
    assert random.getstate() == seen[1]
    assert np.array_equal(np.random.get_state()[1], seen[2])  # noqa: NPY002
    assert (set(vars(module[0])), len(module[1]._forward_hooks)) == keys


def test_hooks_that_change_are_refused_by_name_and_those_that_look_are_not():
    def doubled(_module, _given, output):
        return 2 * output

    def shifted(_module, given):
        given[0].add_(1)

    rates = []
    module = dense()
    module[1].register_forward_hook(lambda _m, _i, output: rates.append(float(output[0].mean())))
    read(module)
    assert rates
    module[2].register_forward_hook(doubled)
    assert "2 (Linear): its hook test_hooks" in refusal(module)
    assert "doubled changes the output" in refusal(module)
    other = dense()
    other[1].register_forward_pre_hook(shifted)
    assert "1 (LIFCell): its hook" in refusal(other)
    assert "shifted changes the input" in refusal(other)


class Loop(nn.Module):
    """A forward that loops over time, with whatever a test does at a step."""

    def __init__(self, step):
        super().__init__()
        self.step = step
        self.conv, self.fc, self.out = nn.Conv2d(1, 2, 3), nn.Linear(2 * 4 * 4, 5), norse.LICell()
        self.lif0, self.lif1 = norse.LIFCell(), norse.LIFCell()
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        state, outputs = [None, None, None], []
        for value in x:
            output, state = self.step(self, value, state)
            outputs.append(output)
        return torch.stack(outputs)


def chain(net, x, states, *, factor=1, rectify=False, fresh=False, noise=0.0, swap=False, drop=False):
    a, b, c = (None, None, None) if fresh else states
    z, a = net.lif0(factor * net.conv(x) if factor != 1 else net.conv(x), a)
    z = z.view(-1, 32)
    if rectify:
        z = torch.relu(z)
    if noise:
        net.lif1.p = net.lif1.p._replace(v_th=1 + noise * torch.rand(()))
    z = net.fc(torch.nn.functional.dropout(z, 0.5) if drop else z)
    z, b = net.lif1(z, b)
    y, c = net.out(z[:, :5], c)
    return y, ((b, a, c) if swap else (a, b, c))


def looped(**options):
    torch.manual_seed(1)

    def step(net, x, states):
        return chain(net, x, states, **options)

    return Loop(step)


def test_a_loop_over_time_is_the_chain_that_it_runs():
    for options in ({}, {"factor": 10}, {"factor": 10, "rectify": True}):
        module = looped(**options)
        found = read(module, (1, 6, 6))
        kinds = [layer.kind for layer in found.layers if layer.kind != "BatchNorm2d"]
        assert kinds == ["Conv2d", "LIFCell", "Flatten", "Linear", "LIFCell", "LICell"]
        x = 5 * spikes(1, 6, 6)
        with torch.no_grad():
            expected = module(x)
        torch.testing.assert_close(run_module(module_from_layers(found.layers), x), expected)
        assert found.notes == ()


def test_what_no_chain_computes_is_found_with_its_cause():
    assert "its state is not carried from step to step" in refusal(looped(fresh=True), (1, 6, 6))
    assert "dropout() drops values at random" in refusal(looped(drop=True), (1, 6, 6))
    assert "lif1 (LIFCell)" in (text := refusal(looped(noise=0.5), (1, 6, 6)))
    assert "random in evaluation mode too" in text


def test_a_hook_of_all_modules_may_look_and_may_not_change():
    register = nn.modules.module.register_module_forward_hook
    for change in (None, 2):
        handle = register(
            lambda module, _, out, by=change: out * by if by and isinstance(module, nn.Linear) else None
        )
        try:
            if change is None:
                assert len(read(dense()).layers) == 4
            else:
                assert "global hook" in refusal(dense())
        finally:
            handle.remove()


class Rnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.attention, self.lif = nn.LSTM(6, 4), nn.TransformerEncoderLayer(4, 1, 8), norse.LIF()

    def forward(self, x):
        return self.lif(self.attention(self.rnn(x)[0]))


@pytest.mark.filterwarnings("ignore")
def test_modules_without_a_layer_are_named_at_once_with_a_remedy():
    ends = nn.Flatten(), nn.Linear(4, 3), norse.LICell()
    up = norse.SequentialState(
        nn.ConvTranspose2d(1, 2, 3), norse.LIFCell(), nn.Upsample(scale_factor=2), *ends
    )
    padded = norse.SequentialState(
        nn.ZeroPad2d(1), nn.Conv2d(1, 2, 3), norse.LIFCell(), nn.AdaptiveMaxPool2d(2), *ends
    )
    for module, shape, parts in (
        (up, (1, 8, 8), ("0 (ConvTranspose2d)", "2 (Upsample)")),
        (padded, (1, 8, 8), ("0 (ZeroPad2d)", "padding=", "3 (AdaptiveMaxPool2d)", "kernel_size=")),
        (Rnn(), (6,), ("rnn (LSTM)", "attention (TransformerEncoderLayer)")),
        (nn.ModuleDict({"a": dense()}), (6,), ("ModuleDict", "list(d.values())")),
        (torch.ao.quantization.quantize_dynamic(dense(), {nn.Linear}), (6,), ("0 (DynamicQuantizedLinear)",)),
    ):
        said = refusal(module, shape)
        assert all(part in said for part in parts), said
        assert "_packed_params" not in said


@pytest.mark.parametrize("shape", [lambda x: x.view(-1, 1, 8, 8), lambda x: x.unsqueeze(1)])
def test_a_sample_brought_into_shape_in_forward_is_told_its_input_shape(shape):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.lif = nn.Conv2d(1, 2, 3), norse.LIFCell()

        def forward(self, x):
            state, spikes = None, []
            for step in x:
                z, state = self.lif(self.conv(shape(step) if step.ndim < 4 else step), state)
                spikes.append(z)
            return torch.stack(spikes)

    given = (64,) if shape(torch.ones(1, 64)).ndim == 4 else (8, 8)
    assert "give input_shape=(1, 8, 8) and take" in refusal(Net(), given)
    assert read(Net(), (1, 8, 8)).layers[0].kind == "Conv2d"


def test_no_circle_keeps_the_copies_that_were_run():
    module = dense()
    read(module)  # what is imported on the way makes circles of its own
    gc.collect()
    before = {id(each) for each in gc.get_objects() if type(each) is nn.Linear}
    gc.disable()
    try:
        read(module)
        left = [each for each in gc.get_objects() if type(each) is nn.Linear and id(each) not in before]
    finally:
        gc.enable()
    assert not left
