"""What a work folder holds, and reading it as the run does that goes on there.

However bad a file is: what was measured or counted is as it was, or done again; it is never another.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.torture.files.student import small_ensemble, spikes_and_labels

MADE = {"model": 64 * "a", "chip": "loihi1", "seed": "0", "version of numpy": "2.4.0"}
ROUND = {"loihi": {"engine": 0.5, "call": 0.75}, "norse": {"engine": 1.5, "call": 2.25}}
SAMPLES = {"loihi": 3, "norse": 1}
FALLBACKS = {"loihi": {"float64": 2}}


def write_kept(folder: Path) -> None:
    """Two rounds of a measurement, and all samples of a run."""
    from sne_deploy.runtime import kept
    from sne_deploy.runtime.rounds import Rounds
    from sne_deploy.runtime.work import Work

    with patch.object(kept, "KEEP_S", 0.0):
        with Work(folder / "rounds", lambda: MADE) as work:
            rounds = Rounds(work)
            rounds.begin(SAMPLES)
            for _ in range(2):
                rounds.add(ROUND, FALLBACKS)
        x, y = spikes_and_labels()
        _compiled().run(x, y, work=folder / "samples")
    assert _whole()  # before any fork


def read_made_with(path: Path) -> None:
    """A run that was made with this, or with something else, begins there."""
    from sne_deploy.runtime.work import Work

    with Work(path.parent, lambda: MADE):
        pass


def read_rounds(path: Path) -> None:
    """Both rounds, or none."""
    from sne_deploy.runtime.rounds import Measured, Rounds, Sitting
    from sne_deploy.runtime.work import Work

    with Work(path.parent, lambda: MADE) as work:
        found = Rounds(work).measured
    if found not in (Measured(SAMPLES, (Sitting((ROUND, ROUND), FALLBACKS),)), Measured({}, ())):
        raise AssertionError(f"other rounds: {found}")


def read_samples(path: Path) -> None:
    """The same run's report, whatever of it is there."""
    x, y = spikes_and_labels()
    if _reported(_compiled().run(x, y, work=path.parent)) != _whole():
        raise AssertionError("another report")


@cache
def _compiled() -> Any:
    import sne_deploy as sne

    return sne.compile(small_ensemble(), "loihi")


@cache
def _whole() -> str:
    return _reported(_compiled().run(*spikes_and_labels()))


def _reported(result: Any) -> str:
    report = result.report
    provenance = report.provenance.model_copy(update={"wall_s": 0.0})
    return str(report.model_copy(update={"provenance": provenance}).model_dump_json())
