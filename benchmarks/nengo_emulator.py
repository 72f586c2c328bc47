"""nengo-loihi's emulator: a script for an interpreter that has nengo-loihi, but not this project.

``python nengo_emulator.py JOB RESULT``: JOB is a pickle of plain types that the benchmark has just written,
RESULT a JSON file with ``seconds`` for all samples, ``startup_s`` (building, not counted) and ``counts``.

The network is built from the emulator's own blocks, synapses and axons, and then given Loihi's registers.
The emulator has no reset between samples: state and spikes under way are set to zero by hand after each,
which is not counted.
"""

from __future__ import annotations

import json
import pickle
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

warnings.simplefilter("ignore")  # nengo's own, about versions

from nengo_loihi.block import Axon, LoihiBlock, Synapse  # noqa: E402
from nengo_loihi.builder import Model  # noqa: E402
from nengo_loihi.builder.discretize import discretize_model  # noqa: E402
from nengo_loihi.emulator import EmulatorInterface  # noqa: E402
from nengo_loihi.inputs import SpikeInput  # noqa: E402

VTH_SHIFT = 6
"""Thresholds and synaptic inputs are shifted left by six bits."""


def matrix(weights: dict[str, Any]) -> np.ndarray:
    """Dense float32 (n_in, n_out)."""
    rows, columns = weights["shape"]
    dense = np.zeros((rows, columns), np.float32)
    indptr = np.frombuffer(weights["indptr"], np.int64)
    row = np.repeat(np.arange(rows), np.diff(indptr))
    dense[row, np.frombuffer(weights["indices"], np.int32)] = np.frombuffer(weights["data"], np.int16)
    return dense.T


def build(job: dict[str, Any]) -> tuple[EmulatorInterface, SpikeInput, list[str]]:
    """The emulator, its input, and the block of every group."""
    model = Model()
    source = SpikeInput(job["size"])
    model.add_input(source)
    blocks = {group["name"]: block(group) for group in job["groups"]}
    for made in blocks.values():
        model.add_block(made)
    for synapse in job["synapses"]:
        weights = matrix(synapse["weights"])
        made = Synapse(weights.shape[0])
        made.set_weights(weights)
        blocks[synapse["target"]].add_synapse(made)
        axon = Axon(weights.shape[0])
        axon.target = made
        axon.set_compartment_axon_map(np.arange(weights.shape[0]))
        sender = source if synapse["source"] == job["input"] else blocks[synapse["source"]]
        sender.add_axon(axon)
    discretize_model(model)
    for group in job["groups"]:
        registers(blocks[group["name"]].compartment, group)
    return EmulatorInterface(model, seed=0), source, list(blocks)


def block(group: dict[str, Any]) -> LoihiBlock:
    """Neurons, in floating point as the builder wants them before it discretises."""
    made = LoihiBlock(group["size"], label=group["name"])
    made.compartment.configure_relu(vth=group["vth"])
    made.compartment.configure_filter(0.005)
    return made


def registers(compartment: Any, group: dict[str, Any]) -> None:
    """Loihi's registers instead of what discretising chose."""
    compartment.decay_u[:] = group["du"]
    compartment.decay_v[:] = group["dv"]
    compartment.vth[:] = group["vth"] << VTH_SHIFT
    compartment.vmin, compartment.vmax = -(2**23) + 1, 2**23 - 1


def run(job: dict[str, Any]) -> tuple[float, list[list[int]]]:
    """Seconds, and the output's counts per sample."""
    job["size"] = job["inputs_shape"][2]
    emulator, source, names = build(job)
    inputs = np.frombuffer(job["inputs"], np.uint8).reshape(job["inputs_shape"])
    last = list(emulator.block_info.slices.values())[names.index(job["output"])]
    steps = inputs.shape[1] + len(names)
    seconds, counts = 0.0, []
    for n, sample in enumerate(inputs):
        for t, spikes in enumerate(sample):
            source.add_spikes(n * steps + t + 1, np.flatnonzero(spikes))
        emulator.compartment.spike_count[:] = 0
        start = time.perf_counter()
        for _ in range(steps):
            emulator.step()
        seconds += time.perf_counter() - start
        counts.append(emulator.compartment.spike_count[last].tolist())
        for state in ("current", "voltage", "ref_count", "input", "spiked"):
            getattr(emulator.compartment, state)[...] = 0
    return seconds, counts


def main(given: str, taken: str) -> None:
    """One job."""
    began = time.perf_counter()
    job = pickle.loads(Path(given).read_bytes())  # noqa: S301  # the benchmark wrote it
    seconds, counts = run(job)
    startup = time.perf_counter() - began - seconds
    Path(taken).write_text(json.dumps({"seconds": seconds, "startup_s": startup, "counts": counts}))


if __name__ == "__main__":
    main(*sys.argv[1:])
