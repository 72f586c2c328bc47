"""The three lines of power: by hand, additive, and bounded by intervals that hold the cases they name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sne_deploy.chips.chip import chip_names, load_chip
from sne_deploy.energy.lines import (
    LINES,
    cores_powered,
    interval,
    neurocore_energy,
    static_power,
    x86_power,
)
from sne_deploy.errors import HardwareError
from sne_deploy.mapping.placement import Core, Placement, Site

LOIHI1 = load_chip("loihi1")
natural = st.integers(0, 2**40)
KINDS = ("synops", "updates", "messages", "hops_east_west", "hops_north_south")


def placement(cores: int, chips: int) -> Placement:
    several = tuple(Core(Site(0, core, 0, 0), {}) for core in range(cores))
    return Placement("loihi1", "packed", (), several, chips)


def test_by_hand() -> None:
    joules = neurocore_energy(
        LOIHI1, synops=1000, updates=50, messages=100, hops_east_west=7, hops_north_south=5
    )
    assert joules == pytest.approx((1000 * 23.6 + 50 * 81 + 100 * 1.7 + 7 * 3 + 5 * 4) * 1e-12, rel=1e-14)
    assert x86_power(2, LOIHI1) == pytest.approx(46.39e-3)
    assert static_power(128, LOIHI1) == pytest.approx(0.104)


@given(st.lists(st.tuples(*(natural for _ in KINDS)), min_size=1, max_size=5))
def test_energy_is_additive_and_the_same_for_arrays(several: list[tuple[int, ...]]) -> None:
    each = neurocore_energy(LOIHI1, **dict(zip(KINDS, np.array(several, np.int64).T, strict=True)))
    whole = neurocore_energy(
        LOIHI1, **{kind: sum(column) for kind, column in zip(KINDS, zip(*several, strict=True), strict=True)}
    )
    assert each.shape == (len(several),)
    assert each.sum() == pytest.approx(whole, rel=1e-12)


def test_an_idle_student_s_cores_stay_powered_and_a_chip_leaks_whole_unless_told() -> None:
    placed = placement(cores=130, chips=2)
    assert cores_powered(placed, LOIHI1) == 256
    assert cores_powered(placed, LOIHI1, "used") == 130
    assert cores_powered(replace(placed, chips=3), LOIHI1) == 384


def test_every_packaged_chip_has_three_intervals_no_wider_than_a_factor_of_2() -> None:
    for name in chip_names():
        chip = load_chip(name)
        for line in LINES:
            low, high = interval(line, chip)
            assert 0.5 <= low < 1 < high <= 2
            assert chip.interval.model_dump()[line]["note"]
    assert interval("neurocore", LOIHI1) == (0.8, 1.25)
    assert interval("neurocore", load_chip("loihi2")) == (0.5, 2.0)


@pytest.mark.parametrize("line", ["neurocore", "x86"])
def test_loihi2_s_borrowed_constants_are_named(line: str) -> None:
    assert load_chip("loihi2").interval.model_dump()[line]["note"].startswith("Loihi 1 constants")


def test_the_intervals_hold_the_cases_that_their_notes_name() -> None:
    """Measured watts over predicted: Quartz on CIFAR-10 and MNIST, LSNN's static power."""
    (low, high), (least, most) = interval("static", LOIHI1), interval("x86", LOIHI1)
    assert low <= 1.271758 / static_power(1760, LOIHI1) <= high
    assert low <= 0.12323 / static_power(128, LOIHI1) <= high
    assert not low <= 4.6e-3 / static_power(72, LOIHI1) <= high
    for measured, processors in ((20.669e-3, 1), (22.931e-3, 1), (257.8e-3, 14)):
        assert least <= measured / x86_power(processors, LOIHI1) <= most


def test_what_a_hardware_file_does_not_give_is_named_with_the_remedy() -> None:
    bare = LOIHI1.model_copy(
        update={
            "power": LOIHI1.power.model_copy(update={"static_per_core": None, "x86_per_processor": None}),
            "energy": LOIHI1.energy.model_copy(update={"hop_north_south": None}),
            "limits": LOIHI1.limits.model_copy(update={"cores_per_chip": None}),
            "interval": type(LOIHI1.interval)(),
        }
    )
    with pytest.raises(HardwareError, match=r"gives no power\.static_per_core; add it under \[power\]"):
        static_power(1, bare)
    with pytest.raises(HardwareError, match=r"gives no power\.x86_per_processor"):
        x86_power(1, bare)
    with pytest.raises(HardwareError, match=r"gives no energy\.hop_north_south; add it under \[energy\]"):
        neurocore_energy(bare, synops=1, updates=1, hops_north_south=1)
    with pytest.raises(HardwareError, match=r"gives no limits\.cores_per_chip; .*--powered used"):
        cores_powered(placement(1, 1), bare)
    assert cores_powered(placement(1, 1), bare, "used") == 1
    assert [interval(line, bare) for line in LINES] == [None, None, None]
