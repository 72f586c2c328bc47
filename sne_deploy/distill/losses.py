"""Losses, each a pure function of tensors that returns a scalar."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sne_deploy.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

IntArray = npt.NDArray[np.integer[Any]]


def feature_distillation(outputs: Tensor, targets: Tensor, variance: Tensor) -> Tensor:
    r"""Squared error on a slice of the teacher's features, in units of their training variance.

    .. math:: L = \frac{1}{N F} \sum_{n, f} \frac{(o_{nf} - t_{nf})^2}{\sigma_f^2}

    A student that predicts every feature's training mean has L = 1.

    Parameters
    ----------
    outputs, targets : tensor of shape (N, F)
    variance : tensor of shape (F,)
        Positive; see :func:`training_variance`.

    Raises
    ------
    InputError
        The shapes differ; a broadcast would hide a wrong slice.
    """
    if outputs.shape != targets.shape or variance.shape != targets.shape[1:]:
        raise InputError(
            f"feature distillation: outputs {tuple(outputs.shape)}, targets {tuple(targets.shape)} "
            f"and variance {tuple(variance.shape)} do not match; expected (N, F), (N, F) and (F,)"
        )
    return ((outputs - targets).square() / variance).mean()


def training_variance(features: Tensor, floor: float = 0.01) -> Tensor:
    """Variance of each of (N, F) features over the training set, none below ``floor`` times their mean.

    The floor keeps a feature that hardly varies (a nearly dead unit) from dominating the loss.

    Raises
    ------
    InputError
        No feature varies at all.
    """
    variance = features.var(dim=0, correction=0)
    mean = float(variance.mean())
    if not mean > 0:
        raise InputError("the teacher's features do not vary over the training set; train the teacher longer")
    return variance.clamp(min=floor * mean)


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    r"""Cross-entropy of the labels, of whose weight all C classes may share a part s.

    .. math:: L = -\frac{1}{N} \sum_n \Bigl[ (1 - s) \log p_{n y_n} + \frac{s}{C} \sum_c \log p_{nc} \Bigr],
              \quad p_n = \mathrm{softmax}(z_n)

    Parameters
    ----------
    logits : tensor of shape (N, classes)
    labels : int64 tensor of shape (N,)
    smoothing : float
        s, in [0, 1).
    """
    log_probabilities = logits.log_softmax(dim=1)
    of_labels = -log_probabilities.gather(1, labels[:, None]).mean()
    if not smoothing:
        return of_labels
    return (1.0 - smoothing) * of_labels - smoothing * log_probabilities.mean()


def spike_rate(rates: Sequence[Tensor], target: float) -> Tensor:
    r"""Distance of each layer's mean rate from a target.

    .. math:: L = \frac{1}{K} \sum_k (\bar r_k - r^*)^2

    Two-sided: it also keeps a layer from falling silent.

    Parameters
    ----------
    rates : sequence of tensors of shape (N, ...)
        One per spiking layer: spikes per neuron and step, in [0, 1].
    target : float
        Spikes per neuron and step.

    Raises
    ------
    InputError
        There is no spiking layer.
    """
    if not rates:
        raise InputError("spike-rate loss: the student has no spiking layer; set its weight to 0")
    total = (rates[0].mean() - target).square()
    for rate in rates[1:]:
        total = total + (rate.mean() - target).square()
    return total / len(rates)


def hoyer(drives: Sequence[Tensor]) -> Tensor:
    r"""What part of each layer's neurons is driven, smoothly: the mean over layers of Hoyer's measure.

    .. math:: L = \frac{1}{K} \sum_k \frac{1}{n_k} \frac{(\sum_i z_i)^2}{\sum_i z_i^2},
        \qquad z = \min(1, \max(0, i / i_\mathrm{th}))

    over all n_k drives of a layer in a batch. Of drives of 0 and 1 it is the part that is 1; of others it
    falls as the larger grow and the smaller vanish: few neurons are driven, and these up to their threshold.
    Datta et al. 2022, arXiv:2212.10170, with the sum of the squares kept above 1e-6.

    Parameters
    ----------
    drives : sequence of tensors
        One per spiking layer: currents over the one at which a neuron spikes at once, i / i_th.

    Raises
    ------
    InputError
        There is no spiking layer.
    """
    if not drives:
        raise InputError("hoyer loss: the student has no spiking layer; set its weight to 0")
    parts = []
    for drive in drives:
        z = drive.float().clamp(0, 1)
        parts.append(z.sum().square() / z.square().sum().clamp(min=1e-6) / z.numel())
    return sum(parts[1:], parts[0]) / len(parts)


def inner_distillation(rates: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    r"""Squared error of each spiking layer's rates, relative to that of a layer that never spikes.

    .. math:: L = \frac{1}{K} \sum_k \frac{\sum_{n, j} (r_{nkj} - z_{nkj})^2}{\sum_{n, j} z_{nkj}^2}

    over all samples n of a batch and neurons j of layer k. The hints of Romero et al. 2015, FitNets
    (arXiv:1412.6550), on every layer, and without their regressor, since the shapes are the same. The sum of
    the squares of a layer's targets is kept above 1e-6.

    Parameters
    ----------
    rates : sequence of tensors of shape (N, *shape)
        One per spiking layer: spikes per neuron and step, in [0, 1].
    targets : sequence of tensors of the same shapes
        z, in [0, 1]: see :func:`sne_deploy.distill.students.drives.twin_activations`.

    Raises
    ------
    InputError
        There is no spiking layer, or the shapes differ.
    """
    shapes, given = [tuple(one.shape) for one in rates], [tuple(one.shape) for one in targets]
    if shapes != given:
        raise InputError(f"inner loss: rates of shapes {shapes}, targets of shapes {given}; give one each")
    if not rates:
        raise InputError("inner loss: the student has no spiking layer; set its weight to 0")
    parts = []
    for rate, target in zip(rates, targets, strict=True):
        z = target.float()
        parts.append((rate.float() - z).square().sum() / z.square().sum().clamp(min=1e-6))
    return sum(parts[1:], parts[0]) / len(parts)


def logits_distillation(student: Tensor, teacher: Tensor, tau_student: float, tau_teacher: float) -> Tensor:
    r"""Divergence of a student's softened classes from the teacher's, each with its own temperature.

    .. math:: L = \tau_T \tau_S \, \frac{1}{N} \sum_n
              \mathrm{KL}\bigl(\mathrm{softmax}(z^T_n / \tau_T) \,\|\, \mathrm{softmax}(z^S_n / \tau_S)\bigr)

    With equal temperatures this is the conventional loss, whose factor tau^2 keeps the gradient's size
    independent of tau. A student's gradient is tau_T (softmax(z_S / tau_S) - softmax(z_T / tau_T)) / N.

    Parameters
    ----------
    student, teacher : tensor of shape (N, classes)
        Logits of one student, or of the head over several; and the teacher's.
    tau_student, tau_teacher : float
        Temperatures tau_S and tau_T, positive.

    Raises
    ------
    InputError
        The shapes differ, or a temperature is not positive.
    """
    if student.shape != teacher.shape or student.ndim != 2:
        raise InputError(
            f"logits distillation: student {tuple(student.shape)} and teacher {tuple(teacher.shape)} do not "
            "match; expected (N, classes) for both"
        )
    for name, value in (("tau_student", tau_student), ("tau_teacher", tau_teacher)):
        if not 0.0 < value < math.inf:
            raise InputError(f"logits distillation: {name} {value} must be positive and finite; 1 is none")
    log_p = (teacher / tau_teacher).log_softmax(dim=1)
    log_q = (student / tau_student).log_softmax(dim=1)
    divergence = (log_p.exp() * (log_p - log_q)).sum(dim=1).mean()
    return tau_teacher * tau_student * divergence


def synop_cost(
    rates: Sequence[Tensor], fan_outs: Sequence[Tensor], timesteps: int, reference: float | None = None
) -> Tensor:
    r"""Synaptic operations per sample, relative to a reference: a spike costs its fan-out.

    .. math:: L = \frac{1}{R N} \sum_n \sum_k \sum_j T \, r_{nkj} \, f_{kj}

    with r the rate of neuron j of layer k, f the number of synapses that its spike reaches, and T steps.

    Parameters
    ----------
    rates : sequence of tensors of shape (N, *shape)
        One per spiking layer: spikes per neuron and step, in [0, 1].
    fan_outs : sequence of tensors of shape (*shape,)
        See :func:`sne_deploy.distill.students.fan_out.fan_outs`.
    timesteps : int
        T.
    reference : float or None
        R in synaptic operations per sample, such as the teacher's MACs. None: those of all neurons spiking
        at every step; then L is the mean rate, weighted by fan-out, in [0, 1].

    Raises
    ------
    InputError
        Rates and fan-outs do not match, no spike reaches a synapse, or ``reference`` is not positive.

    Notes
    -----
    A recurrent synapse is taken to deliver every spike; the chip drops those of a sample's last step.
    """
    shapes = [tuple(rate.shape[1:]) for rate in rates]
    if shapes != [tuple(fan_out.shape) for fan_out in fan_outs]:
        given = [tuple(fan_out.shape) for fan_out in fan_outs]
        raise InputError(
            f"SynOp cost: layers of shapes {shapes} with fan-outs of shapes {given}; give one each"
        )
    if reference is None:
        reference = timesteps * sum(float(fan_out.sum()) for fan_out in fan_outs)
        if reference == 0:
            raise InputError("SynOp cost: no spike reaches a synapse; set its weight to 0")
    if not 0.0 < reference < math.inf:
        raise InputError(f"SynOp cost: reference {reference} must be a positive number of operations")
    operations = [(rate.mean(dim=0) * fan_out).sum() for rate, fan_out in zip(rates, fan_outs, strict=True)]
    total = operations[0]
    for more in operations[1:]:
        total = total + more
    return total * (timesteps / reference)


def decorrelation(features: Tensor, parts: Sequence[IntArray]) -> Tensor:
    r"""Mean squared correlation between features of different parts, over a batch.

    .. math:: L = \frac{1}{|P|} \sum_{(f, g) \in P} c_{fg}^2, \qquad
              c_{fg} = \frac{\frac{1}{N} \sum_n (x_{nf} - \bar x_f)(x_{ng} - \bar x_g)}{\sigma_f \sigma_g}

    with P the pairs of features in different parts. 0 when parts are uncorrelated, 1 when each feature is a
    linear function of every one in another part. A standard deviation below 1 % of the root mean square of
    all is raised to that, so that nearly dead features do not dominate; a constant one correlates with none.

    Parameters
    ----------
    features : tensor of shape (N, F)
    parts : sequence of int arrays
        A partition of 0..F-1 in at least two parts.

    Raises
    ------
    InputError
        Fewer than two parts, or indices that are no partition.

    Notes
    -----
    N independent samples of independent features have L = 1 / (N - 1) on average; one sample has 0.
    """
    import torch

    samples, size = features.shape
    owner = _owners(parts, size)
    centred = features - features.mean(dim=0)
    variance = centred.square().mean(dim=0)
    floor = (1e-4 * variance.detach().mean()).clamp(min=torch.finfo(variance.dtype).tiny)
    scaled = centred / torch.maximum(variance, floor).sqrt()
    correlation = scaled.T @ scaled / samples
    different = (owner[:, None] != owner[None, :]).to(correlation)
    return (correlation.square() * different).sum() / different.sum()


def _owners(parts: Sequence[IntArray], size: int) -> Tensor:
    """Part of each feature."""
    import torch

    if sum(len(part) > 0 for part in parts) < 2:
        raise InputError("decorrelation needs features in at least two parts; set its weight to 0")
    if not np.array_equal(np.sort(np.concatenate(list(parts))), np.arange(size)):
        raise InputError(f"decorrelation: the parts do not hold each of {size} features once")
    owner = np.empty(size, dtype=np.int64)
    for index, part in enumerate(parts):
        owner[part] = index
    return torch.from_numpy(owner)


MAX_GATED = 12
"""Students of a gate: its loss sums over all 2^12 subsets of them."""


def all_subsets(students: int) -> Tensor:
    """Every subset of the students: bool tensor of shape (2^students, students), row s holding the bits of s.

    Raises
    ------
    InputError
        ``students`` is not in 1..MAX_GATED.
    """
    import torch

    if not 1 <= students <= MAX_GATED:
        raise InputError(
            f"gate: {students} students; a gate's loss sums over all subsets of 1 to {MAX_GATED}"
        )
    return (torch.arange(2**students)[:, None] >> torch.arange(students)) % 2 == 1


def gate_activation(gate: Tensor, subset_losses: Tensor, costs: Tensor, weight: float) -> Tensor:
    r"""Expected loss and cost of the students that a gate activates, each independently of the others.

    .. math:: L = \frac{1}{N} \sum_n \sum_{S} \pi_n(S) \Bigl[ \ell_n(S)
              + \lambda \frac{\sum_{k \in S} c_k}{\sum_k c_k} \Bigr], \qquad
              \pi_n(S) = \prod_{k \in S} \sigma(g_{nk}) \prod_{k \notin S} \bigl(1 - \sigma(g_{nk})\bigr)

    over all subsets S of the students, exactly. Least where the gate activates, for each sample, the subset
    of the least loss plus cost: with the 0/1 error and lambda below 1, the cheapest one that is right.

    Parameters
    ----------
    gate : tensor of shape (N, K)
        The gate's logit g for each student: it runs with probability sigmoid(g).
    subset_losses : tensor of shape (N, 2^K)
        The head's loss with each subset, in the order of :func:`all_subsets`: cross-entropy or 0/1 error.
    costs : tensor of shape (K,)
        Of each student, such as its SynOps per sample; not negative, not all 0.
    weight : float
        lambda: the loss that all students together may cost.

    Raises
    ------
    InputError
        Shapes that do not match, a negative cost or weight, or too many students.

    Notes
    -----
    Not convex in g: where several subsets are about as good, descent may end in one of them.
    """
    from torch.nn.functional import logsigmoid

    students = gate.shape[1]
    members = all_subsets(students).to(gate)
    if subset_losses.shape != (len(gate), len(members)) or costs.shape != (students,):
        raise InputError(
            f"gate: logits {tuple(gate.shape)}, subset losses {tuple(subset_losses.shape)} and costs "
            f"{tuple(costs.shape)} do not match; expected (N, K), (N, 2^K) and (K,)"
        )
    if not (weight >= 0 and bool((costs >= 0).all()) and float(costs.sum()) > 0):
        raise InputError(f"gate: weight {weight} and costs {costs.tolist()} must be >= 0, one cost above 0")
    probabilities = (logsigmoid(gate) @ members.T + logsigmoid(-gate) @ (1 - members).T).exp()
    relative = members @ (costs / costs.sum())
    return (probabilities * (subset_losses + weight * relative)).sum(dim=1).mean()
