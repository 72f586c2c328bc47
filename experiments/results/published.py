"""Figures of others that the page compares with, and where they stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A publication.

    Attributes
    ----------
    key : str
        What the text calls it.
    citation : str
    url : str
    """

    key: str
    citation: str
    url: str


ENSEMBLE = Source(
    "Konstantaropoulos et al. 2025",
    "O. Konstantaropoulos, T. Mallios, M. Papadopouli: Dynamic Activation with Knowledge Distillation for "
    "Energy-Efficient Spiking NN Ensembles, arXiv:2502.14023, 2025",
    "https://arxiv.org/abs/2502.14023",
)
TEMPERATURES = Source(
    "Lee et al. 2021",
    "D. Lee, S. Park, J. Kim, W. Doh, S. Yoon: Energy-efficient Knowledge Distillation for Spiking Neural "
    "Networks, arXiv:2106.07172v1, 2021 (its first author withdrew it from arXiv in 2022)",
    "https://arxiv.org/abs/2106.07172v1",
)
OPERATIONS_FEWER, OPERATIONS_DROP_POINTS = 20, 2
"""ENSEMBLE, abstract: up to so many times fewer operations than the teacher at such a drop, on CIFAR-10."""
PARTITION_POINTS = 2.4
"""ENSEMBLE, abstract: up to so many points by an informed partition over others, on CIFAR-10."""
SPIKES_FEWER_PERCENT, TEMPERATURES_POINTS = 65, 0.09
"""TEMPERATURES, abstract: fewer spikes and more accuracy than conventional distillation, up to, on MNIST."""


def references() -> Iterator[str]:
    """The list at the end of the page."""
    for source in (ENSEMBLE, TEMPERATURES):
        yield f"- {source.key}: {source.citation}. <{source.url}>"
