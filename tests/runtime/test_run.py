"""The activation cascade, with executables that do nothing but look up their answers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from sne_deploy.backend import Record
from sne_deploy.chips.chip import load_chip
from sne_deploy.energy.accounting import COUNTED
from sne_deploy.errors import RunError
from sne_deploy.ir.program import HostAffine, NeuronGroup, Program, ProgramInput
from sne_deploy.model.ensemble import ActivationPolicy, Encoder, Ensemble, Head, Student
from sne_deploy.report.build import build_report
from sne_deploy.report.check import check_report
from sne_deploy.report.schema import ProvenanceModel
from sne_deploy.runtime.execution import InProcess
from sne_deploy.runtime.result import RunResult
from sne_deploy.runtime.run import run_ensemble
from sne_deploy.runtime.trace import LayerTrace, Trace
from tests.chip_registers import LOIHI1

CLASSES, STEPS = 3, 2


def program(name: str, n_out: int = CLASSES) -> Program:
    zero = np.zeros((), np.int32)
    group = NeuronGroup("out", "lif", (n_out,), zero, zero, zero, zero, 0, zero, 0, 1.0, zero)
    return Program(
        name=name, precision="fixed", timesteps=STEPS, input=ProgramInput("input", (1,), "current"),
        groups=(group,), synapses=(), outputs=("out",), readout="count",
        hosts=(HostAffine("out", sparse.csr_matrix(np.ones((n_out, 1))), np.zeros(n_out)),), graph=None,
        dt_s=0.001, formats=LOIHI1,
    )  # fmt: skip


@dataclass
class Fake:
    """A student that looks its outputs up by the sample's number, which is the sample itself."""

    table: np.ndarray
    seen: list[list[int]] = field(default_factory=list)
    closed: bool = False
    error: BaseException | None = None

    def __enter__(self) -> Fake:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def run(self, inputs: np.ndarray, record: Record = "counts") -> Trace:
        if self.error is not None:
            raise self.error
        index = inputs[:, 0].astype(int)
        self.seen.append(index.tolist())
        n_out = self.table.shape[1]
        spikes = np.zeros((len(index), STEPS, n_out), bool)
        spikes[:, 0, 0] = index % 2 == 1
        layer = LayerTrace(
            "out", synops=index * 10 + 1, spikes=spikes.sum(axis=(1, 2)), updates_active=index + 2,
            updates_idle=index + 3, recorded_spikes=spikes if record != "counts" else None,
        )  # fmt: skip
        outputs = self.table[index]
        return Trace(outputs, outputs, (layer,), input_spikes=index + 4, host_macs=np.full(len(index), 3))

    def not_run(self, samples: int, record: Record = "counts") -> Trace:
        size, zeros = (samples, self.table.shape[1]), np.zeros(samples, int)
        spikes = np.zeros((samples, STEPS, size[1]), bool) if record != "counts" else None
        layer = LayerTrace("out", zeros, zeros, zeros, zeros, recorded_spikes=spikes)
        return Trace(np.zeros(size), np.full(size, np.nan), (layer,), input_spikes=zeros, host_macs=zeros)


def inputs(*samples: int) -> np.ndarray:
    return np.array(samples, float)[:, None]


def ensemble(count: int, head: Head | None = None) -> Ensemble:
    students = tuple(Student(f"s{k}", (), "count") for k in range(count))
    return Ensemble(students, (1,), STEPS, Encoder("constant", (0.0, 100.0)), head or Head("mean"))


def run(
    fakes: list[Fake],
    x: np.ndarray,
    policy: ActivationPolicy | None = None,
    *,
    head: Head | None = None,
    labels: np.ndarray | None = None,
    record: Record = "counts",
) -> RunResult:
    made = ensemble(len(fakes), head)
    programs = [
        program(student.name, fake.table.shape[1]) for student, fake in zip(made.students, fakes, strict=True)
    ]
    return run_ensemble(
        made, programs, InProcess(fakes), x, labels, policy=policy or ActivationPolicy(), record=record
    )


def confidence(threshold: float, *order: int) -> ActivationPolicy:
    return ActivationPolicy("confidence", order, threshold)


def test_a_cascade_worked_out_by_hand() -> None:
    """Logits of sample 0: (5, 0, 0); softmax 0.987: decided at once. Of sample 1: first (1, 0, 0), 0.576;
    then the mean with (0, 9, 0), (0.5, 4.5, 0), 0.971: decided. Sample 2 stays at (0, 0, 0), 1/3."""
    first = Fake(np.array([[5.0, 0, 0], [1, 0, 0], [0, 0, 0]]))
    second = Fake(np.array([[0, 9.0, 0], [0, 9, 0], [0, 0, 0]]))
    third = Fake(np.array([[0, 0, 9.0], [0, 0, 9], [0, 0, 6]]))
    found = run([first, second, third], inputs(0, 1, 2), confidence(0.9), labels=np.array([0, 0, 2]))
    assert (first.seen, second.seen, third.seen) == ([[0, 1, 2]], [[1, 2]], [[2]])
    np.testing.assert_array_equal(found.active, [[1, 0, 0], [1, 1, 0], [1, 1, 1]])
    np.testing.assert_allclose(found.logits, [[5, 0, 0], [0.5, 4.5, 0], [0, 0, 2]])
    np.testing.assert_array_equal(found.predictions, [0, 1, 2])
    assert found.accuracy == pytest.approx(2 / 3)
    # sample i of a student that ran: 10 i + 1 SynOps, and 0 of everything where it did not
    assert [student.synops.tolist() for student in found.students] == [[1, 11, 21], [0, 11, 21], [0, 0, 21]]
    second_result = found.students[1]
    assert second_result.input_spikes.tolist() == [0, 5, 6]
    assert second_result.host_macs.tolist() == [0, 3, 3]
    assert second_result.layers[0].updates_active is not None
    assert second_result.layers[0].updates_active.tolist() == [0, 3, 4]
    assert second_result.alone is not None
    assert second_result.alone.tolist() == [-1, 1, 0]
    assert np.isnan(second_result.outputs[0]).all()
    np.testing.assert_array_equal(second_result.outputs[1:], second.table[1:])


def test_a_student_that_no_sample_needs_never_runs() -> None:
    sure = Fake(np.array([[9.0, 0, 0], [0, 9, 0]]))
    idle = Fake(np.zeros((2, 3)))
    found = run([sure, idle], inputs(0, 1), confidence(0.9))
    assert idle.seen == []
    assert not found.active[:, 1].any()
    assert found.students[1].alone is None
    assert found.students[1].synops.tolist() == [0, 0]


def test_the_order_is_respected() -> None:
    tables = [np.zeros((1, 3)), np.zeros((1, 3)), np.array([[9.0, 0, 0]])]
    fakes = [Fake(table) for table in tables]
    found = run(fakes, inputs(0), confidence(0.9, 2, 0, 1))
    assert [fake.seen for fake in fakes] == [[], [], [[0]]]
    assert found.active.tolist() == [[False, False, True]]
    fakes = [Fake(table) for table in tables]
    found = run(fakes, inputs(0), confidence(0.9, 1, 2, 0))
    assert found.active.tolist() == [[False, True, True]]


def test_a_confidence_equal_to_the_threshold_is_enough() -> None:
    fakes = [Fake(np.zeros((1, 2))), Fake(np.zeros((1, 2)))]
    assert run(fakes, inputs(0), confidence(0.5)).active.tolist() == [[True, False]]
    above = float(np.nextafter(0.5, 1))
    assert run(fakes, inputs(0), confidence(above)).active.tolist() == [[True, True]]


def test_a_threshold_of_one_is_reached_by_certainty_alone() -> None:
    """Softmax of (0, 800) is (0, 1) in float64; of (0, 30) it is less than 1."""
    fakes = [Fake(np.array([[0.0, 800], [0, 30]])), Fake(np.zeros((2, 2)))]
    assert run(fakes, inputs(0, 1), confidence(1.0)).active.tolist() == [[True, False], [True, True]]


TABLES = st.integers(1, 3).flatmap(
    lambda count: st.lists(
        st.lists(st.lists(st.integers(-3, 3), min_size=3, max_size=3), min_size=6, max_size=6),
        min_size=count,
        max_size=count,
    )
)


@given(TABLES, st.floats(0.34, 1.0), st.randoms(use_true_random=False))
def test_a_cascade_equals_its_definition(tables: list[Any], threshold: float, random: Any) -> None:
    """Sample by sample: add students in order while the softmax of the mean stays below the threshold."""
    arrays = [np.array(table, float) for table in tables]
    order = list(range(len(arrays)))
    random.shuffle(order)
    found = run([Fake(array) for array in arrays], inputs(*range(6)), confidence(threshold, *order))
    for sample in range(6):
        ran: list[int] = []
        mean = np.zeros(3)
        for index in order:
            ran.append(index)
            mean = sum(arrays[k][sample] for k in ran) / len(ran)
            if (np.exp(mean) / np.exp(mean).sum()).max() >= threshold + 1e-12:
                break
            if (np.exp(mean) / np.exp(mean).sum()).max() >= threshold - 1e-12:
                return  # a tie that rounding decides
        assert set(np.flatnonzero(found.active[sample])) == set(ran)
        np.testing.assert_allclose(found.logits[sample], mean, atol=1e-12)


@given(TABLES, st.permutations(range(6)), st.integers(1, 5))
def test_results_do_not_depend_on_the_batch(tables: list[Any], order: list[int], cut: int) -> None:
    arrays = [np.array(table, float) for table in tables]
    policy = confidence(0.6)
    whole = run([Fake(array) for array in arrays], inputs(*range(6)), policy)
    parts = [
        run([Fake(array) for array in arrays], inputs(*part), policy) for part in (order[:cut], order[cut:])
    ]
    for name in ("logits", "predictions", "active", "head_macs"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(joined, getattr(whole, name)[order])
    for k in range(len(arrays)):
        joined = np.concatenate([part.students[k].synops for part in parts])
        np.testing.assert_array_equal(joined, whole.students[k].synops[order])


def test_static_equals_a_cascade_that_is_never_sure() -> None:
    rng = np.random.default_rng(0)
    head = Head(
        "linear", rng.normal(size=(3, 5)) / 10, rng.normal(size=3), rng.normal(size=5), np.zeros((2, 3))
    )
    tables = [rng.normal(size=(4, 2)), rng.normal(size=(4, 3))]
    static, unsure = (
        run([Fake(table) for table in tables], inputs(0, 1, 2, 3), policy, head=head, record="spikes")
        for policy in (ActivationPolicy(), confidence(1.0))
    )
    assert static.active.all()
    for name in ("logits", "predictions", "active", "head_macs"):
        np.testing.assert_array_equal(getattr(static, name), getattr(unsure, name))
    expected = np.concatenate(tables, axis=1) @ np.asarray(head.weight).T + head.bias
    np.testing.assert_allclose(static.logits, expected)
    for one, other in zip(static.students, unsure.students, strict=True):
        np.testing.assert_array_equal(one.outputs, other.outputs)
        np.testing.assert_array_equal(one.spikes["out"], other.spikes["out"])
        np.testing.assert_array_equal(one.alone, other.alone)


def test_recorded_spikes_are_spread_over_all_samples() -> None:
    first = Fake(np.array([[9.0, 0, 0], [0, 0, 0], [9, 0, 0], [0, 0, 0]]))
    second = Fake(np.zeros((4, 3)))
    found = run([first, second], inputs(0, 1, 2, 3), confidence(0.9), record="spikes")
    spikes = found.students[1].spikes["out"]
    assert (spikes.shape, spikes.dtype) == ((4, STEPS, 3), np.bool_)
    assert spikes.sum(axis=(1, 2)).tolist() == [0, 1, 0, 1]
    assert run([first, second], inputs(0, 1), confidence(0.9)).students[0].spikes == {}


def test_the_ensemble_is_shared_plus_active_fraction_times_student() -> None:
    """As the report says it: exactly on totals, and to rounding on means and energies."""
    rng = np.random.default_rng(3)
    fakes = [Fake(rng.normal(size=(40, 3)) * 2) for _ in range(3)]
    head = Head("linear", rng.normal(size=(3, 9)), np.zeros(3), np.zeros(9))
    found = run(fakes, inputs(*range(40)), confidence(0.8, 1, 0, 2), head=head, labels=rng.integers(0, 3, 40))
    assert 0 < found.active[:, 2].sum() < found.active[:, 0].sum() < 40
    report = build_report(
        replace(ensemble(3, head), policy=confidence(0.8, 1, 0, 2)), found, model="m", target="t",
        precision="fixed", hardware=load_chip("loihi1"), data_name="d",
        provenance=ProvenanceModel(versions={}, seed=0, command=None, wall_s=0.0),
    )  # fmt: skip
    check_report(report)
    for count in COUNTED:
        total = getattr(report.shared.totals, count) + sum(getattr(s.totals, count) for s in report.students)
        assert getattr(report.ensemble.totals, count) == total
        mean = getattr(report.shared, f"{count}_per_sample") + sum(
            student.active_fraction * getattr(student, f"{count}_per_sample") for student in report.students
        )
        assert getattr(report.ensemble, f"{count}_per_sample") == pytest.approx(mean, rel=1e-12)
    synops = sum(10 * i + 1 for k in range(3) for i in range(40) if found.active[i, k])
    assert report.ensemble.totals.synops == synops
    assert report.shared.totals.host_macs == 9 * int(found.active.sum())
    for part in ("synops", "updates", "spikes", "host", "total"):
        energy = getattr(report.shared.energy_per_sample_j, part) + sum(
            s.active_fraction * getattr(s.energy_per_sample_j, part) for s in report.students
        )
        assert getattr(report.ensemble.energy_per_sample_j, part) == pytest.approx(energy, rel=1e-12)


@pytest.mark.parametrize("policy", [ActivationPolicy(), confidence(1.0)])
@pytest.mark.parametrize("error", [RunError("killed"), KeyboardInterrupt()])
def test_an_error_in_a_student_is_the_run_s(policy: ActivationPolicy, error: BaseException) -> None:
    fakes = [Fake(np.zeros((2, 3))), Fake(np.zeros((2, 3)), error=error)]
    with pytest.raises(type(error)):
        run(fakes, inputs(0, 1), policy)
    if policy.kind == "static":
        assert all(fake.closed for fake in fakes), "the others must be told to end"
