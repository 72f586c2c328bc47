"""Running layer by layer equals stepping Norse's own modules, and the equations written out."""

import norse.torch as norse
import pytest
import torch
from norse.torch.functional.leaky_integrator_box import LIBoxParameters
from norse.torch.functional.lif_box import LIFBoxParameters
from torch import nn

from sne_deploy.distill.students.simulate import read_out, simulate
from sne_deploy.errors import InputError, UnsupportedError

STEPS = 7


def cells() -> nn.Sequential:
    torch.manual_seed(3)
    box = LIFBoxParameters(
        tau_mem_inv=torch.tensor(400.0), v_leak=torch.tensor(-0.1), v_reset=torch.tensor(0.2)
    )
    lif = norse.LIFParameters(tau_mem_inv=torch.tensor(300.0), tau_syn_inv=torch.tensor(500.0))
    recurrent = norse.LIFRecurrentCell(12, 10, p=lif)
    with torch.no_grad():
        recurrent.input_weights.mul_(4.0)
    dense = nn.Linear(36, 12)
    with torch.no_grad():
        dense.weight.mul_(20.0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        norse.LIFBoxCell(box),
        nn.AvgPool2d(2),
        nn.Sequential(nn.Flatten(), dense),
        norse.LIFCell(lif),
        recurrent,
        nn.Dropout(0.5),
        nn.Linear(10, 5),
        norse.LIBoxCell(LIBoxParameters(tau_mem_inv=torch.tensor(250.0), v_leak=torch.tensor(0.3))),
    ).eval()


def images(samples: int = 6) -> torch.Tensor:
    return 10.0 * torch.rand(samples, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def stepped(network: nn.Sequential, series: torch.Tensor) -> torch.Tensor:
    """Norse's own container, one step at a time."""
    flat = norse.SequentialState(
        *[leaf for leaf in network.modules() if not isinstance(leaf, nn.Sequential)]
    ).eval()
    state, steps = None, []
    for x in series:
        value, state = flat(x, state)
        steps.append(value)
    return torch.stack(steps)


@torch.no_grad()
def test_equals_norses_own_stepping():
    network, x = cells(), images()
    run = simulate(network, x, STEPS, "v_mean")
    expected = stepped(network, x.expand(STEPS, *x.shape))
    torch.testing.assert_close(run.outputs, expected.mean(0), rtol=1e-5, atol=1e-6)
    assert [tuple(rate.shape) for rate in run.rates] == [(6, 4, 6, 6), (6, 12), (6, 10)]
    assert all(0 < rate.mean() < 1 for rate in run.rates)


@torch.no_grad()
def test_samples_are_kept_apart():
    network, x = cells(), images()
    constant = simulate(network, x, STEPS, "v_last")
    alone = torch.cat([simulate(network, x[n : n + 1], STEPS, "v_last").outputs for n in range(len(x))])
    torch.testing.assert_close(alone, constant.outputs, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_lif_box_by_hand():
    cell = norse.LIFBoxCell(LIFBoxParameters(tau_mem_inv=torch.tensor(500.0)))
    run = simulate(nn.Sequential(cell), torch.tensor([[1.5], [0.9]]), 4, "count")
    # a = 0.5: v = 0.75, 1.125 (spike, 0), 0.75, 1.125 (spike); and 0.45, 0.675, ... stays below 1
    assert run.outputs.tolist() == [[2.0], [0.0]]
    assert run.rates[0].tolist() == [[0.5], [0.0]]


def test_readouts_by_hand():
    series = torch.tensor([1.0, -3.0, 5.0, 1.0]).reshape(4, 1, 1)
    results = {name: read_out(series, name, spiking=False).item() for name in ("v_last", "v_mean", "v_max")}
    assert results == {"v_last": 1.0, "v_mean": 1.0, "v_max": 5.0}
    assert read_out(series.abs().clamp(max=1), "count", spiking=True).item() == 4.0


@pytest.mark.parametrize(("readout", "spiking"), [("count", False), ("v_mean", True)])
def test_refuses_a_readout_that_does_not_fit(readout, spiking):
    with pytest.raises(InputError, match=f"readout '{readout}' needs a"):
        read_out(torch.zeros(2, 1, 1), readout, spiking)


def test_refuses_spikes_followed_by_a_map():
    network = nn.Sequential(norse.LIFBoxCell(), nn.Linear(3, 2))
    with pytest.raises(InputError, match="readout 'count' needs a spiking last layer"):
        simulate(network, torch.ones(1, 3), 2, "count")


def test_refuses_a_network_without_neurons():
    with pytest.raises(UnsupportedError, match="the network has no neurons"):
        simulate(nn.Sequential(nn.Linear(3, 2)), torch.ones(1, 3), 2, "v_mean")
