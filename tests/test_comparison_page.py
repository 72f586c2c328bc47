"""docs/comparison.md is what the script writes, and its examples are read as they stand."""

from __future__ import annotations

import re
from pathlib import Path

from scripts import write_comparison
from sne_deploy.energy.processor import find_processors, packaged


def test_the_page_is_what_the_script_writes() -> None:
    assert write_comparison.PAGE.read_text("utf-8") == write_comparison.page()


def test_every_processor_is_in_the_table() -> None:
    assert set(re.findall(r"^\| `([^`-][^`]*)` \|", write_comparison.page(), re.MULTILINE)) == set(packaged())


def test_its_own_files_are_read(tmp_path: Path) -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```$", write_comparison.page(), re.MULTILINE | re.DOTALL)
    for index, block in enumerate(blocks):
        (tmp_path / f"{index}.toml").write_text(block, "utf-8")
    found = find_processors([tmp_path / f"{index}.toml" for index in range(len(blocks))])
    assert list(found) == ["my-accelerator", "my-board"]
    assert found["my-board"].per_mac_j.value == 41.5e-6 / 337_536
