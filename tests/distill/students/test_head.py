"""The linear head: against scikit-learn, in any units, and with students missing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from sne_deploy.distill.students.evaluate import accuracy
from sne_deploy.distill.students.head import fit_head, fit_student_weights
from sne_deploy.errors import InputError


def blobs(seed: int, samples: int = 240) -> tuple[list[np.ndarray], np.ndarray]:
    """Three classes, two students of 2 and 3 outputs; the second one knows less."""
    generator = np.random.default_rng(seed)
    labels = np.arange(samples) % 3
    centres = generator.normal(size=(3, 5)) * np.array([3, 3, 1, 1, 1])
    outputs = centres[labels] + generator.normal(size=(samples, 5))
    return [outputs[:, :2], outputs[:, 2:]], labels


def logits_of(head, outputs):
    return np.concatenate(outputs, axis=1) @ head.weight.T + head.bias


def cross_entropy(logits, labels):
    shifted = logits - logits.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]))


def test_equals_scikit_learns_optimum():
    outputs, labels = blobs(0)
    joined = np.concatenate(outputs, axis=1)
    scaled = (joined - joined.mean(0)) / joined.std(0)
    theirs = LogisticRegression(C=1 / (0.01 * len(labels)), tol=1e-10, max_iter=5000).fit(scaled, labels)
    head = fit_head(outputs, labels, l2=0.01)
    ours = logits_of(head, outputs)
    expected = theirs.predict_log_proba(scaled)
    log_probabilities = ours - np.log(np.exp(ours).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(log_probabilities, expected, atol=1e-4)
    assert head.weight.dtype == np.float64
    np.testing.assert_allclose(head.mean, joined.mean(0), rtol=1e-12)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000))
def test_weights_of_students_have_the_least_cross_entropy(seed):
    """At any common factor, which is a temperature; a student that is only noise gets little."""
    generator = np.random.default_rng(seed)
    labels = np.arange(2000) % 3
    outputs = [k * np.eye(3)[labels] + generator.normal(size=(2000, 3)) for k in (2, 1, 0)]
    weights = fit_student_weights(outputs, labels)
    assert weights.mean() == pytest.approx(1.0)
    assert weights[2] < 0.3 < weights[1] < weights[0]

    def least(own):
        mean = sum(w * output for w, output in zip(own, outputs, strict=True)) / 3
        return min(cross_entropy(factor * mean, labels) for factor in np.geomspace(0.2, 20, 400))

    best = least(weights)
    for k in range(3):
        for factor in (0.8, 1.25):
            assert best <= least(weights * np.where(np.arange(3) == k, factor, 1)) + 1e-4


def test_equal_students_weigh_the_same():
    outputs, labels = [np.eye(3)[np.arange(9) % 3] * 2 - 1 + np.arange(9)[:, None] % 2] * 2, np.arange(9) % 3
    labels = np.where(np.arange(9) == 4, 0, labels)
    np.testing.assert_allclose(fit_student_weights(outputs, labels), [1, 1], rtol=1e-6)
    with pytest.raises(InputError, match=r"weights of students of \[3, 2\] outputs"):
        fit_student_weights([outputs[0], outputs[0][:, :2]], labels)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(1e-4, 1e4), shift=st.floats(-100, 100))
def test_units_of_the_outputs_do_not_matter(seed, scale, shift):
    outputs, labels = blobs(seed, samples=60)
    moved = [outputs[0] * scale + shift * scale, outputs[1]]
    plain, other = fit_head(outputs, labels), fit_head(moved, labels)
    np.testing.assert_allclose(logits_of(other, moved), logits_of(plain, outputs), atol=1e-3)


@pytest.mark.parametrize("value", [7.0, 0.0, 0.1, -0.01063836])
def test_an_output_that_never_varies_is_harmless(value):
    """Also where another target computes it a little differently, and where its mean is rounded (0.1)."""
    outputs, labels = blobs(1)
    head = fit_head([outputs[0], np.full((len(labels), 1), value)], labels)
    assert np.abs(head.weight[:, -1]).max() < 1e-6
    assert accuracy(logits_of(head, [outputs[0], np.full((len(labels), 1), value + 1e-4)]), labels) > 0.8


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_subset_bias_helps_where_students_are_missing_and_is_zero_where_none_is(order):
    outputs, labels = blobs(2)
    labels = np.where(np.random.default_rng(0).random(len(labels)) < 0.3, 0, labels)
    head = fit_head(outputs, labels, subset_bias=True, order=order)
    assert head.subset_bias.shape == (2, 3)
    assert not head.subset_bias[1].any()
    means = np.split(head.mean, [2])
    present = [
        out if k == order[0] else np.broadcast_to(means[k], out.shape) for k, out in enumerate(outputs)
    ]
    logits = logits_of(head, present)
    fitted = cross_entropy(logits + head.subset_bias[0], labels)
    assert fitted < cross_entropy(logits, labels) - 1e-3
    for direction in np.eye(3):  # a minimum: no step to a side improves it
        for step in (-0.01, 0.01):
            assert cross_entropy(logits + head.subset_bias[0] + step * direction, labels) > fitted - 1e-9


def test_is_deterministic_and_leaves_its_arguments_alone():
    outputs, labels = blobs(3)
    before = [output.copy() for output in outputs]
    first, again = (fit_head(outputs, labels, subset_bias=True) for _ in range(2))
    for name in ("weight", "bias", "mean", "subset_bias"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    assert all(np.array_equal(a, b) for a, b in zip(before, outputs, strict=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"l2": 0.0}, r"l2 0\.0 must be positive"),
        ({"order": (0, 0)}, r"order \(0, 0\) is not a permutation of 0\.\.1"),
        ({"outputs": []}, r"outputs of shapes \[\] for 240 labels"),
        (
            {"outputs": [np.zeros((3, 2))]},
            r"outputs of shapes \[\(3, 2\)\] for 240 labels; give \(N, n_out\)",
        ),
        ({"outputs": [np.full((240, 2), np.nan)]}, "outputs are not all finite"),
        ({"labels": np.full(240, -1)}, r"label -1 is negative; labels are 0\.\.classes - 1"),
    ],
)
def test_refuses(change, message):
    outputs, labels = blobs(4)
    with pytest.raises(InputError, match=message):
        fit_head(**{"outputs": outputs, "labels": labels, **change})
