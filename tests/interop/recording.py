"""What the export scripts share: seeded inputs, weights that make layers active, and one format of recording.

Runs in the frameworks' environments, so it needs NumPy and nir alone. A recording is ``NAME.nir``, as the
framework's own export made it, and ``NAME.npz``: ``metadata`` (JSON), ``input`` (bits of [N, T, ...]), and
for every layer of neurons, under the name of its node, ``spikes/NODE`` (bits of [N, T, ...]), ``counts/NODE``
(uint8, where the framework lets a neuron spike more than once in a step) or ``membrane/NODE`` (float32).
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
SAMPLES, TIMESTEPS = 8, 40
INPUT_RATE = 0.3
RATES = (0.05, 0.30)
"""Every spiking layer fires within these, in spikes per neuron and step."""
MAX_BYTES = 100_000


@dataclass(frozen=True)
class Recording:
    """One network: what was exported, and what the framework computed.

    Attributes
    ----------
    network : str
        The modules, in the framework's words.
    graph : nir.NIRGraph or bytes
        What the export returned; bytes: the file that the framework left behind.
    inputs : uint8 (N, T, ...)
        0 and 1.
    outputs : dict of str to array (N, T, ...)
        Node -> bool spikes, uint8 counts or float32 membranes.
    dt_s : float
        The step for which the graph's constants are right.
    reset : str
        What a spike does: ``value`` (v <- v_reset), ``subtract`` (v <- v - v_threshold),
        ``subtract_delayed`` (at the next step, after the decay), ``zero_delayed`` (v is 0 at the next step,
        whatever arrives), ``none``.
    fires_at : str
        ``>`` or ``>=`` the threshold.
    seed : int
    fault : str or None
        What the file does not say or says wrongly.
    repair : dict
        What makes the file say what the framework computed: ``nodes`` (node -> field -> number), or rules of
        the simulation that NIR has no field for (``multi_spike``, ``v_floor``, ``start``).
    options : dict
        Of ``sne.load``, that make the file mean what the framework computed.
    """

    network: str
    graph: nir.NIRGraph | bytes
    inputs: Array
    outputs: dict[str, Array]
    dt_s: float
    reset: str
    fires_at: str
    seed: int
    fault: str | None = None
    repair: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


def random_spikes(seed: int, shape: tuple[int, ...]) -> Array:
    """Independent spikes, uint8 (N, T, *shape)."""
    rng = np.random.default_rng([seed, 1])
    return (rng.random((SAMPLES, TIMESTEPS, *shape)) < INPUT_RATE).astype(np.uint8)


def random_weights(rng: np.random.Generator, shape: tuple[int, ...], mean: float = 0.3) -> Array:
    """Float32 weights of (n_out, n_in, ...), normal with this mean, over the root of the fan-in."""
    fan_in = int(np.prod(shape[1:]))
    return np.asarray(rng.normal(mean, 1.0, shape) / np.sqrt(fan_in), np.float32)


def tune(scale_to: Callable[[float], float], target: float) -> None:
    """Find, by halving in logarithms, a scale of a layer's weights at which it fires about as wanted.

    It stops early: at the end of the halving lies a scale at which one membrane just reaches its threshold.

    Parameters
    ----------
    scale_to : callable
        Scales the weights by a factor of what they were at first, and returns the rate of the layer.
    target : float
        Spikes per neuron and step; met within 0.015.
    """
    low, high, rate = -7.0, 7.0, 0.0
    for _ in range(20):
        middle = (low + high) / 2
        rate = scale_to(2.0**middle)
        if abs(rate - target) < 0.015:
            return
        low, high = (middle, high) if rate < target else (low, middle)
    raise SystemExit(f"no scale of the weights gives a rate of {target}; the last was {rate}")


def versions(*packages: str) -> dict[str, str]:
    """Of Python and of installed packages."""
    return {
        "python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in sorted(packages)},
    }


def main(
    framework: str,
    packages: Iterable[str],
    recordings: dict[str, Callable[[], Recording]],
    script: str,
    live: dict[str, Callable[[], Recording]] | None = None,
) -> None:
    """Make the recordings named on the command line, or all; with ``--live`` also those that are not kept."""
    parser = argparse.ArgumentParser(description=f"Record {framework}'s spikes beside its own NIR export.")
    parser.add_argument("folder", type=Path, help="where NAME.nir and NAME.npz go")
    parser.add_argument("names", nargs="*", help="recordings to make (default: all)")
    parser.add_argument("--live", action="store_true", help="also those that are not kept in data/")
    arguments = parser.parse_args()
    if arguments.live:
        recordings = {**recordings, **(live or {})}
    if os.environ.get("PYTHONHASHSEED") != "0":
        parser.error("set PYTHONHASHSEED=0: nirtorch lists edges in the order of a set")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    about = {
        "framework": framework,
        "versions": versions("nir", "numpy", *packages),
        "command": f"PYTHONHASHSEED=0 python tests/interop/{Path(script).name} tests/interop/data",
    }
    for name in arguments.names or recordings:
        _save(arguments.folder / f"{framework}_{name}", recordings[name](), about)


def _save(stem: Path, recording: Recording, about: dict[str, Any]) -> None:
    path = stem.with_name(stem.name + ".nir")
    if isinstance(recording.graph, bytes):
        path.write_bytes(recording.graph)
    else:
        nir.write(path, recording.graph)
    arrays: dict[str, Array] = {"input": np.packbits(recording.inputs.astype(bool))}
    layers: dict[str, dict[str, Any]] = {}
    for node, values in recording.outputs.items():
        kind = {"b": "spikes", "u": "counts", "f": "membrane"}[values.dtype.kind]
        layers[node] = {"records": kind, "shape": list(values.shape[2:])}
        if kind != "membrane":
            layers[node]["rate"] = rate = round(float(values.mean()), 4)
            if not RATES[0] <= rate <= RATES[1]:
                raise SystemExit(f"{stem.name}: node {node} fires at {rate}, outside {RATES}")
        arrays[f"{kind}/{node}"] = np.packbits(values) if kind == "spikes" else values
    metadata = {
        **about,
        "network": recording.network,
        "seed": recording.seed,
        "samples": recording.inputs.shape[0],
        "timesteps": recording.inputs.shape[1],
        "input_shape": list(recording.inputs.shape[2:]),
        "dt_s": recording.dt_s,
        "reset": recording.reset,
        "fires_at": recording.fires_at,
        "layers": layers,
        "fault": recording.fault,
        "repair": recording.repair,
        **({"options": recording.options} if recording.options else {}),
    }
    recorded = stem.with_name(stem.name + ".npz")
    arrays["metadata"] = np.array(json.dumps(metadata))
    np.savez_compressed(recorded, allow_pickle=False, **arrays)
    for file in (path, recorded):
        if file.stat().st_size > MAX_BYTES:
            raise SystemExit(f"{file} has {file.stat().st_size} bytes, more than {MAX_BYTES}")
