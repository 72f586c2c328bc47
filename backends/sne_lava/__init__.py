"""The Lava backend: real lava-nc processes, simulated on the CPU in a child process.

Importing this package imports neither Lava nor torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sne_lava.backend import LavaBackend

__all__ = ["LavaBackend"]


def __getattr__(name: str) -> Any:
    """Import the backend when it is asked for: the worker process imports this package too, and is light."""
    if name == "LavaBackend":
        from sne_lava.backend import LavaBackend

        return LavaBackend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
