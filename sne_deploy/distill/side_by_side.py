"""Students trained side by side, each in a process of its own that leaves its state in the work folder."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from typing import TYPE_CHECKING

from sne_deploy.distill.students.answers import StoredAnswers
from sne_deploy.errors import RunError
from sne_deploy.leftovers import children_write
from sne_deploy.sandbox.pool import ProcessPool

if TYPE_CHECKING:
    from sne_deploy.distill.stages import Stages
    from sne_deploy.distill.students.student import Lesson


def train_side_by_side(stages: Stages, lesson: Lesson, train: Callable[[int], None]) -> None:
    """Train all students that are not given, by themselves; whoever trains them next finds them finished.

    Their bits are those of students that are trained one after the other: each stage has a seed and a state
    of its own. Stored answers are computed here, before, since all processes need the same ones.

    Parameters
    ----------
    stages : Stages
    lesson : Lesson
    train : callable
        Trains one student from its number; is sent to the processes.

    Raises
    ------
    SneError
        What a student's training raised.
    RunError
        A process was killed.
    """
    experiment, answers = stages.experiment, lesson.answers
    described = experiment.students
    students = described.trained
    if not students:
        return
    if isinstance(answers, StoredAnswers):
        for number in range(min(answers.copies, max(described.of(k).schedule.epochs for k in students))):
            answers.version(number)
    workers = min(experiment.side_by_side, len(students))
    with children_write(stages.folder), ProcessPool(workers) as pool:
        running = [pool.submit(train, index) for index in students]
        try:
            for one in running:
                one.result()
        except BrokenExecutor:
            raise RunError(
                f"side_by_side {experiment.side_by_side}: a student's process ended early, as one out "
                "of memory does; train fewer at a time: the same command goes on where they were"
            ) from None
