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
from sne_deploy.mapping.placement import Placement, Site
from sne_deploy.mapping.reach import reach

Array = npt.NDArray[Any]

PATHS = ("within_core", "within_tile", "within_chip", "across_chips", "hops_east_west", "hops_north_south")
"""How far a message goes, and the links that it crosses."""
FROM_HOST = len(PATHS)
"""The column of :attr:`Axons.paths` after these: messages that enter from outside."""


@dataclass(frozen=True)
class Link:
    """A link between neighbouring tiles of a chip, in one direction."""

    chip: int
    x: int
    y: int
    dx: int
    dy: int


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
        Messages of a spike of each neuron on each of :attr:`Wiring.links`.
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
    links : tuple of Link
        Those that a message of the student can cross.
    """

    program: Program
    cores: Array
    total_cores: int
    core_of: Mapping[str, Array]
    compartments: Array
    axons: tuple[Axons, ...]
    host_messages: Array
    links: tuple[Link, ...]

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
        routes = Routes.between(sites)
        encodings = encodings_of(placement.strategy)
        axons = tuple(
            _axons(program, several, core_of, len(cores), chip, encodings, routes)
            for several in _alike(program)
        )
        total = len(placement.cores)
        return cls(program, cores, total, core_of, compartments, axons, host_messages, routes.links)


@dataclass(frozen=True, eq=False)
class Routes:
    """What a message from each core to each other core crosses.

    Attributes
    ----------
    paths : int64 array of shape (K, K, 6)
        From, to; see :data:`PATHS`.
    links : tuple of Link
    crossed : CSR of shape (K * K, links)
    """

    paths: Array
    links: tuple[Link, ...]
    crossed: sparse.csr_matrix

    @classmethod
    def between(cls, sites: Sequence[Site]) -> Routes:
        """Route every pair: first along the row, then along the column.

        Links from chip to chip are not among those crossed: their rate and place are not published.
        """
        chip, x, y = (np.array([getattr(site, name) for site in sites]) for name in ("chip", "x", "y"))
        dx, dy = np.abs(x[:, None] - x), np.abs(y[:, None] - y)
        own, same_chip = np.eye(len(sites), dtype=bool), chip[:, None] == chip
        same_tile = same_chip & (dx + dy == 0)
        classes = [own, same_tile & ~own, same_chip & ~same_tile, ~same_chip]
        paths = np.stack([*classes, np.where(same_chip, dx, 0), np.where(same_chip, dy, 0)], axis=-1)
        index: dict[Link, int] = {}
        rows, columns = [], []
        for a, b in zip(*np.nonzero(classes[2]), strict=True):
            for link in _route(sites[a], sites[b]):
                rows.append(a * len(sites) + b)
                columns.append(index.setdefault(link, len(index)))
        shape = (len(sites) ** 2, len(index))
        crossed = sparse.csr_matrix((np.ones(len(rows), np.int64), (rows, columns)), shape=shape)
        return cls(paths.astype(np.int64), tuple(index), crossed)


def _route(start: Site, end: Site) -> Iterator[Link]:
    x, y = start.x, start.y
    while x != end.x:
        step = 1 if end.x > x else -1
        yield Link(start.chip, x, y, step, 0)
        x += step
    while y != end.y:
        step = 1 if end.y > y else -1
        yield Link(start.chip, x, y, 0, step)
        y += step


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
    cores: int,
    chip: Chip,
    encodings: tuple[Encoding, ...],
    routes: Routes,
) -> Axons:
    first = synapses[0]
    reached = [reach(synapse.weights, core_of[synapse.target], cores) for synapse in synapses]
    words = [
        words_read(synapse, core_of[synapse.target], cores, chip, each, encodings)
        for synapse, each in zip(synapses, reached, strict=True)
    ]
    messages = _sum([_with_data(each, np.ones_like(each.data)) for each in reached])
    n = messages.shape[0]
    source, to = np.repeat(np.arange(n), np.diff(messages.indptr)), messages.indices
    paths = np.zeros((n, len(PATHS) + 1), np.int64)
    none = np.zeros(0, np.int64)
    links = sparse.csr_matrix((none, (none, none)), shape=(n, len(routes.links)))
    own = core_of.get(first.source)
    if own is None:
        paths[:, FROM_HOST] = np.asarray(messages.sum(axis=1)).reshape(-1)
    else:
        pair = own[source] * cores + to
        table = routes.paths.reshape(-1, len(PATHS))
        np.add.at(paths[:, :FROM_HOST], source, table[pair] * messages.data[:, None])
        taken = sparse.csr_matrix((messages.data, (source, pair)), shape=(n, cores * cores))
        links = sparse.csr_matrix(taken @ routes.crossed)
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
