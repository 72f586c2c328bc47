"""What students are trained as before they are trained as themselves, in an experiment file."""

from __future__ import annotations

from sne_deploy.distill.schema.base import Model, Positive


class WarmStart(Model):
    """``students.warm_start``: each student's ReLU twin is trained first, see ``students/warm_start.py``.

    ``epochs``: of that, by the students' own schedule and loss, without the terms that price spikes; those of
    ``students.schedule`` come after it.
    """

    epochs: Positive


class MoreSteps(Model):
    """``students.more_steps``: each is trained with more time steps first, see ``students/phases.py``.

    ``timesteps``: above ``students.timesteps``. ``epochs``: of that, by the students' own schedule and loss;
    behind a ``warm_start``, if there is one.
    """

    timesteps: Positive
    epochs: Positive
