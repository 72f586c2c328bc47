"""What is read off a recorded run against running the policy: every count, every prediction, every joule."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.chips.chip import load_chip
from sne_deploy.energy.accounting import COUNTED
from sne_deploy.exploration.figures import figures, standard_error
from sne_deploy.exploration.leave_one_out import leave_one_out, right_of
from sne_deploy.model.ensemble import ActivationPolicy, Gate, Head
from sne_deploy.model.policy import MEASURES
from sne_deploy.policies.outcome import Subsets, outcome
from sne_deploy.policies.recorded import GateRecord, Recorded, recorded
from sne_deploy.report.build import build_report
from sne_deploy.report.schema import ProvenanceModel
from sne_deploy.runtime.activation import gate_logits, gate_macs
from sne_deploy.runtime.result import RunResult
from tests.effort import examples
from tests.runtime.test_run import CLASSES, TABLES, Fake, ensemble, inputs, run

CHIP = load_chip("loihi1")
SAMPLES = 6


class Case:
    """Students that look their answers up, a head, a gate, and a recording of everybody."""

    def __init__(self, tables: list[Any], seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.tables = [np.array(table, float) for table in tables]
        count = len(tables)
        self.head = Head("mean")
        if seed % 3:
            bias = rng.normal(size=(count, CLASSES)) if seed % 3 == 1 else None
            size = count * CLASSES
            self.head = Head(
                "linear",
                rng.normal(size=(CLASSES, size)),
                rng.normal(size=CLASSES),
                rng.normal(size=size),
                bias,
            )
        tensors = (
            rng.normal(size=shape).astype(np.float32) for shape in ((2, 1), (2,), (count, 2), (count,))
        )
        self.gate = Gate((1,), *tensors)
        self.x, self.y = inputs(*range(SAMPLES)), rng.integers(0, CLASSES, SAMPLES)

    def run(self, policy: ActivationPolicy) -> RunResult:
        return run([Fake(table) for table in self.tables], self.x, policy, head=self.head, labels=self.y)

    def recorded(self) -> Recorded:
        macs = gate_macs(ActivationPolicy("gate", (), 0.5, gate=self.gate), self.x)
        record = GateRecord(self.gate, gate_logits(self.gate, self.x), macs)
        return recorded(self.run(ActivationPolicy()), self.head, None, record)


def policies(case: Case, subsets: Subsets) -> st.SearchStrategy[ActivationPolicy]:
    """Of every kind; thresholds also such as a sample reaches exactly."""
    count = len(case.tables)
    orders = st.permutations(range(count)).map(tuple)
    some = st.none() | st.integers(1, count)
    limits = st.floats(1e-6, 1.0)

    @st.composite
    def cascade(draw: Any) -> ActivationPolicy:
        order, measure = draw(orders), draw(st.sampled_from(MEASURES))
        reached = subsets.sure(measure, order[: draw(st.integers(1, count))])[
            draw(st.integers(0, SAMPLES - 1))
        ]
        threshold = draw(limits) if not 0 < reached <= 1 else draw(st.just(float(reached)) | limits)
        return ActivationPolicy("confidence", order, threshold, draw(some), measure)

    return (
        st.builds(lambda order, k: ActivationPolicy("static", order, students=k), orders, some)
        | cascade()
        | limits.map(lambda limit: ActivationPolicy("gate", (), limit, gate=case.gate))
    )


@settings(max_examples=examples(30))
@given(TABLES, st.integers(0, 2**16), st.data())
def test_a_policy_read_off_a_recording_is_its_run(tables: list[Any], seed: int, data: Any) -> None:
    case = Case(tables, seed)
    subsets = Subsets(case.recorded())
    chosen = data.draw(st.lists(policies(case, subsets), min_size=1, max_size=6))
    found = outcome(subsets, chosen)
    columns = figures(found, CHIP)
    for index, policy in enumerate(chosen):
        real = case.run(policy)
        assert found.right[index] == (real.predictions == case.y).sum()
        assert found.ran[index] == real.active.sum()
        everyone = [*(student.counts for student in real.students), real.shared_counts]
        for name in COUNTED:
            assert found.totals[name][index] == sum(getattr(each, name) for each in everyone)
        report = build_report(
            replace(ensemble(len(tables), case.head), policy=policy), real, model="m", target="loihi",
            precision="fixed", hardware=CHIP, data_name="d",
            provenance=ProvenanceModel(versions={}, seed=0, command=None, wall_s=0.0),
        )  # fmt: skip
        assert columns.at(index).energy_j == report.ensemble.energy_per_sample_j.total
        assert columns.at(index).accuracy == report.ensemble.accuracy
        assert columns.at(index).students == report.ensemble.mean_active_students
        if policy.kind != "gate":
            np.testing.assert_array_equal(right_of(subsets, policy), real.predictions == case.y)


@pytest.mark.parametrize("seed", range(3))
def test_a_threshold_that_is_reached_exactly_is_enough(seed: int) -> None:
    rng = np.random.default_rng(seed)
    case = Case(rng.integers(-3, 4, (3, SAMPLES, CLASSES)).tolist(), seed)
    subsets, order = Subsets(case.recorded()), (2, 0, 1)
    chosen = [
        ActivationPolicy("confidence", order, float(reached), measure=measure)
        for measure in MEASURES
        for place in (1, 2)
        for reached in subsets.sure(measure, order[:place])
        if reached > 0
    ]
    found = outcome(subsets, chosen)
    assert found.ran.tolist() == [case.run(policy).active.sum() for policy in chosen]


@settings(max_examples=examples(20))
@given(TABLES, st.integers(0, 2**16), st.data())
def test_two_parts_of_the_samples_add_up(tables: list[Any], seed: int, data: Any) -> None:
    case = Case(tables, seed)
    whole = case.recorded()
    chosen = data.draw(st.lists(policies(case, Subsets(whole)), min_size=1, max_size=4))
    rows = np.array(data.draw(st.lists(st.booleans(), min_size=SAMPLES, max_size=SAMPLES)))
    parts = [outcome(Subsets(whole.taken(np.flatnonzero(which))), chosen) for which in (rows, ~rows)]
    together, found = parts[0] + parts[1], outcome(Subsets(whole), chosen)
    assert together.samples == found.samples
    np.testing.assert_array_equal([together.right, together.ran], [found.right, found.ran])
    for name, total in found.totals.items():
        np.testing.assert_array_equal(together.totals[name], total)


@settings(max_examples=examples(20))
@given(TABLES, st.integers(0, 2**16), st.data())
def test_leaving_a_student_out_is_a_run_of_the_others(tables: list[Any], seed: int, data: Any) -> None:
    case = Case(tables, seed)
    count = len(tables)
    policy = data.draw(
        st.just(ActivationPolicy()) | st.just(ActivationPolicy("confidence", tuple(range(count))[::-1], 0.6))
    )
    right = case.run(policy).predictions == case.y
    for each in leave_one_out(Subsets(case.recorded()), policy, CHIP):
        if count == 1:
            assert (each.without, each.adds_accuracy, each.adds_energy_j) == (None, None, None)
            continue
        order = [k for k in policy.order or range(count) if k != each.student]
        rest = ActivationPolicy(policy.kind, (*order, each.student), policy.threshold, count - 1)
        found = case.run(rest).predictions == case.y
        gained = right.astype(int) - found.astype(int)
        assert each.without is not None
        assert each.without.accuracy == found.mean()
        assert each.adds_accuracy == gained.mean()
        np.testing.assert_allclose(each.adds_accuracy_error, gained.std() / np.sqrt(SAMPLES), atol=1e-12)


def test_the_error_of_an_accuracy_worked_out_by_hand() -> None:
    """Half right of 100: sqrt(1/400 + 1/40000) / 1.01; all right of 4: sqrt(1/64) / 1.25 = 0.1."""
    np.testing.assert_allclose(standard_error(50, 100), np.sqrt(1 / 400 + 1 / 40000) / 1.01)
    np.testing.assert_allclose(standard_error(4, 4), 0.1)
    np.testing.assert_allclose(standard_error(9e7, 1e8), np.sqrt(0.09 / 1e8), rtol=1e-6)
