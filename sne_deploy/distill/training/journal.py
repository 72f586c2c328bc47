"""``training.jsonl``: a line for every epoch of a run, each once, however often the run was killed.

The states of the stages know every epoch that is done; this file is brought into agreement with them when a
stage starts, and after each epoch. A line that a kill cut off is completed, one that was lost is put back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from sne_deploy.errors import OutputError
from sne_deploy.files import atomic_path, read_regular

MAX_BYTES = 2**30


class Journal:
    """The log file of one run.

    Parameters
    ----------
    path : Path
        What an earlier, killed run of the same experiment left there is kept as far as it is right.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text = ""

    def started(self, stage: str, log: Sequence[Mapping[str, float]]) -> None:
        """Note a stage whose first epochs are done already, with their loss terms."""
        for index, terms in enumerate(log, 1):
            self._add(stage, index, terms)
        self._write()

    def epoch(self, stage: str, epoch: int, terms: Mapping[str, float]) -> None:
        """Note that an epoch, counted from 1, is done."""
        self._add(stage, epoch, terms)
        self._write()

    def finish(self) -> None:
        """Drop what follows the last epoch: lines of another run.

        Raises
        ------
        OutputError
            The file cannot be written.
        """
        if self._read() != self._text.encode():
            self._replace()

    def _add(self, stage: str, epoch: int, terms: Mapping[str, float]) -> None:
        self._text += json.dumps({"stage": stage, "epoch": epoch, **terms}) + "\n"

    def _write(self) -> None:
        """Make the file begin with what this run knows; what may follow is of stages not yet reached."""
        wanted, found = self._text.encode(), self._read()
        if found.startswith(wanted):
            return
        if not wanted.startswith(found):
            self._replace()
            return
        try:
            with self._path.open("ab") as file:
                file.write(wanted[len(found) :])
        except OSError as error:
            raise self._refused(error) from error

    def _read(self) -> bytes:
        try:
            return read_regular(self._path, MAX_BYTES)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise self._refused(error) from error

    def _replace(self) -> None:
        with atomic_path(self._path) as temporary:
            temporary.write_text(self._text)

    def _refused(self, error: OSError) -> OutputError:
        return OutputError(f"cannot write {self._path}: {error.strerror or error}; choose another --out")
