"""Commands that go on where they were interrupted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sne_deploy.stopping import says

_OPTIONS = ("--resume", "--no-resume")


@contextmanager
def kept_in(folder: Path | None, *, resume: bool, out: Path | None = None) -> Iterator[Path | None]:
    """A work folder; the command has it, or the folder ``out``, to itself, and if stopped says how to go on.

    Raises
    ------
    OutputError
        Another command has it.
    """
    if folder is None:
        yield None
        return
    from sne_deploy.files import held_folder, remove_empty
    from sne_deploy.runtime.work import kept_files

    command = "the same command" if resume else "the same command without --no-resume"

    def word() -> str:
        return f"interrupted: {command} goes on with what is kept" if kept_files(folder) else "interrupted"

    with held_folder(out or folder), says(word):
        try:
            yield folder
        finally:
            remove_empty(folder)


def without_resume(arguments: Sequence[str]) -> list[str]:
    """The arguments without those that change nothing in a report."""
    return [each for each in arguments if each not in _OPTIONS]
