"""Large files of other people's that the tests can use and do not need: networks and recordings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("SNE_TEST_SHARED", Path(__file__).parents[2] / "shared"))


def shared(*parts: str) -> Path:
    """A file's path; the test is skipped where it is not there."""
    path = FOLDER.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is not there; SNE_TEST_SHARED names the folder that holds {'/'.join(parts)}")
    return path
