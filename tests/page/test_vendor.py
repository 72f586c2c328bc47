"""What is vendored is what npm has."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = (ROOT / "sne_deploy" / "page" / "vendor", ROOT / "tests" / "page" / "vendor")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.relative_to(ROOT).parts[0])
def test_vendored_files_are_those_of_their_packages(folder: Path):
    lines = json.loads((folder / "vendor.json").read_text())
    assert {line["file"] for line in lines} == {path.name for path in folder.glob("*.js")}
    for line in lines:
        assert hashlib.sha256((folder / line["file"]).read_bytes()).hexdigest() == line["sha256"]
        licence = (folder / f"LICENSE-{line['package']}").read_text()
        assert {"BSD-3-Clause": "Redistribution and use", "MPL-2.0": "Mozilla Public License"}[
            line["license"]
        ] in licence
