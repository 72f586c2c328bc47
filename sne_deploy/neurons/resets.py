"""What a spike does to the membrane: NIR has a reset value and no field for the manner.

A neuron node's metadata may hold ``reset``: ``"value"`` (NIR's own: v <- v_reset), ``"subtract"``
(v <- v - v_threshold; ``v_reset`` then means nothing) or ``"none"`` (a spike leaves v as it is), and
``reset_delayed``. With ``"subtract"``, the threshold is then subtracted at the next step, after the decay:
v <- (1 - a) v + input - s v_threshold. With ``"value"``, v is v_reset in the step after one that left it
above v_threshold, and what enters v at that step is lost: a refractory step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from sne_deploy.errors import GraphError

Manner = Literal["value", "subtract", "none"]
MANNERS: tuple[Manner, ...] = get_args(Manner)


@dataclass(frozen=True)
class Reset:
    """The manner of one node's reset."""

    mode: Manner = "value"
    delayed: bool = False


def reset_of(name: str, node: Any) -> Reset:
    """The reset that a neuron node's metadata asks for; NIR's own where it says nothing.

    Raises
    ------
    GraphError
        An unknown mode, or a delay of no reset.
    """
    metadata = getattr(node, "metadata", {})
    mode, delayed = _plain(metadata.get("reset", "value")), _plain(metadata.get("reset_delayed", False))
    if mode not in MANNERS:
        raise GraphError(f"node {name!r}: metadata reset {mode!r:.100} is not one of {', '.join(MANNERS)}")
    if not isinstance(delayed, bool):
        raise GraphError(f"node {name!r}: metadata reset_delayed {delayed!r:.100} is not true or false")
    if delayed and mode == "none":
        raise GraphError(f"node {name!r}: metadata reset_delayed goes with a reset; leave it out with 'none'")
    return Reset(mode, delayed)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, (np.generic, np.ndarray)) and np.ndim(value) == 0 else value
