"""Processes of a pool: what they answer, and that nothing of them outlives the process that started them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sne_deploy.errors import InputError
from sne_deploy.sandbox.lifeline import Lifeline
from sne_deploy.sandbox.pool import ProcessPool, WorkerLostError

PARENT = """
import os, sys, threading, time
from sne_deploy.sandbox.pool import ProcessPool
from tests.sandbox.test_pool import spin, sleeper

def start():
    global pool, found
    pool = ProcessPool(2)
    found = pool.submit(sleeper).result(), pool.submit(os.getpid).result()
    pool.submit(spin)

starter = threading.Thread(target=start)  # a process outlives the thread that started it
starter.start()
starter.join()
if {forks} and os.fork() == 0:
    time.sleep(60)
    os._exit(0)
time.sleep(0.1)
assert pool.submit(os.getpid).result() or True
print(*found[0], found[1], flush=True)
time.sleep(60)
"""


def spin() -> None:
    """Busy in one call that holds Python's lock for a minute."""
    pow(3, 10**8)


def sleeper() -> tuple[int, int]:
    """A process of the pool, and one that it starts."""
    return os.getpid(), subprocess.Popen(["sleep", "60"]).pid


def raises(kind: type[Exception]) -> None:
    raise kind("told")


class Odd(Exception):  # noqa: N818
    """Can be pickled, and not read again."""

    def __init__(self, text: str) -> None:
        super().__init__(text, 1)


def alive(pid: int) -> bool:
    """Whether it is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pids: list[int], seconds: float = 1.0) -> bool:
    end = time.monotonic() + seconds
    while any(alive(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.01)
    return not any(alive(pid) for pid in pids)


def test_calls_are_answered_in_processes() -> None:
    with ProcessPool(2, {"SNE_TEST": "x"}) as pool:
        assert [pool.submit(pow, n, 2).result() for n in range(5)] == [0, 1, 4, 9, 16]
        assert pool.submit(os.getenv, "SNE_TEST").result() == "x"
        assert os.getpid() not in pool.processes
        started = pool.processes
    assert started
    assert gone(started, 0.0)


def test_errors_are_raised_with_their_place() -> None:
    with ProcessPool(1) as pool:
        with pytest.raises(InputError, match="told") as raised:
            pool.submit(raises, InputError).result()
        assert "in raises" in str(raised.value.__cause__)
        with pytest.raises(RuntimeError, match="Odd: "):
            pool.submit(raises, Odd).result()
        with pytest.raises(Exception, match="pickle"):
            pool.submit(lambda: None).result()
        assert pool.submit(abs, -1).result() == 1


SCRIPT = """
from sne_deploy.errors import SneError
from sne_deploy.sandbox.pool import ProcessPool

class Own:
    value = 3

def ours(own):
    return own.value + 1

def work():
    try:
        with ProcessPool(1) as pool:
            print(pool.submit(ours, Own()).result())
    except SneError as error:
        print(error)

{guard}
    work()
"""


@pytest.mark.parametrize(
    ("guard", "said"),
    [
        ('if __name__ == "__main__":', "4\n"),
        ("if True:", 'put what it does below `if __name__ == "__main__":`'),
    ],
)
def test_a_script_sends_what_is_its_own(tmp_path: Path, guard: str, said: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(guard=guard))
    found = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr
    assert said in found.stdout + found.stderr


def test_a_lost_process_is_told_of_and_replaced() -> None:
    with ProcessPool(1) as pool:
        first = pool.submit(os.getpid).result()
        with pytest.raises(WorkerLostError, match="its process ended with status 3"):
            pool.submit(os._exit, 3).result()
        second = pool.submit(os.getpid).result()
        assert second != first
        os.kill(second, signal.SIGKILL)
        assert gone([second])
        with pytest.raises(WorkerLostError, match="was killed by SIGKILL"):  # what is sent is not read
            pool.submit(abs, -1).result()
        assert pool.submit(abs, -1).result() == 1


def test_shutdown_ends_what_runs_and_what_it_started() -> None:
    pool = ProcessPool(2)
    ours, theirs = pool.submit(sleeper).result()
    running = [pool.submit(time.sleep, 60) for _ in range(3)]
    with ThreadPoolExecutor(1) as another:
        another.submit(pool.shutdown).result(5)
    assert gone([ours, theirs], 0.5)
    assert all(future.cancelled() or future.exception() for future in running)
    with pytest.raises(RuntimeError):
        pool.submit(abs, -1)


@pytest.mark.skipif(
    sys.platform != "linux", reason="a process that holds Python's lock is killed on Linux alone"
)
@pytest.mark.parametrize(("forks", "number"), [(False, signal.SIGTERM), (True, signal.SIGKILL)])
def test_processes_die_with_their_parent(forks: bool, number: int) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(forks=forks)], stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 3
        assert all(alive(pid) for pid in pids)
        parent.send_signal(number)
        parent.wait(5)
        assert gone(pids)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(parent.pid, signal.SIGKILL)
        parent.__exit__(None, None, None)


def test_a_fork_has_no_lifeline() -> None:
    lifeline = Lifeline()
    forked = os.fork()
    if forked == 0:
        os._exit(len(lifeline._ours))
    assert os.waitpid(forked, 0)[1] == 0
    lifeline.started()
    lifeline.close()
    lifeline.close()
