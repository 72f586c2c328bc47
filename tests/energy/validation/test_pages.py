"""docs/energy.md is what the script writes; docs/adding_a_measurement.md names every field."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import get_args

import numpy as np
import pytest

from sne_deploy.energy.validation.case import Boundary, Case, Point, Quantity, Reading, Seen, read_case
from sne_deploy.energy.validation.run import validate

ROOT = Path(__file__).parents[3]
ADDING = (ROOT / "docs" / "adding_a_measurement.md").read_text("utf-8")


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    folder = str(ROOT / "scripts")
    sys.path.insert(0, folder)
    try:
        spec = importlib.util.spec_from_file_location("update_energy_page", f"{folder}/update_energy_page.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(folder)


def test_the_page_is_what_the_script_writes(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    page = (ROOT / "docs" / "energy.md").read_text("utf-8")
    assert script.page() == page, "run python scripts/update_energy_page.py"
    assert "{" not in page
    for row in validate().rows:
        assert f"| {row.case} | {row.quantity} |" in page


@pytest.mark.parametrize("kind", ["Linear", "Conv2d"])
def test_definitions_of_a_synop_by_hand(script: ModuleType, kind: str) -> None:
    """One loop over every product, against the fast way."""
    definitions = sys.modules["synop_definitions"]
    random = np.random.default_rng(3)
    entered = (random.random((2, 3, 2, 4, 4)) < 0.4).astype(float)
    weight = random.integers(-1, 2, (3, 2, 3, 3)).astype(float)
    options = {"stride": (2, 2), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    if kind == "Linear":
        entered, weight, options = (
            entered.reshape(2, 3, 32),
            random.integers(-1, 2, (5, 32)).astype(float),
            {},
        )
    effective = dense = 0
    if kind == "Linear":
        for frame in entered.reshape(-1, 32):
            effective += sum(
                int(x != 0 and w != 0) for row in weight for x, w in zip(frame, row, strict=True)
            )
            dense += weight.size
    else:
        for frame in entered.reshape(-1, 2, 4, 4):
            for (_, channel, y, x), w in np.ndenumerate(weight):
                for row, column in np.ndindex(2, 2):
                    at = (2 * row + y - 1, 2 * column + x - 1)
                    if min(at) >= 0 and max(at) < 4:
                        dense += 1
                        effective += int(w != 0 and frame[channel][at] != 0)
    found = definitions.Connection(kind, weight, options, entered)
    assert found.effective() == effective / 2
    assert found.dense() == dense / 2
    assert found.taps() == entered.sum() * (5 if kind == "Linear" else 27) / 2
    assert found.spiking


def test_the_page_for_owners_of_a_board_has_a_file_that_is_read(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```json\n(.*?)^```$", ADDING, re.MULTILINE | re.DOTALL)
    path = tmp_path / "case.json"
    path.write_text(block, encoding="utf-8")
    assert read_case(path).name == json.loads(block)["name"]
    found = validate([path])
    assert [row.quantity for row in found.rows] == ["neurocore dynamic energy", "x86 power"]
    assert not found.left


def test_the_page_names_every_field_quantity_and_part() -> None:
    for model in (Case, Point, Reading, Boundary):
        for name in model.model_fields:
            assert f"`{name}`" in ADDING or f'"{name}"' in ADDING, name
    for name in (*get_args(Quantity), *get_args(Seen)):
        assert f"`{name}`" in ADDING, name
