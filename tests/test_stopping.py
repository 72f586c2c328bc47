"""A stop signal ends a command at once, wherever its threads are, with one word and the signal's status."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sne_deploy import stopping
from sne_deploy.stopping import says, word

SCRIPT = """
import hashlib, os, sys, threading, time
import sne_deploy.stopping as stopping
from sne_deploy.leftovers import hidden_folder
from sne_deploy.sandbox.pool import ProcessPool
from tests.sandbox.test_pool import sleeper

stopping.end_at_signals()

@stopping.at_stop
def fails():
    raise RuntimeError("never seen")

def python():
    try:
        time.sleep(60)
    finally:
        print("unwound", flush=True)

def code():
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)  # minutes, without a look at Python's signals

def locked():
    with threading.Lock() as lock, stopping.says("interrupted: said more"):
        time.sleep(60)

with hidden_folder({folder!r}), ProcessPool(1) as pool:
    found = pool.submit(sleeper).result()
    if os.fork() == 0:  # no part of the command
        os.closerange(0, 3)
        time.sleep(2)
        os._exit(0)
    print(*found, flush=True)
    {where}()
"""


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize(
    ("number", "where", "said"),
    [
        (signal.SIGINT, "python", "interrupted"),
        (signal.SIGTERM, "code", "interrupted"),
        (signal.SIGHUP, "locked", "interrupted: said more"),
    ],
)
def test_a_stop_ends_everything_at_once(
    tmp_path: Path, number: signal.Signals, where: str, said: str
) -> None:
    script = SCRIPT.format(folder=str(tmp_path), where=where)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert len(pids) == 2
        assert all(alive(pid) for pid in pids)
        assert list(tmp_path.iterdir())
        time.sleep(0.1)
        began = time.monotonic()
        process.send_signal(number)
        process.send_signal(signal.SIGINT if number != signal.SIGINT else signal.SIGTERM)
        process.wait(10)
        took = time.monotonic() - began
        assert not any(alive(pid) for pid in pids)
        assert list(tmp_path.iterdir()) == []
        assert took < 2.0
        assert process.stdout.read() == ""
        assert process.stderr is not None
        assert process.returncode in {128 + number, 128 + signal.SIGINT, 128 + signal.SIGTERM}
        assert process.stderr.read() == f"{said}\n"


def test_an_ignored_signal_stays_ignored() -> None:
    script = "import os, signal; from sne_deploy import stopping; stopping.end_at_signals(); "
    script += "os.kill(os.getpid(), signal.SIGHUP); print('went on')"
    found = subprocess.run(
        ["nohup", sys.executable, "-c", script], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert (found.returncode, found.stdout) == (0, "went on\n")


def test_a_second_signal_in_the_midst_of_the_first_does_not_wait_for_it(tmp_path: Path) -> None:
    script = """
import pathlib, sys
import sne_deploy.stopping as stopping
stopping.at_stop(lambda: pathlib.Path(sys.argv[1]).touch())
stopping.at_stop(lambda: stopping._end(15))  # undone first: as a handler in the midst of the other
stopping._end(2)
"""
    began = time.monotonic()
    command = [sys.executable, "-c", script, str(tmp_path / "undone")]
    assert subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 130
    assert time.monotonic() - began < stopping._PATIENCE_S
    assert (tmp_path / "undone").exists()


def test_an_interrupt_that_unwinds_is_told_of_where_it_ends() -> None:
    before = word()
    with says("more"):
        assert word() == "more"
    assert word() == before
    with pytest.raises(ValueError, match="wrong"), says("more"):
        raise ValueError("wrong")
    assert word() == before
    with pytest.raises(KeyboardInterrupt), says("more"):
        raise KeyboardInterrupt
    assert word() == "more"
    stopping._words[:] = [before]


@pytest.mark.parametrize("delay_s", [0.0, 0.02, 0.05, 0.1])
def test_a_command_that_has_just_begun_ends_without_a_traceback(delay_s: float) -> None:
    script = "print(flush=True); import sys; from sne_deploy.start import main; sys.exit(main())"
    with subprocess.Popen(
        [sys.executable, "-c", script, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # Python's own start, which nobody can see to, is over
        time.sleep(delay_s)
        process.send_signal(signal.SIGTERM)
        stderr = process.communicate(timeout=60)[1]
    assert (process.returncode, stderr) in {(143, "interrupted\n"), (-signal.SIGTERM, ""), (0, "")}
