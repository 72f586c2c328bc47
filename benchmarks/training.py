"""Training by ``sne train``'s loop against a plain PyTorch loop of the same networks: ratios within one run.

``python -m benchmarks.training [--network N ...] [--device cpu] [--out FILE.json]``

Both sides see random images of the size of CIFAR-10, cropped, mirrored and with a square cut out, compute in
bf16 under autocast and take the same number of steps; sides take turns, round by round. A round is one epoch
of some batches after a first one that does not count. Time is the process's own where a processor computes,
so that what else runs there changes little, and the clock's on a GPU, which is waited for at the end.

``student``: seven convolutions with spiking neurons at one step, taught by stored logits. ``teacher``: the
ResNet-9 with labels. The plain side is written as one would without this project: no schedule but a constant
rate, no log, no state kept, no check, no determinism.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.machine import describe_machine
from sne_deploy.bench import Spread
from sne_deploy.distill.data.augment import Augmentation
from sne_deploy.distill.schema.layers import LayerModel
from sne_deploy.distill.schema.schedule import Schedule
from sne_deploy.distill.schema.students import StudentLoss
from sne_deploy.distill.schema.teacher import TeacherModel
from sne_deploy.distill.students.answers import StoredAnswers, Version
from sne_deploy.distill.students.networks import student_network
from sne_deploy.distill.students.simulate import simulate
from sne_deploy.distill.students.student import Lesson, StudentTask, train_student
from sne_deploy.distill.students.surrogates import Surrogate
from sne_deploy.distill.teacher.architectures import teacher_network
from sne_deploy.distill.teacher.network import train_teacher
from sne_deploy.distill.training.loop import Training
from sne_deploy.distill.training.memory import keep_freed_memory
from sne_deploy.files import write_whole

CLASSES, SIDE, MARGIN, HOLE = 10, 32, 4, 8
SHAPES = {
    "student": ((96, 4, 2), (128, 3, 1), (128, 3, 1), (256, 3, 2), (256, 3, 1), (256, 3, 1), (256, 3, 2)),
    "small-student": ((64, 4, 2), (128, 3, 2), (192, 3, 1), (192, 3, 1), (192, 3, 2)),
}
"""Channels, kernel and stride of each convolution."""
TEACHER = TeacherModel(architecture="resnet9", width=56)
RATE, CLIP, TAU = 1e-3, 5.0, 3.0


@dataclass(frozen=True)
class Load:
    """What both sides train on.

    Attributes
    ----------
    x, y, logits : Tensor
        Images (N, 3, 32, 32), labels, and answers of a teacher.
    batch : int
    threads : int
    """

    x: Tensor
    y: Tensor
    logits: Tensor
    batch: int
    threads: int

    @staticmethod
    def of(batches: int, batch: int, device: torch.device, threads: int) -> Load:
        """Random, and the same each time."""
        drawn = torch.Generator().manual_seed(0)
        count = batches * batch
        x = torch.rand(count, 3, SIDE, SIDE, generator=drawn)
        y = torch.randint(CLASSES, (count,), generator=drawn)
        logits = torch.randn(count, CLASSES, generator=drawn)
        return Load(x.to(device), y.to(device), logits.to(device), batch, threads)

    @property
    def device(self) -> torch.device:
        """Where all is computed."""
        return self.x.device

    def now(self) -> float:
        """Seconds: the processor's own, or the clock's once a GPU has done what it was given."""
        if self.device.type == "cpu":
            return time.process_time()
        torch.cuda.synchronize(self.device)
        return time.perf_counter()


# --- this project ------------------------------------------------------------------------------------


def layers(shape: Sequence[tuple[int, int, int]]) -> list[LayerModel]:
    """A student of an experiment file."""
    made: list[dict[str, Any]] = []
    for out, kernel, stride in shape:
        padding = (kernel - 1) // 2
        made += [
            {
                "kind": "Conv2d",
                "out": out,
                "kernel": kernel,
                "stride": stride,
                "padding": padding,
                "bias": False,
            },
            {"kind": "BatchNorm2d"},
            {"kind": "LIFBoxCell", "tau_mem_s": 2e-3, "v_th": 0.5},
        ]
    made += [{"kind": "Flatten"}, {"kind": "Linear"}, {"kind": "LIBoxCell", "tau_mem_s": 1e-3}]
    return [LayerModel.model_validate(one) for one in made]


def _ours(name: str, load: Load) -> float:
    """Seconds of a step."""
    marks = [load.now()]
    schedule = Schedule(
        epochs=2,
        batch_size=load.batch,
        learning_rate=RATE,
        clip_norm=CLIP,
        precision="bf16",
        optimizer="adamw",
    )
    training = Training(schedule, 0, load.threads, on_epoch=lambda *_: marks.append(load.now()))
    augmentation = Augmentation("crop-flip-cutout")
    if name == "teacher":
        augmented = Training(**{**vars(training), "transform": augmentation})
        train_teacher(lambda: teacher_network(TEACHER, (3, SIDE, SIDE), CLASSES), (load.x, load.y), augmented)
    else:
        drawn = tuple(one.to(load.device) for one in augmentation.draw(len(load.x)))
        nothing = torch.zeros(0, dtype=torch.int64, device=load.device)
        version = Version(drawn, load.logits)
        answers = StoredAnswers(augmentation, 1, lambda _: version, (nothing,), CLASSES)
        slices = (torch.rand(len(load.x), 1, device=load.device),)
        lesson = Lesson(load.x, load.y, slices, load.logits, answers=answers)
        loss = StudentLoss(feature=0.0, cross_entropy=0.1, logits=1.0, tau_teacher=TAU, tau_student=TAU)
        task = StudentTask(1, "v_last", loss, True, simulated)
        described = layers(SHAPES[name])
        train_student(
            lambda: student_network(described, (3, SIDE, SIDE), CLASSES, 1e-3), lesson, task, training
        )
    return (marks[-1] - marks[-2]) * load.batch / len(load.x)


def simulated(network: nn.Module, *given: Any) -> Any:
    """Run a student with the plain side's surrogate gradient."""
    return simulate(network, *given, surrogate=Surrogate("rectangle", width=0.5))


# --- plain PyTorch -----------------------------------------------------------------------------------


class _Spike(torch.autograd.Function):
    """A spike where v > 0; its gradient is one where |v| < 1/2."""

    @staticmethod
    def forward(ctx: Any, v: Tensor) -> Tensor:
        ctx.save_for_backward(v)
        return (v > 0).to(v.dtype)

    @staticmethod
    def backward(ctx: Any, *wanted: Tensor) -> Tensor:
        (v,) = ctx.saved_tensors
        passed: Tensor = wanted[0] * (v.abs() < 0.5).to(v.dtype)
        return passed


class _Spiking(nn.Module):
    def forward(self, current: Tensor) -> Tensor:
        """Spikes of one step: half of the current against a threshold of a half."""
        made: Tensor = _Spike.apply(0.5 * current - 0.5)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return made


def plain_network(name: str) -> nn.Module:
    """The same network without this project's neurons."""
    if name == "teacher":
        return teacher_network(TEACHER, (3, SIDE, SIDE), CLASSES)
    parts: list[nn.Module] = []
    channels, side = 3, SIDE
    for out, kernel, stride in SHAPES[name]:
        padding = (kernel - 1) // 2
        parts += [
            nn.Conv2d(channels, out, kernel, stride, padding, bias=False),
            nn.BatchNorm2d(out),
            _Spiking(),
        ]
        channels, side = out, (side + 2 * padding - kernel) // stride + 1
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(channels * side * side, CLASSES))


def _augmented(x: Tensor) -> Tensor:
    """Shift by up to four pixels, mirror, and blank a square of eight."""
    count, device = len(x), x.device
    places = torch.arange(SIDE, device=device)
    down, right = (torch.randint(0, 2 * MARGIN + 1, (count, 1), device=device) + places for _ in range(2))
    right = torch.where(torch.rand(count, 1, device=device) < 0.5, right.flip(1), right)
    rows = torch.arange(count, device=device)[:, None, None]
    padded = functional.pad(x, (MARGIN,) * 4, mode="reflect")
    made = padded[rows, :, down[:, :, None], right[:, None, :]].permute(0, 3, 1, 2)
    tall, wide = (
        (places - torch.randint(0, SIDE, (count, 1), device=device)).abs() < HOLE / 2 for _ in range(2)
    )
    hole = (tall[:, :, None] & wide[:, None, :])[:, None]
    return made.masked_fill(hole, 0.0).contiguous(memory_format=torch.channels_last)


def _plain(name: str, load: Load) -> float:
    """Seconds of a step."""
    torch.manual_seed(0)
    network: Any = plain_network(name).to(load.device)
    network = network.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, fused=load.device.type == "cuda")
    marks = []
    for _ in range(2):
        for rows in torch.split(torch.randperm(len(load.x), device=load.device), load.batch):
            with torch.autocast(load.device.type, torch.bfloat16):
                said = network(_augmented(load.x[rows])).float()
            loss = functional.cross_entropy(said, load.y[rows])
            if name != "teacher":
                told = functional.log_softmax(load.logits[rows] / TAU, 1)
                made = functional.log_softmax(said / TAU, 1)
                apart = functional.kl_div(made, told, log_target=True, reduction="batchmean")
                loss = 0.1 * loss + TAU * TAU * apart
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            nn.utils.clip_grad_norm_(network.parameters(), CLIP)
            optimizer.step()
        marks.append(load.now())
    return (marks[1] - marks[0]) * load.batch / len(load.x)


# --- the measurement ---------------------------------------------------------------------------------


def measure(
    names: Sequence[str], load: Load, rounds: int, say: Callable[[str], None] = lambda _: None
) -> Iterator[dict[str, Any]]:
    """For each network, milliseconds of a step of both sides, and the ratio within a round: with spread."""
    keep_freed_memory()
    for name in names:
        ours, plain = [], []
        for turn in range(rounds):
            say(f"{name}: round {turn + 1} of {rounds}")
            ours.append(1e3 * _ours(name, load))
            plain.append(1e3 * _plain(name, load))
        ratios = [a / b for a, b in zip(ours, plain, strict=True)]
        found = {"ours_ms": ours, "plain_ms": plain, "ratio": ratios}
        yield {"network": name, **{key: vars(Spread.of(values)) for key, values in found.items()}}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for each network, and write all of it where it is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    known = [*SHAPES, "teacher"]
    parser.add_argument("--network", nargs="+", choices=known, default=["student", "teacher"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--batches", type=int, default=4, help="of an epoch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    load = Load.of(given.batches, given.batch, torch.device(given.device), given.threads)
    found = []
    for one in measure(given.network, load, given.rounds):
        found.append(one)
        ratio, ours, plain = (one[key] for key in ("ratio", "ours_ms", "plain_ms"))
        print(
            f"{one['network']}: {ours['median']:.0f} ms a step, plain {plain['median']:.0f} ms, "
            f"ratio {ratio['median']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})",
            flush=True,
        )
    if given.out is not None:
        document = {
            "settings": {**vars(given), "out": None},
            "machine": describe_machine(),
            "networks": found,
        }
        write_whole(given.out, (json.dumps(document, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
