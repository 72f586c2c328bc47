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
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.comparison.machine import describe_machine, describe_versions, load
from sne_deploy.backend import RunOptions, load_backend
from sne_deploy.ir.program import Program
from sne_lava.child import Worker
from sne_netx.executable import netx_order
from sne_netx.format.file import read_net
from sne_netx.simulation import LayerJob, NetJob, NetResult

Array = npt.NDArray[Any]
STALL_S = 600.0


@dataclass(frozen=True)
class Round:
    """Seconds of one turn of each contestant, and the machine's load before it."""

    netx_s: float
    loihi_s: float
    batch_s: float
    load: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, write the figures."""
    options = parsed(arguments)
    program = read_net(options.network)
    images = made_images(program, max(options.samples, options.batch))
    few, many = images[: options.samples], images[: options.batch]
    rounds = []
    with load_backend("loihi").compile(program, RunOptions()) as loihi:
        expected = loihi.run(few).raw_outputs  # compiles its kernels too
        loihi.run(many)
        for _ in range(options.rounds):
            before = load()[0]
            result = run_netx(program, options.network, few)
            np.testing.assert_array_equal(result.rows, expected)
            seconds, traces = zip(*(timed(loihi, x) for x in (few, many)), strict=True)
            np.testing.assert_array_equal(traces[0].raw_outputs, expected)
            rounds.append(Round(result.seconds, seconds[0], seconds[1], before))
            print(f"round {len(rounds)}: {rounds[-1]}", file=sys.stderr)
    document = figures(program, rounds, options)
    print(table(document))
    if options.out:
        options.out.write_text(json.dumps(document, indent=1) + "\n")
    return 0


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    return parser.parse_args(arguments)


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


def timed(executable: Any, images: Array) -> tuple[float, Any]:
    """Seconds of a run, and what it gives."""
    start = time.perf_counter()
    trace = executable.run(images)
    return time.perf_counter() - start, trace


def figures(program: Program, rounds: list[Round], options: argparse.Namespace) -> dict[str, Any]:
    """Everything that was measured."""
    steps, batch = options.samples * program.timesteps, options.batch * program.timesteps
    columns = {
        "netx_steps_per_s": [steps / r.netx_s for r in rounds],
        "loihi_steps_per_s": [steps / r.loihi_s for r in rounds],
        "loihi_batch_steps_per_s": [batch / r.batch_s for r in rounds],
        "ratio": [r.netx_s / r.loihi_s for r in rounds],
        "batch_ratio": [r.netx_s / steps / (r.batch_s / batch) for r in rounds],
    }
    return {
        "network": {"neurons": sum(g.size for g in program.groups), "timesteps": program.timesteps},
        "samples": options.samples,
        "batch": options.batch,
        "rounds": len(rounds),
        "load": [r.load for r in rounds],
        "machine": describe_machine(),
        "versions": describe_versions(),
        **{name: {"median": statistics.median(v), "values": v} for name, v in columns.items()},
    }


def table(document: dict[str, Any]) -> str:
    """The figures as text."""
    rows = {
        f"netx, {document['samples']} images": "netx_steps_per_s",
        f"loihi, {document['samples']} images": "loihi_steps_per_s",
        f"loihi, {document['batch']} images": "loihi_batch_steps_per_s",
    }
    lines = [f"{'':20}{'steps/s':>10}{'least':>10}{'most':>10}"]
    for label, name in rows.items():
        values = document[name]["values"]
        lines.append(f"{label:20}{document[name]['median']:10.1f}{min(values):10.1f}{max(values):10.1f}")
    for label, name in (
        (f"{document['samples']} images", "ratio"),
        (f"{document['batch']} images", "batch_ratio"),
    ):
        values = document[name]["values"]
        spread = f"{min(values):.1f} to {max(values):.1f}"
        lines.append(f"loihi is {document[name]['median']:.1f} times as fast on {label} ({spread})")
    lines.append(f"load before the rounds: {', '.join(f'{value:.1f}' for value in document['load'])}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
