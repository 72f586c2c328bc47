"""Intel's rule for Loihi 2, against the core tables that its compiler printed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.chips.chip import load_chip
from sne_deploy.errors import MappingError
from sne_deploy.ir.program import Program
from sne_deploy.mapping.mapper import map_programs
from sne_deploy.mapping.placement import Placement
from sne_deploy.mapping.tiles import tile_of
from sne_netx.format.file import read_net
from tests.effort import examples
from tests.shared_data import shared

SCRIPTS = Path(__file__).parents[2] / "scripts"
PILOTNET_CORES = [13, 25, 13, 3, 3, 2, 12, 1, 1, 1]
PILOTNET_TILES = [(3, 66, 16), (24, 32, 4), (36, 15, 4), (48, 7, 8), (64, 4, 8), (64, 2, 16)]
FILLED = [3168, 3072, 2160, 2688, 2048, 2048, 9, 50, 10, 1]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """scripts/write_mapping_table.py, with the tables."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        spec = importlib.util.spec_from_file_location(
            "write_mapping_table", SCRIPTS / "write_mapping_table.py"
        )
        module = importlib.util.module_from_spec(spec)
        sys.modules["write_mapping_table"] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(SCRIPTS))
    return module


@pytest.fixture(scope="module")
def pilotnet() -> Program:
    return read_net(shared("models", "pilotnet", "network.net"))


@pytest.fixture(scope="module")
def placed(pilotnet: Program) -> Placement:
    return map_programs([pilotnet], load_chip("loihi2"), "intel")


def test_every_layer_of_pilotnet_has_intels_cores_tile_and_words(script: ModuleType) -> None:
    """With weights of the network's shapes and widths."""
    found = [script.mapped(row) for row in script.PILOTNET]
    assert [each.cores for each in found] == PILOTNET_CORES
    assert sum(PILOTNET_CORES) == 74
    assert [each.tile for each in found[:6]] == PILOTNET_TILES
    assert [each.words for each in found] == [0, 81, 864, 1620, 2160, 2880, 7253, 1300, 150, 10]


def test_the_page_has_every_layer_and_where_the_rule_is_wrong(script: ModuleType) -> None:
    """Large layers are left to ``scripts/write_mapping_table.py --check``."""
    page = (SCRIPTS.parent / "docs" / "mapping.md").read_text("utf-8")
    wrong = []
    for row in (*script.PILOTNET, *script.OTHERS):
        assert f"| {row.network}, {row.layer} |" in page
        if np.prod(row.shape) < 10_000:
            line, right = script.comparison(row)
            assert line in page
            wrong += [] if right[0] else [(row.network, row.layer)]
    assert wrong == [("oxford", "1")]


def test_pilotnet_is_on_74_cores(placed: Placement) -> None:
    assert [group.cores for group in placed.groups] == PILOTNET_CORES
    assert [group.tile for group in placed.groups[:6]] == PILOTNET_TILES
    assert len(placed.cores) == 74
    assert placed.chips == 1
    largest = [np.bincount(group.core_of).max() for group in placed.groups]
    assert largest == FILLED


def test_packed_takes_hardly_more_cores_than_the_neurons_alone(pilotnet: Program) -> None:
    """docs/mapping.md says how many."""
    chip = load_chip("loihi2")
    packed = map_programs([pilotnet], chip)
    neurons = sum(group.size for group in pilotnet.groups)
    assert -(-neurons // chip.limits.neurons_per_core.value) == 39
    assert 39 <= len(packed.cores) <= 42
    uses = [use for core in packed.cores for use in core.uses.values()]
    assert all(use.limit is None or use.used <= use.limit for use in uses)


def test_a_chip_without_shared_kernels_is_refused_and_packed(script: ModuleType) -> None:
    program, loihi1 = script.program(script.PILOTNET[-2], load_chip("loihi1")), load_chip("loihi1")
    with pytest.raises(MappingError, match=r"'loihi1' has no synapse_memory\.convolution; map with strategy"):
        map_programs([program], loihi1, "intel")
    assert len(map_programs([program], loihi1, "packed").cores) == 1


@settings(max_examples=examples(100), deadline=None)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 70), st.integers(1, 70)),
    neurons=st.integers(40, 4095),
)
def test_no_tile_of_the_rules_form_cuts_a_map_into_fewer(shape: tuple[int, int, int], neurons: int) -> None:
    channels, rows, columns = tile_of(shape, shape[0], neurons)
    assert channels == shape[0]
    assert channels * rows * columns <= neurons
    assert columns & (columns - 1) == 0
    assert rows in {-(-shape[1] // 2**k) for k in range(8)}
    count = -(-shape[1] // rows) * -(-shape[2] // columns)
    for k in range(8):
        for j in range(8):
            h, w = -(-shape[1] // 2**k), 2**j
            if w < 2 * shape[2] and channels * h * w <= neurons:
                other = -(-shape[1] // h) * -(-shape[2] // w)
                skew = abs(np.log(h / w)) - abs(np.log(rows / columns))
                assert other > count or (other == count and skew > -1e-9)
