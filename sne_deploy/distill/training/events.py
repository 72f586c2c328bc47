"""TensorBoard's event files of a run, where the package ``tensorboard`` is installed.

TensorBoard watches such a file grow, so it is added to, an epoch at a time, and each start of a run writes a
new one: the states of the stages know every epoch that is done, and each is there once.
"""

from __future__ import annotations

import io
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sne_deploy.distill.training.epochs import Epoch
from sne_deploy.errors import OutputError
from sne_deploy.files import append_whole, ensure_folder

ABSENT = "no TensorBoard events: pip install tensorboard"


def tensorboard_installed() -> bool:
    """Whether event files can be written."""
    return find_spec("tensorboard") is not None


class EventFiles:
    """The event files of one run: a scalar ``STAGE/NAME`` for what is known of each epoch, from 1.

    Parameters
    ----------
    folder : Path
        Made when the first stage starts; event files that an earlier run left there are removed then.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path: Path | None = None

    def started(self, stage: str, done: Sequence[Epoch]) -> None:
        """Note a stage whose first epochs are done already."""
        if self._path is None:
            self._path = self._opened()
        self._write([event for index, epoch in enumerate(done, 1) for event in _events(stage, index, epoch)])

    def epoch(self, stage: str, epoch: int, done: Epoch) -> None:
        """Note that an epoch of a stage that has started, counted from 1, is done."""
        self._write(_events(stage, epoch, done))

    def finish(self) -> None:
        """Nothing is left to be done."""

    def _opened(self) -> Path:
        folder = ensure_folder(self._folder)
        before = list(folder.glob("events.out.tfevents.*"))
        now = time.time_ns()
        path = folder / f"events.out.tfevents.{now // 10**9}.{platform.node()}.{os.getpid()}.{now % 10**9}"
        append_whole(path, _records([{"file_version": "brain.Event:2"}]))
        for left in before:
            try:
                left.unlink(missing_ok=True)
            except OSError as error:
                raise OutputError(f"cannot write {left}: {error.strerror}; choose another --out") from error
        return path

    def _write(self, events: Sequence[dict[str, Any]]) -> None:
        assert self._path is not None  # noqa: S101  a stage starts before it has epochs
        append_whole(self._path, _records(events))


def _events(stage: str, epoch: int, done: Epoch) -> list[dict[str, Any]]:
    losses = {f"loss_{name}": value for name, value in done.terms.items()}
    known = {"loss": sum(done.terms.values()), **losses, "learning_rate": done.learning_rate}
    values = {**known, **asdict(done.seen), "seconds": done.seconds}
    return [
        {"step": epoch, "summary": {"value": [{"tag": f"{stage}/{name}", "simple_value": value}]}}
        for name, value in values.items()
        if value is not None
    ]


def _records(events: Sequence[dict[str, Any]]) -> bytes:
    """Events as TensorBoard's own writer frames them; its thread would print what the disk says."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    content = io.BytesIO()
    writer = RecordWriter(content)
    for event in events:
        writer.write(Event(wall_time=time.time(), **event).SerializeToString())
    return content.getvalue()
