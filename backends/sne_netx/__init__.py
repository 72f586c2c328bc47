"""lava-dl's ``.net`` files: read and written, and run by lava-dl's own netx on the CPU as target ``netx``.

Importing this package imports neither Lava nor torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sne_netx.backend import NetxBackend
    from sne_netx.format.file import read_net

__all__ = ["NetxBackend", "read_net"]


def __getattr__(name: str) -> Any:
    """Import what is asked for, when it is: the worker process imports this package too, and is light."""
    if name == "NetxBackend":
        from sne_netx.backend import NetxBackend

        return NetxBackend
    if name == "read_net":
        from sne_netx.format.file import read_net

        return read_net
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
