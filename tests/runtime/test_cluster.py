"""Waiting for a Dask cluster that loses its workers, or its scheduler."""

from __future__ import annotations

import logging
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from sne_deploy.errors import DataError, RunError
from sne_deploy.runtime import cluster, execution
from sne_deploy.runtime.cluster import Watch
from sne_deploy.runtime.engine import Engine
from sne_deploy.runtime.execution import OnExecutor
from tests.small_programs import one_layer

ADDRESS = "tcp://host:8786"


class Client:
    """Gives, one after the other, what a scheduler says of its workers; an error where it says nothing."""

    def __init__(self, *said: dict[str, int] | Exception) -> None:
        self.said = list(said)
        self.status = "running"
        self.scheduler = SimpleNamespace(ncores=None)

    def sync(self, asked, callback_timeout):
        assert (asked, callback_timeout) == (None, cluster.ANSWER_TIMEOUT_S)
        found = self.said.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def watch(monkeypatch):
    """Makes a Watch whose clock goes on by a second with each look."""
    monkeypatch.setattr(cluster, "refuse_other_packages", lambda *_: None)
    seconds = iter(range(1000))
    monkeypatch.setattr(cluster.time, "monotonic", lambda: next(seconds))
    return lambda timeout_s, *said: Watch(Client(*said), ADDRESS, timeout_s, ())


def test_no_workers_are_said_once_and_so_is_that_they_are_there_again(watch, caplog):
    watched = watch(None, *[{}] * 9, {"a": 2}, *[{}] * 5, {"b": 1})
    for _ in range(16):
        watched.check()
    lines = [record.getMessage() for record in caplog.records]
    assert [line.partition(";")[0].rpartition(" ")[2] for line in lines] == ["left", "again"] * 2
    assert "waiting for ever: `dask worker tcp://host:8786`" in lines[0]


def test_workers_gone_for_a_moment_are_not_spoken_of(watch, caplog):
    watched = watch(3, {}, {}, {"a": 1}, {}, {}, {"a": 1})
    for _ in range(6):
        watched.check()
    assert not caplog.records


@pytest.mark.parametrize(("said", "text"), [({}, "has no workers left"), (OSError(), "does not answer")])
def test_the_time_without_workers_is_limited(watch, said, text):
    watched = watch(5, {"a": 1}, *[said] * 6)
    for _ in range(6):
        watched.check()
    with pytest.raises(RunError, match=f"8786 {text}, for the 5 s of --timeout; start workers with"):
        watched.check()


def test_a_lost_scheduler_is_named(watch):
    watched = watch(None)
    watched._client.status = "connecting"
    with pytest.raises(RunError, match="scheduler at tcp://host:8786 was lost"):
        watched.check()
    assert "was lost" in str(watched.lost(CancelledError()))
    assert watched.lost(DataError("its own")) is None


def test_workers_that_come_later_are_looked_at_too(watch, monkeypatch):
    asked = []
    monkeypatch.setattr(cluster, "refuse_other_packages", lambda _, workers, targets: asked.append(workers))
    watched = watch(None, {"a": 1, "b": 3}, {"b": 3}, {"b": 3, "c": 1}, {"a": 1, "b": 3})
    assert watched.threads() == 4
    for _ in range(3):
        watched.check()
    assert asked == [["a", "b"], ["c"], ["a"]]


def test_waiting_looks_after_the_workers_until_there_is_a_result(monkeypatch):
    monkeypatch.setattr(execution, "POLL_S", 0.01)
    late: Future = Future()
    looked = []

    def check() -> None:
        looked.append(1)
        if len(looked) == 3:
            late.set_exception(TimeoutError("of the unit of work itself"))

    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(pool, "submit", lambda *_: late)
        runner = OnExecutor(Engine(pool, 1, check, lambda _: None), "loihi", [one_layer([[1]], "mixed")])
        with pytest.raises(TimeoutError, match="of the unit of work itself"):
            runner.run([(0, np.zeros((1, 4, 1), np.uint8))], "counts")
    assert len(looked) == 3


def test_distributed_is_quiet_unless_this_project_is_not():
    noisy = logging.getLogger("distributed.client")
    before = noisy.level
    with cluster._quiet():
        assert not noisy.isEnabledFor(logging.CRITICAL)
    assert noisy.level == before
    ours = logging.getLogger("sne_deploy")
    ours.setLevel(logging.INFO)
    try:
        with cluster._quiet():
            assert noisy.level == before
    finally:
        ours.setLevel(logging.NOTSET)
