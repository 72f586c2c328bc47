"""The head: any subset of students, against plain linear algebra."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.errors import InputError
from sne_deploy.model.ensemble import Head
from sne_deploy.runtime.head import check_head, head_macs, logits, softmax


def _head(rng: np.random.Generator, sizes: list[int], classes: int, *, subset: bool) -> Head:
    features = sum(sizes)
    return Head(
        "linear",
        weight=rng.normal(size=(classes, features)),
        bias=rng.normal(size=classes),
        mean=rng.normal(size=features),
        subset_bias=rng.normal(size=(len(sizes), classes)) if subset else None,
    )


@settings(max_examples=100, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    subset=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_inactive_students_enter_as_their_mean(sizes: list[int], subset: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    head = _head(rng, sizes, 3, subset=subset)
    assert head.weight is not None
    assert head.bias is not None
    assert head.mean is not None
    active = rng.integers(0, 2, (7, len(sizes))).astype(bool)
    outputs = [np.where(active[:, [k]], rng.normal(size=(7, size)), np.nan) for k, size in enumerate(sizes)]
    found = logits(head, outputs, active)
    for n in range(7):
        starts = np.cumsum([0, *sizes])
        parts = [
            outputs[k][n] if active[n, k] else head.mean[starts[k] : starts[k + 1]] for k in range(len(sizes))
        ]
        expected = head.weight @ np.concatenate(parts) + head.bias
        ran = int(active[n].sum())
        if head.subset_bias is not None and ran:
            expected = expected + head.subset_bias[ran - 1]
        np.testing.assert_allclose(found[n], expected, atol=1e-12)


def test_rows_do_not_depend_on_the_batch() -> None:
    rng = np.random.default_rng(0)
    head = _head(rng, [16, 17, 31], 10, subset=False)
    outputs = [rng.normal(size=(64, size)) for size in (16, 17, 31)]
    active = np.ones((64, 3), dtype=bool)
    whole = logits(head, outputs, active)
    one_by_one = [logits(head, [o[n : n + 1] for o in outputs], active[:1])[0] for n in range(64)]
    np.testing.assert_array_equal(whole, np.stack(one_by_one))


def test_mean_head_averages_what_ran() -> None:
    outputs = [np.array([[1.0, 2.0]]), np.array([[np.nan, np.nan]]), np.array([[3.0, 6.0]])]
    active = np.array([[True, False, True]])
    np.testing.assert_array_equal(logits(Head("mean"), outputs, active), [[2.0, 4.0]])
    assert head_macs(Head("mean"), [2, 2, 2], active).tolist() == [0]


@settings(max_examples=50, deadline=None)
@given(students=st.integers(1, 4), seed=st.integers(0, 2**32 - 1))
def test_weighted_students_enter_as_so_much_of_theirs(students: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight, active = rng.uniform(0.1, 3, students), rng.integers(0, 2, (6, students)).astype(bool)
    active[:, 0] = True
    outputs = [np.where(active[:, [k]], rng.normal(size=(6, 3)), np.nan) for k in range(students)]
    head = Head("mean", student_weight=weight)
    found, macs = logits(head, outputs, active), head_macs(head, [3] * students, active)
    for n in range(6):
        ran = np.flatnonzero(active[n])
        np.testing.assert_allclose(
            found[n], sum(weight[k] * outputs[k][n] for k in ran) / len(ran), rtol=1e-12
        )
        assert macs[n] == 3 * len(ran)


def test_macs_count_the_students_that_ran() -> None:
    head = _head(np.random.default_rng(0), [4, 6], 10, subset=False)
    active = np.array([[True, True], [True, False], [False, False]])
    assert head_macs(head, [4, 6], active).tolist() == [100, 40, 0]


def test_softmax_of_large_values() -> None:
    np.testing.assert_allclose(softmax(np.array([1000.0, 1000.0, -1000.0])), [0.5, 0.5, 0.0])


def test_heads_that_do_not_fit_are_refused() -> None:
    head = _head(np.random.default_rng(0), [4, 6], 10, subset=True)
    with pytest.raises(InputError, match=r"weight has shape \(10, 10\).*need \(10, 11\)"):
        check_head(head, [4, 7])
    with pytest.raises(InputError, match=r"subset_bias has shape \(2, 10\).*\(3, 10\)"):
        check_head(head, [4, 5, 1])
    with pytest.raises(InputError, match=r"equally many outputs, got \[2, 3\]"):
        check_head(Head("mean"), [2, 3])
    with pytest.raises(InputError, match=r"student_weight has shape \(2,\), not \(students,\) = \(3,\)"):
        check_head(Head("mean", student_weight=np.ones(2)), [2, 2, 2])
    with pytest.raises(InputError, match="'linear' has no student_weight; multiply its weight"):
        check_head(replace(head, student_weight=np.ones(2)), [4, 6])
    with pytest.raises(InputError, match="student_weight 0 must be above 0; leave out a student"):
        Head("mean", student_weight=np.array([1.0, 0.0]))
    with pytest.raises(InputError, match="needs weight, bias and mean"):
        check_head(Head("linear"), [2])
