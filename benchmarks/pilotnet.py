"""lava-dl's PilotNet on netx and on target loihi: the same file, the same images, the same outputs.

``python -m benchmarks.pilotnet NETWORK [--samples N] [--batch B] [--rounds R] [--out FILE]``

NETWORK is lava-dl's ``network.net`` (PilotNet LIF: an input layer of 39,600 neurons, five convolutions, four
dense layers). Each contestant runs N images of 16 steps back to back; loihi also a batch of B, which netx has
not. What is timed is the run alone: netx's loading of the file and Lava's start are left out, and so are
loihi's compilation and its first run. The readouts of both must be equal, image for image.

Contestants take turns; a ratio is of two runs of one round. Medians over the rounds, with the least and the
largest. netx records nothing but the readout.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.machine import describe_machine, describe_versions
from sne_deploy.backend import Executable, RunOptions, load_backend
from sne_deploy.bench import Spread, spread_text
from sne_deploy.ir.program import Program
from sne_lava.child import Worker
from sne_netx.executable import netx_order
from sne_netx.format.file import read_net
from sne_netx.simulation import LayerJob, NetJob, NetResult

Array = npt.NDArray[Any]
STALL_S = 600.0


def main() -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    program = read_net(given.network)
    images = made_images(program, max(given.samples, given.batch))
    few, many = images[: given.samples], images[: given.batch]
    netx, loihi, batch = f"netx, {len(few)} images", f"loihi, {len(few)} images", f"loihi, {len(many)} images"
    steps_per_s: dict[str, list[float]] = {netx: [], loihi: [], batch: []}
    with load_backend("loihi").compile(program, RunOptions()) as executable:
        expected = executable.run(few).raw_outputs  # compiles its kernels too
        executable.run(many)
        for _ in range(given.rounds):
            result = run_netx(program, given.network, few)
            np.testing.assert_array_equal(result.rows, expected)
            steps_per_s[netx].append(len(few) * program.timesteps / result.seconds)
            for name, x in ((loihi, few), (batch, many)):
                seconds, outputs = timed(executable, x)
                np.testing.assert_array_equal(outputs[: len(few)], expected)
                steps_per_s[name].append(len(x) * program.timesteps / seconds)
    figures = {f"{name}: steps/s": values for name, values in steps_per_s.items()}
    figures |= {
        f"{name}: x netx": list(np.divide(steps_per_s[name], steps_per_s[netx])) for name in (loihi, batch)
    }
    found = {name: asdict(Spread.of(values)) for name, values in figures.items()}
    for name, spread in found.items():
        print(f"{name:28}{spread_text(spread)}")
    if given.out:
        about = {"machine": describe_machine(), "versions": describe_versions(), "rounds": given.rounds}
        given.out.write_text(json.dumps({**about, "figures": found}, indent=1) + "\n")


def made_images(program: Program, count: int) -> Array:
    """Smooth random images in -1..1, what the network takes: float64 of shape (count, c, h, w)."""
    rng = np.random.default_rng(0)
    channels, height, width = program.input.shape
    coarse = rng.uniform(-1, 1, (count, channels, -(-height // 11), -(-width // 10)))
    return coarse.repeat(11, axis=2).repeat(10, axis=3)[:, :, :height, :width]


def run_netx(program: Program, network: Path, images: Array) -> NetResult:
    """One run of lava-dl's own netx on its own file, in a process of its own."""
    currents, _ = program.hosts[0].drive(images)
    job = NetJob(
        net=network.read_bytes(),
        layers=tuple(LayerJob(g.name, g.depth, spiking=False, recurrent=False) for g in program.groups),
        timesteps=program.timesteps,
        samples=len(images),
        spike_bits=None,
        currents=np.ascontiguousarray(currents[:, netx_order(program.input.shape)]),
        readout=program.readout,
        stall_s=STALL_S,
    )
    with Worker() as worker:
        result: NetResult = worker.run(job, lambda _: None)
    return result


def timed(executable: Executable, images: Array) -> tuple[float, Array]:
    """Seconds of a run, and its outputs."""
    start = time.perf_counter()
    trace = executable.run(images)
    return time.perf_counter() - start, trace.raw_outputs


if __name__ == "__main__":
    main()
