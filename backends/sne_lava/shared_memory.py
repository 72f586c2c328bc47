"""Where Lava's processes share memory, and what is said where they cannot."""

from __future__ import annotations

import os

FOLDER = "/dev/shm"  # noqa: S108  where Linux has POSIX shared memory (shm_overview(7))
LEAST_BYTES = 2**20
"""Below this much left, a failure is taken for one of room."""
_ELSE = "or use --target loihi, which gives the same integers"
LARGER = f"make it larger (mount -o remount,size=64m {FOLDER}; docker run --shm-size=64m), {_ELSE}"


def missing(error: Exception) -> str | None:
    """What keeps processes from sharing memory, where that is why something failed; None where it is not."""
    if not isinstance(error, OSError):
        return None
    try:
        found = os.statvfs(FOLDER)
    except OSError:
        return f"Lava's processes share memory in {FOLDER}, which is not there; mount it, {_ELSE}"
    if not os.access(FOLDER, os.W_OK):
        return f"Lava's processes share memory in {FOLDER}, which cannot be written; mount it so, {_ELSE}"
    if found.f_bavail * found.f_frsize < LEAST_BYTES:
        size = found.f_blocks * found.f_frsize // 1024
        return f"Lava's processes share memory in {FOLDER}, whose {size:,} KiB are full; {LARGER}"
    return None
