"""Schedules of student dropout: never nobody, and the frequencies that they promise."""

import math
from collections import Counter
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sne_deploy.distill.students.dropout import constant, everyone, first_students, uniform_subsets
from sne_deploy.distill.training.determinism import deterministic
from sne_deploy.errors import InputError

SAMPLES = 20000


def drawn(schedule, students: int, samples: int = SAMPLES, seed: int = 0) -> torch.Tensor:
    with deterministic(seed):
        return schedule(samples, students)


@given(students=st.integers(1, 6), seed=st.integers(0, 2**31), p=st.floats(0.0, 0.99))
def test_someone_is_always_present_and_draws_belong_to_the_seed(students, seed, p):
    for schedule in (everyone, partial(constant, probability=p), uniform_subsets, first_students):
        present = drawn(schedule, students, 50, seed)
        assert present.shape == (50, students)
        assert present.dtype == torch.bool
        assert present.any(dim=1).all()
        assert torch.equal(present, drawn(schedule, students, 50, seed))


def frequencies(present: torch.Tensor) -> dict[tuple[int, ...], float]:
    counts = Counter(tuple(row.nonzero().flatten().tolist()) for row in present)
    return {subset: count / len(present) for subset, count in counts.items()}


def check(found: dict[tuple[int, ...], float], expected: dict[tuple[int, ...], float]) -> None:
    assert set(found) == set(expected)
    for subset, p in expected.items():
        assert abs(found[subset] - p) < 5 * math.sqrt(p * (1 - p) / SAMPLES)


def test_constant_probability():
    p = 0.4
    expected = {(0, 1): (1 - p) ** 2, (0,): p * (1 - p) + p * p / 2, (1,): p * (1 - p) + p * p / 2}
    check(frequencies(drawn(partial(constant, probability=p), 2)), expected)
    assert drawn(partial(constant, probability=0.0), 3).all()


def test_uniform_over_sizes_and_within_each():
    single, pair = 1 / 9, 1 / 9
    expected = {
        (0,): single,
        (1,): single,
        (2,): single,
        (0, 1): pair,
        (0, 2): pair,
        (1, 2): pair,
        (0, 1, 2): 1 / 3,
    }
    check(frequencies(drawn(uniform_subsets, 3)), expected)


def test_first_students_of_the_policys_order():
    check(
        frequencies(drawn(partial(first_students, order=(2, 0, 1)), 3)),
        {(2,): 1 / 3, (0, 2): 1 / 3, (0, 1, 2): 1 / 3},
    )
    check(frequencies(drawn(first_students, 2)), {(0,): 1 / 2, (0, 1): 1 / 2})


def test_nobody_is_dropped_without_dropout():
    assert drawn(everyone, 4).all()


@pytest.mark.parametrize("probability", [-0.1, 1.0, float("nan")])
def test_refuses_probabilities(probability):
    with pytest.raises(InputError, match=rf"probability {probability} must be in \[0, 1\)"):
        constant(2, 2, probability)


def test_refuses_an_order_of_other_students():
    with pytest.raises(InputError, match=r"order \(0, 2\) is not a permutation of 0\.\.1"):
        first_students(3, 2, (0, 2))
