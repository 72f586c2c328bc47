"""A child ends with its parent, whatever ends that: it holds the other end of a pipe of the parent's.

The kernel closes the pipe when the parent is gone. On Linux it then also kills the child, whatever that is
busy with, and its process group (fcntl(2), ``F_SETSIG``); ``PR_SET_PDEATHSIG`` would do so as soon as the
*thread* that started the child ends. Elsewhere a thread of the child waits for the pipe's end.

Imports nothing of the project: the child calls :func:`hold` before anything else. As a program it runs
another that knows nothing of it: ``python lifeline.py COMMAND ...``.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import sys
import threading
import time
import weakref

SETTLE_S = 0.8
"""How long a command that is stopped waits for its children, which clear away by themselves."""
VARIABLE = "SNE_LIFELINE"
"""Tells a child which descriptor it holds."""
_F_SETSIG = 10  # asm-generic/fcntl.h


class Lifeline:
    """The parent's end: open until :meth:`close`, or until the parent is gone.

    Attributes
    ----------
    held : int
        The child's end, to be passed to it, and closed here with :meth:`started`.
    """

    def __init__(self) -> None:
        self.held, ours = os.pipe()
        self._ours = [ours]
        _open.add(self)

    def started(self) -> None:
        """Let go of the child's end, once the child has it."""
        os.close(self.held)

    def close(self) -> None:
        """Let go of the child; from any thread, and once or more often."""
        with contextlib.suppress(IndexError):
            os.close(self._ours.pop())


_open: weakref.WeakSet[Lifeline] = weakref.WeakSet()


def _let_go() -> None:
    """A fork of the parent is not the parent."""
    for lifeline in list(_open):
        lifeline.close()


os.register_at_fork(after_in_child=_let_go)


def end_all() -> None:
    """End all children, and wait until they have cleared away and are gone: for a process about to end."""
    _let_go()
    end = time.monotonic() + SETTLE_S
    with contextlib.suppress(ChildProcessError):  # there is none
        while time.monotonic() < end:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.002)


def hold(*, inheritable: bool = False) -> None:
    """Be killed when the parent is gone, from now on; with the process group, where this process leads one.

    Parameters
    ----------
    inheritable : bool
        Whether another program is to go on with it.
    """
    held = int(os.environ[VARIABLE])
    os.set_inheritable(held, inheritable)
    group = os.getpgrp() == os.getpid()
    if sys.platform == "linux":
        fcntl.fcntl(held, fcntl.F_SETOWN, -os.getpid() if group else os.getpid())
        fcntl.fcntl(held, _F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(held, fcntl.F_SETFL, os.O_ASYNC)
        end = select.poll()
        end.register(held, 0)
        if end.poll(0):  # it was gone already
            _end(group)
    else:
        threading.Thread(target=_wait, args=(held, group), daemon=True).start()


def _wait(held: int, group: bool) -> None:
    os.read(held, 1)
    _end(group)


def _end(group: bool) -> None:
    if group:
        os.killpg(os.getpid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    hold(inheritable=True)
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606  what the parent asked for
