"""Losses, each a pure function of tensors that returns a scalar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sne_deploy.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


def feature_distillation(outputs: Tensor, targets: Tensor, variance: Tensor) -> Tensor:
    r"""Squared error on a slice of the teacher's features, in units of their training variance.

    .. math:: L = \frac{1}{N F} \sum_{n, f} \frac{(o_{nf} - t_{nf})^2}{\sigma_f^2}

    A student that predicts every feature's training mean has L = 1.

    Parameters
    ----------
    outputs, targets : tensor of shape (N, F)
    variance : tensor of shape (F,)
        Positive; see :func:`sne_deploy.distill.features.training_variance`.

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


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    r"""Cross-entropy of the labels.

    .. math:: L = -\frac{1}{N} \sum_n \log \mathrm{softmax}(z_n)_{y_n}

    Parameters
    ----------
    logits : tensor of shape (N, classes)
    labels : int64 tensor of shape (N,)
    """
    log_probabilities = logits.log_softmax(dim=1)
    return -log_probabilities.gather(1, labels[:, None]).mean()


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
