"""Energies against hand calculation and against the published Loihi 1 measurement; sums on random counts."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sne_deploy.chips.chip import load_chip
from sne_deploy.chips.constants import EnergyConstant, MacTable
from sne_deploy.energy.accounting import (
    MOVED,
    PARTS,
    Counts,
    Traffic,
    add_counts,
    add_traffic,
    energy_per_sample,
    mac_energy_j,
    neurocore_j,
)
from sne_deploy.energy.lines import neurocore_energy
from sne_deploy.errors import VerificationError

LOIHI1 = load_chip("loihi1")
LSNN = Path(__file__).parents[3] / "shared/energy/lsnn_smnist_loihi1.json"

natural = st.integers(0, 2**50)
counts = st.builds(
    Counts,
    synops=natural,
    spikes=natural,
    input_spikes=natural,
    updates_active=natural,
    updates_idle=natural,
    host_macs=natural,
    samples_run=st.integers(1, 1000),
)


def test_by_hand() -> None:
    energy = energy_per_sample(Counts(1000, 100, 50, 20, 30, 10, samples_run=2), LOIHI1)
    assert energy.synops == pytest.approx(11.8e-9, rel=1e-15)
    assert energy.updates == pytest.approx((20 + 30) * 81 / 2 * 1e-12, rel=1e-15)
    assert energy.spikes == pytest.approx(85e-12, rel=1e-15)
    assert energy.host == pytest.approx(23e-12, rel=1e-15)
    assert (energy.hops, energy.static) == (None, None)
    assert energy.total == pytest.approx(13.933e-9, rel=1e-14)
    assert energy.interval == pytest.approx((0.8 * 13.91e-9, 1.25 * 13.91e-9), rel=1e-14)
    assert energy.total_excludes == ("hops", "static")


def test_what_is_not_modelled_is_none_and_named() -> None:
    energy = energy_per_sample(Counts(1000, 100, 50, None, None, 10, samples_run=1), LOIHI1)
    assert (energy.updates, energy.interval) == (None, None)
    assert energy.total_excludes == ("updates", "hops", "static")
    assert energy.total == pytest.approx(23.6e-9 + 170e-12 + 46e-12, rel=1e-14)


def test_no_samples_no_energy() -> None:
    energy = energy_per_sample(Counts(0, 0, 0, 0, 0, 0, samples_run=0), LOIHI1)
    assert energy.total is None
    assert energy.total_excludes == PARTS


@given(counts)
def test_the_total_is_the_sum_of_its_parts(count: Counts) -> None:
    energy = energy_per_sample(count, LOIHI1)
    known = [value for name in PARTS if (value := getattr(energy, name)) is not None]
    assert len(known) + len(energy.total_excludes) == len(PARTS)
    assert math.isclose(energy.total, math.fsum(known), rel_tol=1e-15)


@given(st.lists(counts, min_size=1, max_size=5), st.integers(1, 1000))
def test_energy_is_additive_over_counts(parts: list[Counts], samples: int) -> None:
    whole = energy_per_sample(add_counts(parts, samples), LOIHI1)
    pieces = [energy_per_sample(replace(part, samples_run=samples), LOIHI1) for part in parts]
    for name in ("synops", "updates", "spikes", "host", "total"):
        summed = math.fsum(getattr(piece, name) for piece in pieces)
        assert math.isclose(getattr(whole, name), summed, rel_tol=1e-12)


@given(counts, st.integers(2, 50))
def test_energy_per_sample_does_not_depend_on_how_often_the_samples_are_repeated(
    count: Counts, times: int
) -> None:
    repeated = add_counts([count] * times, count.samples_run * times)
    once, many = energy_per_sample(count, LOIHI1), energy_per_sample(repeated, LOIHI1)
    assert math.isclose(once.total, many.total, rel_tol=1e-12)


def test_an_unknown_update_count_stays_unknown_in_a_sum() -> None:
    known = Counts(1, 2, 3, 4, 5, 6, samples_run=1)
    total = add_counts([known, replace(known, updates_active=None, updates_idle=None)], 7)
    assert total == Counts(2, 4, 6, None, None, 12, samples_run=7)


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(VerificationError, match="spikes is -1: a count cannot be negative"):
        Counts(0, -1, 0, 0, 0, 0, samples_run=1)
    with pytest.raises(VerificationError, match="both be counted, or neither"):
        Counts(0, 0, 0, None, 0, 0, samples_run=1)


def test_the_teacher_has_its_own_table_or_else_the_hosts() -> None:
    own = MacTable(mac=EnergyConstant(value=2.0, unit="nJ", source="measured"))
    assert mac_energy_j(1000, LOIHI1) == pytest.approx(4.6e-9)
    assert mac_energy_j(1000, LOIHI1.model_copy(update={"teacher": own})) == pytest.approx(2e-6)


@pytest.mark.skipif(
    not LSNN.is_file(), reason="the recorded hardware measurements are not beside the checkout"
)
def test_neurocore_energy_of_a_measured_network_on_loihi1() -> None:
    recorded = json.loads(LSNN.read_text("utf-8"))
    per = recorded["counts_per_inference"]
    scale = 1000
    active = round(per["active_updates"] * scale)
    updates = round(per["compartment_updates"] * scale)
    count = Counts(
        synops=round(per["synops"] * scale),
        spikes=round(per["spikes"] * scale),
        input_spikes=0,
        updates_active=active,
        updates_idle=updates - active,
        host_macs=0,
        samples_run=scale,
    )
    measured_j = 35.6e-6
    assert any(value * 1e-6 == pytest.approx(measured_j) for value in recorded["measured_uJ"].values())
    error = energy_per_sample(count, LOIHI1).total / measured_j - 1
    assert abs(error) <= LOIHI1.error.neurocore.si
    assert error == pytest.approx(0.090, abs=0.001)


traffic = st.builds(Traffic, **dict.fromkeys(MOVED, natural))


def test_messages_and_hops_by_hand() -> None:
    """Once neurons are placed, each message is paid for, not each spike."""
    moved = Traffic(1, 2, 3, 4, from_host=50, hops_east_west=6, hops_north_south=7, memory_words=8)
    count = Counts(1000, 100, 50, 20, 30, 10, samples_run=2)
    placed, alone = energy_per_sample(count, LOIHI1, moved), energy_per_sample(count, LOIHI1)
    assert placed.spikes == pytest.approx((1 + 2 + 3 + 4) * 1.7 / 2 * 1e-12, rel=1e-15)
    assert placed.hops == pytest.approx((6 * 3 + 7 * 4) / 2 * 1e-12, rel=1e-15)
    assert (placed.synops, placed.updates, placed.host) == (alone.synops, alone.updates, alone.host)
    assert placed.total_excludes == ("static",)
    assert placed.total == pytest.approx(alone.total - alone.spikes + placed.spikes + placed.hops, rel=1e-14)


@given(counts, traffic)
def test_the_neurocores_part_is_one_formula_whoever_asks(count: Counts, moved: Traffic) -> None:
    energy = energy_per_sample(count, LOIHI1, moved)
    joules = neurocore_energy(
        LOIHI1,
        synops=count.synops,
        updates=count.updates_active + count.updates_idle,
        messages=moved.messages,
        hops_east_west=moved.hops_east_west,
        hops_north_south=moved.hops_north_south,
    )
    assert math.isclose(neurocore_j(energy) * count.samples_run, joules, rel_tol=1e-12)
    assert energy.interval == pytest.approx((0.8 * neurocore_j(energy), 1.25 * neurocore_j(energy)))


@given(st.lists(st.tuples(counts, traffic), min_size=1, max_size=4))
def test_energy_is_additive_over_placed_counts(several: list[tuple[Counts, Traffic]]) -> None:
    parts, moved = zip(*several, strict=True)
    whole = energy_per_sample(add_counts(parts, 1), LOIHI1, add_traffic(moved))
    pieces = [energy_per_sample(replace(part, samples_run=1), LOIHI1, each) for part, each in several]
    for name in ("spikes", "hops", "total"):
        assert math.isclose(getattr(whole, name), math.fsum(getattr(p, name) for p in pieces), rel_tol=1e-12)


def test_a_hardware_file_without_prices_of_hops_leaves_them_out() -> None:
    energy = LOIHI1.energy.model_copy(update={"hop_east_west": None, "hop_north_south": None})
    found = energy_per_sample(
        Counts(1000, 100, 50, 20, 30, 10, samples_run=2),
        LOIHI1.model_copy(update={"energy": energy}),
        Traffic(1, 2, 3, 4, 5, 6, 7, 8),
    )
    assert found.hops is None
    assert found.total_excludes == ("hops", "static")
