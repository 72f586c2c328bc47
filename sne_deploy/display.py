"""How a notebook shows what lies in lower rooms: rooms above register how."""

from __future__ import annotations

from functools import singledispatch
from typing import Any


@singledispatch
def html(thing: Any) -> str | None:  # noqa: ARG001  registered by type
    """HTML of something, or None: then its ``repr`` is shown."""
    return None
