"""Ratios by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from experiments.study.companions import ratios
from sne_deploy.chips.chip import load_chip
from sne_deploy.energy.accounting import Counts

COUNTS = Counts(
    synops=600, spikes=90, input_spikes=0, updates_active=300, updates_idle=500, host_macs=400, samples_run=10
)


def test_ratios_by_hand() -> None:
    hardware = load_chip("loihi1")
    found = ratios(COUNTS, 5000, hardware)
    energy, mac = hardware.energy, hardware.host.mac.si
    joules = (
        60 * energy.synop.si
        + 30 * energy.update_active.si
        + 50 * energy.update_idle.si
        + 9 * energy.spike_within_tile.si
        + 40 * mac
    )
    assert found == {
        "ratio_ops": pytest.approx(5000 / 100),
        "ratio_ops_updates": pytest.approx(5000 / 130),
        "ratio_ops_all_updates": pytest.approx(5000 / 180),
        "energy_j": pytest.approx(joules),
        "teacher_energy_j": pytest.approx(5000 * mac),
        "ratio_energy": pytest.approx(5000 * mac / joules),
    }


def test_what_is_not_modelled_is_none() -> None:
    unmodelled = ratios(replace(COUNTS, updates_active=None, updates_idle=None), 5000, load_chip("loihi1"))
    assert unmodelled["ratio_ops"] == pytest.approx(50)
    assert unmodelled["ratio_ops_updates"] is unmodelled["ratio_ops_all_updates"] is None
    nothing = ratios(Counts(0, 0, 0, 0, 0, 0, 10), 5000, load_chip("loihi1"))
    assert nothing["ratio_ops"] is nothing["ratio_energy"] is None
