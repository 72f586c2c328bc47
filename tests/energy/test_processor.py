"""Processors: the packaged ones against their sources, and every way in which a file can be wrong."""

from __future__ import annotations

import itertools
import math
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.energy.figure import exact
from sne_deploy.energy.processor import (
    FAMILIES,
    KINDS,
    MAX_FILE_BYTES,
    find_processors,
    packaged,
    processors_of_table,
)
from sne_deploy.errors import HardwareError
from tests.effort import examples

OWN = """
[mine]
description = "a processor"
kind = "published, whole processor"
mac = { value = 10.0, unit = "pJ", source = "its data sheet" }
idle = { value = 2.0, unit = "mW", source = "its data sheet" }
"""


@pytest.fixture
def written(tmp_path: Path) -> Any:
    def write(text: str) -> Path:
        path = tmp_path / "own.toml"
        path.write_text(text, "utf-8")
        return path

    return write


def test_boards_take_8_to_1619_pj_for_a_multiply_accumulate_of_resnet_8() -> None:
    found = [round(processor.per_mac_j.value * 1e12) for processor in find_processors("boards").values()]
    assert found == [8, 11, 77, 205, 291, 407, 440, 553, 1619]


def test_arithmetic_is_what_horowitz_and_jouppi_published() -> None:
    found = {name: processor.mac.si for name, processor in find_processors("arithmetic").items()}
    horowitz = {"45nm-fp32": 3.7 + 0.9, "45nm-int8": 0.2 + 0.03}
    jouppi = {"7nm-fp32": 1.31 + 0.38, "7nm-int8": 0.07 + 0.007}
    assert found == pytest.approx({name: pj * 1e-12 for name, pj in (horowitz | jouppi).items()}, rel=1e-12)


def _conv(out: int, kernel: int, channels_in: int, channels_out: int) -> int:
    return out * out * channels_out * kernel * kernel * channels_in


def test_the_multiply_accumulates_of_mlperf_tinys_networks() -> None:
    resnet8 = _conv(32, 3, 3, 16) + 2 * _conv(32, 3, 16, 16) + 64 * 10
    for out, channels in ((16, 32), (8, 64)):
        half = channels // 2
        resnet8 += (
            _conv(out, 3, half, channels) + _conv(out, 3, channels, channels) + _conv(out, 1, half, channels)
        )
    sizes = (640, *[128] * 4, 8, *[128] * 4, 640)
    autoencoder = sum(a * b for a, b in itertools.pairwise(sizes))
    positions = 25 * 5
    ds_cnn = positions * 64 * 10 * 4 + 4 * positions * 64 * (9 + 64) + 64 * 12
    expected = {"ResNet-8": resnet8, "autoencoder": autoencoder, "DS-CNN": ds_cnn}
    measured = [network for each in find_processors("boards").values() for network in each.networks]
    assert {network.name: network.macs for network in measured} == expected


def test_every_file_holds_one_kind_and_every_figure_has_a_source() -> None:
    for family, kind in zip(FAMILIES, KINDS, strict=True):
        assert {each.kind for each in find_processors(family).values()} == {kind}
    assert dict(packaged()) == find_processors("all") == find_processors(FAMILIES)
    assert all(each.sources for each in packaged().values())


def test_names_come_in_the_order_asked_for_each_once(written: Any) -> None:
    assert list(find_processors("7nm-int8, stm32u385,7nm-int8")) == ["7nm-int8", "stm32u385"]
    assert next(iter(find_processors([written(OWN), "arithmetic"]))) == "mine"


def test_an_own_file_says_idle_power_too(written: Any) -> None:
    mine = find_processors(written(OWN))["mine"]
    assert (mine.per_mac_j, mine.idle_w, mine.sources) == (exact(1e-11), 0.002, ("its data sheet",))


@given(st.lists(st.tuples(st.integers(1, 10**9), st.floats(1e-3, 1e6)), min_size=1, max_size=5))
def test_the_interval_holds_every_network_that_was_measured(networks: list[tuple[int, float]]) -> None:
    from sne_deploy.energy.processor import Processor

    several = [{"name": "n", "macs": macs, "value": uj, "unit": "uJ", "source": "s"} for macs, uj in networks]
    found = Processor.model_validate(
        {"description": "d", "kind": "measured, whole board", "networks": several}
    )
    per_mac = found.per_mac_j
    each = [uj * 1e-6 / macs for macs, uj in networks]
    assert math.isclose(per_mac.value, each[0], rel_tol=1e-12)
    assert math.isclose(per_mac.low, min(each), rel_tol=1e-12)
    assert math.isclose(per_mac.high, max(each), rel_tol=1e-12)


MEASURED = '{ name = "n", macs = 5, value = 1.0, unit = "uJ", source = "s" }'


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("[mine]", "mine", "is not TOML"),
        ("[mine]", '["a b"]', "'a b' is no name; use up to 40"),
        ("[mine]", "[stm32u385]", "stm32u385 is the name of another; call it stm32u385-own"),
        ("[mine]", "[all]", "all is the name of another; call it all-own"),
        ('kind = "published, whole processor"', "", "mine.kind is missing; add it"),
        ("published, whole", "guessed, whole", "is no kind; write one of 'measured, whole board'"),
        ("published, whole processor", "measured, whole board", "what was measured has networks = [...]"),
        ("published, whole processor", "arithmetic alone", "leave idle out"),
        ("mac =", f"networks = [{MEASURED}]\nmac =", "'published, whole processor' has mac"),
        ("mac =", "mac_j =", "mine.mac_j is not a known key"),
        ("mac = {", "mac = 7 #", "mine.mac = 7 is not a table"),
        ('"pJ"', '"mW"', "unit 'mW' is not one of J, mJ"),
        ("10.0", "-10.0", "is not in [0, 0.001 J]"),
        ("10.0", "inf", "finite"),
        ("10.0", '"many"', "mine.mac.value = 'many'"),
        ('"its data sheet" }', '"" }', "mine.mac.source = ''"),
        (OWN, "", "the file is empty; name a processor as [NAME]"),
        (OWN, "mine = 3", "mine = 3 is not a table"),
    ],
)  # fmt: skip
def test_one_line_says_what_is_wrong(written: Any, old: str, new: str, expected: str) -> None:
    assert old in OWN
    with pytest.raises(HardwareError) as caught:
        find_processors(written(OWN.replace(old, new, 1)))
    message = str(caught.value)
    assert expected in message
    assert "\n" not in message
    assert len(message) < 600


def test_unknown_and_unreadable_names(tmp_path: Path) -> None:
    with pytest.raises(HardwareError, match=r"unknown processor 'tpu'; known: all, boards, published"):
        find_processors("boards,tpu")
    with pytest.raises(HardwareError, match="no processor is named"):
        find_processors(" , ")
    with pytest.raises(HardwareError, match="No such file"):
        find_processors(tmp_path / "none.toml")
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(HardwareError, match="it is a pipe"):
        find_processors(tmp_path / "pipe.toml")
    (tmp_path / "huge.toml").write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    with pytest.raises(HardwareError, match="more than the limit"):
        find_processors(tmp_path / "huge.toml")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["description", "kind", "mac", "networks", "idle", "value", "unit", "macs", "x"])


@settings(max_examples=examples(50))
@given(st.dictionaries(st.sampled_from(["a", "b"]), st.dictionaries(KEYS, VALUES, max_size=5), max_size=2))
def test_whatever_a_file_holds_is_read_or_refused_in_one_line(table: dict[str, Any]) -> None:
    message = ""
    try:
        assert list(processors_of_table(table, "own.toml")) == list(table)
    except HardwareError as error:
        message = str(error)
    assert "\n" not in message
    assert len(message) < 600


@settings(max_examples=examples(50))
@given(st.binary(max_size=60))
def test_bytes_are_toml_or_refused_in_one_line(data: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "own.toml"
        path.write_bytes(data)
        with pytest.raises(HardwareError) as caught:
            find_processors(path)
    assert "\n" not in str(caught.value)
