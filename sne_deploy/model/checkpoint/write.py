"""Writing a ``model.pt``: a zip file as ``torch.save`` makes it, so that torch can look into it."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from sne_deploy.errors import CheckpointError
from sne_deploy.files import atomic_path
from sne_deploy.model.checkpoint.contents import DTYPES
from sne_deploy.model.checkpoint.document import from_ensemble
from sne_deploy.model.checkpoint.read import checked, read_model

if TYPE_CHECKING:
    from sne_deploy.model.ensemble import Ensemble


def save_checkpoint(ensemble: Ensemble, path: str | os.PathLike[str]) -> None:
    """Write a ``model.pt``: whole, or not at all; the same ensemble gives the same bytes.

    What is written has been read back as :func:`sne_deploy.model.checkpoint.load_checkpoint` would before it
    gets its name.

    Raises
    ------
    CheckpointError
        A student is a NIR graph, or the ensemble is one that would be refused when it is read.
    OutputError
        The file cannot be written.
    """
    import torch

    document = from_ensemble(ensemble)
    checked("the ensemble", document, type(ensemble))
    tensors = _with_tensors(document)
    content = io.BytesIO()
    torch.save(tensors, content)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.getbuffer())
        read_model("the ensemble", temporary, type(ensemble))


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
