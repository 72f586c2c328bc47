"""The gate's training: its losses against the runtime's head, what it learns, and that it repeats itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.distill.policy.fitting import Runs, Target
from sne_deploy.distill.policy.gate import GateTraining, SubsetLoss, fit_gate, train_gate
from sne_deploy.errors import InputError
from sne_deploy.model.ensemble import Gate, Head
from sne_deploy.runtime.activation import activated, gate_logits
from sne_deploy.runtime.head import logits
from tests.effort import examples
from tests.runtime.test_run import Fake, run

QUICK = GateTraining(grid=2, hidden=6, epochs=12, learning_rate=2e-2)


@given(
    st.integers(0, 2**32 - 1), st.integers(1, 4), st.sampled_from(["mean", "weighted", "linear", "biased"])
)
@settings(max_examples=examples(30))
def test_the_loss_of_every_subset_is_the_head_s(seed: int, count: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    mean = kind in ("mean", "weighted")
    sizes = [3] * count if mean else [int(size) for size in rng.integers(1, 4, count)]
    head = Head("mean", student_weight=rng.uniform(0.1, 3, count) if kind == "weighted" else None)
    if not mean:
        bias = rng.normal(size=(count, 3)) if kind == "biased" else None
        head = Head("linear", rng.normal(size=(3, sum(sizes))), rng.normal(size=3),
                    rng.normal(size=sum(sizes)), bias)  # fmt: skip
    outputs, labels = [rng.normal(size=(5, size)) for size in sizes], rng.integers(0, 3, 5)
    losses = SubsetLoss(head, sizes)
    joined = torch.from_numpy(np.concatenate(outputs, axis=1)).float()
    found = losses(joined, torch.from_numpy(labels)).numpy()
    assert found.shape == (5, 2**count)
    for subset in range(2**count):
        active = np.tile([bool(subset >> k & 1) for k in range(count)], (5, 1))
        z = logits(head, outputs, active)
        wanted = np.log(np.exp(z).sum(axis=1)) - z[np.arange(5), labels]
        np.testing.assert_allclose(found[:, subset], wanted, rtol=1e-4, atol=1e-5)


def told_apart(samples: int, seed: int = 0) -> tuple[np.ndarray, Runs]:
    """Images whose left or right half is bright: on the first kind student 0 alone is right, on the others
    student 1; each is certain of a wrong class elsewhere."""
    rng = np.random.default_rng(seed)
    right = rng.integers(0, 2, samples).astype(bool)
    x = rng.random((samples, 1, 6, 6)) * 0.3
    x[~right, :, :, :3] += 0.7
    x[right, :, :, 3:] += 0.7
    labels = rng.integers(0, 3, samples)
    sure = 6.0 * np.eye(3)
    outputs = (
        np.where(right[:, None], sure[(labels + 1) % 3], sure[labels]),
        np.where(right[:, None], sure[labels], sure[(labels + 1) % 3]),
    )
    cost = np.full((samples, 2), 1000)
    return x, Runs(Head("mean"), outputs, labels, cost, cost * 1e-12)


def test_a_gate_learns_whom_to_ask() -> None:
    """All students together are at odds; the gate asks on each sample the one that knows."""
    (x, runs), (unseen, held_out) = told_apart(400), told_apart(200, seed=1)
    gate = train_gate(x, runs, 0.1, QUICK)
    active = activated(gate_logits(gate, unseen), 0.5)
    assert active.sum(axis=1).tolist() == [1] * 200
    assert held_out.right(active).all()
    assert held_out.right(held_out.only([0, 1])).mean() < 0.8


def tensors(gate: Gate) -> list[np.ndarray]:
    return [gate.hidden_weight, gate.hidden_bias, gate.weight, gate.bias]


def test_the_same_training_gives_the_same_bits() -> None:
    x, runs = told_apart(300)
    once, again, other = (
        train_gate(x, runs, 0.1, GateTraining(2, 6, 2, 1e-2, seed=seed)) for seed in (3, 3, 4)
    )
    assert once == again
    assert once != other
    assert [array.dtype for array in tensors(once)] == [np.float32] * 4
    assert once.grid == (1, 2, 2)


def test_the_grid_is_of_the_last_two_axes_and_no_finer_than_the_input() -> None:
    four = GateTraining(grid=4)
    assert four.cells((3, 32, 32)) == (3, 4, 4)
    assert four.cells((2, 3, 28)) == (2, 3, 4)
    assert four.cells((28,)) == (4,)
    assert four.cells((2, 3, 9, 9)) == (2, 3, 4, 4)


def test_constant_cells_do_not_spoil_the_gate() -> None:
    """A dark border has no deviation to divide by."""
    x, runs = told_apart(100)
    x[:, :, :3] = 0.0
    gate = train_gate(x, runs, 0.1, GateTraining(2, 4, 1, 1e-2))
    assert all(np.isfinite(array).all() for array in tensors(gate))


class Looked(Fake):
    """A student that finds a sample's row by the sample's own pixels."""

    def run(self, inputs: np.ndarray, record: Any = "counts") -> Any:
        return super().run(np.array([[ROWS[row.tobytes()]] for row in inputs], float), record)


ROWS: dict[bytes, int] = {}


@pytest.mark.parametrize("target", [Target(accuracy_drop=0.0), Target(energy_j=1.2e-9)])
def test_what_is_fitted_is_what_runs_and_meets_the_target(target: Target) -> None:
    training, (x, runs) = told_apart(300), told_apart(120, seed=1)
    fitted = fit_gate(training, (x, runs), target, (1, 0), QUICK, mac_j=1e-13)
    assert fitted.policy.order == (1, 0)
    ROWS.update({row.tobytes(): index for index, row in enumerate(x)})
    found = run([Looked(output) for output in runs.outputs], x, fitted.policy, labels=runs.labels)
    assert found.accuracy == fitted.accuracy
    assert found.active.sum() / 120 == pytest.approx(fitted.mean_students)
    gate_j = float(found.gate_macs[0]) * 1e-13
    assert found.gate_macs.tolist() == [36 + 4 * 6 + 6 * 2] * 120
    assert fitted.energy_j == pytest.approx((found.active * runs.energy_j).sum() / 120 + gate_j)
    assert fitted.accuracy == 1.0
    assert fitted.mean_students == 1.0


def test_an_energy_below_one_student_and_the_gate_is_refused_with_the_least() -> None:
    data = told_apart(120)
    with pytest.raises(
        InputError, match=r"policy\.energy_j 1e-09 is not met by policy 'gate' .* least is 1\.0072e-09 J"
    ):
        fit_gate(data, data, Target(energy_j=1e-9), (0, 1), QUICK, mac_j=1e-13)


def joined(samples: int, one: Any, other: Any) -> tuple[np.ndarray, Runs]:
    """Images that say nothing; logits by how far the class is from the label, 0 to 2, per student."""
    labels = np.arange(samples) % 3
    distance = (np.arange(3) - labels[:, None]) % 3
    cost = np.full((samples, 2), 5)
    outputs = tuple(np.array(row, float)[distance] for row in (one, other))
    return np.zeros((samples, 1, 4, 4)), Runs(Head("mean"), outputs, labels, cost, cost * 1e-12)


def test_students_that_are_right_together_alone_run_together() -> None:
    """The first is wrong by one class, the second by the other: (9, 10, 0) and (9, 0, 10)."""
    data = joined(90, [9, 10, 0], [9, 0, 10])
    fitted = fit_gate(data, data, Target(accuracy_drop=0.0), (0, 1), QUICK, mac_j=1e-13)
    assert (fitted.accuracy, fitted.mean_students) == (1.0, 2.0)


def test_an_accuracy_out_of_reach_is_refused_with_the_best() -> None:
    """In training the second student does harm, so that no gate asks it; in validation it is needed."""
    training, validation = joined(300, [9, 0, 0], [0, 30, 0]), joined(60, [9, 10, 0], [9, 0, 10])
    message = r"policy\.accuracy_drop 0\.2 is not met by policy 'gate' on 60 .* least drop is 1; allow that"
    with pytest.raises(InputError, match=message):
        fit_gate(
            training, validation, Target(accuracy_drop=0.2), (0, 1), GateTraining(2, 6, 80, 5e-2), mac_j=1e-13
        )
