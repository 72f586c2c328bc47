"""Every error a user can meet, under one root.

A message names the thing, the value, the limit and the remedy, in one line.
"""

from __future__ import annotations


class SneError(Exception):
    """Root of all errors that sne-deploy raises on purpose.

    ``exit_status`` is what the command line returns for it.
    """

    exit_status = 1


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


class DataError(InputError):
    """A data set or an input array has the wrong shape, range, dtype or size."""


class HardwareError(InputError):
    """A hardware file lacks a constant, or has an impossible one."""


class MappingError(InputError):
    """What does not fit: a layer on a core, or the students on the chips that there are."""


class TargetError(InputError):
    """A target is unknown, or what it needs is not installed."""


class OutputError(InputError):
    """An output folder or file cannot be written."""


class VerificationError(SneError, RuntimeError):
    """The compiler's own checks found an inconsistent network. Exit status 1."""


class RunError(SneError, RuntimeError):
    """A simulation failed or was killed. Exit status 1."""
