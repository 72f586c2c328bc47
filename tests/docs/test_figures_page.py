"""What the pages say of layers, targets, constants and figures is what there is."""

from __future__ import annotations

import re
from importlib.metadata import entry_points

from sne_deploy.chips.chip import load_chip
from sne_deploy.model.layers.registry import LAYER_KINDS
from sne_deploy.neurons.table import CELLS
from sne_deploy.page.figures.table import FIGURES
from tests.docs.pages import DOCS


def test_every_layer_is_named() -> None:
    listed = re.sub(r"`(\w+)1d/2d`", r"`\g<1>1d` `\g<1>2d`", (DOCS / "norse.md").read_text("utf-8"))
    for kind in LAYER_KINDS:
        norses = kind not in CELLS or CELLS[kind].module == "norse.torch"  # ours are in their model's file
        assert not norses or f"`{kind}`" in listed, kind


def test_every_target_is_named() -> None:
    page = (DOCS / "commands" / "compile.md").read_text("utf-8")
    for entry in entry_points(group="sne_deploy.backends"):
        assert f"`{entry.name}`" in page, entry.name


def test_every_constant_is_as_in_the_chips_file() -> None:
    page = (DOCS / "figures.md").read_text("utf-8")
    constants = load_chip("loihi1").constants("energy", "host")
    for name in ("synop", "update_active", "update_idle", "spike_within_tile"):
        assert f"{constants[f'energy.{name}'].value:g}" in page
    assert f"| {constants['host.mac'].value:g} |" in page


def test_every_figure_is_in_the_table_in_the_pages_order() -> None:
    page = (DOCS / "report_page.md").read_text("utf-8")
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(FIGURES)
