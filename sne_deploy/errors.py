"""Every error a user can meet, under one root.

A message names the thing, the value, the limit and the remedy, in one line.
"""

from __future__ import annotations

from collections.abc import Sequence

from sne_deploy.text import visible


class SneError(Exception):
    """Root of all errors that sne-deploy raises on purpose.

    ``exit_status`` is what the command line returns for it. Its text may quote a file that nobody can trust:
    what no terminal should obey is escaped in it.
    """

    exit_status = 1

    def __str__(self) -> str:
        """The message, visible."""
        return visible(super().__str__())

    @property
    def lines(self) -> tuple[str, ...]:
        """The message as the command line prints it: one line, or a heading and one for each mistake."""
        return (str(self),)


class InputError(SneError, ValueError):
    """Something the user gave (file, array, option) is wrong. Exit status 2."""

    exit_status = 2


class CheckpointError(InputError):
    """A ``model.pt`` is missing, damaged, hostile or invalid."""


class GraphError(InputError):
    """A NIR graph or its file is missing, damaged, hostile or inconsistent."""


class UnsupportedError(InputError):
    """A model asks for something that exists nowhere in the chain, or not on the target.

    Parameters
    ----------
    problems : sequence of str
        Every unsupported thing found, not only the first.
    context : str
        What was being converted or compiled.
    """

    def __init__(self, context: str, problems: list[str] | tuple[str, ...]) -> None:
        self.context = context
        self.problems = tuple(problems)
        super().__init__(f"{context}: {'; '.join(self.problems)}")


class ExperimentError(InputError):
    """A description of a training has mistakes.

    Parameters
    ----------
    where : str
        The file.
    mistakes : sequence of str
        Each with its place.
    more : int
        Further ones, which are not listed.
    """

    def __init__(self, where: str, mistakes: Sequence[str], more: int = 0) -> None:
        self.where = where
        self.mistakes = (*mistakes, *([f"and {more} more"] if more else []))
        self.count = len(mistakes) + more
        super().__init__(f"{where}: {'; '.join(self.mistakes)}")

    @property
    def lines(self) -> tuple[str, ...]:
        """A line for each mistake, below one for the file where there are several."""
        if self.count == 1:
            return (str(self),)
        return (f"{self.where}: {self.count} mistakes", *self.mistakes)


class DataError(InputError):
    """A data set or an input array has the wrong shape, range, dtype or size."""


class HardwareError(InputError):
    """A hardware file lacks a constant, or has an impossible one."""


class MappingError(InputError):
    """What does not fit: a layer on a core, or the students on the chips that there are."""


class TargetError(InputError):
    """A target is unknown, or what it needs is not installed or not there."""


class OutputError(InputError):
    """An output folder or file cannot be written."""


class VerificationError(SneError, RuntimeError):
    """The compiler's own checks found an inconsistent network. Exit status 1."""


class RunError(SneError, RuntimeError):
    """A simulation failed or was killed. Exit status 1."""
