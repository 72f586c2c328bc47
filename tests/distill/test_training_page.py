"""docs/training.md names every key of an experiment, every option, and what it says about files holds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pydantic
import pytest

from sne_deploy.distill import experiment
from sne_deploy.model.layers.registry import LAYER_KINDS
from tests.command_line import command

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "training.md").read_text("utf-8")
ELSEWHERE = {"NoiseModel", "GateModel"}
"""Tables that another page explains."""
MODELS = {
    name: model
    for name, model in vars(experiment).items()
    if isinstance(model, type) and issubclass(model, pydantic.BaseModel) and model.model_fields
}


@pytest.mark.parametrize("name", sorted(set(MODELS) - ELSEWHERE))
def test_every_key_is_named(name: str) -> None:
    for key, field in MODELS[name].model_fields.items():
        assert f"`{key}`" in PAGE or f"**`[{key}]`**" in PAGE, f"{name}.{key}"
        for choice in get_args(field.annotation):
            if isinstance(choice, str):
                assert f"`{choice}`" in PAGE, f"{name}.{key} = {choice!r}"


def test_every_option_is_named_and_no_other() -> None:
    options = set(re.findall(r"--[a-z-]+", command("train", "--help", name="sne").stdout)) - {
        "--help",
        "--debug",
    }
    assert set(re.findall(r"--[a-z-]+", PAGE.split("\n\n")[1])) == options


def test_every_kind_of_layer_it_names_exists() -> None:
    (line,) = re.findall(r"A \*\*layer\*\* has a `kind`: (.*?); and", PAGE, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", line)) <= set(LAYER_KINDS)
