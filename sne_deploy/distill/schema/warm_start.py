"""Where students' weights come from, in an experiment file."""

from __future__ import annotations

from sne_deploy.distill.schema.base import Model, Positive


class WarmStart(Model):
    """``students.warm_start``: each student's ReLU twin is trained first, see ``students/warm_start.py``.

    ``epochs``: of that, by the students' own schedule and loss, without the terms that price spikes; those of
    ``students.schedule`` come after it.
    """

    epochs: Positive
