"""Forwards of people's own: loops, axes, readouts and functions that are a chain, and those that are none."""

import norse.torch as norse
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import sne_deploy as sne
from sne_deploy.errors import UnsupportedError
from sne_deploy.frontend.norse import probe
from sne_deploy.frontend.norse.build import module_from_layers
from sne_deploy.frontend.norse.live import read_live
from tests.norse_oracle import run_module

STEPS, INPUTS, OUTPUTS = 4, 5, 3
PARAMETERS = norse.LIFParameters(v_th=torch.tensor(0.3))


class Net(nn.Module):
    """Layers for the forwards below."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.out = nn.Linear(INPUTS, 6), nn.Linear(6, OUTPUTS)
        self.lif, self.li, self.other = norse.LIFCell(PARAMETERS), norse.LICell(), norse.LIFCell(PARAMETERS)
        self.lif_layer, self.li_layer = norse.LIF(PARAMETERS), norse.LI()
        self.scale, self.state = nn.Parameter(torch.tensor(3.0)), [None, None]
        self.steps = STEPS

    def step(self, x, states):
        z, a = self.lif(self.fc(x), states[0])
        v, b = self.li(self.out(z), states[1])
        return v, (a, b)

    def loop(self, steps, between=lambda x: x, behind=lambda z: z):
        a, b, outputs = None, None, []
        for x in steps:
            z, a = self.lif(between(self.fc(x)), a)
            v, b = self.li(self.out(behind(z)), b)
            outputs.append(v)
        return outputs


def assigned(net, x):
    states, voltages = (None, None), torch.zeros(len(x), x.shape[1], OUTPUTS)
    for t in range(len(x)):
        voltages[t, :, :], states = net.step(x[t, :], states)
    return voltages


def merged(net, x):
    steps, batch = x.shape[:2]
    z, _ = net.lif_layer(net.fc(x.flatten(0, 1)).view(steps, batch, -1))
    v, _ = net.li_layer(net.out(z.reshape(steps * batch, 6)).reshape(steps, batch, OUTPUTS))
    return v


def own_state(net, x):
    v, net.state = net.step(x, net.state)
    return v


def spikes_of(net, x):
    a, b, spikes = None, None, []
    for value in x:
        z, a = net.lif(net.fc(value), a)
        z, b = net.other(net.out(z), b)
        spikes.append(z)
    return spikes


def weights_in_functions(net, x):
    def behind(z):
        return z @ net.out.weight.t() + net.out.bias

    a, b, outputs = None, None, []
    for value in x:
        z, a = net.lif(functional.linear(value, net.fc.weight, net.fc.bias), a)
        v, b = net.li(behind(z), b)
        outputs.append(v)
    return torch.cat([v.unsqueeze(0) for v in outputs])


CHAINS = {
    "time first": (lambda net, x: torch.stack(net.loop(x)), None),
    "buffer": (assigned, None),
    "samples first": (lambda net, x: torch.stack(net.loop(x.permute(1, 0, 2)), 1), None),
    "sample axis": (lambda net, x: torch.stack(net.loop(x[:, t] for t in range(x.shape[1])), 1), None),
    "time last": (lambda net, x: torch.stack(net.loop(x.unbind(-1)), -1), None),
    "merged": (merged, None),
    "step": (lambda net, x, a=None, b=None: (*(r := net.step(x, (a, b)))[:1], *r[1]), None),
    "own state": (own_state, None),
    "factors": (lambda net, x: torch.stack(net.loop(x, lambda i: 2 * i - 0.1, lambda z: z / 2)), None),
    "parameter": (lambda net, x: torch.stack(net.loop(x, lambda i: net.scale * i)), None),
    "relu of spikes": (lambda net, x: torch.stack(net.loop(x, behind=torch.relu)), None),
    "functions": (weights_in_functions, None),
    "last": (lambda net, x: net.loop(x)[-1], "v_last"),
    "maximum": (
        lambda net, x: functional.log_softmax(torch.max(torch.stack(net.loop(x)), 0)[0], dim=1),
        "v_max",
    ),
    "mean": (lambda net, x: torch.stack(net.loop(x)).mean(0), "v_mean"),
    "sum of spikes": (lambda net, x: torch.stack(spikes_of(net, x)).sum(0), "count"),
    "added up": (lambda net, x: sum(spikes_of(net, x)) / len(x), "count"),
    "factor of the last": (lambda net, x: functional.softmax(net.loop(x)[-1] / 3, dim=1), "v_last"),
    "factor of membranes": (lambda net, x: (torch.stack(net.loop(x)) * 2 / 3).amax(0), "v_max"),
    "mean in another order": (lambda net, x: torch.stack(net.loop(x)[::-1]).mean(0), "v_mean"),
    "whole spikes": (
        lambda net, x: torch.stack(net.loop(x, behind=lambda z: z.to(torch.bool).to(x.dtype).clamp(0, 1))),
        None,
    ),
    "a look": (
        lambda net, x: torch.stack(net.loop(x, behind=lambda z: (float(z.detach().mean()), z)[1])),
        None,
    ),
}
STATIC = {
    "loop over a still input": lambda net, x: torch.stack(net.loop([x] * net.steps)),
    "repeated": lambda net, x: merged(net, x.unsqueeze(0).repeat(net.steps, 1, 1)),
}


def made(forward):
    return type("Own", (Net,), {"forward": forward})()


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_is_read_whatever_it_looks_like(name):
    forward, readout = CHAINS[name]
    found = read_live(made(forward), (INPUTS,), STEPS, spikes=True)
    kinds = [layer.kind for layer in found.layers if layer.kind != "BatchNorm1d"]
    assert kinds == ["Linear", "LIFCell", "Linear", "LIFCell" if readout == "count" else "LICell"]
    assert found.readout == readout
    x = torch.randint(0, 2, (STEPS, 2, INPUTS), generator=torch.Generator().manual_seed(5)).float()
    ours = run_module(module_from_layers(found.layers), x)
    if readout is None and name not in ("samples first", "sample axis", "time last", "step", "own state"):
        torch.testing.assert_close(ours, made(forward)(x).detach(), atol=1e-6, rtol=1e-5)
    elif readout == "count":
        share = 1 if name == "sum of spikes" else STEPS
        torch.testing.assert_close(ours.sum(0), share * made(forward)(x).detach())


@pytest.mark.parametrize("name", STATIC)
def test_a_forward_that_makes_time_itself_needs_a_constant_input(name):
    module = made(STATIC[name])
    assert read_live(module, (INPUTS,), STEPS, spikes=False).readout is None
    with pytest.raises(UnsupportedError, match="give the encoder 'constant'"):
        read_live(module, (INPUTS,), STEPS, spikes=True)
    with pytest.raises(UnsupportedError, match=f"runs {STEPS} steps, not 9; give timesteps={STEPS}"):
        read_live(module, (INPUTS,), 9, spikes=False)


def skipped(net, x):
    a, outputs = None, []
    for value in x:
        current = net.fc(value)
        z, a = net.lif(current, a)
        outputs.append(net.out(z + current))
    return torch.stack(outputs)


def decided(net, x):
    return torch.stack(net.loop(x, behind=lambda z: 2 * z if z.sum() > 3 else z))


def late(net, x):
    previous, a, outputs = torch.zeros(x.shape[1], 6), None, []
    for value in x:
        outputs.append(net.out(previous))
        previous, a = net.lif(net.fc(value), a)
    return torch.stack(outputs)


def same_state(net, x):
    a, outputs = None, []
    for value in x:
        z, a = net.lif(net.fc(value), a)
        z, a = net.other(z, a)
        outputs.append(z)
    return torch.stack(outputs)


NO_CHAINS = {
    "skip": (skipped, "joins two signals"),
    "decided": (decided, "decides by the values of a signal"),
    "late": (late, "at 2 of 3 steps only|does not come from the input"),
    "state of another": (same_state, "does not get the state that its own last step returned"),
    "no state": (lambda net, x: torch.stack([net.lif(net.fc(v))[0] for v in x]), "state is not carried"),
    "membrane": (lambda net, x: torch.stack([net.lif(net.fc(v))[1].v for v in x]), "its state is used"),
    "noise": (
        lambda net, x: net.lif_layer(net.fc(x) + torch.randn(*x.shape[:2], 6)),
        "differs between samples",
    ),
    "relu of currents": (lambda net, x: net.lif_layer(torch.relu(net.fc(x))), "a function of real values"),
    "reversed": (lambda net, x: net.lif_layer(net.fc(x.flip(0))), r"flip\(\) is no layer"),
    "twice": (lambda net, x: torch.stack(net.loop([x[0], *x])), "twice in one step|runs at"),
    "by the input": (
        lambda net, x: net.lif_layer(net.fc(x) / x.max().item()),
        r"decides by the values of a signal \(item\)",
    ),
    **{
        f"{name} of the input": (
            lambda net, x, change=change: torch.stack(net.loop(change(x).flatten(2))),
            "leave it out for an input of 0 and 1, else apply it to the data",
        )
        for name, change in {
            "clamp": lambda x: x.clamp(max=1),
            "relu": functional.relu,
            "abs": torch.abs,
            "cast": lambda x: x.to(torch.int32).float(),
        }.items()
    },
    **{
        f"readout of {name}": (
            lambda net, x, part=part: torch.stack(part(net.loop(x))).mean(0),
            "over some steps, and a readout is over all; reduce all",
        )
        for name, part in {
            "later steps": lambda steps: steps[1:],
            "the last three": lambda steps: steps[-3:],
            "even steps": lambda steps: steps[::2],
        }.items()
    },
    "maximum of later steps": (lambda net, x: torch.stack(net.loop(x))[2:].amax(0), "over some steps"),
    "narrow": (lambda net, x: torch.stack(net.loop(x)).narrow(0, 1, 2).sum(0), "over some steps"),
    "split": (lambda net, x: torch.stack(spikes_of(net, x)).split(2)[0].sum(0), "over some steps"),
    "shift of the last": (
        lambda net, x: net.loop(x)[-1] + net.out.bias,
        "does to its output comes behind the readout",
    ),
    "shift of membranes": (
        lambda net, x: torch.stack(net.loop(x)) + net.out.bias,
        "does to its output comes behind the readout",
    ),
    "factors of the last": (lambda net, x: net.loop(x)[-1] * net.out.bias.abs(), "apply it to the logits"),
    "shift of the mean": (
        lambda net, x: torch.stack(net.loop(x)).mean(0) + net.out.bias,
        "apply it to the logits",
    ),
    "weighted sum": (
        lambda net, x: sum((v := net.loop(x))[:2]) / 2 + sum(v[2:]),
        "joins two signals",
    ),
    "behind a readout": (lambda net, x: net.out(net.lif_layer(net.fc(x))[0].sum(0)), "behind a reduction"),
}


def decided_by(test):
    return (
        lambda net, x: net.lif_layer(net.fc(x * 0.25 if test(x) else x)),
        "decides by the values of a signal",
    )


def zeroed(edit):
    def forward(net, x):
        edit(x)
        return net.lif_layer(net.fc(x))

    return forward, "changes the input in place"


def mended(net, x):
    z = net.lif_layer(net.fc(x))[0]
    z[..., 0].fill_(1)
    return net.out(z)


NO_CHAINS |= {
    "item": decided_by(lambda x: x.mean().item() > 0.3),
    "float": decided_by(lambda x: float(x.mean()) > 0.3),
    "band": decided_by(lambda x: 0.25 < float(x.mean()) < 0.35),
    "int": decided_by(lambda x: int(x.sum()) > 70),
    "numpy": decided_by(lambda x: x.numpy().mean() > 0.3),
    "asarray": decided_by(lambda x: np.asarray(x).sum() > 20),
    "list": decided_by(lambda x: sum(x.flatten().tolist()) > 20),
    "nonzero": decided_by(lambda x: len(torch.nonzero(x)) > 20),
    "mask": decided_by(lambda x: x[x > 0].numel() > 20),
    "count": decided_by(lambda x: torch.count_nonzero(x).item() > 20),
    "view": zeroed(lambda x: x[..., 0].zero_()),
    "part": zeroed(lambda x: x[:, :, :3].mul_(0)),
    "data": zeroed(lambda x: x.data[..., :3].fill_(0)),
    "array": zeroed(lambda x: x.numpy()[..., :3].fill(0)),
    "spikes in place": (mended, "changes what a layer gives in place"),
    "batch": (lambda net, x: net.lif_layer(net.fc(x / x.shape[1])), "on another number of samples"),
}


@pytest.mark.parametrize("name", NO_CHAINS)
def test_what_is_no_chain_is_refused_with_its_reason(name):
    forward, reason = NO_CHAINS[name]
    with pytest.raises(UnsupportedError, match=reason) as error:
        read_live(made(forward), (INPUTS,), STEPS, spikes=name != "by the input")
    assert "\n" not in str(error.value)


def test_notes_are_of_what_is_returned():
    def forward(net, x):
        voltages = torch.stack(net.loop(x))
        functional.softmax(voltages.sum(0), dim=1)
        return voltages.amax(0) / 2

    found = read_live(made(forward), (INPUTS,), STEPS, spikes=True)
    assert [note for note in found.notes if "unproven" not in note] == [
        "a factor of 0.5 behind its output is left out; the class is the same"
    ]


def test_a_readout_is_unproven_where_not_all_steps_are_affordable(monkeypatch):
    monkeypatch.setattr(probe, "MAX_CALLS", 1)
    for forward, more in (
        (
            lambda net, x: torch.stack(net.loop(x)).mean(0),
            "; that its readout is over all of them is unproven",
        ),
        (lambda net, x: torch.stack(net.loop(x)), ""),
    ):
        notes = read_live(made(forward), (INPUTS,), STEPS, spikes=True).notes
        assert f"checked against the module over the first 2 of {STEPS} steps{more}" in notes


@pytest.mark.parametrize(
    ("readout", "notes"),
    [
        ("v_last", ["read as v_last, though its forward takes the maximum over time"]),
        ("v_max", []),
        (None, []),
    ],
)
def test_another_readout_than_the_modules_own_is_said(readout, notes):
    module = made(lambda net, x: torch.stack(net.loop(x)).amax(0))
    (student,) = sne.ensemble(module, input_shape=(INPUTS,), timesteps=STEPS, readout=readout).students
    assert student.readout == (readout or "v_max")
    assert [note for note in student.notes if "unproven" not in note] == notes


WRAPPERS = {
    "DataParallel": nn.DataParallel,
    "compiled": torch.compile,
    "nested": lambda chain: nn.Sequential(nn.DataParallel(chain)),
    "compiled child": lambda chain: norse.SequentialState(torch.compile(chain[0]), *list(chain)[1:]),
    "subclass": lambda chain: type("Sub", (norse.SequentialState,), {})(*chain),
    "plain": lambda chain: nn.Sequential(chain[0], nn.Sequential(*list(chain)[1:])),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_wrappers_are_what_they_hold(name):
    ends = nn.Linear(6, 2), norse.LICell()
    module = WRAPPERS[name](norse.SequentialState(nn.Linear(INPUTS, 6), norse.LIFCell(PARAMETERS), *ends))
    found = read_live(module, (INPUTS,), STEPS, spikes=True)
    assert [layer.kind for layer in found.layers] == ["Linear", "LIFCell", "Linear", "LICell"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_modules_that_cannot_be_run_say_so():
    with pytest.raises(UnsupportedError, match="TorchScript has no layers"):
        read_live(torch.jit.script(nn.Linear(2, 2)), (2,), STEPS, spikes=True)
    with pytest.raises(UnsupportedError, match="it has no weights yet"):
        read_live(nn.Sequential(nn.LazyLinear(2)), (2,), STEPS, spikes=True)
