"""The integers that we say netx computes with are those that lava-dl and Lava compute."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from sne_netx.format.weights import netx_dense

SCRIPT = Path(__file__).with_name("netx_weights.py")
LAYERS = 400
LIMITS = (1, 2, 3, 64, 100, 127, 128, 129, 254, 255, 256, 257, 300, 600)


def random_layers() -> dict[str, np.ndarray]:
    """Weights of either sign or both, odd and even, in range and out of it, some with recurrent ones."""
    rng = np.random.default_rng(5)
    layers: dict[str, np.ndarray] = {}
    for index in range(LAYERS):
        for part in ("weight", "rec")[: rng.integers(1, 3)]:
            low, high = sorted(rng.choice([-x for x in LIMITS] + [0, *LIMITS], 2))
            weights = rng.integers(low, high + 1, (4, 3)) * (rng.random((4, 3)) < rng.choice([0.3, 1.0]))
            weights = weights // (step := int(rng.choice([1, 2, 2, 8]))) * step
            weights.flat[:2] = (low, high) if rng.random() < 0.5 else weights.flat[:2]
            layers[f"{index}-{part}"] = weights.astype(np.int32)
    return layers


def test_against_lava_dl(tmp_path: Path) -> None:
    layers = random_layers()
    np.savez(tmp_path / "arrays.npz", **layers)
    command = [sys.executable, SCRIPT, tmp_path / "arrays.npz", tmp_path / "result.npz"]
    subprocess.run(command, check=True, capture_output=True)
    outcomes = {"exact": 0, "changed": 0, "refused": 0}
    with np.load(tmp_path / "result.npz") as theirs:
        for index in range(LAYERS):
            names = [name for part in ("weight", "rec") if (name := f"{index}-{part}") in layers]
            given = [layers[name] for name in names]
            wanted = [theirs[name] for name in names]
            lost = any(part.any() and not their.any() for part, their in zip(given, wanted, strict=True))
            whole = not lost and all(np.array_equal(part, np.rint(part)) for part in wanted)  # no NaN
            try:
                effective, changed = netx_dense(given)
            except ValueError:
                if whole:
                    raise  # refused without need
                outcomes["refused"] += 1
                continue
            for ours, their in zip(effective, wanted, strict=True):
                np.testing.assert_array_equal(ours, their, err_msg=str(given))
            assert changed == sum(int(np.sum(a != b)) for a, b in zip(given, effective, strict=True))
            outcomes["changed" if changed else "exact"] += 1
    assert min(outcomes.values()) > 20, outcomes
