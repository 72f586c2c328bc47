"""The training loop that teachers and students share.

A module is given as a function that builds it, called once the seed is set: its initial weights belong
to the seed, and no live module is copied (a deep copy loses the hooks with which Norse's recurrent cells
keep their diagonal at zero).
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast, runtime_checkable

from sne_deploy.distill.schema.schedule import Schedule
from sne_deploy.distill.training.determinism import deterministic, evaluating
from sne_deploy.distill.training.epochs import Epoch, Seen, Watch
from sne_deploy.distill.training.finite import Losses
from sne_deploy.distill.training.memory import keep_freed_memory
from sne_deploy.distill.training.resume import ResumePoint
from sne_deploy.errors import InputError, RunError

if TYPE_CHECKING:
    from torch import Tensor, nn, optim


Terms = Mapping[str, "Tensor"]
M = TypeVar("M", bound="nn.Module")
Objective = Callable[[M, "Sequence[Tensor]"], Terms]
"""Maps a module and one batch to named, already weighted loss terms; their sum is minimised."""
Transform = Callable[["Sequence[Tensor]"], "Sequence[Tensor]"]
AfterStep = Callable[["nn.Module", float], None]
"""Called as after(module, progress): after each step of the optimizer, with the part of all steps that is
done, in (0, 1]; and once before the first step of a training, or of what is left of it, to see what that
starts from. May change parameters in place, as pruning does. What it remembers must follow from the
parameters: it is not kept with them."""
WAITED_FOR = 50
"""Steps after which a device other than the processor is asked whether all losses were finite."""
EpochCallback = Callable[[int, Epoch], None]
"""Called as callback(epoch from 0, what is known of it)."""


@runtime_checkable
class Samples(Protocol):
    """Samples that differ from epoch to epoch, or of which more is made than rows of tensors."""

    @property
    def inputs(self) -> Tensor:
        """As many as there are samples, on their device, with the axes of the module's inputs."""
        ...

    def epoch(self, epoch: int) -> Sequence[Tensor]:
        """Tensors of shape (N, ...), of which batches are the same random rows; of an epoch, from 0.

        Nothing is drawn from torch's random state.
        """
        ...

    def batch(self, rows: Sequence[Tensor]) -> Sequence[Tensor]:
        """A batch of some rows."""
        ...


@dataclass(frozen=True)
class Training:
    """How a module is trained.

    Attributes
    ----------
    schedule : Schedule
    seed, threads : int
    key : str
        The experiment's table that says the schedule, for messages.
    on_epoch : callable or None
    resume : ResumePoint or None
        Where the state after each epoch is kept; training goes on from there.
    transform : callable or None
        Changes each batch before the objective sees it: augmentation. Its randomness must be torch's.
    watch : callable or None
        Looks at the module after each epoch, in evaluation mode; nothing of it is drawn from the
        training's random state.
    after_step : callable or None
    """

    schedule: Schedule
    seed: int = 0
    threads: int = 2
    key: str = "schedule"
    on_epoch: EpochCallback | None = None
    resume: ResumePoint | None = None
    transform: Transform | None = None
    watch: Watch | None = None
    after_step: AfterStep | None = None


@dataclass(frozen=True, eq=False)
class Trained(Generic[M]):
    """A module in evaluation mode, and the mean of every loss term in each epoch."""

    module: M
    log: tuple[Mapping[str, float], ...]


def fit(
    build: Callable[[], M], data: Sequence[Tensor] | Samples, objective: Objective[M], training: Training
) -> Trained[M]:
    """Build a module and train it; the same arguments give the same module, interrupted or not.

    Parameters
    ----------
    build : callable
        Makes the untrained module.
    data : sequence of tensors of shape (N, ...), or Samples
        Batches are the same random rows of each.
    objective : Objective
    training : Training

    Raises
    ------
    InputError
        No data, or tensors of different lengths; or what is kept does not fit this module.
    RunError
        The loss became infinite or not a number.
    """
    from sne_deploy.distill.training.optimizers import make_optimizer

    keep_freed_memory()
    schedule, resume = training.schedule, training.resume
    samples = data if isinstance(data, Samples) else _Same(data)
    with deterministic(training.seed, training.threads, samples.inputs.device.type):
        module = _placed(build(), samples.inputs)
        module.train()
        steps = schedule.epochs * len(split_rows(samples.inputs, schedule.batch_size))
        run = _Run(module, objective, make_optimizer(module, schedule, steps), training)
        done = [] if resume is None else resume.restore(module, run.optimizer)
        run.after_step(len(done) / schedule.epochs)
        for epoch in range(len(done), schedule.epochs):
            with _named(training):
                done.append(run.watched_epoch(samples, epoch))
            if resume is not None:
                resume.keep(module, run.optimizer, done)
            if training.on_epoch is not None:
                training.on_epoch(epoch, done[-1])
    module.eval()
    return Trained(module, tuple(epoch.terms for epoch in done))


def split_rows(rows: Tensor, batch_size: int) -> tuple[Tensor, ...]:
    """Cut into batches; a single row that is left over joins the one before: batch norm needs two."""
    starts = list(range(0, len(rows), batch_size))
    if len(starts) > 1 and len(rows) - starts[-1] == 1:
        starts.pop()
    return tuple(rows[start:end] for start, end in zip(starts, [*starts[1:], len(rows)], strict=True))


@dataclass(frozen=True, eq=False)
class _Same:
    """The same tensors in every epoch."""

    tensors: Sequence[Tensor]

    def __post_init__(self) -> None:
        _length(self.tensors)

    @property
    def inputs(self) -> Tensor:
        return self.tensors[0]

    def epoch(self, epoch: int) -> Sequence[Tensor]:  # noqa: ARG002  as all samples
        return self.tensors

    def batch(self, rows: Sequence[Tensor]) -> Sequence[Tensor]:
        return rows


def _length(tensors: Sequence[Tensor]) -> int:
    lengths = {len(tensor) for tensor in tensors}
    if len(lengths) != 1 or 0 in lengths:
        raise InputError(f"training data must be tensors of one length > 0, got lengths {sorted(lengths)}")
    return lengths.pop()


def asked_every(device: str) -> int:
    """Steps after which it is asked whether all losses were finite: only the processor knows at once."""
    return 1 if device == "cpu" else WAITED_FOR


def _placed(module: M, inputs: Tensor) -> M:
    """The module where its inputs are; convolutions over images with channels last, which is faster."""
    import torch

    placed: Any = module.to(inputs.device)
    if inputs.ndim == 4:
        placed = placed.to(memory_format=torch.channels_last)
    return cast("M", placed)


def cosine(progress: float) -> float:
    """1 at progress 0, falling as half a cosine to 0 at progress 1."""
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def learning_rate(schedule: Schedule, progress: float) -> float:
    """After this part of all steps, in [0, 1]."""
    warmup = schedule.warmup
    if progress < warmup:
        return schedule.learning_rate * progress / warmup
    return schedule.learning_rate * cosine((progress - warmup) / (1 - warmup))


@contextlib.contextmanager
def _named(training: Training) -> Iterator[None]:
    """Say what to change where torch's own errors only say what went wrong."""
    import torch

    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise InputError(
            f"{training.key}.batch_size {training.schedule.batch_size}: batch norm needs more than one value "
            "per channel; use 2 or more"
        ) from error
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        reason = str(error).splitlines()[0][:200]
        raise RunError(
            f"out of memory: {reason}; lower {training.key}.batch_size {training.schedule.batch_size}"
        ) from error


@dataclass(frozen=True, eq=False)
class _Run(Generic[M]):
    """A module on its way."""

    module: M
    objective: Objective[M]
    optimizer: optim.Optimizer
    training: Training

    def watched_epoch(self, samples: Samples, epoch: int) -> Epoch:
        """Train on every row once, then look at the module; neither knows of the other."""
        import torch

        begun, watch, seen = time.perf_counter(), self.training.watch, Seen()
        terms = self.epoch(samples, epoch)
        if watch is not None:
            with evaluating(self.module), torch.random.fork_rng(), torch.no_grad():
                seen = watch(self.module)
        rate = float(self.optimizer.param_groups[0]["lr"])
        return Epoch(terms, rate, time.perf_counter() - begun, seen)

    def epoch(self, samples: Samples, epoch: int) -> dict[str, float]:
        """Train on every row once; return the mean of each loss term."""
        import torch

        schedule, data = self.training.schedule, samples.epoch(epoch)
        rows, device = _length(data), data[0].device
        batches = split_rows(torch.randperm(rows, device=device), schedule.batch_size)
        losses = Losses(f"{self.training.key}.learning_rate {schedule.learning_rate:g}")
        every = asked_every(device.type)
        for index, chosen in enumerate(batches):
            rate = learning_rate(schedule, (epoch + index / len(batches)) / schedule.epochs)
            for group in self.optimizer.param_groups:
                group["lr"] = rate * group["rate_factor"]
            batch = samples.batch([tensor[chosen] for tensor in data])
            if self.training.transform is not None:
                batch = self.training.transform(batch)
            losses.add(*self.step(batch), len(chosen) / rows)
            if (index + 1) % every == 0 or index + 1 == len(batches):
                losses.check()
            self.after_step((epoch + (index + 1) / len(batches)) / schedule.epochs)
        return losses.means()

    def after_step(self, progress: float) -> None:
        """Let parameters be changed that the optimizer has just moved."""
        import torch

        if self.training.after_step is not None:
            with torch.no_grad():
                self.training.after_step(self.module, progress)

    def step(self, batch: Sequence[Tensor]) -> tuple[Terms, Tensor]:
        """Take one step; the value of each loss term before it, and the norm of the gradient."""
        import torch

        from sne_deploy.distill.training.optimizers import average_weights

        schedule = self.training.schedule
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(batch[0].device.type, torch.bfloat16, enabled=schedule.precision == "bf16"):
            terms = self.objective(self.module, batch)
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        norm = torch.nn.utils.clip_grad_norm_(self.module.parameters(), schedule.clip_norm)
        self.optimizer.step()
        if schedule.averaging:
            average_weights(self.optimizer)
        return terms, norm
