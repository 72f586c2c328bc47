"""Files of networks, read by what their suffix names: the core reads ``.nir``, plug-ins the others.

A plug-in is an entry point of the group ``sne_deploy.readers``. Its name is the suffix without the dot, its
value a function as :class:`Reader` describes.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sne_deploy.errors import InputError

if TYPE_CHECKING:
    import nir

    from sne_deploy.ir.program import Program

ENTRY_POINT_GROUP = "sne_deploy.readers"


class Reader(Protocol):
    """Reads one kind of file, which it trusts in nothing: errors are GraphError and UnsupportedError."""

    def __call__(
        self, path: Path, *, input_shape: tuple[int, ...] | None, dt_s: float | None
    ) -> nir.NIRGraph | Program:
        """Read one network.

        Parameters
        ----------
        path : Path
        input_shape : tuple of int or None
            One sample at one step, for files that do not say.
        dt_s : float or None
            Seconds per step, for files that do not say.

        Returns
        -------
        nir.NIRGraph, or Program where the file holds registers
        """
        ...


def file_suffixes() -> tuple[str, ...]:
    """Of the files that hold a network: ``.nir`` and those of the installed readers."""
    return (".nir", *sorted({f".{entry.name}" for entry in entry_points(group=ENTRY_POINT_GROUP)} - {".nir"}))


def read_network(
    path: Path, *, input_shape: tuple[int, ...] | None, dt_s: float | None
) -> nir.NIRGraph | Program:
    """Read a file whose suffix is one of :func:`file_suffixes`.

    Raises
    ------
    InputError
        A package that the reader needs is not installed; GraphError, UnsupportedError for what is wrong in
        the file.
    """
    return _reader(path.suffix)(path, input_shape=input_shape, dt_s=dt_s)


def _reader(suffix: str) -> Reader:
    if suffix == ".nir":
        return _read_nir
    entry = next(e for e in entry_points(group=ENTRY_POINT_GROUP) if f".{e.name}" == suffix)
    try:
        reader: Reader = entry.load()
    except ImportError as error:
        raise InputError(
            f"{suffix} files cannot be read, {entry.value!r} cannot be loaded: {error}; install what it needs"
        ) from error
    return reader


def _read_nir(
    path: Path,
    *,
    input_shape: tuple[int, ...] | None,
    dt_s: float | None,  # noqa: ARG001  the metadata may say; see ensemble_of_graphs
) -> nir.NIRGraph:
    from sne_deploy.frontend.nir.file import read_nir

    return read_nir(path, input_shape=input_shape)
