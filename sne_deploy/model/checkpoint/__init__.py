"""``model.pt``: reading (never runs code) and writing (atomic).

Reading, in this order: the zip file is bounded and checked (``archive``), its pickle is interpreted in a
closed machine that knows how much memory it would take (``scan``), torch reads it with
``weights_only=True``, the result is walked (``walk``), checked against the schema (``document``), and its
parts against each other (``validate``).
"""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sne_deploy.errors import CheckpointError, InputError
from sne_deploy.files import atomic_path
from sne_deploy.model.checkpoint.archive import MAX_FILE_BYTES, REMEDY, Archive, read_archive
from sne_deploy.model.checkpoint.document import FORMAT, VERSION, from_ensemble, parse_document, to_ensemble
from sne_deploy.model.checkpoint.scan import DTYPES, scan_pickle
from sne_deploy.model.checkpoint.validate import validate
from sne_deploy.model.checkpoint.walk import to_plain

if TYPE_CHECKING:
    from sne_deploy.model.ensemble import Ensemble

__all__ = ["FORMAT", "MAX_FILE_BYTES", "VERSION", "load_checkpoint", "save_checkpoint"]

_MIN_TORCH = (2, 10)


def load_checkpoint(path: str | os.PathLike[str]) -> Ensemble:
    """Read a ``model.pt``; nothing in it is ever run.

    Parameters
    ----------
    path : path
        At most ``MAX_FILE_BYTES``.

    Returns
    -------
    Ensemble
        Arrays are read-only and keep their dtype.

    Raises
    ------
    CheckpointError
        Missing, damaged, hostile, of another kind or version, or inconsistent: in one line.
    """
    return _load(Path(path), Path(path))


def save_checkpoint(ensemble: Ensemble, path: str | os.PathLike[str]) -> None:
    """Write a ``model.pt``: whole, or not at all; the same ensemble gives the same bytes.

    What is written has been read back as :func:`load_checkpoint` would before it gets its name.

    Raises
    ------
    CheckpointError
        A student is a NIR graph, or the ensemble is one that :func:`load_checkpoint` would refuse.
    OutputError
        The file cannot be written.
    """
    import torch

    document = from_ensemble(ensemble)
    _checked("the ensemble", document)
    tensors = _with_tensors(document)
    content = io.BytesIO()
    torch.save(tensors, content)
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        stream.write(content.getbuffer())
        stream.flush()
        os.fsync(stream.fileno())
        _load("the ensemble", temporary)


def _load(where: object, path: Path) -> Ensemble:
    """Read a file that messages call ``where``."""
    archive = read_archive(where, path)
    scan_pickle(where, archive)
    plain = to_plain(where, _torch_load(where, archive))
    return _checked(where, plain)


def _checked(where: object, plain: Any) -> Ensemble:
    document = parse_document(where, plain)
    try:
        ensemble = to_ensemble(document)
        validate(where, ensemble)
    except CheckpointError:
        raise
    except InputError as error:
        raise CheckpointError(f"{where}: {error}") from error
    return ensemble


def _torch_load(where: object, archive: Archive) -> Any:
    import torch

    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if version < _MIN_TORCH:
        raise CheckpointError(
            f"torch {torch.__version__} can be made to run code by a model.pt; install torch >= 2.10"
        )
    try:
        return torch.load(archive.rewritten(), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, TypeError, KeyError, EOFError) as error:
        line = str(error).split("\n", 1)[0][:200]
        raise CheckpointError(f"{where}: torch cannot read it ({line}); {REMEDY}") from error


def _with_tensors(value: Any) -> Any:
    """Copy the containers with a tensor, on a storage of its own, for each array."""
    import torch

    if isinstance(value, dict):
        return {name: _with_tensors(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_with_tensors(part) for part in value]
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype.name not in DTYPES:
        raise CheckpointError(f"cannot save an array of dtype {value.dtype}; use one of {', '.join(DTYPES)}")
    return torch.from_numpy(np.array(value, dtype=value.dtype.newbyteorder("="), order="C", copy=True))
