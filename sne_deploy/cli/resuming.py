"""Commands that go on where they were interrupted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sne_deploy.stopping import says

_OPTIONS = ("--resume", "--no-resume")


@contextmanager
def kept_in(folder: Path | None, *, resume: bool) -> Iterator[Path | None]:
    """A work folder, emptied where that is not to be resumed; a command that is stopped says how to go on."""
    if folder is None:
        yield None
        return
    from sne_deploy.runtime.work import forget, kept_files

    if not resume:
        forget(folder)
    command = "the same command" if resume else "the same command without --no-resume"

    def word() -> str:
        return f"interrupted: {command} goes on with what is kept" if kept_files(folder) else "interrupted"

    with says(word):
        yield folder


def without_resume(arguments: Sequence[str]) -> list[str]:
    """The arguments without those that change nothing in a report."""
    return [each for each in arguments if each not in _OPTIONS]
