"""A group that is to be cut into pieces, and what pieces of it would use."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.chips.chip import Chip
from sne_deploy.ir.program import NeuronGroup, Program, Synapse
from sne_deploy.ir.weights import ConvWeights, DenseWeights, SparseWeights
from sne_deploy.mapping.parts import Box, Rows
from sne_deploy.mapping.placement import Resource
from sne_deploy.mapping.resources import (
    Arriving,
    arriving,
    configurations,
    distinct,
    format_counts,
    limits,
    thresholds,
)

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Pieces:
    """Parts of a group, each of which fits on a core or does not.

    Attributes
    ----------
    uses : dict of Resource to int64 array of shape (pieces,)
    ratio : float64 array of shape (pieces,)
        The largest of used over limit; not above 1 where it fits.
    arriving : Arriving
    """

    uses: dict[Resource, Array]
    ratio: Array
    arriving: Arriving


@dataclass(frozen=True, eq=False)
class Layer:
    """A group of a Program.

    Attributes
    ----------
    program : Program
    group : NeuronGroup
    sent : int64 array of shape (n,)
        Out-axons of each neuron.
    chip : Chip
    many_chips : bool
        Whether what cores can send to other chips is short.
    """

    program: Program
    group: NeuronGroup
    sent: Array
    chip: Chip
    many_chips: bool = False

    @cached_property
    def synapses(self) -> tuple[Synapse, ...]:
        """Those that end here."""
        return self.program.synapses_into(self.group.name)

    @cached_property
    def configurations(self) -> Array:
        """Of each neuron."""
        return configurations(self.group)

    @cached_property
    def thresholds(self) -> Array:
        """Of each neuron; all 0 where none is used."""
        return thresholds(self.group) if self.group.spiking else np.zeros(self.group.size, np.int64)

    @property
    def compartments(self) -> int:
        """Of each neuron."""
        return self.program.compartments(self.group)

    @cached_property
    def map_shape(self) -> tuple[int, int, int] | None:
        """(c, h, w) where the group is a map whose neurons hear their neighbourhood; else None."""
        for synapse in self.synapses:
            if isinstance(synapse.weights, ConvWeights):
                return synapse.weights.out_shape
        local = any(isinstance(each.weights, SparseWeights) for each in self.synapses)
        dense = any(isinstance(s.weights, DenseWeights) and s.weights.shape[1] > 1 for s in self.synapses)
        shape = self.group.shape
        return (shape[0], shape[1], shape[2]) if len(shape) == 3 and local and not dense else None

    @cached_property
    def synapses_per_neuron(self) -> float:
        """Stored weights, zeros included."""
        total = 0.0
        for synapse in self.synapses:
            weights = synapse.weights
            if isinstance(weights, SparseWeights):
                total += weights.csr.nnz
            elif isinstance(weights, DenseWeights):
                total += weights.array.size
            else:
                total += weights.kernel[0].size * weights.shape[0]
        return total / max(1, self.group.size)

    def pieces(self, part: Rows | Box, piece_of: Array, pieces: int) -> Pieces:
        """What pieces of a part use: ``piece_of``, of the part's neurons, in order."""
        synapses = [replace(each, weights=part.of(each.weights)) for each in self.synapses]
        return self.used(
            part.index, piece_of, arriving(synapses, piece_of, pieces, self.chip, whole=self.synapses)
        )

    def used(self, index: slice | Array, piece_of: Array, found: Arriving) -> Pieces:
        """What the pieces of the neurons ``index`` use, with what arrives there."""
        pieces = len(found.in_axons)
        settings = distinct(piece_of, self.configurations[index])[:, 0]
        held = distinct(piece_of, self.thresholds[index])[:, 0]
        uses: dict[Resource, Array] = {
            "compartments": np.bincount(piece_of, minlength=pieces) * self.compartments,
            "in_axons": found.in_axons,
            "out_axons": np.bincount(piece_of, self.sent[index], pieces).astype(np.int64),
            "synapse_memory_bits": found.memory_bits,
            "groups": np.bincount(settings, minlength=pieces) * self.compartments,
            "thresholds": np.bincount(held, minlength=pieces) * self.group.spiking,
            "synapse_formats": format_counts(found.formats, pieces),
        }
        most, ratio = limits(self.chip, found.longest_delay), np.zeros(pieces)
        for resource, used in uses.items():
            limit = most[resource]
            if limit is not None:
                ratio = np.maximum(ratio, used / np.maximum(limit, 1e-9))
        return Pieces(uses, ratio, found)
