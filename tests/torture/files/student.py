"""The small student whose files and runs are made bad."""

from __future__ import annotations

from typing import Any

import numpy as np


def small_ensemble(encoder: str = "spikes") -> Any:
    """One student for images of 8 by 8, of 4 steps, that every target has."""
    import torch

    import sne_deploy as sne
    from tests.networks import lif_box

    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(1, 2, 3, stride=2), lif_box(), torch.nn.Flatten(), torch.nn.Linear(18, 10)]
    module = torch.nn.Sequential(*layers, lif_box())
    return sne.ensemble([module], input_shape=(1, 8, 8), timesteps=4, encoder=sne.Encoder(encoder))


def spikes_and_labels() -> tuple[Any, Any]:
    """Three samples for it."""
    x = np.random.default_rng(0).integers(0, 2, (3, 4, 1, 8, 8), np.uint8)
    return x, np.array([1, 2, 3])
