"""``training.jsonl`` and ``training.csv``: a line for every epoch of a run, each once, whatever was killed.

The states of the stages know every epoch that is done; the files are brought into agreement with them when a
stage starts, and after each epoch. A line that is lost is put back; the whole file is written each time, so
that nobody reads half a line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from sne_deploy.distill.training.epochs import Epoch, Seen
from sne_deploy.errors import OutputError
from sne_deploy.files import read_regular, write_whole

MAX_BYTES = 2**30
LineFormat = Callable[[int, str, int, Epoch], str]
"""Called as line(number of the stage from 1, its name, epoch from 1, what is known of it)."""
LOSSES = ("feature", "cross_entropy", "logits", "spike_rate", "hoyer", "inner", "synops", "decorrelation")
"""Every term that some stage has."""
MEASURED = tuple(asdict(Seen()))
COLUMNS = (
    *("stage", "name", "epoch", "loss", *(f"loss_{name}" for name in LOSSES), "learning_rate"),
    *(*MEASURED, "seconds"),
)
"""Of ``training.csv``; what a stage does not have is left empty."""


def json_line(number: int, stage: str, epoch: int, done: Epoch) -> str:  # noqa: ARG001  as every LineFormat
    """The loss terms alone: the same bytes from every run of an experiment."""
    return json.dumps({"stage": stage, "epoch": epoch, **done.terms})


def csv_line(number: int, stage: str, epoch: int, done: Epoch) -> str:
    """A value for each of ``COLUMNS``."""
    measured = asdict(done.seen)
    values = [
        *(number, stage, epoch, sum(done.terms.values())),
        *(done.terms.get(name) for name in LOSSES),
        done.learning_rate,
        *(measured[name] for name in MEASURED),
        done.seconds,
    ]
    return ",".join("" if value is None else str(value) for value in values)


class Journal:
    """A log file of one run.

    Parameters
    ----------
    path : Path
        What an earlier, killed run of the same experiment left there is kept as far as it is right.
    line : LineFormat
    header : str
        The first line; "" for none.
    """

    def __init__(self, path: Path, line: LineFormat = json_line, header: str = "") -> None:
        self._path, self._line = path, line
        self._text = f"{header}\n" if header else ""
        self._stages = 0

    def started(self, stage: str, done: Sequence[Epoch]) -> None:
        """Note a stage whose first epochs are done already."""
        self._stages += 1
        for index, epoch in enumerate(done, 1):
            self._add(stage, index, epoch)
        self._write()

    def epoch(self, stage: str, epoch: int, done: Epoch) -> None:
        """Note that an epoch of the stage that started last, counted from 1, is done."""
        self._add(stage, epoch, done)
        self._write()

    def finish(self) -> None:
        """Drop what follows the last epoch: lines of another run.

        Raises
        ------
        OutputError
            The file cannot be written.
        """
        if self._read() != self._text.encode():
            write_whole(self._path, self._text.encode())

    def _add(self, stage: str, epoch: int, done: Epoch) -> None:
        self._text += self._line(self._stages, stage, epoch, done) + "\n"

    def _write(self) -> None:
        """Make the file begin with what this run knows; what may follow is of stages not yet reached."""
        if not self._read().startswith(self._text.encode()):
            write_whole(self._path, self._text.encode())

    def _read(self) -> bytes:
        try:
            return read_regular(self._path, MAX_BYTES)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise OutputError(
                f"cannot write {self._path}: {error.strerror or error}; choose another --out"
            ) from error
