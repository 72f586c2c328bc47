"""A report's means, energies and ratios against hand calculation; its sums on random runs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.errors import VerificationError
from sne_deploy.report.check import check_report
from sne_deploy.report.file import Report
from sne_deploy.report.schema import VerifiedModel, json_schema
from sne_deploy.runtime.agreement import SpikeComparison
from sne_deploy.runtime.result import StudentResult
from sne_deploy.runtime.slices import Compared
from sne_deploy.runtime.trace import LayerTrace
from sne_deploy.teacher.run import TeacherResult
from tests.report.conftest import Layer, with_layers

VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def layer(name: str, active: list[int], synops: list[int], spikes: list[int], **changes: Any) -> Layer:
    on = np.array(active, np.int64)
    found = LayerTrace(
        name=name,
        synops=np.array(synops, np.int64),
        spikes=np.array(spikes, np.int64),
        updates_active=30 * on,
        updates_idle=10 * on,
    )
    about = {"saturated_weights": 2, "quantisation_snr_db": 31.5}
    about |= {key: changes.pop(key) for key in list(changes) if key in about}
    return replace(found, **changes), about


def changed(student: StudentResult, change: dict[str, Any]) -> StudentResult:
    """The same student with other counts."""
    if "layers" in change:
        student = with_layers(student, change["layers"])
    own = {key: value for key, value in change.items() if key == "active"}
    counts = {key: value for key, value in change.items() if key not in ("active", "layers")}
    return replace(student, trace=replace(student.trace, **counts), **own)


def renamed(student: StudentResult, name: str) -> StudentResult:
    return replace(student, program=replace(student.program, name=name))


@pytest.fixture
def by_hand(make_student: Any, make_result: Any) -> Any:
    """Two students on four samples; the second ran on two, a third on none."""
    rng = np.random.default_rng(0)
    first = changed(
        make_student("first", [1, 1, 1, 1], rng, labels=[0, 1, 1, 0]),
        {
            "layers": (
                layer("a", [1] * 4, [10, 20, 30, 40], [1, 2, 3, 4]),
                layer("b", [1] * 4, [1, 1, 1, 1], [0] * 4, quantisation_snr_db=float("inf")),
            ),
            "input_spikes": np.array([5, 5, 5, 6]),
            "host_macs": np.array([15] * 4),
        },
    )
    second = changed(
        make_student("second", [0, 1, 0, 1], rng),
        {
            "layers": (layer("a", [0, 1, 0, 1], [0, 100, 0, 200], [0, 8, 0, 8]),),
            "input_spikes": np.array([0, 2, 0, 2]),
            "host_macs": np.array([0, 15, 0, 15]),
        },
    )
    third = make_student("third", [0, 0, 0, 0], rng)
    return make_result([first, second, third], labels=[0, 1, 0, 1])


def test_a_student_by_hand(by_hand: Any, make_report: Any) -> None:
    compared = Compared(
        by_hand, {"first": {"a": SpikeComparison(*(np.array([each]) for each in (3, 4, 32)), 4)}}
    )
    first = make_report(by_hand, compared=compared).students[0]
    assert first.accuracy == 0.5
    assert first.active_fraction == 1.0
    assert first.synops_per_sample == (100 + 4) / 4
    assert first.spikes_per_sample == 2.5
    assert first.input_spikes_per_sample == 21 / 4
    assert (first.updates_active_per_sample, first.updates_idle_per_sample) == (60, 20)
    assert first.host_macs_per_sample == 15
    energy = first.energy_per_sample_j
    assert energy.synops == pytest.approx(26 * 23.6e-12, rel=1e-15)
    assert energy.updates == pytest.approx((60 + 20) * 81e-12, rel=1e-15)
    assert energy.spikes == pytest.approx(2.5 * 1.7e-12, rel=1e-15)
    assert energy.host == pytest.approx(15 * 4.6e-12, rel=1e-15)
    assert (energy.hops, energy.static) == (None, None)
    neurocores = 7166.85e-12 - 15 * 4.6e-12
    assert energy.interval == pytest.approx((0.8 * neurocores, 1.25 * neurocores), rel=1e-14)
    assert energy.total_excludes == ("hops", "static")
    assert energy.total == pytest.approx(7166.85e-12, rel=1e-14)
    assert (first.latency_s, first.cores) == (None, None)
    a, b = first.layers
    assert (a.synops_per_sample, a.spikes_per_sample) == (25, 2.5)
    assert a.rate == 10 / (4 * 10 * 4)
    assert (a.saturated_weights, a.quantisation_snr_db, a.spike_agreement) == (2, 31.5, 0.75)
    assert (a.rate_float, a.spikes_differing_per_sample) == (32 / (4 * 10 * 4), 0.25)
    assert (b.rate_float, b.spikes_differing_per_sample) == (None, None)
    assert (b.quantisation_snr_db, b.spike_agreement) == (None, None)


def test_a_student_that_ran_on_some_has_means_over_those(by_hand: Any, make_report: Any) -> None:
    second = make_report(by_hand).students[1]
    assert second.active_fraction == 0.5
    assert second.totals.samples_run == 2
    assert second.synops_per_sample == 150
    assert second.accuracy is None
    assert second.layers[0].rate == 16 / (2 * 10 * 4)


def test_a_student_that_never_ran_is_null(by_hand: Any, make_report: Any) -> None:
    third = make_report(by_hand).students[2]
    assert third.active_fraction == 0
    assert third.synops_per_sample is None
    assert third.energy_per_sample_j.total is None
    assert third.energy_per_sample_j.total_excludes == (
        "synops",
        "updates",
        "spikes",
        "hops",
        "host",
        "static",
    )
    assert {item.rate for item in third.layers} == {None}


def test_the_ensemble_by_hand(by_hand: Any, make_report: Any) -> None:
    report = make_report(by_hand)
    assert report.ensemble.accuracy == 0.5
    assert report.ensemble.mean_active_students == 1.5
    assert report.ensemble.totals.synops == 104 + 300
    assert report.ensemble.synops_per_sample == 101
    assert report.ensemble.host_macs_per_sample == 15 + 7.5 + 7
    assert report.shared.host_macs_per_sample == 7
    assert report.shared.energy_per_sample_j.host == pytest.approx(7 * 4.6e-12)


def test_teacher_ratios_by_hand(by_hand: Any, make_report: Any) -> None:
    teacher = TeacherResult(0.98, 13050, {"Gemm": 13050}, ("LSTM",), 4)
    report = make_report(by_hand, teacher=teacher)
    assert report.teacher.energy_j == pytest.approx(13050 * 4.6e-12)
    assert report.teacher.ratio_ops == 13050 / (101 + 29.5)
    total = report.ensemble.energy_per_sample_j.total
    assert report.teacher.ratio_energy == report.teacher.energy_j / total
    assert report.teacher.uncounted == ("LSTM",)


def test_fidelity_by_hand(by_hand: Any, make_report: Any) -> None:
    floating = replace(by_hand, predictions=np.array([0, 1, 1, 1]))
    fidelity = make_report(by_hand, compared=Compared(floating, {})).fidelity
    assert (fidelity.float_accuracy, fidelity.fixed_accuracy, fidelity.agreement) == (0.75, 0.5, 0.75)


def test_without_labels_accuracies_are_null(by_hand: Any, make_report: Any) -> None:
    unlabelled = replace(by_hand, labels=None)
    report = make_report(unlabelled, compared=Compared(unlabelled, {}))
    assert report.ensemble.accuracy is None
    assert report.students[0].accuracy is None
    assert report.fidelity.float_accuracy is None
    assert report.fidelity.agreement == 1.0


def test_unmodelled_registers_are_null_not_zero(
    make_student: Any, make_result: Any, make_report: Any
) -> None:
    student = make_student("float", [1, 1], np.random.default_rng(0), updates=False)
    report = make_report(make_result([student]), target="norse", precision="float")
    for cost in (report.students[0], report.ensemble):
        assert cost.updates_active_per_sample is None
        assert cost.totals.updates_idle is None
        assert cost.energy_per_sample_j.updates is None
        assert cost.energy_per_sample_j.total_excludes == ("updates", "hops", "static")


def test_file_names_that_are_no_utf8_are_escaped(by_hand: Any, make_report: Any) -> None:
    odd = replace(by_hand, students=tuple(renamed(s, f"{s.name}\udcff") for s in by_hand.students))
    report = make_report(odd, model="a\udcff.pt")
    assert report.model == "a\\udcff.pt"
    assert report.students[0].name == "first\\udcff"


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(), seed=st.integers(0, 2**32 - 1), updates=st.booleans(), high=st.sampled_from([1, 7, 2**40])
)
def test_sums_hold_and_the_schema_validates_whatever_ran(
    data: st.DataObject,
    seed: int,
    updates: bool,
    high: int,
    make_student: Any,
    make_result: Any,
    make_report: Any,
) -> None:
    samples, students = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 4))
    rows = st.lists(st.booleans(), min_size=samples, max_size=samples)
    active = data.draw(st.lists(rows, min_size=students, max_size=students))
    rng = np.random.default_rng(seed)
    ran = [
        make_student(f"s{i}", row, rng, updates=updates, high=high, layers=1 + i % 3)
        for i, row in enumerate(active)
    ]
    result = make_result(ran, labels=rng.integers(0, 2, samples), head_macs=int(rng.integers(0, 9)))
    teacher = TeacherResult(0.5, 1000, {"Gemm": 1000}, (), samples)
    verified = VerifiedModel(against="loihi", samples=samples, differing_bits=0)
    report = make_report(result, teacher=teacher, compared=Compared(result, {}), verified=verified)

    for name in ("synops", "spikes", "input_spikes", "host_macs"):
        own = result.head_macs.sum() if name == "host_macs" else 0
        layers = name in ("synops", "spikes")
        arrays = [getattr(x, name) for s in ran for x in (s.layers if layers else (s,))]
        total = int(own + sum(array.sum() for array in arrays))
        assert getattr(report.ensemble.totals, name) == total
        assert getattr(report.ensemble, f"{name}_per_sample") == total / samples
    text = report.model_dump_json()
    VALIDATOR.validate(report.model_dump(mode="json"))
    assert Report.model_validate_json(text) == report


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_spikes": np.array([0, -1, 0, 0])}, "'second': input_spikes has a negative count"),
        ({"host_macs": np.array([1, 1, 0, 0])}, "'second': host_macs counts samples that it did not run on"),
        ({"host_macs": np.array([1, 1])}, r"host_macs has shape \(2,\), not \(4,\)"),
        ({"active": np.array([True, True, True, True])}, "active differs from the ensemble's"),
        ({"layers": (layer("a", [1] * 4, [0] * 4, [0] * 4),)}, "a: updates_active counts samples"),
        (
            {"layers": (layer("a", [0, 1, 0, 1], [0] * 4, [0] * 4, updates_idle=None),)},
            "active and idle updates must both be counted",
        ),
        (
            {"layers": (layer("a", [0, 1, 0, 1], [0] * 4, [0] * 4, quantisation_snr_db=float("nan")),)},
            "quantisation_snr_db is not a number",
        ),
        (
            {"layers": (layer("a", [0, 1, 0, 1], [0] * 4, [0] * 4, saturated_weights=-1),)},
            "impossible report: saturated_weights",
        ),
    ],
)
def test_a_run_that_contradicts_itself_is_refused(
    by_hand: Any, make_report: Any, change: dict[str, Any], message: str
) -> None:
    first, second, third = by_hand.students
    broken = replace(by_hand, students=(first, changed(second, change), third))
    with pytest.raises(VerificationError, match=message):
        make_report(broken)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("ensemble.totals.synops", 405, "ensemble: synops is 405, shared and students sum to 404"),
        ("ensemble.totals.samples_run", 3, "ensemble: samples_run is 3, not 4"),
        ("ensemble.synops_per_sample", 101.5, "ensemble: synops_per_sample is 101.5"),
        ("ensemble.mean_active_students", 1.4, "mean_active_students"),
        ("students.0.energy_per_sample_j.spikes", 1e-9, "spikes energy is 1e-09 J"),
        ("students.0.energy_per_sample_j.total", 1e-9, "total is 1e-09 J"),
        ("students.0.energy_per_sample_j.total_excludes", ["hops"], "total_excludes is"),
        ("students.1.active_fraction", 0.75, "active_fraction is not 2/4"),
        ("students.0.layers.1.synops_per_sample", 2.0, "its layers sum to"),
        ("students.2.layers.1.spikes_per_sample", 2.0, "though it never ran"),
        ("students.2.spikes_per_sample", 0.0, "'third': spikes_per_sample is 0.0"),
        ("shared.energy_per_sample_j.static", 0.0, "shared: static energy is a line of its own"),
        ("students.0.energy_per_sample_j.interval", [0.0, 1.0], "interval is"),
        ("ensemble.power.neurocore.energy_j", 1e-9, "ensemble: neurocore energy is 1e-09"),
        ("operation", None, "operation is missing"),
        ("unplaced", None, "unplaced contradicts traffic"),
        ("hardware.constants.energy.synop", None, "constant energy.synop is missing"),
    ],
)
def test_a_report_that_does_not_add_up_is_refused(
    by_hand: Any, make_report: Any, path: str, value: Any, message: str
) -> None:
    document = make_report(by_hand).model_dump(mode="json")
    if path.startswith("hardware"):
        del document["hardware"]["constants"]["energy.synop"]
    else:
        *way, last = path.split(".")
        target = document
        for part in way:
            target = target[int(part)] if part.isdigit() else target[part]
        target[last] = value
    broken = Report.model_validate_json(json.dumps(document))
    with pytest.raises(VerificationError, match=message):
        check_report(broken)


def test_an_unknown_precision_is_refused(by_hand: Any, make_report: Any) -> None:
    with pytest.raises(VerificationError, match="impossible report: precision"):
        make_report(by_hand, precision="half")
