"""predictions.npz: what is written is read back, and nothing else is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sne_deploy.errors import DataError, InputError
from sne_deploy.report.predictions import Predictions, load_predictions, save_predictions

GOOD: dict[str, Any] = {
    "predictions": np.array([1, 0]),
    "logits": np.array([[0.1, 0.2, 0.1], [3.0, 0.2, 0.1]]),
    "active": np.array([[True, False], [True, True]]),
    "labels": np.array([2, 0]),
}


@pytest.mark.parametrize("labels", [GOOD["labels"], None])
def test_what_is_written_is_read_back(tmp_path: Path, labels: Any) -> None:
    written = Predictions(**GOOD | {"labels": labels})
    path = save_predictions(written, tmp_path / "new")
    assert [each.name for each in path.parent.iterdir()] == ["predictions.npz"]
    for found in (load_predictions(path), load_predictions(path.parent)):
        for name in GOOD:
            np.testing.assert_array_equal(getattr(found, name), getattr(written, name))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"logits": None}, "logits is missing"),
        ({"predictions": np.array([0.0, 1.0])}, "predictions is missing or of another type"),
        ({"active": np.array([True, False])}, "active is missing or of another type"),
        ({"labels": np.array([0])}, "labels has another number of samples"),
        ({"labels": np.array([object(), 1], dtype=object)}, "object"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    arrays = {name: value for name, value in (GOOD | change).items() if value is not None}
    np.savez(tmp_path / "predictions.npz", **arrays)
    with pytest.raises((InputError, DataError), match=said):
        load_predictions(tmp_path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        load_predictions(tmp_path)
