"""Units of work on any executor: the same results, in order, whatever happens to the workers."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from sne_deploy.backend import RunOptions
from sne_deploy.errors import DataError, InputError, RunError
from sne_deploy.ir.program import Program
from sne_deploy.runtime.engine import Engine
from sne_deploy.runtime.execution import InProcess, OnExecutor
from sne_deploy.runtime.executors import open_engine
from sne_deploy.runtime.trace import Trace
from sne_loihi import LoihiBackend
from tests.dask_processes import Cluster
from tests.small_programs import one_layer


def programs() -> list[Program]:
    """Two students that differ."""
    return [one_layer([[200, -50], [0, 120]], "mixed"), one_layer([[20, 250], [90, 0]], "excitatory")]


def samples(count: int = 11) -> np.ndarray:
    """Spikes for both."""
    return (np.random.default_rng(0).random((count, 4, 2)) < 0.6).astype(np.uint8)


def expected(inputs: np.ndarray) -> list[Trace]:
    """What this process computes."""
    executables = [LoihiBackend().compile(program, RunOptions()) for program in programs()]
    return InProcess(executables).run([(0, inputs), (1, inputs)], "spikes")


def assert_same(found: list[Trace], wanted: list[Trace]) -> None:
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(ours.raw_outputs, theirs.raw_outputs)
        np.testing.assert_array_equal(ours.input_spikes, theirs.input_spikes)
        for left, right in zip(ours.layers, theirs.layers, strict=True):
            np.testing.assert_array_equal(left.synops, right.synops)
            np.testing.assert_array_equal(left.updates_active, right.updates_active)
            np.testing.assert_array_equal(left.recorded_spikes, right.recorded_spikes)


class Backwards(Executor):
    """Runs everything only when the last result is asked for, last first."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future, object, tuple]] = []

    def submit(self, fn, /, *args, **kwargs):
        future: Future = Future()
        self.waiting.append((future, fn, args))
        future.result = lambda timeout=None: self._all(future)
        return future

    def _all(self, future: Future):
        while self.waiting:
            pending, fn, args = self.waiting.pop()
            pending.set_result(fn(*args))
        return Future.result(future)


@pytest.mark.parametrize("workers", [1, 2, 3, 50])
def test_any_number_of_workers_gives_the_same(workers: int) -> None:
    inputs = samples()
    with ThreadPoolExecutor(min(workers, 4)) as pool:
        runner = OnExecutor(Engine(pool, workers), "loihi", programs())
        assert_same(runner.run([(0, inputs), (1, inputs)], "spikes"), expected(inputs))


def test_any_order_gives_the_same() -> None:
    inputs = samples()
    runner = OnExecutor(Engine(Backwards(), 3), "loihi", programs())
    assert_same(runner.run([(0, inputs), (1, inputs)], "spikes"), expected(inputs))


def test_no_samples() -> None:
    with ThreadPoolExecutor(1) as pool:
        traces = OnExecutor(Engine(pool, 2), "loihi", programs()).run([(0, samples(0))], "counts")
    assert traces[0].raw_outputs.shape == (0, 2)


def test_errors_of_a_unit_arrive_as_they_are() -> None:
    with ThreadPoolExecutor(1) as pool, pytest.raises(DataError, match="samples have shape"):
        OnExecutor(Engine(pool, 2), "loihi", programs()).run([(0, np.zeros((4, 9), np.uint8))], "counts")


def test_progress_counts_units() -> None:
    seen: list[tuple[str, int, int]] = []
    with ThreadPoolExecutor(1) as pool:
        runner = OnExecutor(Engine(pool, 3), "loihi", programs(), lambda *call: seen.append(call))
        runner.run([(0, samples(9))], "counts")
    assert seen == [("tiny", n, 3) for n in (1, 2, 3)]


def test_registers_are_sent_once_for_all_units() -> None:
    inputs, sent = samples(), []
    with ThreadPoolExecutor(2) as pool:
        engine = Engine(pool, 5, share=lambda data: sent.append(data) or data)
        runner = OnExecutor(engine, "loihi", programs())
        for _ in range(2):
            assert_same(runner.run([(0, inputs), (1, inputs)], "spikes"), expected(inputs))
    assert [pickle.loads(data).name for data in sent] == ["tiny", "tiny"]


def test_a_process_pool_gives_the_same() -> None:
    inputs = samples()
    with open_engine(2, None) as opened:
        assert opened is not None
        runner = OnExecutor(opened, "loihi", programs())
        assert_same(runner.run([(0, inputs), (1, inputs)], "spikes"), expected(inputs))


def test_a_lost_worker_is_one_clear_error() -> None:
    with open_engine(2, None) as opened:
        assert opened is not None
        for pid in {opened.executor.submit(os.getpid).result() for _ in range(2)}:
            os.kill(pid, signal.SIGKILL)
        runner = OnExecutor(opened, "loihi", programs())
        with pytest.raises(RunError, match=r"a worker was lost .*was killed by SIGKILL"):
            runner.run([(0, samples())], "counts")


def test_options_that_exclude_each_other() -> None:
    with pytest.raises(InputError, match="exclude each other"), open_engine(2, "tcp://127.0.0.1:1"):
        pass
    with pytest.raises(InputError, match="--workers 0 must be at least 1"), open_engine(0, None):
        pass
    with pytest.raises(InputError, match="--timeout 3 is for the workers of a"), open_engine(2, None, 3):
        pass


def test_one_worker_is_this_process() -> None:
    with open_engine(1, None) as opened:
        assert opened is None


@pytest.mark.parametrize("address", ["tls://127.0.0.1:9", "ucx://127.0.0.1:9"])
def test_a_scheduler_of_another_protocol(address: str) -> None:
    with pytest.raises(InputError, match="no Dask scheduler answers at"), open_engine(None, address):
        pass


@pytest.mark.parametrize(
    "address", ["", "tcp://", "tcp://h", "tcp://h:x", "nonsense://x:1", "h:1", "tcp://h:99999"]
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(InputError, match="is no address of a Dask scheduler"), open_engine(None, address):
        pass


def test_a_scheduler_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sne_deploy.runtime.cluster.CONNECT_TIMEOUT_S", 1)
    with (
        pytest.raises(InputError, match=r"no Dask scheduler answers at 'tcp://127.0.0.1:9'"),
        open_engine(None, "tcp://127.0.0.1:9"),
    ):
        pass


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_dask_cluster_survives_the_death_of_a_worker() -> None:
    inputs = samples(40)
    with Cluster(2) as cluster, open_engine(None, cluster.address) as opened:
        assert opened is not None
        assert opened.workers == 2
        runner = OnExecutor(replace(opened, workers=20), "loihi", programs())
        victim = cluster.workers[0]
        killer = threading.Timer(0.2, victim.kill)
        killer.start()
        found = runner.run([(0, inputs), (1, inputs)], "spikes")
        killer.join()
        assert victim.wait(timeout=10) == -signal.SIGKILL
        assert_same(found, expected(inputs))
        cluster.add_worker()
        cluster.wait_for(2)
        cluster.kill_worker(1)  # who alone has the registers
        again = runner.run([(0, inputs), (1, inputs)], "spikes")
        assert_same(again, expected(inputs))
