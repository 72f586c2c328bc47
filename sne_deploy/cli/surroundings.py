"""What a command finds around it: closed or full streams, a width, a locale, strict warnings."""

from __future__ import annotations

import errno
import os
import sys
import warnings

_REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "raise the system's limit of open files",
    errno.EAGAIN: "raise the limit of processes (ulimit -u), use fewer --workers",
    errno.ENOMEM: "free some memory",
    errno.EACCES: "give the rights, or choose another place",
    errno.EPERM: "give the rights, or choose another place",
    errno.EROFS: "choose a place that can be written",
}
_OF_STREAMS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EBADF)
"""What else than a named file gives: stdout, since files are written through ``files.py``."""
LEAST_COLUMNS, MOST_COLUMNS = 40, 10_000
"""Between which COLUMNS is kept: fewer show nothing of a table, and a line of more is filled with blanks."""
_THREADS = "can't start new thread"


def prepare() -> str | None:
    """Make the three streams and the environment safe to use; what is missing to begin, or None.

    A stream that was closed goes nowhere. A character that the locale cannot encode is replaced. COLUMNS
    is a number that a table fits into, or none. Warnings of libraries are no errors, nor in processes that
    are started.
    """
    printing = sys.stdout is not None
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w", encoding="utf-8", closefd=False))
        if hasattr(getattr(sys, name), "reconfigure"):
            getattr(sys, name).reconfigure(errors="replace")
    _bound_columns()
    if any(action == "error" for action, *_ in warnings.filters):
        os.environ.pop("PYTHONWARNINGS", None)
        sys.warnoptions.clear()  # which processes that are started would get
        warnings.simplefilter("ignore")
    if not printing:
        return "stdout is closed; give it somewhere to go, such as > /dev/null"
    try:
        os.getcwd()  # noqa: PTH109  libraries do
    except FileNotFoundError:
        return "the working folder has been deleted; change to one that exists"
    except OSError:  # it cannot be looked at, and need not
        pass
    return None


def _bound_columns() -> None:
    asked = os.environ.pop("COLUMNS", "").lstrip("0")
    if asked.isascii() and asked.isdigit():
        most = MOST_COLUMNS if len(asked) > len(str(MOST_COLUMNS)) else int(asked)
        os.environ["COLUMNS"] = str(min(max(most, LEAST_COLUMNS), MOST_COLUMNS))


def throw_away() -> None:
    """Let go of what is still to be printed: nobody reads it, or it has no room."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def of_the_system(error: Exception) -> str | None:
    """What the system refused, with a remedy, where an error is one that it raised; None of any other."""
    if isinstance(error, RuntimeError):
        return f"{_THREADS}; {_REMEDIES[errno.EAGAIN]}" if _THREADS in str(error) else None
    if not isinstance(error, OSError):
        return None
    remedy = _REMEDIES.get(error.errno or 0, "--debug shows where")
    where = f"{error.filename}: " if error.filename else ""
    if not where and error.errno in _OF_STREAMS:
        throw_away()
        where = "stdout cannot be printed to: "
    return f"{where}{error.strerror or error}; {remedy}"
