"""``sne map`` as a shell starts it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.command_line import command

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits" / "model.pt"


def test_layers_of_the_example_share_a_core_and_layers_of_intels_do_not() -> None:
    found = command("map", DIGITS, name="sne")
    assert (found.status, found.stderr) == (0, "")
    assert found.stdout.startswith("4 cores on 1 chip (loihi1, strategy packed)\n")
    listed = command("map", DIGITS, "--hardware", "loihi2", "--strategy", "intel", "--json", name="sne")
    mapping = json.loads(listed.stdout)
    layers = mapping["layers"]
    assert (mapping["cores"], mapping["chips"]) == (len(layers), 1)
    assert [each["cores"] for each in layers] == [1] * len(layers)
    assert (layers[0]["name"], layers[0]["tile"], layers[0]["neurons"]) == ("lifboxcell_1", [8, 8, 8], 512)
    assert set(layers[0]["binds"]) == {"resource", "used", "limit"}


def test_a_wrong_strategy_or_chip_is_one_line() -> None:
    for wrong in (
        ["--strategy", "best"],
        ["--strategy", "intel"],
        ["--hardware", "loihi3"],
        ["--chips", "0"],
    ):
        found = command("map", DIGITS, *wrong, name="sne")
        assert (found.status, found.stdout, found.stderr.count("\n")) == (2, "", 1)
        assert found.stderr.startswith("error: ")
