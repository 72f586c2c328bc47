"""TensorBoard's event files of a run, where the package ``tensorboard`` is installed.

Such files can only be added to, so each start of a run writes them anew: the states of the stages know every
epoch that is done, and each is there once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sne_deploy.distill.training.epochs import Epoch
from sne_deploy.errors import OutputError
from sne_deploy.files import ensure_folder

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
        self._writer: Any = None

    def started(self, stage: str, done: Sequence[Epoch]) -> None:
        """Note a stage whose first epochs are done already."""
        if self._writer is None:
            self._writer = self._opened()
        for index, epoch in enumerate(done, 1):
            self._add(stage, index, epoch)
        self._writer.flush()

    def epoch(self, stage: str, epoch: int, done: Epoch) -> None:
        """Note that an epoch of a stage that has started, counted from 1, is done."""
        self._add(stage, epoch, done)
        self._writer.flush()

    def finish(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()

    def _opened(self) -> Any:
        from torch.utils.tensorboard.writer import SummaryWriter

        folder = ensure_folder(self._folder)
        try:
            for left in folder.glob("events.out.tfevents.*"):
                left.unlink()
            return SummaryWriter(folder)
        except OSError as error:
            raise OutputError(
                f"cannot write {folder}: {error.strerror or error}; choose another --out"
            ) from error

    def _add(self, stage: str, epoch: int, done: Epoch) -> None:
        losses = {f"loss_{name}": value for name, value in done.terms.items()}
        known = {"loss": sum(done.terms.values()), **losses, "learning_rate": done.learning_rate}
        for name, value in {**known, **asdict(done.seen), "seconds": done.seconds}.items():
            if value is not None:
                self._writer.add_scalar(f"{stage}/{name}", value, epoch)
