"""What lives on each core, what binds it, and what happened there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from sne_deploy.mapping.mesh import Mesh
from sne_deploy.mapping.placement import Binding, Core, Placement, Site, tightest
from sne_deploy.page.source import Source
from sne_deploy.report.chip_schema import Count, Mean, Model, Text
from sne_deploy.runtime.placed import PlacedCounts

Array = npt.NDArray[Any]
MOST_CORES = 8192
"""With more, chips are listed in place of cores: 64 chips of Loihi 1, which draw at once."""


class PlacedLayerModel(Model):
    """A layer on the chip: its student's index in the report, its name, and its neurons."""

    student: Count
    name: Text
    neurons: Count


class MeshModel(Model):
    """A chip's tiles, west to east and north to south; null where its file says nothing.

    ``cores`` of it can be used: the first of its sites, row by row of tiles.
    """

    columns: Annotated[int, Field(ge=1)]
    rows: Annotated[int, Field(ge=1)]
    cores_per_tile: Annotated[int, Field(ge=1)] | None
    cores: Count | None


class PlacesModel(Model):
    """Columns of equal length: an element for each core in use, or for each chip where these are too many.

    Attributes
    ----------
    chip, x, y, in_tile : tuple of int
        As :class:`sne_deploy.mapping.placement.Site`; of a whole chip all but ``chip`` are 0.
    cores : tuple of int
        In use.
    holds : tuple of tuple of (int, int)
        Index in :attr:`ChipModel.layers`, and how many neurons of it.
    resource, used, limit : tuple of int, or None
        What binds: index in :attr:`ChipModel.resources`; of a chip on its fullest core. None where the
        chip's file limits nothing.
    synops, updates, waited_for : tuple of int, or None
        Totals of the run: SynOps, updates of compartments, and steps in which all others waited for it.
    busiest_s : tuple of float, or None
        Its longest step, at least the updates of the student's fullest core.
    """

    chip: tuple[Count, ...]
    x: tuple[Count, ...]
    y: tuple[Count, ...]
    in_tile: tuple[Count, ...]
    cores: tuple[Count, ...]
    holds: tuple[tuple[tuple[Count, Count], ...], ...]
    resource: tuple[Count, ...] | None
    used: tuple[Count, ...] | None
    limit: tuple[Annotated[int, Field(ge=1)], ...] | None
    synops: tuple[Count, ...] | None
    updates: tuple[Count, ...] | None
    waited_for: tuple[Count, ...] | None
    busiest_s: tuple[Mean, ...] | None


class ChipModel(Model):
    """The students on cores.

    Attributes
    ----------
    mesh : MeshModel
    chips : int
    layers : tuple of PlacedLayerModel
    resources : tuple of str
    each : {"core", "chip"}
        What an element of the columns is.
    places : PlacesModel
    """

    mesh: MeshModel
    chips: Annotated[int, Field(ge=1)]
    layers: tuple[PlacedLayerModel, ...]
    resources: tuple[Text, ...]
    each: Literal["core", "chip"]
    places: PlacesModel

    @model_validator(mode="after")
    def _fits(self) -> ChipModel:
        """Columns are as long as each other, and name what there is."""
        places = self.places
        columns = [values for _, values in places if values is not None]
        if any(len(column) != len(places.chip) for column in columns) or len(places.chip) > MOST_CORES:
            raise ValueError("columns of places differ in length, or are too long")
        held = [layer for each in places.holds for layer, _ in each]
        if any(layer >= len(self.layers) for layer in held) or any(not each for each in places.holds):
            raise ValueError("a place holds no layer, or an unknown one")
        if any(name >= len(self.resources) for name in places.resource or ()):
            raise ValueError("a place is bound by an unknown resource")
        return self


def chip(source: Source) -> ChipModel | None:
    """Find it in the placement and the counts of the run; None without a placement."""
    placement = source.placement
    if placement is None:
        return None
    whole = len(placement.cores) > MOST_CORES
    sites = [core.site for core in placement.cores]
    place_of = np.array([site.chip if whole else index for index, site in enumerate(sites)])
    names = [student.name for student in source.run.students]
    layers = tuple(
        PlacedLayerModel(student=names.index(group.student), name=group.name, neurons=len(group.core_of))
        for group in placement.groups
    )
    placed = [student.placed for student in source.run.students]
    binds = _binding(placement, place_of)
    resources = tuple(dict.fromkeys(bind.resource for bind in binds or ()))
    return ChipModel(
        mesh=_mesh(Mesh.of(source.chip)),
        chips=placement.chips,
        layers=layers,
        resources=resources,
        each="chip" if whole else "core",
        places=PlacesModel(
            **_sites([Site(chip, 0, 0, 0) for chip in range(placement.chips)] if whole else sites),
            cores=tuple(np.bincount(place_of).tolist()),
            holds=_holds(placement, place_of),
            resource=None if binds is None else tuple(resources.index(bind.resource) for bind in binds),
            used=None if binds is None else tuple(bind.used for bind in binds),
            limit=None if binds is None else tuple(bind.limit for bind in binds),
            **_counts(placed, place_of),
            busiest_s=_busiest(placed, place_of),
        ),
    )


def _mesh(mesh: Mesh) -> MeshModel:
    return MeshModel(
        columns=mesh.columns, rows=mesh.rows, cores_per_tile=mesh.cores_per_tile, cores=mesh.cores
    )


def _sites(sites: Sequence[Site]) -> dict[str, Any]:
    return {field.name: tuple(getattr(site, field.name) for site in sites) for field in fields(Site)}


def _holds(placement: Placement, place_of: Array) -> tuple[tuple[tuple[int, int], ...], ...]:
    """The layers of each place, with their neurons there."""
    found: list[list[tuple[int, int]]] = [[] for _ in range(int(place_of.max()) + 1)]
    for index, group in enumerate(placement.groups):
        places, neurons = np.unique(place_of[group.core_of], return_counts=True)
        for place, count in zip(places.tolist(), neurons.tolist(), strict=True):
            found[place].append((index, count))
    return tuple(tuple(each) for each in found)


def _binding(placement: Placement, place_of: Array) -> list[Binding] | None:
    """What binds each place, or None where nothing is limited."""
    cores: list[list[Core]] = [[] for _ in range(int(place_of.max()) + 1)]
    for place, core in zip(place_of, placement.cores, strict=True):
        cores[place].append(core)
    found = [tightest(several) for several in cores]
    known = [bind for bind in found if bind is not None]
    return known if len(known) == len(found) else None


def _counts(placed: Sequence[PlacedCounts | None], place_of: Array) -> dict[str, Any]:
    """All students together; None where one has no counts on cores."""
    known = [each for each in placed if each is not None]
    if len(known) < len(placed):
        return dict.fromkeys(("synops", "updates", "waited_for"))
    return {
        name: tuple(_summed([getattr(each, field) for each in known], place_of).tolist())
        for name, field in (("synops", "synops"), ("updates", "updates"), ("waited_for", "longest"))
    }


def _busiest(placed: Sequence[PlacedCounts | None], place_of: Array) -> tuple[float, ...] | None:
    known = [each.busiest_s for each in placed if each is not None and each.busiest_s is not None]
    if len(known) < len(placed):
        return None
    longest = np.zeros(int(place_of.max()) + 1)
    np.maximum.at(longest, place_of, np.max(known, axis=0))
    return tuple(float(f"{each:.4g}") for each in longest)


def _summed(counts: Sequence[Array], place_of: Array) -> Array:
    total = np.zeros(int(place_of.max()) + 1, np.int64)
    np.add.at(total, place_of, np.sum(counts, axis=0))
    return total
