"""Small Norse networks with parameters that are nowhere the default, for tests."""

from __future__ import annotations

from collections.abc import Callable

import norse.torch as snn
import torch


def lif_box(a: float = 0.25, v_th: float = 0.6, v_leak: float = 0.0, v_reset: float = 0.0) -> snn.LIFBoxCell:
    """a = dt / tau_mem with dt = 1 ms."""
    return snn.LIFBoxCell(
        snn.LIFBoxParameters(
            tau_mem_inv=torch.tensor(a * 1000),
            v_th=torch.tensor(v_th),
            v_leak=torch.tensor(v_leak),
            v_reset=torch.tensor(v_reset),
        )
    )


def lif_parameters(
    a: float = 0.4, b: float = 0.3, v_th: float = 0.7, v_leak: float = 0.05
) -> snn.LIFParameters:
    """Parameters of a LIF with synaptic current; v_reset differs from v_leak."""
    return snn.LIFParameters(
        tau_mem_inv=torch.tensor(a * 1000),
        tau_syn_inv=torch.tensor(b * 1000),
        v_th=torch.tensor(v_th),
        v_leak=torch.tensor(v_leak),
        v_reset=torch.tensor(-0.1),
    )


def li_box(a: float = 0.2, v_leak: float = 0.1) -> snn.LIBoxCell:
    """A leaky integrator without synaptic current."""
    parameters = snn.LIBoxParameters(tau_mem_inv=torch.tensor(a * 1000), v_leak=torch.tensor(v_leak))
    return snn.LIBoxCell(parameters)


def li(a: float = 0.2, b: float = 0.5, v_leak: float = -0.1) -> snn.LICell:
    """A leaky integrator with synaptic current."""
    return snn.LICell(
        snn.LIParameters(
            tau_mem_inv=torch.tensor(a * 1000),
            tau_syn_inv=torch.tensor(b * 1000),
            v_leak=torch.tensor(v_leak),
        )
    )


def iaf() -> snn.IAFCell:
    """An integrate-and-fire neuron with a reset below zero."""
    return snn.IAFCell(snn.IAFParameters(v_th=torch.tensor(0.9), v_reset=torch.tensor(-0.2)))


def _convolutional() -> torch.nn.Module:
    return snn.SequentialState(
        torch.nn.Conv2d(1, 4, 3, padding=1),
        torch.nn.BatchNorm2d(4),
        lif_box(),
        torch.nn.AvgPool2d(2),
        torch.nn.Conv2d(4, 6, 3, padding=1, groups=2),
        snn.LIFCell(lif_parameters()),
        torch.nn.Flatten(),
        torch.nn.Linear(6 * 9, 5),
        li_box(),
    )


def _pooled() -> torch.nn.Module:
    """A maximum of spikes, an average whose windows differ, and one whose windows are even."""
    return snn.SequentialState(
        torch.nn.Conv2d(1, 4, 3, padding=1),
        lif_box(),
        torch.nn.MaxPool2d(3, 2, padding=1, ceil_mode=True),
        torch.nn.AdaptiveAvgPool2d((3, 2)),
        torch.nn.Conv2d(4, 6, 2),
        snn.LIFCell(lif_parameters()),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(6, 5),
        li_box(),
    )


def _dense() -> torch.nn.Module:
    return snn.SequentialState(
        torch.nn.Flatten(),
        torch.nn.Linear(36, 20),
        lif_box(0.5, v_leak=0.1, v_reset=-0.2),
        torch.nn.Dropout(0.3),
        torch.nn.Linear(20, 8),
        snn.LIFCell(lif_parameters()),
        torch.nn.Linear(8, 5),
        li(),
    )


def _recurrent() -> torch.nn.Module:
    return snn.SequentialState(
        torch.nn.Flatten(),
        snn.LIFRecurrentCell(36, 12, p=lif_parameters()),
        torch.nn.Linear(12, 5),
        li_box(),
    )


def _counting() -> torch.nn.Module:
    return snn.SequentialState(
        torch.nn.Conv2d(1, 3, (3, 2), stride=2, bias=False), iaf(), torch.nn.Flatten(),
        torch.nn.Linear(30 - 12, 5), lif_box(0.8, v_th=0.3),
    )  # fmt: skip


NETWORKS: dict[str, Callable[[], torch.nn.Module]] = {
    "convolutional": _convolutional,
    "dense": _dense,
    "recurrent": _recurrent,
    "counting": _counting,
    "pools": _pooled,
}
"""Each takes (1, 6, 6)."""
TRAINED = [name for name in NETWORKS if name != "pools"]
"""Those whose layers a student of ``sne train`` may have."""
INPUT_SHAPE = (1, 6, 6)


def network(name: str, seed: int = 0) -> torch.nn.Module:
    """A network with weights large enough to spike, batch statistics included, in eval mode."""
    torch.manual_seed(seed)
    module = NETWORKS[name]()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(2.5)
        for child in module.modules():
            if isinstance(child, torch.nn.BatchNorm2d):
                child.running_mean.normal_(0, 0.1)
                child.running_var.uniform_(0.5, 1.5)
    return module.eval()
