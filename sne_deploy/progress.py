"""Progress bars on a terminal, for what takes longer than two seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sne_deploy.distill.training.epochs import Epoch

DELAY_S = 2.0
"""What is done sooner shows no bar."""


class ProgressBars:
    """A context manager that gives a progress callback: one bar per student, with an estimate.

    Bars are drawn on stderr, only if it is a terminal, only after ``delay_s``, and are gone at the end.

    Parameters
    ----------
    delay_s : float
        Seconds before the first bar appears.
    """

    def __init__(self, delay_s: float = DELAY_S) -> None:
        self._delay_s = delay_s
        self._lock = threading.Lock()
        self._state: dict[str, tuple[int, int]] = {}
        self._tasks: dict[str, Any] = {}
        self._bars: Any = None
        self._shown = False

    def __enter__(self) -> ProgressBars:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._started = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            if self._bars is not None:
                self._bars.stop()
                self._bars = None
            self._shown = True  # what still reports draws nothing more

    def __call__(self, student: str, done: int, total: int) -> None:
        """Note that ``done`` of a student's ``total`` steps are done; from any thread."""
        if not self._console.is_terminal:
            return
        with self._lock:
            self._state[student] = (done, total)
            if not self._shown and time.monotonic() - self._started >= self._delay_s:
                self._bars = self._make_bars()
                self._bars.start()
                self._shown = True
            if self._bars is not None:
                self._draw()

    def _draw(self) -> None:
        """Bring every bar up to date; what is done disappears while something else goes on."""
        all_done = all(done >= total for done, total in self._state.values())
        for student, (done, total) in self._state.items():
            if student not in self._tasks:
                self._tasks[student] = self._bars.add_task(student, total=total)
            visible = all_done or done < total
            self._bars.update(self._tasks[student], completed=done, total=total, visible=visible)

    def _make_bars(self) -> Any:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        return Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )


class TrainingBars:
    """A context manager that shows a training's epochs on stderr: a bar with metrics, or a line per epoch.

    Told ``started(stage, epochs, those that are done)`` and, after each epoch, ``bars(stage, epoch from 1,
    epochs, what is known of it)``.
    """

    def __enter__(self) -> TrainingBars:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._console = Console(stderr=True)
        self._tasks: dict[str, Any] = {}
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.completed:.0f} of {task.total:.0f} epochs"),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}", markup=False),
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

    def __call__(self, stage: str, epoch: int, epochs: int, done: Epoch) -> None:
        """Show that an epoch is done."""
        if not self._console.is_terminal:
            self._print(f"{stage} {epoch}/{epochs}  {_figures(done)}")
            return
        self._bars.update(self._task(stage, epochs), completed=epoch, figures=_figures(done))

    def started(self, stage: str, epochs: int, done: Sequence[Epoch]) -> None:
        """Show a stage before its next epoch; some of them, or all, an earlier run may have done."""
        if self._console.is_terminal:
            figures = _figures(done[-1]) if done else ""
            self._bars.update(self._task(stage, epochs), completed=len(done), figures=figures)
        elif 0 < len(done) < epochs:
            self._print(f"{stage} goes on after epoch {len(done)} of {epochs}")

    def _task(self, stage: str, epochs: int) -> Any:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=epochs, figures="")
        return self._tasks[stage]

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def _figures(done: Epoch) -> str:
    """Losses, and what is known of the validation samples."""
    seen = done.seen
    found = [f"{name} {value:.4g}" for name, value in done.terms.items()]
    if seen.accuracy is not None:
        found.append(f"accuracy {seen.accuracy:.1%}".replace("%", " %"))
    if seen.ensemble_accuracy is not None:
        found.append(f"ensemble {seen.ensemble_accuracy:.1%}".replace("%", " %"))
    if seen.spikes is not None and seen.synops is not None:
        found.append(f"{seen.spikes:,.0f} spikes  {seen.synops:,.0f} SynOps")
    return "  ".join(found)
