"""Commands that go on where they were interrupted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sne_deploy.cli.output import say

_OPTIONS = ("--resume", "--no-resume")


def begin_work(folder: Path, *, resume: bool) -> Path:
    """Say what an interrupted run has left in a work folder, or throw it away; the folder."""
    from sne_deploy.files import is_folder
    from sne_deploy.runtime.work import forget, kept_files

    if not is_folder(folder):
        return folder
    if not resume:
        forget(folder)
    elif kept_files(folder):
        say(f"Going on with what is kept in {folder}.")
    return folder


def without_resume(arguments: Sequence[str]) -> list[str]:
    """The arguments without those that change nothing in a report."""
    return [each for each in arguments if each not in _OPTIONS]
