"""The netx backend: students as lava-dl ``.net`` files, which lava-dl's own netx loads and runs on the CPU.

Importing this package imports neither Lava nor torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sne_netx.backend import NetxBackend

__all__ = ["NetxBackend"]


def __getattr__(name: str) -> Any:
    """Import the backend when it is asked for: the worker process imports this package too, and is light."""
    if name == "NetxBackend":
        from sne_netx.backend import NetxBackend

        return NetxBackend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
