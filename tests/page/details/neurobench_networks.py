"""Networks that NeuroBench's package and ours can both measure; as a script, what the package says of them.

``python neurobench_networks.py FOLDER``: reads ``NAME.npz`` (x of shape (N, T, ...), y) from the folder for
each network and writes ``measured.json`` there. It needs torch, norse, neurobench and snntorch, and nothing
of ours.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import norse.torch as snn
import numpy as np
import torch
from torch import nn

STEPS, SAMPLES = 7, 12


def convolutions() -> nn.Sequential:
    """Borders, strides, groups, dilation, biases, pruned weights; neurons with current and without."""
    torch.manual_seed(1)
    return _pruned(
        nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1),
            snn.LIFBoxCell(),
            nn.Conv2d(4, 6, 3, stride=2, padding=2, groups=2, bias=False),
            snn.LIFCell(),
            nn.Conv2d(6, 5, 2, dilation=2),
            snn.LIFBoxCell(),
            nn.Flatten(),
            nn.Linear(5 * 3 * 3, 10),
            snn.LIFCell(),
        ),
        gain=30.0,
    )


def perceptron() -> nn.Sequential:
    """All to all, and a readout that integrates."""
    torch.manual_seed(2)
    return _pruned(
        nn.Sequential(
            nn.Flatten(),
            nn.Linear(2 * 8 * 8, 40, bias=False),
            snn.LIFBoxCell(),
            nn.Linear(40, 10),
            snn.LIBoxCell(),
        ),
        gain=30.0,
    )


NETWORKS: dict[str, tuple[Callable[[], nn.Sequential], str]] = {
    "convolutions": (convolutions, "count"),
    "perceptron": (perceptron, "v_mean"),
}
"""Each with how it is read out."""


def _pruned(network: nn.Sequential, gain: float) -> nn.Sequential:
    """A third of the weights set to zero; the others large enough that all layers spike."""
    with torch.no_grad():
        for layer in network:
            if hasattr(layer, "weight"):
                layer.weight.mul_(gain * (torch.rand_like(layer.weight) > 0.33))
    return network


class Cell(nn.Module):
    """A cell of Norse that keeps its state and gives a tensor alone, as the package's hooks expect."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell, self.state = cell, None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One step."""
        out, self.state = self.cell(x, self.state)
        return out


class Spiking(Cell):
    """One whose output are spikes: an activation to the package."""


class Stepped(nn.Module):
    """The network over all steps of a batch."""

    def __init__(self, network: nn.Sequential) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(_wrapped(layer) for layer in network))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The class with the largest sum of outputs, of spikes (N, T, ...)."""
        outputs = sum(self.layers(x[:, step]) for step in range(x.shape[1]))
        return torch.from_numpy(outputs.numpy().argmax(axis=1))  # the first of several that are as large


def _wrapped(layer: nn.Module) -> nn.Module:
    if isinstance(layer, snn.LIBoxCell):
        return Cell(layer)
    return Spiking(layer) if isinstance(layer, (snn.LIFBoxCell, snn.LIFCell)) else layer


def measured(network: nn.Sequential, x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """What the package's own metrics say; the run in double precision, as ours is."""
    from neurobench.metrics import static, workload
    from neurobench.models import TorchModel

    model = TorchModel(Stepped(network))
    found = {name: float(getattr(static, name)()(model)) for name in static.__all__}
    model = TorchModel(Stepped(network).double())
    model.add_activation_module(Spiking)
    model.register_hooks()
    with torch.no_grad():
        data = torch.from_numpy(x).double(), torch.from_numpy(y)
        predicted = model(data[0])
        found |= workload.SynapticOperations()(model, predicted, data)
        for name in ("ActivationSparsity", "ClassificationAccuracy"):
            found[name] = getattr(workload, name)()(model, predicted, data)
    return found


if __name__ == "__main__":
    results = {}
    for name, (make, _) in NETWORKS.items():
        arrays = np.load(Path(sys.argv[1]) / f"{name}.npz")
        results[name] = measured(make(), arrays["x"], arrays["y"])
    (Path(sys.argv[1]) / "measured.json").write_text(json.dumps(results))
