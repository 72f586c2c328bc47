"""Rates and floors of a step, lines of a sample's time."""

from __future__ import annotations

import pytest

from sne_deploy.chips.chip import Chip, load_chip
from sne_deploy.chips.constants import TimeTable
from sne_deploy.energy.time import StepRates, sample_time, step_floors
from sne_deploy.mapping.placement import Site

LOIHI1, LOIHI2 = load_chip("loihi1"), load_chip("loihi2")


def without_times(chip: Chip) -> Chip:
    return chip.model_copy(update={"time": TimeTable()})


def test_rates_are_the_files_and_none_is_made_up() -> None:
    assert StepRates.of(LOIHI1) == StepRates(8.4e-9, 3.5e-9, None, 4.1e-9, 6.5e-9)
    assert StepRates.of(LOIHI2) == StepRates(8e-9, 0.66e-9, None, None, None)
    assert StepRates.of(without_times(LOIHI1)) is None


@pytest.mark.parametrize(
    ("tiles", "expected"),
    [
        ([(0, 0, 0)], 113e-9),
        ([(0, 0, 0), (0, 7, 3)], 465e-9),
        ([(0, 2, 1), (0, 3, 1), (0, 3, 2)], 113e-9 + 0.2 * 352e-9),
        ([(0, 0, 0), (1, 7, 3)], 113e-9),
        ([(0, 0, 0), (1, 0, 0), (1, 5, 0)], 113e-9 + 0.5 * 352e-9),
        ([(0, 0, 0), (0, 30, 30)], 465e-9),
    ],
    ids=["one tile", "all", "a corner", "two chips of one tile", "the larger of two", "no more than all"],
)
def test_the_barrier_grows_with_the_box_around_the_tiles(
    tiles: list[tuple[int, int, int]], expected: float
) -> None:
    sites = [Site(chip, x, y, core) for chip, x, y in tiles for core in (0, 1)]
    assert step_floors(LOIHI1, sites) == {"barrier": pytest.approx(expected, rel=1e-12)}


def test_both_floors_of_loihi2_are_given_whatever_is_in_use() -> None:
    for sites in ([Site(0, 0, 0, 0)], [Site(0, 0, 0, 0), Site(1, 3, 3, 0)]):
        assert step_floors(LOIHI2, sites) == {"barrier": 10e-6, "step_floor": 1.78e-6}
    assert step_floors(without_times(LOIHI2), sites) == {}


def test_host_and_reset_are_lines_of_their_own() -> None:
    time = sample_time(LOIHI1, {"barrier": 1e-7}, 2e-5, 10, host_steps=10)
    assert time.neurocores_s == {"barrier": pytest.approx(2.1e-5)}
    assert (time.host_s, time.reset_s) == (pytest.approx(8.96e-5), 4.16e-3)
    assert sample_time(LOIHI1, {}, 2e-5, 10, host_steps=0).host_s == 0.0


def test_what_a_chip_has_no_constant_for_is_none_and_not_0() -> None:
    time = sample_time(LOIHI2, {"barrier": 1e-5, "step_floor": 1.78e-6}, 1e-4, 16, host_steps=16)
    assert (time.host_s, time.reset_s) == (None, None)
    assert time.neurocores_s == {
        "barrier": pytest.approx(2.6e-4),
        "step_floor": pytest.approx(1e-4 + 16 * 1.78e-6),
    }
