"""Progress bars on a terminal, for what takes longer than two seconds."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any

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
        self._timer: threading.Timer | None = None
        self._shown = False

    def __enter__(self) -> ProgressBars:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._started = time.monotonic()
        if self._console.is_terminal:
            self._timer = threading.Timer(self._delay_s, self._late)
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
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
                self._begin()
            if self._bars is not None:
                self._draw()

    def _late(self) -> None:
        """Draw what has not come further for the whole delay, such as a single student that is compiled."""
        with self._lock:
            if not self._shown and any(done < total for done, total in self._state.values()):
                self._begin()
                self._draw()

    def _begin(self) -> None:
        self._bars = self._make_bars()
        self._bars.start()
        self._shown = True

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
