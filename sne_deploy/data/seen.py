"""Whether samples are those that a model was trained on, by how their file begins."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from sne_deploy.data.dataset import DataSet

KEY = "trained_on"
"""Of a model's provenance."""
_FIRST = 16
"""Samples whose values and labels tell one file from another."""


def seen_file(data: DataSet, trained: int) -> dict[str, Any]:
    """For the provenance of a model: how a file begins of which ``trained`` samples were trained on."""
    return {"begins": _beginning(data), "samples": len(data), "trained": trained}


def seen_notes(provenance: Mapping[str, Any], data: DataSet) -> tuple[str, ...]:
    """A warning where the samples, or their first ones, are a file that the model was trained on."""
    seen = provenance.get(KEY)
    if not isinstance(seen, Mapping) or len(data) < _FIRST or seen.get("begins") != _beginning(data):
        return ()
    text = (
        f"{seen.get('trained')} of the {seen.get('samples')} samples of this file were trained on: their "
        "accuracy says nothing of unseen data; what was kept to measure on is in test.npz, beside the model"
    )
    return (text,)


def _beginning(data: DataSet) -> str:
    y = np.zeros(0) if data.y is None else data.y[:_FIRST]
    values = (np.asarray(part, np.float32) for part in (data.x[:_FIRST], y))
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in values)).hexdigest()
