"""What ``sne map`` shows: each layer's cores and tile, and what binds them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.text import Text

from sne_deploy.chips.chip import Chip
from sne_deploy.frontend.given import chip_and_seed
from sne_deploy.frontend.models import load_model
from sne_deploy.frontend.options import ReadOptions
from sne_deploy.inspect.table import Column, Sheet, fitted
from sne_deploy.mapping.mapper import map_programs
from sne_deploy.mapping.placement import Binding, Placement, tightest
from sne_deploy.passes.pipeline import compile_member
from sne_deploy.report.units import printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult


ModelPath = str | os.PathLike[str]


@dataclass(frozen=True)
class MappedLayer:
    """A layer on its cores.

    Attributes
    ----------
    student, name : str
    neurons : int
    cores : int
        That hold a neuron of it; they may hold others'.
    tile : tuple of int
        Extent, along the layer's shape, of its largest part on one core.
    binds : Binding or None
        None where the chip's file limits nothing.
    """

    student: str
    name: str
    neurons: int
    cores: int
    tile: tuple[int, ...]
    binds: Binding | None


@dataclass(frozen=True)
class MappingView:
    """A placement, for the terminal and as JSON."""

    chip: str
    strategy: str
    cores: int
    chips: int
    layers: tuple[MappedLayer, ...]

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Cores and chips, and a row for each layer."""
        counts = f"{_count(self.cores, 'core')} on {_count(self.chips, 'chip')}"
        yield Text(printable(f"{counts} ({self.chip}, strategy {self.strategy})"))
        heads = ("student", "layer", "neurons", "cores", "tile", "binds", "used", "limit")
        text = {"student", "layer", "tile", "binds"}
        columns = tuple(Column(head, number=head not in text) for head in heads)
        yield fitted(Sheet(columns, tuple(map(_row, self.layers)), 2), console, options.max_width)


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _row(layer: MappedLayer) -> tuple[str, ...]:
    binds = layer.binds
    last = ("", "", "") if binds is None else (binds.resource, f"{binds.used:,}", f"{binds.limit:,}")
    tile = " x ".join(map(str, layer.tile))
    return (layer.student, layer.name, f"{layer.neurons:,}", f"{layer.cores:,}", tile, *last)


def map_model(
    model: ModelPath | Sequence[ModelPath],
    options: ReadOptions,
    hardware: str | os.PathLike[str] | Chip | None = None,
    strategy: str = "packed",
    weight_bits: int | None = None,
    chips: int | None = None,
) -> MappingView:
    """Compile a model's students in fixed point and place them.

    Raises
    ------
    InputError
        The model cannot be read or compiled, or the strategy is not known.
    MappingError
        It does not fit.
    """
    ensemble = load_model(model, options)
    chip, _ = chip_and_seed(ensemble, hardware, None)
    formats = chip.registers.narrowed(weight_bits)
    programs = [compile_member(ensemble, student, "fixed", formats) for student in ensemble.students]
    return view(map_programs(programs, chip, strategy, chips))


def view(placement: Placement) -> MappingView:
    """What is shown of a placement."""
    layers = tuple(
        MappedLayer(
            each.student,
            each.name,
            len(each.core_of),
            each.cores,
            each.tile,
            tightest(placement.cores[core] for core in np.unique(each.core_of)),
        )
        for each in placement.groups
    )
    return MappingView(placement.chip, placement.strategy, len(placement.cores), placement.chips, layers)
