"""The steps of series that differ in length: what comes after a sample's end changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Steps:
    """Which of T steps are a sample's own; series have the shape (T, N, ...).

    Attributes
    ----------
    count : int
        T.
    lengths : int64 tensor of shape (N,), or None
        Own steps of each sample, from the first; None: all.
    """

    count: int
    lengths: Tensor | None = None

    @staticmethod
    def of(lengths: Tensor | None, timesteps: int) -> Steps:
        """No more steps than the longest sample has."""
        if lengths is None:
            return Steps(timesteps)
        longest = int(lengths.max())
        return Steps(longest, None if bool((lengths == longest).all()) else lengths)

    def each(self, layer: nn.Module, series: Tensor) -> Tensor:
        """What a map without state makes of every own step; 0 after a sample's last one."""
        flat = series.flatten(0, 1)
        if self.lengths is None:
            return _by_step(layer(flat), series)
        own = self._own(self.lengths).flatten().nonzero()[:, 0]
        made = layer(flat[own])
        whole = made.new_zeros(len(flat), *made.shape[1:]).index_put((own,), made)
        return _by_step(whole, series)

    def sum(self, series: Tensor) -> Tensor:
        """Over each sample's own steps: shape (N, ...)."""
        if self.lengths is None:
            return series.flatten(0, 1) if len(series) == 1 else series.sum(dim=0)
        return (series * _over(self._own(self.lengths), series)).sum(dim=0)

    def mean(self, series: Tensor) -> Tensor:
        """As :meth:`sum`."""
        if self.lengths is None:
            return series.flatten(0, 1) if len(series) == 1 else series.mean(dim=0)
        return self.sum(series) / _over(self.lengths, series[0])

    def last(self, series: Tensor) -> Tensor:
        """As :meth:`sum`."""
        import torch

        if self.lengths is None:
            return series[-1]
        return series[self.lengths - 1, torch.arange(series.shape[1], device=series.device)]

    def most(self, series: Tensor) -> Tensor:
        """As :meth:`sum`."""
        if self.lengths is None:
            return series.flatten(0, 1) if len(series) == 1 else series.amax(dim=0)
        return series.masked_fill(~_over(self._own(self.lengths), series), float("-inf")).amax(dim=0)

    def _own(self, lengths: Tensor) -> Tensor:
        import torch

        return torch.arange(self.count, device=lengths.device)[:, None] < lengths


def _by_step(flat: Tensor, like: Tensor) -> Tensor:
    """(T N, ...) as (T, N, ...)."""
    return flat.view(*like.shape[:2], *flat.shape[1:])


def _over(values: Tensor, like: Tensor) -> Tensor:
    """With axes of length 1 behind, so that it broadcasts."""
    return values[(...,) + (None,) * (like.ndim - values.ndim)]
