"""A work folder: what a long run has done is kept in it, and the same run goes on there.

``made_with.json`` says what the run was made with; a run made with something else is refused. One process at
a time works in a folder: its lock ends with it, however it ends.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from sne_deploy.chips.chip import Chip
from sne_deploy.data.dataset import DataSet
from sne_deploy.errors import InputError, OutputError
from sne_deploy.files import ensure_folder, is_folder, read_regular, remove_empty, write_whole
from sne_deploy.frontend.compiled_file.codec import Arrays
from sne_deploy.holding import hold
from sne_deploy.ir.program import Program
from sne_deploy.leftovers import hidden_folder
from sne_deploy.model.ensemble import Ensemble
from sne_deploy.runtime.fingerprint import REGISTERS, differing, digest
from sne_deploy.runtime.packages import versions_that_decide
from sne_deploy.text import visible

MADE_WITH = "made_with.json"
FORMAT, VERSION = "sne-deploy/work", 2
MAX_MADE_WITH_BYTES = 2**20
ROUNDS = "rounds.npz"
KEPT = ("samples-*.npz", ROUNDS)
"""Files that a work folder holds, beside the one that says whose they are."""
_PART = "part-"
ANEW = "begin anew with --no-resume (in Python: resume=False), or choose another place"
_log = logging.getLogger(__name__)


class Work:
    """A work folder of one run; it is made when the first thing is kept.

    Parameters
    ----------
    folder : path
    made_with : callable
        Gives what the run is made with, by name: texts or digests. It is called where that is needed.
    anew : Path or None
        What is kept in this folder, of which ``folder`` may be a part, is not taken up, and is removed once
        the work begins.
    """

    def __init__(
        self, folder: Path, made_with: Callable[[], Mapping[str, str]], anew: Path | None = None
    ) -> None:
        self.folder, self.anew = folder, anew
        self._made_with = made_with
        self._locks = contextlib.ExitStack()
        self._begun = False

    def __enter__(self) -> Work:
        """Take up what is there.

        Raises
        ------
        InputError
            It is of a run that was made with something else, or is damaged.
        OutputError
            Another process has it.
        """
        if is_folder(self.folder):
            self._locks.enter_context(hold(self.folder))
            try:
                if self.anew is None:
                    self._check()
            except BaseException:
                self._locks.close()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        self._locks.close()

    @cached_property
    def made_with(self) -> dict[str, str]:
        """What this run is made with."""
        return dict(self._made_with())

    def seal(self, content: Arrays) -> str:
        """What a file of this run has that holds this and nothing else."""
        return digest((self.made_with, content))

    def take_up(self) -> None:
        """Forget what is not to be taken up, now that nothing refuses the work any more."""
        if self.anew is not None:
            empty(self.anew)

    def begin(self) -> None:
        """Make the folder, where it is not there yet.

        Raises
        ------
        OutputError
            It cannot be written, or another process was faster.
        """
        path = self.folder / MADE_WITH
        if self._begun:
            return
        ensure_folder(self.folder)
        self._locks.enter_context(hold(self.folder))
        document = {"format": FORMAT, "version": VERSION, "made_with": self.made_with}
        write_whole(path, (json.dumps(document, indent=1) + "\n").encode())
        self._begun = True

    def _check(self) -> None:
        path = self.folder / MADE_WITH
        try:
            document = json.loads(read_regular(path, MAX_MADE_WITH_BYTES))
        except FileNotFoundError:
            return
        except (OSError, ValueError, RecursionError) as error:
            reason = getattr(error, "strerror", None) or "no JSON"
            raise InputError(f"{path}: is damaged ({reason}); {ANEW}") from None
        theirs = document.get("made_with") if isinstance(document, dict) else None
        if not isinstance(theirs, dict) or not all(isinstance(each, str) for each in theirs.values()):
            raise InputError(f"{path}: is damaged (it does not say what it was made with); {ANEW}")
        different = differing(self.made_with, theirs)
        if document.get("format") != FORMAT or document.get("version") != VERSION:
            different = ["another sne-deploy"]
        if different:
            raise InputError(
                f"{self.folder}: an interrupted run was made with {', '.join(different)}; give the same to "
                f"go on, {ANEW}"
            )
        self._begun = True


def made_with(
    ensemble: Ensemble,
    programs: Sequence[Program],
    reference: Sequence[Program],
    *,
    target: str,
    chip: Chip,
    data: DataSet,
    seed: int,
    recorded: str,
) -> dict[str, str]:
    """All that the counts of a run depend on; what only a report needs, such as its rate, is not among it."""
    formats = programs[0].formats
    return {
        "model": digest_of_model(ensemble),
        "policy": digest(ensemble.policy),
        "data": digest((data.x, data.y, data.lengths)),
        "chip": f"{chip.name} {digest(chip.model_dump(mode='json'))}",
        "target": target,
        "precision": programs[0].precision,
        "weight bits": "none"
        if formats is None
        else str(formats.used_weight_bits * formats.synapses_per_weight),
        "seed": str(seed),
        "recording": recorded,
        REGISTERS: digest((programs, reference)),
        **versions_that_decide([target]),
    }


def digest_of_model(ensemble: Ensemble) -> str:
    """Of all but its policy."""
    return digest(
        (ensemble.students, ensemble.input_shape, ensemble.timesteps, ensemble.encoder, ensemble.head)
    )


def going_on(what: str, folder: Path) -> None:
    """Say what was there, once nothing is left that could refuse it."""
    _log.warning("going on with %s kept in %s", what, visible(str(folder)))


def part_of(folder: Path, name: str) -> Path:
    """Where one of several runs that make a whole keeps its work."""
    return folder / f"{_PART}{name}"


def kept_files(folder: Path) -> list[Path]:
    """What is kept in a work folder, and in those of the runs that make a whole."""
    return [path for name in KEPT for each in (name, f"{_PART}*/{name}") for path in folder.glob(each)]


def forget(folder: Path) -> None:
    """Remove a work folder, as far as what is there is ours and no other process is at work there."""
    empty(folder)
    remove_empty(folder)


def empty(folder: Path) -> None:
    """Remove what is kept in a work folder; as :func:`forget`, but for the folder itself."""
    if not is_folder(folder):
        return
    for part in folder.glob(f"{_PART}*"):
        forget(part)
    with contextlib.suppress(OutputError), hold(folder):
        with hidden_folder(folder):  # it sweeps what a killed process has left
            pass
        for pattern in (*KEPT, MADE_WITH):
            for path in folder.glob(pattern):
                path.unlink(missing_ok=True)
