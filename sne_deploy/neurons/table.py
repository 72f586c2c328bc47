"""The closed table of neuron models, one row each: everything else asks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import TypeVar

from sne_deploy.neurons import cuba_li, cuba_lif, if_, li, lif
from sne_deploy.neurons.model import CellType, NeuronModel

Key = TypeVar("Key")
Value = TypeVar("Value")

MODELS: dict[str, NeuronModel] = {
    model.name: model for model in (lif.MODEL, cuba_lif.MODEL, if_.MODEL, li.MODEL, cuba_li.MODEL)
}
"""By name."""


class Derived(Mapping[Key, Value]):
    """A mapping that follows from the models of the table, made again where a model was added.

    Parameters
    ----------
    make : function (models) -> mapping
    """

    def __init__(self, make: Callable[[tuple[NeuronModel, ...]], Mapping[Key, Value]]) -> None:
        self._make = lru_cache(maxsize=1)(make)

    def _now(self) -> Mapping[Key, Value]:
        return self._make(tuple(MODELS.values()))

    def __getitem__(self, key: Key) -> Value:
        return self._now()[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())


CELLS: Mapping[str, CellType] = Derived(lambda models: {cell.kind: cell for m in models for cell in m.cells})
"""Every cell, by its kind."""


def model_of_cell(kind: str) -> NeuronModel:
    """The model of a kind of cell."""
    return next(model for model in MODELS.values() if any(cell.kind == kind for cell in model.cells))
