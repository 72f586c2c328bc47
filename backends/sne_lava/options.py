"""What the targets that run Lava need of the machine and understand as options."""

from __future__ import annotations

import sys

from sne_deploy.backend import RunOptions
from sne_deploy.errors import InputError, TargetError

MAX_SAMPLES_DEFAULT = 500
STALL_S_DEFAULT = 600.0


def require_linux(target: str) -> None:
    """Check the platform.

    Raises
    ------
    TargetError
        This is not Linux.
    """
    if sys.platform != "linux":
        raise TargetError(f"target {target} runs on Linux, not on {sys.platform}; use target norse here")


def stall_s_of(options: RunOptions, target: str) -> float:
    """Seconds without a step after which a run is given up.

    Raises
    ------
    InputError
        It or ``stream`` is out of range, or there is an option that the target does not know.
    """
    unknown = set(options.extra) - {"stall_s"}
    if unknown:
        raise InputError(f"target {target}: unknown option {', '.join(sorted(unknown))}; it knows stall_s")
    stall_s = float(options.extra.get("stall_s", STALL_S_DEFAULT))
    if not stall_s > 0:
        raise InputError(f"target {target}: stall_s {stall_s} must be a positive number of seconds")
    if options.stream is not None and options.stream < 1:
        raise InputError(f"target {target}: stream {options.stream} must be at least 1 sample")
    return stall_s
