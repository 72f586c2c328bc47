"""Every figure of ``sne validate`` by arithmetic of its own: counts and constants stand here as numbers."""

from __future__ import annotations

import json
from statistics import median

import numpy as np
import pytest

from sne_deploy.chips.chip import load_chip
from sne_deploy.energy.validation.case import packaged_cases
from sne_deploy.energy.validation.predict import Prediction, predict
from sne_deploy.energy.validation.run import Validation, validate
from sne_deploy.energy.validation.view import cells, number

QUARTZ = {8: (51, 33.769), 16: (91, 45.594), 32: (171, 85.765), 64: (331, 139.338), 128: (651, 290.104)}
"""Steps, and the uJ of an image that the probes give."""


@pytest.fixture(scope="module")
def found() -> Validation:
    return validate()


def row(found: Validation, case: str, quantity: str) -> Prediction:
    (one,) = [each for each in found.rows if each.case == case and each.quantity == quantity]
    return one


def quartz(found: Validation, t_max: int, quantity: str) -> Prediction:
    return row(found, f"quartz_mnist_loihi1 t_max={t_max}", quantity)


@pytest.mark.parametrize("t_max", QUARTZ)
def test_each_point_of_quartz_on_mnist_within_a_quarter(found: Validation, t_max: int) -> None:
    steps, measured = QUARTZ[t_max]
    point = quartz(found, t_max, "neurocore dynamic energy")
    predicted = (steps * 5570 * 81.0 + 245936 * 23.6) * 1e-6  # pJ to uJ
    assert point.unit == "uJ"
    assert point.predicted == pytest.approx(predicted, rel=1e-12)
    assert point.measured == pytest.approx(measured, rel=1e-4)
    assert point.ratio == pytest.approx(predicted / measured, rel=1e-4)
    assert 0.75 < point.ratio < 1.25
    assert (point.low, point.high) == pytest.approx((0.8 * predicted, 1.25 * predicted))
    assert point.inside
    assert point.dominating == "updates"


def test_median_and_slope_of_quartz_on_mnist_within_a_tenth(found: Validation) -> None:
    ratios = [(s * 5570 * 81.0 + 245936 * 23.6) * 1e-6 / uj for s, uj in QUARTZ.values()]
    middle = row(found, "quartz_mnist_loihi1", "neurocore dynamic energy, median of predicted over measured")
    assert middle.ratio == pytest.approx(median(ratios), rel=1e-4)
    assert abs(middle.ratio - 1) < 0.1
    slope = row(found, "quartz_mnist_loihi1", "neurocore dynamic energy, slope over steps")
    measured = np.polyfit([s for s, _ in QUARTZ.values()], [uj for _, uj in QUARTZ.values()], 1)[0]
    assert slope.unit == "uJ/step"
    assert slope.predicted == pytest.approx(5570 * 81.0e-6)
    assert slope.measured == pytest.approx(measured, rel=1e-4)
    assert slope.measured == pytest.approx(0.4264, abs=5e-5)
    assert abs(slope.ratio - 1) < 0.1


def test_lsnn_by_its_slope_and_its_second_reading_outside(found: Validation) -> None:
    predicted = (634017.985 * 23.6 + 294000 * 81.0 + 10524.15 * 1.7) * 1e-6
    first = row(found, "lsnn_smnist_loihi1", "neurocore dynamic energy, slope over copies")
    second = row(found, "lsnn_smnist_loihi1", "neurocore dynamic energy, second reading")
    assert first.predicted == second.predicted == pytest.approx(predicted, rel=1e-12)
    assert (first.measured, second.measured) == (35.6, 22.15)
    assert abs(first.ratio - 1) < 0.2
    assert first.inside
    assert not second.inside
    assert second.likely_cause is not None


@pytest.mark.parametrize("t_max", QUARTZ)
def test_x86_of_quartz_on_mnist_by_the_power_of_lsnns_processor(found: Validation, t_max: int) -> None:
    code = {8: 4.931, 16: 4.660, 32: 4.108, 64: 3.299, 128: 2.669}[t_max]
    x86 = quartz(found, t_max, "x86 power")
    assert x86.predicted == pytest.approx(23.195)
    assert x86.measured == pytest.approx(18.0 + code, abs=1e-3)
    assert abs(x86.ratio - 1) < 0.15


def test_quartz_on_cifar10_static_within_15_percent_and_x86_26_percent_over(found: Validation) -> None:
    static = row(found, "quartz_cifar10_loihi1", "static power")
    assert static.predicted == pytest.approx(1760 * 104.0 / 128)
    assert static.measured == pytest.approx(889.9636 + 381.7944, abs=1e-3)
    assert abs(static.ratio - 1) < 0.15
    x86 = row(found, "quartz_cifar10_loihi1", "x86 power")
    assert x86.predicted == pytest.approx(14 * 23.195)
    assert x86.measured == pytest.approx(252.0 + 5.804, abs=1e-3)
    assert x86.ratio == pytest.approx(1.26, abs=0.005)
    assert x86.inside_others is False  # Quartz on MNIST and keyword spotting were closer


def test_pilotnet_in_three_recordings_that_differ_by_a_factor_of_two(found: Validation) -> None:
    synops = 25677960 + 7234080 + 2313586 + 1022240 + 62221 + 4781 + 480 + 18
    updates = 16 * (39600 + 76032 + 26460 + 8064 + 5632 + 2560 + 100 + 50 + 10 + 1)
    messages = 467976 + 104040 + 15680 + 7560 + 28080 + 124 + 55 + 18
    predicted = (synops * 23.6 + updates * 81.0 + messages * 1.7) * 1e-9  # pJ to mJ
    for recording, measured in {"b9e3691": 1.093544, "baa23ad": 1.070673, "76c8fbb": 0.562239}.items():
        energy = row(found, "pilotnet_lif_loihi2", f"neurocore dynamic energy, recording {recording}")
        assert energy.predicted == pytest.approx(predicted, rel=1e-12)
        assert (energy.measured, energy.inside, energy.dominating) == (measured, True, "synops")
        assert (energy.low, energy.high) == pytest.approx((0.5 * predicted, 2 * predicted))
    static = row(found, "pilotnet_lif_loihi2", "static power, recording b9e3691")
    assert static.predicted == pytest.approx(120 * 2.2e-3)


def test_keyword_spotting_is_bounded_and_its_chip_outside(found: Validation) -> None:
    step_s, static, x86 = 337.31525226088337e-6, 104.0, 3 * 23.195
    least, most = 541 * 10 * 81e-12, 541 * 10 * 81e-12 + 172800 * 10 * 23.6e-12
    assert most == pytest.approx(41.2e-6, rel=1e-2)
    power = [joules / (10 * step_s) * 1e3 for joules in (least, most)]
    chip = row(found, "keyword_spotting_loihi1", "chip power")
    assert chip.predicted == pytest.approx(static + x86 + sum(power) / 2)
    assert chip.low == pytest.approx(0.8 * static + 0.75 * x86 + 0.8 * power[0])
    assert chip.high == pytest.approx(1.25 * static + 1.1 * x86 + 1.25 * power[1])
    assert chip.measured == pytest.approx(110.193)
    assert not chip.inside
    assert chip.likely_cause is not None
    (energy,) = [
        each for each in found.left if each.case == "keyword_spotting_loihi1" and "energy" in each.quantity
    ]
    assert "wider than a factor of 2" in energy.reason


def test_nxtf_totals_are_inside_or_have_a_likely_cause(found: Validation) -> None:
    totals = {"MNIST": (14, 0.66, 6.65), "N-MNIST": (14, 0.29, 6.46), "MobileNet": (861, 102.0, 340.0)}
    for name, (cores, mj, ms) in totals.items():
        chip = row(found, f"nxtf_loihi1 {name}", "chip power")
        assert chip.measured == pytest.approx(mj / ms * 1e3, abs=1e-3)
        assert chip.inside or chip.likely_cause
        assert chip.predicted > cores * 0.8125


def test_a_case_that_gave_a_constant_is_not_judged_by_it(found: Validation) -> None:
    assert not [each for each in found.rows if each.case.startswith("lsnn") and "x86" in each.quantity]
    (left,) = [each for each in found.left if each.case.startswith("lsnn") and "x86" in each.quantity]
    assert "gave the constant" in left.reason


def test_no_interval_is_wider_than_a_factor_of_two_and_every_miss_has_a_cause(
    found: Validation,
) -> None:
    for each in found.rows:
        assert each.low <= each.predicted <= each.high
        assert each.predicted <= 2.000001 * each.low
        assert each.high <= 2.000001 * each.predicted
        assert each.inside == (each.low <= each.measured <= each.high)
        assert each.others is None or 1 <= each.others <= 2
        assert each.inside or each.likely_cause, each


def test_others_alone_are_the_other_cases_largest_residual_and_never_ones_own(found: Validation) -> None:
    ours = [(s * 5570 * 81.0 + 245936 * 23.6) * 1e-6 / uj for s, uj in QUARTZ.values()]
    theirs = (634017.985 * 23.6 + 294000 * 81.0 + 10524.15 * 1.7) * 1e-6
    lsnn = row(found, "lsnn_smnist_loihi1", "neurocore dynamic energy, slope over copies")
    assert lsnn.others == pytest.approx(max(max(r, 1 / r) for r in ours), rel=1e-4)
    assert lsnn.inside_others
    assert quartz(found, 8, "neurocore dynamic energy").others == pytest.approx(theirs / 22.15)
    assert row(found, "pilotnet_lif_loihi2", "neurocore dynamic energy, recording b9e3691").others is None


def test_what_cannot_be_predicted_is_listed_with_what_is_missing(found: Validation) -> None:
    listed = {each.case.partition(" ")[0] for each in found.left}
    assert {"relnet_babi_loihi1", "braille_loihi1", "ntidigits_loihi1", "quartz_cifar10_loihi1"} <= listed
    assert all(case.missing for case in found.cases)


def test_the_layers_of_pilotnet_add_up_and_meet_the_chips_counters() -> None:
    """Non-zero weights meet the fullest core's counter within 1 %; kernel taps overshoot by 26 and 36 %."""
    (case,) = [each for each in packaged_cases() if each.name == "pilotnet_lif_loihi2"]
    (point,) = case.points
    layers = {layer.name: layer for layer in point.layers}
    assert sum(layer.cores or 0 for layer in point.layers) == 74
    for name, counter, taps in (("conv2", 1310.7, 1.26), ("conv3", 1507.7, 1.36), ("conv4", 522.3, None)):
        layer = layers[name]
        assert layer.counter is not None
        assert layer.counter.value == counter
        ours = max(layer.synops_per_core) * 1e4 / 16 / 1e6
        assert ours == pytest.approx(counter, rel=0.01)
        assert taps is None or layer.synops_dense / layer.synops == pytest.approx(taps, abs=0.005)  # type: ignore[operator]


def test_a_prediction_changes_with_the_constants_and_not_with_what_was_measured() -> None:
    (case,) = [each for each in packaged_cases() if each.name == "quartz_mnist_loihi1"]
    chip = load_chip("loihi1")
    energy = chip.energy.model_copy(
        update={"update_active": chip.energy.update_active.model_copy(update={"value": 52.0})}
    )
    other = predict(case, chip.model_copy(update={"energy": energy}))[0]
    ratios = [each.ratio for each in other if each.quantity == "neurocore dynamic energy"]
    assert ratios == pytest.approx([0.61, 0.71, 0.65, 0.73, 0.67], abs=0.005)
    doubled = json.loads(case.model_dump_json())
    for point in doubled["points"]:
        for reading in point["readings"]:
            reading["value"] *= 2
    again = predict(type(case).model_validate(doubled), chip)[0]
    for one, two in zip(predict(case, chip)[0], again, strict=True):
        if not one.derived:
            assert one.predicted == two.predicted
            assert one.measured * 2 == pytest.approx(two.measured)


def test_time_per_step_of_pilotnet_with_both_floors(found: Validation) -> None:
    """The busiest core's SynOps in the four steps of the cycle, as the measured cycle has them."""
    busy = np.mean([195104, 108420, 177184, 124376]) * 0.66e-3
    for floor, name in ((10.0, "barrier 10 us"), (1.78, "step floor 1.78 us")):
        time = row(found, "pilotnet_lif_loihi2", f"time per step, {name}")
        assert time.predicted == pytest.approx(busy + floor)
        assert (time.measured, time.unit, time.dominating) == (152.85, "us", "SynOps")
        assert (time.low, time.high) == pytest.approx((0.7 * time.predicted, time.predicted / 0.7))
    (case,) = [each for each in found.cases if each.name == "pilotnet_lif_loihi2"]
    (point,) = case.points
    steps = [
        max(
            layer.synops_of_busiest_core_per_step[(step - depth) % 16]
            for depth, layer in enumerate(point.layers)
            if layer.synops_of_busiest_core_per_step
        )
        for step in range(16)
    ]
    assert point.core_synops == steps
    cycle = [point.raw[f"step {index} of the cycle"].value for index in range(4)]
    assert np.corrcoef(cycle, steps[:4])[0, 1] > 0.99


def test_time_per_step_of_lsnns_neurocore(found: Validation) -> None:
    time = row(found, "lsnn_smnist_loihi1", "time per step, neurocores, barrier 0.113 us")
    assert time.predicted == pytest.approx(max(350 * 8.4e-3, 634017.985 / 840 * 3.5e-3) + 0.113)
    assert not time.inside


def test_intervals_on_another_chips_constants_are_labelled() -> None:
    """Loihi 2's dynamic lines alone: its static power and its times are its own. JSON keeps its keys."""
    rows = validate().rows
    labelled = {(row.case, row.quantity.partition(",")[0]) for row in rows if row.label is not None}
    assert labelled == {("pilotnet_lif_loihi2", "neurocore dynamic energy")}
    assert all("Loihi 1 constants" in cells(row)[5] for row in rows if row.label is not None)
    assert all("label" not in row.as_json() for row in rows)


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.5e-5, "3.50e-05"), (1.2345e-6, "1.23e-06"), (5e-5, "0.0001"), (0.05, "0.0500"), (0.0, "0.0000")],
)
def test_no_value_but_0_is_shown_as_0(value: float, text: str) -> None:
    assert number(value) == text
