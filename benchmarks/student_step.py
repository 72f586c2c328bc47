"""A training step of a convolutional student: LIFBox cells in kernels against Norse's own loop, in turns.

    python -m benchmarks.student_step [--rounds 5] [--timesteps 2] [--precision bf16]

The student of examples/cifar10/experiment.toml on made-up images, batches of 128, seed 0: forward pass,
squared error, backward pass, AdamW. Prints the ratio of seconds per step, its median and range over the
rounds, and the median seconds of both. Data loading and augmentation are left out.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from sne_deploy.distill.architectures import student_network
from sne_deploy.distill.determinism import deterministic
from sne_deploy.distill.experiment import load_experiment
from sne_deploy.distill.memory import keep_freed_memory
from sne_deploy.distill.simulate import simulate
from sne_deploy.frontend.norse.cells import LIFBoxCell

EXPERIMENT = Path(__file__).parents[1] / "examples" / "cifar10" / "experiment.toml"
BATCH, STEPS, OUTPUTS = 128, 3, 32


class NorseCell(LIFBoxCell):
    """The same cell, which the kernels do not know: Norse steps through it."""


def network(kernels: bool) -> nn.Module:
    """The student, untrained."""
    experiment = load_experiment(EXPERIMENT)
    with deterministic(0):
        made = student_network(experiment.students.layers, (3, 32, 32), OUTPUTS, experiment.students.dt_s)
    if not kernels:
        for cell in made:
            if type(cell) is LIFBoxCell:
                cell.__class__ = NorseCell
    placed: Any = made.train()
    return cast("nn.Module", placed.to(memory_format=torch.channels_last))


def seconds(module: nn.Module, timesteps: int, bf16: bool) -> float:
    """Of one step, mean over a few."""
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], 1e-3)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(BATCH, 3, 32, 32, generator=generator)
    targets = torch.randn(BATCH, OUTPUTS, generator=generator)
    started = time.perf_counter()
    for step in range(STEPS + 1):
        if step == 1:  # the first one was for warming up
            started = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = (simulate(module, images, timesteps, "v_mean").outputs - targets).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()
    return (time.perf_counter() - started) / STEPS


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--timesteps", type=int, default=2)
    parser.add_argument("--precision", choices=("float32", "bf16"), default="bf16")
    options = parser.parse_args()
    keep_freed_memory()
    modules = {"kernels": network(True), "norse": network(False)}
    times: dict[str, list[float]] = {name: [] for name in modules}
    for _ in range(options.rounds):
        for name, module in modules.items():
            times[name].append(seconds(module, options.timesteps, options.precision == "bf16"))
    ratios = [slow / fast for slow, fast in zip(times["norse"], times["kernels"], strict=True)]
    print(
        f"T = {options.timesteps}, {options.precision}, {torch.get_num_threads()} threads, "
        f"{options.rounds} rounds"
    )
    print(f"norse / kernels: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    for name, found in times.items():
        print(f"{name}: {statistics.median(found):.3f} s per step")


if __name__ == "__main__":
    main()
