"""What a student is trained as before it is trained as itself, by the same loss; each is a stage of its own.

``warm``: as its ReLU twin, see :mod:`sne_deploy.distill.students.warm_start`. ``longer``: with more time
steps, so that a network of few begins with weights that were learned where rates say more than single spikes:
steps are taken away one after the other (Chowdhury et al. 2021, arXiv:2110.05929).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sne_deploy.distill.students.warm_start import SPIKING_ALONE, twin_task
from sne_deploy.distill.students.watch import Held, watch_student, watch_twin

if TYPE_CHECKING:
    from sne_deploy.distill.schema.schedule import Schedule
    from sne_deploy.distill.schema.students import StudentsModel
    from sne_deploy.distill.students.student import StudentTask
    from sne_deploy.distill.training.epochs import Watch


@dataclass(frozen=True)
class Phase:
    """A training before a student's own.

    Attributes
    ----------
    name : str
        Of its stage, with the student's number behind it.
    schedule : Schedule
    task : StudentTask
    watch : callable
        Looks at the learner after each epoch.
    without : tuple of str
        Keys of the experiment on which it does not depend.
    """

    name: str
    schedule: Schedule
    task: StudentTask
    watch: Callable[[Held], Watch]
    without: tuple[str, ...]


def phases_of(described: StudentsModel, task: StudentTask) -> tuple[Phase, ...]:
    """The phases of a student that learns ``task`` in the end, in their order."""

    def schedule(epochs: int) -> Schedule:
        return described.schedule.model_copy(update={"epochs": epochs})

    found: list[Phase] = []
    warm, longer = described.warm_start, described.more_steps
    if warm is not None:
        twin = twin_task(task)
        found.append(
            Phase("warm", schedule(warm.epochs), twin, lambda held: watch_twin(held, twin), SPIKING_ALONE)
        )
    if longer is not None:
        more = replace(task, timesteps=longer.timesteps)
        watch: Callable[[Held], Watch] = lambda held: watch_student(held, more, ())  # noqa: E731
        without: tuple[str, ...] = ("students.pruning", "students.schedule.epochs")
        if warm is None:  # a twin's readout is that of the student's own steps
            without = (*without, "students.timesteps")
        found.append(Phase("longer", schedule(longer.epochs), more, watch, without))
    return tuple(found)
