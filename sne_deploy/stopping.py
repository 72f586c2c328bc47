"""A command that is told to stop (Ctrl-C, SIGTERM, SIGHUP) clears away, says one word and ends, at once.

Nothing is unwound: an exception in the midst of somebody's import, destructor or lock can be lost, or come
out as another one, and a wait may not end. Files and processes need no more, as both must survive a SIGKILL.
A thread of its own does it where the main thread is in code that sees no signal. A script that uses the
library is left alone: Python's own handling of Ctrl-C unwinds it.

Imports nothing of the project: a command comes here first.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PATIENCE_S = 5.0
_undo: list[Callable[[], None]] = []
_ending = threading.Lock()
_ender: list[int] = []
"""The thread that holds the lock."""
_WORD = "interrupted"
_words: list[str | Callable[[], str]] = [_WORD]


def at_stop(undo: Callable[[], None], *, last: bool = False) -> Callable[[], None]:
    """Have this done when a command is stopped, from any thread: it waits for no lock and imports nothing.

    What comes last finds the children ended, and no time passes after it in which another thread goes on.
    """
    if undo not in _undo:
        _undo.insert(0 if last else len(_undo), undo)
    return undo


@contextlib.contextmanager
def says(line: str | Callable[[], str]) -> Iterator[None]:
    """Let a command that is stopped in this block say more than one word, such as how to go on.

    ``line`` may be found only then, by what does no more than :func:`at_stop` allows.
    """
    _words.append(line)
    try:
        yield
    except Exception:
        _words.pop()
        raise
    _words.pop()  # not after an interrupt that unwinds: it is told of further out


def word() -> str:
    """What a stopped command says."""
    line = _words[-1]
    if isinstance(line, str):
        return line
    try:
        return line()
    except Exception:  # noqa: BLE001  it must not keep the command from ending
        return _WORD


def end_at_signals() -> None:
    """From now on, a signal that is not ignored ends this process, with 128 and its number as status."""
    _fill_streams()
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as by nohup
            signal.signal(number, _handle)
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(told,), daemon=True, name="sne-stopping").start()
    os.register_at_fork(after_in_child=_forget)


def _fill_streams() -> None:
    """Open a closed stream on ``/dev/null``: a file opened later would get its number, and what is said."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free


def _watch(told: int) -> None:
    """End while the main thread is in code that sees no signal."""
    while True:
        for number in os.read(told, 64):
            if number in SIGNALS:
                _end(number)


def _handle(number: int, _: FrameType | None) -> None:
    _end(number)


def _end(number: int) -> None:
    if _ending.acquire(blocking=False):
        _ender.append(threading.get_ident())
        for undo in reversed(_undo):
            with contextlib.suppress(Exception):  # it must not keep the others from being done
                undo()
        with contextlib.suppress(OSError):
            clear = (
                b"\r\x1b[2K\x1b[?25h" if os.isatty(2) else b""
            )  # a bar's line, and the cursor that it hides
            os.write(2, clear + word().encode() + b"\n")
    elif threading.get_ident() in (_ender or [threading.get_ident()]):
        return  # a second signal in the midst of the first: this thread goes on with that
    else:  # another thread is at it
        time.sleep(_PATIENCE_S)
    os._exit(128 + number)


def _forget() -> None:
    """A fork of the command is not the command."""
    signal.set_wakeup_fd(-1)
    for number in SIGNALS:
        if signal.getsignal(number) is _handle:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
