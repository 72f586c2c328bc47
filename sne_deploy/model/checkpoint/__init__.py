"""``model.pt``: reading (never runs code) and writing (atomic).

Reading, in this order: the zip file is bounded and checked (``archive``), its pickle is interpreted in a
closed machine that makes plain data and arrays (``contents``), the result is checked against the schema
(``document``), and its parts against each other (``validate``). torch is needed to write alone.
"""

from __future__ import annotations

import os
from pathlib import Path

from sne_deploy.model.checkpoint.archive import MAX_FILE_BYTES
from sne_deploy.model.checkpoint.document import FORMAT, VERSION
from sne_deploy.model.checkpoint.read import read_model
from sne_deploy.model.checkpoint.write import save_checkpoint
from sne_deploy.model.ensemble import Ensemble

__all__ = ["FORMAT", "MAX_FILE_BYTES", "VERSION", "load_checkpoint", "save_checkpoint"]


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
    return read_model(Path(path), Path(path), Ensemble)
