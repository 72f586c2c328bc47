"""What a spike of each neuron sets off on a placement: SynOps, messages, words read, links crossed.

All of it follows from :func:`sne_deploy.mapping.reach.reach`: a spike is one message to each core on which
its neuron has a synapse, and there as many SynOps as it has synapses. Synapses of one source onto several
groups of a core are several axons, and so several messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.chips.chip import Chip
from sne_deploy.ir.program import ALWAYS_ON, Program, Synapse
from sne_deploy.mapping.memory import Encoding, encodings_of, words_read
from sne_deploy.mapping.mesh import Mesh, hops, link_count, routes
from sne_deploy.mapping.placement import Placement, Site
from sne_deploy.mapping.reach import reach

Array = npt.NDArray[Any]

PATHS = ("within_core", "within_tile", "within_chip", "across_chips", "hops_east_west", "hops_north_south")
"""How far a message goes, and the links that it crosses."""
FROM_HOST = len(PATHS)
"""The column of :attr:`Axons.paths` after these: messages that enter from outside."""


@dataclass(frozen=True, eq=False)
class Axons:
    """The axons of one source whose spikes are delivered after as many steps.

    Attributes
    ----------
    source : str
        A group, the input, or ``ALWAYS_ON``.
    lag : int
        Steps within the sample from sending to delivery: what is sent in the last ``lag`` steps is lost.
    sent_at : int
        Machine step, from 0, in which the spikes of a sample's first step are sent and their synapses read.
    synops, words, messages : CSR of shape (n, cores), int64
        Of a spike of each neuron: SynOps, words of synaptic memory read, messages, on each core.
    paths : int64 array of shape (n, 7)
        Of a spike of each neuron: :data:`PATHS`, and messages from the host.
    links : CSR of shape (n, links), int64
        Messages of a spike of each neuron on each link, see :func:`sne_deploy.mapping.mesh.routes`.
    """

    source: str
    lag: int
    sent_at: int
    synops: sparse.csr_matrix
    words: sparse.csr_matrix
    messages: sparse.csr_matrix
    paths: Array
    links: sparse.csr_matrix


@dataclass(frozen=True, eq=False)
class Wiring:
    """One student on its cores.

    Attributes
    ----------
    program : Program
    cores : int64 array of shape (K,)
        The cores that it is on, as indices in ``Placement.cores``. What follows counts in this order.
    total_cores : int
        Cores of the placement.
    core_of : mapping of group name to int64 array of shape (n,)
        Index in ``cores`` of the core of each neuron.
    compartments : int64 array of shape (K,)
        Enabled compartments of the student on each.
    axons : tuple of Axons
    host_messages : int64 array of shape (K,)
        Graded messages of the host that enter at every step.
    """

    program: Program
    cores: Array
    total_cores: int
    core_of: Mapping[str, Array]
    compartments: Array
    axons: tuple[Axons, ...]
    host_messages: Array

    @classmethod
    def of(cls, program: Program, placement: Placement, chip: Chip) -> Wiring:
        """Find what every spike of a student sets off.

        Parameters
        ----------
        program : Program
            One of those that were placed.
        placement : Placement
        chip : Chip
        """
        cores = placement.cores_of(program.name).astype(np.int64)
        core_of = {
            group.name: np.searchsorted(cores, placement.of(program.name, group.name).core_of)
            for group in program.groups
        }
        compartments = np.zeros(len(cores), np.int64)
        host_messages = np.zeros(len(cores), np.int64)
        for group in program.groups:
            on_core = np.bincount(core_of[group.name], minlength=len(cores))
            compartments += program.compartments(group) * on_core
            host = program.host_of(group.name)
            if host is not None and host.per_step_messages:
                host_messages += on_core
        sites = [placement.cores[core].site for core in cores]
        encodings = encodings_of(placement.strategy)
        axons = tuple(
            _axons(program, several, core_of, sites, chip, encodings) for several in _alike(program)
        )
        total = len(placement.cores)
        return cls(program, cores, total, core_of, compartments, axons, host_messages)


def _paths(sites: Sequence[Site], source: Array, target: Array, mesh: Mesh) -> Array:
    """How far messages go and the links that they cross: int64 of shape (pairs, 6), see :data:`PATHS`."""
    way = hops(sites, source, target, mesh)
    own, across = source == target, way.across > 0
    moves = ~across & (way.east_west + way.north_south > 0)
    return np.stack([own, ~own & ~across & ~moves, moves, across, way.east_west, way.north_south], axis=-1)


def _alike(program: Program) -> Iterator[list[Synapse]]:
    """The synapses of one source that are sent and delivered together."""
    found: dict[tuple[str, int, int], list[Synapse]] = {}
    for synapse in program.synapses:
        lag = program.lag(synapse)
        found.setdefault((synapse.source, lag, _sent_at(program, synapse)), []).append(synapse)
    yield from found.values()


def _sent_at(program: Program, synapse: Synapse) -> int:
    if synapse.source == ALWAYS_ON:
        return max(program.group(synapse.target).depth - 1, 0)
    return 0 if synapse.source == program.input.name else program.group(synapse.source).depth


def _axons(
    program: Program,
    synapses: Sequence[Synapse],
    core_of: Mapping[str, Array],
    sites: Sequence[Site],
    chip: Chip,
    encodings: tuple[Encoding, ...],
) -> Axons:
    first, cores = synapses[0], len(sites)
    reached = [reach(synapse.weights, core_of[synapse.target], cores) for synapse in synapses]
    words = [
        words_read(synapse, core_of[synapse.target], cores, chip, each, encodings)
        for synapse, each in zip(synapses, reached, strict=True)
    ]
    messages = _sum([_with_data(each, np.ones_like(each.data)) for each in reached])
    n = messages.shape[0]
    source, to = np.repeat(np.arange(n), np.diff(messages.indptr)), messages.indices
    paths = np.zeros((n, len(PATHS) + 1), np.int64)
    own, mesh = core_of.get(first.source), Mesh.of(chip)
    if own is None:
        paths[:, FROM_HOST] = np.asarray(messages.sum(axis=1)).reshape(-1)
        none = np.zeros(0, np.int64)
        links = sparse.csr_matrix((none, (none, none)), shape=(n, link_count(sites, mesh)))
    else:
        pair, which = np.unique(own[source] * cores + to, return_inverse=True)
        way = (sites, pair // cores, pair % cores, mesh)
        np.add.at(paths[:, :FROM_HOST], source, _paths(*way)[which] * messages.data[:, None])
        taken = sparse.csr_matrix((messages.data, (source, which)), shape=(n, len(pair)))
        links = sparse.csr_matrix(taken @ routes(*way))
    return Axons(
        first.source,
        program.lag(first),
        _sent_at(program, first),
        _sum(reached),
        _sum(words),
        messages,
        paths,
        links,
    )


def _with_data(matrix: sparse.csr_matrix, data: Array) -> sparse.csr_matrix:
    return sparse.csr_matrix((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def _sum(matrices: Sequence[sparse.csr_matrix]) -> sparse.csr_matrix:
    total = matrices[0]
    for matrix in matrices[1:]:
        total = sparse.csr_matrix(total + matrix)
    return total
