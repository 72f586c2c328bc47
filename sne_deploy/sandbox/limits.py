"""What a child does before it touches an untrusted file, and how it answers; imports nothing of the project.

An answer is a magic number, then frames of a letter, a length n (8 bytes, little endian) and n bytes. ``A``
is an array; the last frame is ``T``, the tree that names the arrays in the order of their frames, as JSON, or
``E``, the error, as text.
"""

from __future__ import annotations

import math
import resource
import signal
from typing import Any, BinaryIO

MAGIC = b"sne-sb\x00\x03"
ARRAY, TREE, ERROR = b"A", b"T", b"E"
ERROR_BYTES = 4096


def tree_bytes(text_bytes: int, objects: int) -> int:
    """How long the tree may become as JSON: text in which much is escaped, and 256 bytes per object."""
    return 2 * text_bytes + 256 * objects


def send(stream: BinaryIO, kind: bytes, data: Any) -> None:
    """Write a frame."""
    stream.write(kind + len(data).to_bytes(8, "little"))
    stream.write(data)


def printable(text: str) -> bytes:
    """An error's text, in bounded length; the parent, which does not trust it, makes it one line."""
    return text.encode("utf-8", "backslashreplace")[:ERROR_BYTES]


def limit_memory(size: int) -> None:
    """Bound the address space, and let no file be written."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    for kind, bound in ((resource.RLIMIT_AS, size), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0)):
        set_limit(kind, bound, bound)


def limit_time(seconds: int) -> None:
    """Bound the processor time from now on: SIGXCPU, which says why, and later SIGKILL."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    end = math.ceil(used.ru_utime + used.ru_stime) + seconds
    set_limit(resource.RLIMIT_CPU, end, resource.getrlimit(resource.RLIMIT_CPU)[1])


def set_limit(kind: int, soft: int, hard: int) -> None:
    """Set a limit, no higher than it may be."""
    highest = resource.getrlimit(kind)[1]
    if highest != resource.RLIM_INFINITY:
        soft, hard = min(soft, highest), highest if hard == resource.RLIM_INFINITY else min(hard, highest)
    resource.setrlimit(kind, (soft, hard))
