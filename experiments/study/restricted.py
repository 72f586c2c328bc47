"""From a run of all students to that of some of them on each sample, without running again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.model.ensemble import Head
from sne_deploy.runtime import head as heads
from sne_deploy.runtime.result import RunResult, StudentResult

Array = npt.NDArray[Any]


def restricted(run: RunResult, head: Head, active: Array) -> RunResult:
    """What a run of all students gives where only some of them run on each sample.

    Parameters
    ----------
    run : RunResult
        In which every student ran on every sample.
    head : Head
    active : bool array of shape (N, students)

    Returns
    -------
    RunResult
        Without recorded spikes; ``saturated_inputs`` and ``warnings`` stay those of the whole run.
    """
    students = tuple(_where_active(student, active[:, k]) for k, student in enumerate(run.students))
    outputs = [student.outputs for student in students]
    logits = heads.logits(head, outputs, active)
    return replace(
        run,
        students=students,
        logits=logits,
        predictions=np.argmax(logits, axis=1).astype(np.int64),
        active=active,
        head_macs=heads.head_macs(head, [output.shape[1] for output in outputs], active),
    )


def _where_active(student: StudentResult, active: Array) -> StudentResult:
    return replace(
        student,
        active=active,
        trace=student.trace.without_recordings().take(active).spread(active),
        alone=None if student.alone is None else np.where(active, student.alone, -1),
    )
