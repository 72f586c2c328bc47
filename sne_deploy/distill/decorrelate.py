"""Fine-tuning a teacher so that the parts of its features become independent of each other."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from sne_deploy.distill import losses
from sne_deploy.distill.resume import ResumePoint
from sne_deploy.distill.training import EpochCallback, Schedule, Terms, Trained, Transform, fit
from sne_deploy.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from sne_deploy.distill.partition import Parts
    from sne_deploy.distill.teacher import Teacher


def decorrelate_teacher(
    teacher: Teacher,
    inputs: Tensor,
    labels: Tensor,
    parts: Parts,
    weight: float,
    schedule: Schedule,
    on_epoch: EpochCallback | None = None,
    *,
    transform: Transform | None = None,
    resume: ResumePoint | None = None,
) -> Trained[Teacher]:
    r"""Train a copy of a teacher further with cross-entropy and decorrelation between its parts.

    .. math:: L = L_{\mathrm{CE}} + \gamma \, L_{\mathrm{decorrelation}}

    Parameters
    ----------
    teacher : Teacher
        Trained; it is not changed.
    inputs : float32 tensor of shape (N, *input_shape)
    labels : int64 tensor of shape (N,)
    parts : tuple of int arrays
        A partition of the features in at least two parts, which the students will learn.
    weight : float
        gamma, positive.
    schedule : Schedule
        Large batches: the correlation within a batch of B has a noise of 1 / (B - 1).
    on_epoch : callable, optional
    transform : callable, optional
        Augmentation of each batch (inputs, labels).
    resume : ResumePoint, optional

    Returns
    -------
    Trained
        Its log has the terms ``cross_entropy`` and ``decorrelation``, the latter times ``weight``.

    Raises
    ------
    InputError
        ``weight`` is not positive, batches have a single sample, or the parts are no partition.
    """
    if not weight > 0:
        raise InputError(
            f"decorrelation: weight {weight} must be positive; keep the teacher as it is instead"
        )
    if schedule.batch_size < 2:
        raise InputError(
            f"decorrelation: batch_size {schedule.batch_size} has no correlation; use 64 or more"
        )

    def objective(module: Teacher, batch: Sequence[Tensor]) -> Terms:
        features = module.features(batch[0])
        return {
            "cross_entropy": losses.cross_entropy(module.classifier(features), batch[1]),
            "decorrelation": weight * losses.decorrelation(features, parts),
        }

    return fit(
        lambda: copy.deepcopy(teacher),
        (inputs, labels),
        objective,
        schedule,
        on_epoch,
        transform=transform,
        resume=resume,
    )
