"""What a training shows on stderr: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from sne_deploy.distill.plan import Plan, remaining_s

if TYPE_CHECKING:
    from sne_deploy.distill.training.epochs import Epoch

BETWEEN_LINES_S = 5.0
"""Seconds from one line to the next, at least; the first and the last epoch of a stage always have theirs."""


class TrainingBars:
    """A context manager that shows a training's epochs, and how long the whole of it still takes.

    Told ``planned(plan)``, ``started(stage, epochs, those that are done)`` before a stage and, after each
    epoch, ``bars(stage, epoch from 1, epochs, what is known of it)``.
    """

    def __enter__(self) -> TrainingBars:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.table import Column

        self._console = Console(stderr=True)
        self._plan: Plan = ()
        self._seconds: dict[str, list[float]] = {}
        self._tasks: dict[str, Any] = {}
        self._last_line = -BETWEEN_LINES_S
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[count]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.fields[figures]}", markup=False, table_column=Column(no_wrap=True)),
            console=self._console,
        )
        if self._console.is_terminal:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._bars.stop()

    def planned(self, plan: Plan) -> None:
        """Take note of all stages that there will be."""
        self._plan = plan

    def started(self, stage: str, epochs: int, done: Sequence[Epoch]) -> None:
        """Show a stage before its next epoch; some of them, or all, an earlier run may have done."""
        self._seconds[stage] = [epoch.seconds for epoch in done]
        if self._console.is_terminal:
            self._draw(stage, len(done), epochs, _short(done[-1]) if done else "")
        elif 0 < len(done) < epochs:
            self._print(f"{stage} goes on after epoch {len(done)} of {epochs}")

    def __call__(self, stage: str, epoch: int, epochs: int, done: Epoch) -> None:
        """Show that an epoch is done."""
        self._seconds[stage].append(done.seconds)
        if self._console.is_terminal:
            self._draw(stage, epoch, epochs, _short(done))
            return
        now = time.monotonic()
        if epoch in (1, epochs) or now - self._last_line >= BETWEEN_LINES_S:
            self._last_line = now
            self._print(f"{stage} {epoch}/{epochs}  {_long(done)}  {self._whole(stage)}".rstrip())

    def _whole(self, stage: str) -> str:
        """Which stage of how many, and how long the training still takes."""
        names = [one.name for one in self._plan]
        if stage not in names:
            return ""
        left = remaining_s(self._plan, self._seconds)
        where = f"stage {names.index(stage) + 1} of {len(names)}"
        return f"{where}, {about(left)} left" if left else where

    def _draw(self, stage: str, epoch: int, epochs: int, figures: str) -> None:
        """A bar for each stage that has begun; above them, one for all, whose parts are seconds."""
        left = remaining_s(self._plan, self._seconds)
        spent = sum(map(sum, self._seconds.values()))
        text, part = self._whole(stage), None if left is None else spent / (spent + left or 1.0)
        self._update("training", text.partition(", ")[2], part or 0.0, 1.0, text.partition(", ")[0])
        self._update(stage, f"{epoch} of {epochs} epochs", epoch, epochs, figures)

    def _update(self, name: str, count: str, completed: float, total: float, figures: str) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total, count="", figures="")
        self._bars.update(self._tasks[name], completed=completed, count=count, figures=figures)

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def about(seconds: float) -> str:
    """Such as "about 40 s", "about 12 min" or "about 3 h 20 min": as exact as an estimate may sound."""
    if seconds < 60:
        return f"about {max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"about {minutes} min"
    minutes = 10 * round(minutes / 10)
    return f"about {minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")


def _long(done: Epoch) -> str:
    """Every loss, and what is known of the validation samples."""
    losses = [f"{name} {value:.4g}" for name, value in done.terms.items()]
    return "  ".join([*losses, *_seen(done)])


def _short(done: Epoch) -> str:
    return "  ".join([f"loss {sum(done.terms.values()):.4g}", *_seen(done)])


def _seen(done: Epoch) -> list[str]:
    seen = done.seen
    found = [] if seen.accuracy is None else [f"accuracy {100 * seen.accuracy:.1f} %"]
    if seen.ensemble_accuracy is not None:
        found.append(f"ensemble {100 * seen.ensemble_accuracy:.1f} %")
    if seen.spikes is not None and seen.synops is not None:
        found.append(f"{seen.spikes:,.0f} spikes  {seen.synops:,.0f} SynOps")
    return found
