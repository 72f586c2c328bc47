"""Confidence measures and gates: worked out by hand, and against plain Python."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sne_deploy.chips.chip import load_chip
from sne_deploy.errors import InputError
from sne_deploy.model.ensemble import ActivationPolicy, Encoder, Ensemble, Gate, Head, Student
from sne_deploy.model.policy import MEASURES, Measure, changed_policy
from sne_deploy.report.build import build_report
from sne_deploy.report.check import check_report
from sne_deploy.report.notes import report_notes
from sne_deploy.report.schema import ProvenanceModel
from sne_deploy.runtime.activation import (
    activated,
    chosen_students,
    confidence,
    gate_logits,
    gate_macs,
    pooled,
)
from tests.runtime.test_run import TABLES, Fake, ensemble, inputs, run


def test_the_measures_worked_out_by_hand() -> None:
    """Probabilities 1/2, 1/4, 1/4: margin 1/4, entropy 3/2 bits of log2(3); all alike; one certain."""
    logits = np.log(np.array([[2.0, 1, 1], [1, 1, 1]]))
    np.testing.assert_allclose(confidence("max_probability", logits), [1 / 2, 1 / 3])
    np.testing.assert_allclose(confidence("margin", logits), [1 / 4, 0], atol=1e-15)
    np.testing.assert_allclose(confidence("entropy", logits), [1 - 1.5 / math.log2(3), 0], atol=1e-15)
    for measure in MEASURES:
        assert confidence(measure, np.array([[0.0, 900, 0]])).tolist() == [1.0]
        assert confidence(measure, np.array([[3.0]])).tolist() == [1.0]


@given(
    st.integers(2, 12).flatmap(
        lambda n: st.lists(st.lists(st.floats(-800, 800), min_size=n, max_size=n), min_size=1, max_size=8)
    ),
    st.sampled_from(MEASURES),
)
def test_every_measure_is_in_0_to_1_and_of_its_own_row(rows: list[list[float]], measure: Measure) -> None:
    found = confidence(measure, np.array(rows))
    assert ((found >= 0) & (found <= 1)).all()
    for row, value in zip(rows, found, strict=True):
        assert confidence(measure, np.array([row]))[0] == value
        p = [math.exp(z - max(row)) for z in row]
        p = sorted(x / sum(p) for x in p)
        spread = -sum(x * math.log(x) for x in p if x > 0) / math.log(len(p))
        wanted = {"max_probability": p[-1], "margin": p[-1] - p[-2], "entropy": 1 - spread}[measure]
        assert value == pytest.approx(wanted, abs=1e-9)


@given(TABLES, st.sampled_from(MEASURES), st.floats(0.01, 1.0), st.floats(0.01, 1.0))
def test_a_lower_threshold_runs_no_more_students(
    tables: list[Any], measure: Measure, one: float, other: float
) -> None:
    low, high = (
        run(
            [Fake(np.array(table, float)) for table in tables],
            inputs(*range(6)),
            ActivationPolicy("confidence", (), threshold, measure=measure),
        ).active
        for threshold in sorted((one, other))
    )
    assert not (low & ~high).any()


@given(TABLES, st.sampled_from(MEASURES), st.floats(0.01, 1.0), st.randoms(use_true_random=False))
def test_a_cascade_by_any_measure_equals_its_definition(
    tables: list[Any], measure: Measure, threshold: float, random: Any
) -> None:
    """Sample by sample: students in order until the measure of the mean's softmax reaches the threshold, or
    as many have run as may."""
    order = list(range(len(tables)))
    random.shuffle(order)
    most = random.choice([None, *range(1, len(order) + 1)])
    fakes = [Fake(np.array(table, float)) for table in tables]
    found = run(
        fakes,
        inputs(*range(6)),
        ActivationPolicy("confidence", tuple(order), threshold, most, measure),
    )
    order = order[:most]
    for sample in range(6):
        sure = [
            confidence(measure, np.mean([tables[k][sample] for k in order[:ran]], axis=0)[None])[0]
            for ran in range(1, len(order) + 1)
        ]
        wanted = next((ran for ran, value in enumerate(sure, 1) if value >= threshold), len(order))
        if found.active[sample].sum() != wanted:
            assert min(abs(value - threshold) for value in sure) < 1e-12, (
                "rounding alone may decide otherwise"
            )
        else:
            assert set(np.flatnonzero(found.active[sample])) == set(order[:wanted])


def test_static_runs_the_first_of_the_order_on_every_sample() -> None:
    fakes = [Fake(np.full((2, 3), float(k))) for k in range(3)]
    found = run(fakes, inputs(0, 1), ActivationPolicy("static", (2, 0, 1), students=2))
    assert [fake.seen for fake in fakes] == [[[0, 1]], [], [[0, 1]]]
    np.testing.assert_array_equal(found.active, [[1, 0, 1], [1, 0, 1]])
    np.testing.assert_array_equal(found.logits, np.ones((2, 3)))
    assert found.students[1].synops.tolist() == [0, 0]


def linear_gate(weight: Any, bias: Any) -> Gate:
    """Logits = weight relu(x) + bias for inputs of shape (1,)."""
    one, zero = np.ones((1, 1), np.float32), np.zeros(1, np.float32)
    return Gate((1,), one, zero, np.array(weight, np.float32)[:, None], np.array(bias, np.float32))


def test_a_gate_worked_out_by_hand_and_students_see_their_samples_alone() -> None:
    """Input n has logits (2 - n, n - 2, -9): above 0 the first for 0 and 1, the second from 3 on; at 2 both
    are 0, which is not above a half: then the first, the most probable, runs alone."""
    policy = ActivationPolicy("gate", (), 0.5, gate=linear_gate([-1, 1, 0], [2, -2, -9]))
    fakes = [Fake(np.full((5, 3), float(k))) for k in range(3)]
    found = run(fakes, inputs(0, 1, 2, 3, 4), policy)
    assert [fake.seen for fake in fakes] == [[[0, 1, 2]], [[3, 4]], []]
    np.testing.assert_array_equal(found.active, [[1, 0, 0]] * 3 + [[0, 1, 0]] * 2)
    np.testing.assert_array_equal(found.logits[:, 0], [0, 0, 0, 1, 1])
    assert found.gate_macs.tolist() == [1 + 1 + 3] * 5
    # sigmoid(1) = 0.731 and sigmoid(-1) = 0.269: a lower threshold runs both where |n - 2| is 1
    both = run(fakes, inputs(1, 2, 3), replace(policy, threshold=0.2))
    np.testing.assert_array_equal(both.active, [[1, 1, 0]] * 3)
    certain = run(fakes, inputs(1, 2, 3), replace(policy, threshold=1.0))
    np.testing.assert_array_equal(certain.active, [[1, 0, 0], [1, 0, 0], [0, 1, 0]])


@st.composite
def gates(draw: Any) -> tuple[Gate, np.ndarray]:
    """A gate and spikes over time or currents, all of them dyadic fractions."""
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)))
    grid = tuple(draw(st.integers(1, size)) for size in shape)
    hidden, students = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))

    def dyadic(*size: int) -> np.ndarray:
        return (rng.integers(-64, 65, size) / 16).astype(np.float32)

    gate = Gate(
        grid, dyadic(hidden, math.prod(grid)), dyadic(hidden), dyadic(students, hidden), dyadic(students)
    )
    if draw(st.booleans()):
        return gate, rng.integers(0, 2, (5, draw(st.integers(1, 4)), *shape)).astype(np.uint8)
    return gate, rng.integers(0, 17, (5, *shape)) / 16


def exact_logits(gate: Gate, sample: np.ndarray) -> list[Fraction]:
    """The gate's equations in fractions, from the definition of a cell."""
    if sample.ndim == len(gate.grid) + 1:
        sample = sample.sum(axis=0, dtype=np.float64) / sample.shape[0]
    cells = []
    for cell in np.ndindex(*gate.grid):
        inside = [
            range(i * size // g, (i + 1) * size // g)
            for i, g, size in zip(cell, gate.grid, sample.shape, strict=True)
        ]
        values = [Fraction(float(sample[place])) for place in np.ndindex(sample.shape)
                  if all(at in part for at, part in zip(place, inside, strict=True))]  # fmt: skip
        cells.append(sum(values, Fraction()) / len(values))

    def affine(weight: Any, bias: Any, x: list[Fraction]) -> list[Fraction]:
        return [
            sum((Fraction(float(w)) * value for w, value in zip(row, x, strict=True)), Fraction(float(b)))
            for row, b in zip(weight, bias, strict=True)
        ]

    hidden = [max(value, Fraction()) for value in affine(gate.hidden_weight, gate.hidden_bias, cells)]
    return affine(gate.weight, gate.bias, hidden)


@given(gates(), st.sampled_from([0.05, 0.3, 0.5, 0.9, 1.0]))
def test_a_gate_equals_its_definition(made: tuple[Gate, np.ndarray], threshold: float) -> None:
    gate, x = made
    logits = gate_logits(gate, x)
    active = chosen_students(ActivationPolicy("gate", (), threshold, gate=gate), x, gate.bias.size)
    for sample, row, ran in zip(x, logits, active, strict=True):
        wanted = [float(value) for value in exact_logits(gate, sample)]
        np.testing.assert_allclose(row, wanted, atol=1e-12)
        p = [1 / (1 + math.exp(-value)) for value in wanted]
        clear = all(abs(value - threshold) > 1e-9 for value in p)
        tied = sorted(wanted)[-2:]
        if clear and (len(tied) == 1 or tied[1] - tied[0] > 1e-9):
            chosen = {k for k, value in enumerate(p) if value > threshold}
            assert set(np.flatnonzero(ran)) == (chosen or {int(np.argmax(wanted))})
        assert ran.any()
    steps = x.shape[1] if x.ndim == len(gate.grid) + 2 else 1
    cost = steps * math.prod(x.shape[-len(gate.grid) :]) + gate.hidden_weight.size + gate.weight.size
    policy = ActivationPolicy("gate", (), 0.5, gate=gate)
    assert gate_macs(policy, x).tolist() == [cost] * len(x)
    assert gate_macs(ActivationPolicy(), x).tolist() == [0] * len(x)


@given(st.integers(0, 2**32 - 1))
def test_a_gate_s_rows_do_not_depend_on_the_batch(seed: int) -> None:
    """Bit for bit, for any real numbers: nothing is summed across samples."""
    rng = np.random.default_rng(seed)
    shape, hidden, students = tuple(rng.integers(1, 12, rng.integers(1, 4))), 17, 5
    grid = tuple(int(rng.integers(1, size + 1)) for size in shape)
    arrays = [rng.normal(size=size).astype(np.float32) for size in
              ((hidden, math.prod(grid)), (hidden,), (students, hidden), (students,))]  # fmt: skip
    gate, x = Gate(grid, *arrays), rng.normal(size=(33, *shape))
    whole, order = gate_logits(gate, x), rng.permutation(33)
    np.testing.assert_array_equal(gate_logits(gate, x[order]), whole[order])
    np.testing.assert_array_equal(np.concatenate([gate_logits(gate, row[None]) for row in x]), whole)
    np.testing.assert_array_equal(gate_logits(gate, np.asfortranarray(x)[5:9]), whole[5:9])
    np.testing.assert_array_equal(pooled(shape, x), x.reshape(33, -1))


@given(st.lists(st.lists(st.floats(-40, 40), min_size=3, max_size=3), min_size=1, max_size=5),
       st.floats(0.001, 1.0), st.floats(0.001, 1.0))  # fmt: skip
def test_a_gate_s_lower_threshold_runs_no_fewer_students(
    logits: list[list[float]], one: float, other: float
) -> None:
    low, high = (activated(np.array(logits), threshold) for threshold in sorted((one, other)))
    assert not (high & ~low).any()
    assert high.any(axis=1).all()


@pytest.mark.parametrize("gated", [True, False])
def test_the_report_names_the_policy_and_whose_the_macs_are(gated: bool) -> None:
    """Three samples; the head takes 9 MACs per student that ran, the gate 1 + 1 + 3 on every sample."""
    head = Head("linear", np.ones((3, 9)), np.zeros(3), np.zeros(9))
    policy = ActivationPolicy("static", (1, 2, 0), students=2)
    if gated:
        policy = ActivationPolicy("gate", (), 0.5, gate=linear_gate([-1, 1, 0], [2, -2, -9]))
    found = run([Fake(np.zeros((5, 3))) for _ in range(3)], inputs(0, 2, 4), policy, head=head)
    report = build_report(
        replace(ensemble(3, head), policy=policy), found, model="m", target="t",
        precision="fixed", hardware=load_chip("loihi1"), data_name="d",
        provenance=ProvenanceModel(versions={}, seed=0, command=None, wall_s=0.0),
    )  # fmt: skip
    check_report(report)
    macs = {"head": 27, "gate": 15} if gated else {"head": 54, "gate": 0}
    assert report.shared.total_host_macs_of == macs
    assert report.shared.totals.host_macs == sum(macs.values())
    own = sum(student.totals.host_macs for student in report.students)
    assert report.ensemble.totals.host_macs == own + sum(macs.values())
    told = {
        "kind": "gate", "order": ("s0", "s1", "s2"), "threshold": 0.5, "measure": None, "students": None,
        "gate": {"grid": (1,), "hidden": 1, "macs_per_sample": 5},
    } if gated else {
        "kind": "static", "order": ("s1", "s2", "s0"), "threshold": None, "measure": None, "students": 2,
        "gate": None,
    }  # fmt: skip
    assert report.policy.model_dump() == told
    notes = dict(report_notes(report))
    if gated:
        assert notes["policy"] == "gate: students whose probability exceeds 0.5, at least one"
        assert "of its head and gate on the host" in notes["shared"]
        assert notes["shared"].endswith("the gate's part is 5 MACs, on every sample")
    else:
        assert notes["policy"] == "static, the first 2 of: s1 then s2 then s0"


def test_options_change_a_model_s_policy_or_are_refused() -> None:
    gate = linear_gate([1], [0])
    static, two = ActivationPolicy("static", (0, 1)), ActivationPolicy("static", (0, 1), students=2)
    sure, gated = ActivationPolicy("confidence", (0, 1), 0.8), ActivationPolicy("gate", (0,), 0.4, gate=gate)
    assert changed_policy(sure) is None
    assert changed_policy(static, students=2) == two
    assert changed_policy(sure, kind="static") == static
    short = replace(sure, students=1)
    assert changed_policy(sure, students=1) == changed_policy(short, threshold=0.8) == short
    assert changed_policy(short, kind="static") == static
    assert changed_policy(two, kind="confidence", threshold=0.8) == sure
    assert changed_policy(sure, threshold=0.3, measure="entropy") == ActivationPolicy(
        "confidence", (0, 1), 0.3, measure="entropy"
    )
    assert changed_policy(gated, kind="gate", threshold=0.9) == replace(gated, threshold=0.9)
    assert changed_policy(gated, threshold=0.9) == replace(gated, threshold=0.9)
    for own, options, message in (
        (static, {"kind": "gate"}, "policy 'gate': there is no gate; train one"),
        (gated, {"kind": "confidence"}, "threshold None is not in"),
        (gated, {"students": 2}, "--students 2 has no meaning for policy 'gate'; add --policy static"),
        (static, {"measure": "margin"}, "--measure margin has no meaning for policy 'static'"),
        (gated, {"measure": "margin"}, "--measure margin has no meaning for policy 'gate'"),
        (sure, {"measure": "margin"}, "the model's threshold 0.8 is of max_probability; give another"),
    ):
        with pytest.raises(InputError, match=message):
            changed_policy(own, **options)


def test_equal_gates_are_equal_in_every_bit() -> None:
    one = linear_gate([1, 2], [0, 0])
    assert one == linear_gate([1, 2], [0, 0])
    assert hash(one) == hash(linear_gate([1, 2], [0, 0]))
    assert one != linear_gate([1, 2], [0, -0.0])
    assert one != "gate"


def test_a_gate_for_another_ensemble_is_refused() -> None:
    policy = ActivationPolicy("gate", (), 0.5, gate=linear_gate([1, 2], [0, 0]))
    students = tuple(Student(f"s{k}", (), "count") for k in range(2))
    for shape, count, message in (
        ((1, 4), 2, r"a grid of \(1,\) does not fit an input of shape \(1, 4\)"),
        ((4,), 1, "it decides on 2 students, the ensemble has 1"),
    ):
        with pytest.raises(InputError, match=message):
            Ensemble(students[:count], shape, 2, Encoder("constant"), Head("mean"), policy)
