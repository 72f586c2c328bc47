"""Losses of an epoch, summed where they are computed: a GPU is not waited for in every step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sne_deploy.errors import RunError

if TYPE_CHECKING:
    from torch import Tensor


class Losses:
    """Means of the loss terms over the steps of an epoch, and the first step at which one was not finite.

    Parameters
    ----------
    remedy : str
        The key to lower where a training diverges, with its value, for the message.
    """

    def __init__(self, remedy: str) -> None:
        self._remedy = remedy
        self._names: tuple[str, ...] = ()
        self._sums: Tensor | None = None
        self._watched: Tensor | None = None

    def add(self, terms: Mapping[str, Tensor], norm: Tensor, weight: float) -> None:
        """Count a step's terms, with its part of the epoch's samples; nothing waits for their values.

        ``norm`` is that of the gradient.
        """
        import torch

        values = torch.stack(list(terms.values())).detach()
        exact = values.double() if values.device.type != "mps" else values.float()
        seen = torch.cat([exact, exact.sum()[None], norm.detach().to(exact.dtype)[None]])
        if self._sums is None or self._watched is None:
            self._names, self._sums, self._watched = tuple(terms), exact * weight, seen
            return
        self._sums = self._sums + exact * weight
        self._watched = torch.where(self._watched.isfinite().all(), seen, self._watched)

    def check(self) -> None:
        """Look at the first step that was not finite, or at the last one.

        Raises
        ------
        RunError
            A loss or its gradient is infinite or not a number.
        """
        if self._watched is None:
            return
        *values, loss, norm = self._watched.tolist()
        if not math.isfinite(loss):
            losses = ", ".join(f"{key} {value:g}" for key, value in zip(self._names, values, strict=True))
            raise self._diverged(f"loss {losses}")
        if not math.isfinite(norm):
            raise self._diverged(f"gradient of norm {norm}")

    def means(self) -> dict[str, float]:
        """Of each term."""
        return {} if self._sums is None else dict(zip(self._names, self._sums.tolist(), strict=True))

    def _diverged(self, what: str) -> RunError:
        return RunError(f"training diverged: {what}; lower {self._remedy}")
