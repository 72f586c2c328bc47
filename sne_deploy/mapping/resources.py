"""What each core uses of what it has, from the cores of the neurons and the Programs alone.

compartments : those of each neuron; a neuron with a soft reset takes as many as the chip's file says.
in_axons : pairs (source neuron, synapse) with a weight other than 0 on the core; the always-on axon and
    the input's values are sources too. By Intel's strategy a shared kernel takes one or two.
out_axons : triples (source neuron, core that it reaches, synapse) of the core's neurons.
out_axons_across_chips : those of them whose cores are on other chips.
synapse_memory_bits : see :mod:`sne_deploy.mapping.memory`.
groups : compartment configurations: of each group the distinct decays and other registers that its neurons
    on the core have, once for each of a neuron's compartments.
thresholds : distinct mantissas of the spiking neurons, whatever their groups.
synapse_formats : distinct (exponent, sign mode, delay) of synapses with a weight other than 0 on the core.

The host's messages to neurons that it drives at every step are no axons here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.chips.chip import Chip
from sne_deploy.ir.program import NeuronGroup, Program, Synapse
from sne_deploy.mapping.memory import encodings_of, in_axons, memory_bits
from sne_deploy.mapping.partition import Partition
from sne_deploy.mapping.placement import PlacedGroup, Resource
from sne_deploy.mapping.reach import reach

Array = npt.NDArray[Any]

LIMITS: dict[Resource, str] = {
    "in_axons": "in_axons_per_core",
    "out_axons": "out_axons_per_core",
    "out_axons_across_chips": "out_axons_across_chips_per_core",
    "synapse_memory_bits": "synapse_memory_per_core",
    "groups": "groups_per_core",
    "thresholds": "thresholds_per_core",
    "synapse_formats": "synapse_formats_per_core",
}
"""Where a resource's limit stands in ``[limits]``; that of compartments depends on delays."""


@dataclass(frozen=True, eq=False)
class Resources:
    """What the cores use, without what depends on their sites.

    Attributes
    ----------
    uses : dict of Resource to int64 array of shape (cores,)
    longest_delay : int64 array of shape (cores,)
        Of the synapses into the core.
    traffic : CSR matrix of shape (cores, cores), int64
        Messages from each core to each, if every neuron spikes once.
    """

    uses: dict[Resource, Array]
    longest_delay: Array
    traffic: sparse.csr_matrix

    def across(self, chips: Array) -> Array:
        """Out-axons of each core to cores on other chips; ``chips``, of shape (cores,), has each core's."""
        sent = self.traffic.tocoo()
        other = chips[sent.row] != chips[sent.col]
        return np.bincount(sent.row[other], sent.data[other], len(chips)).astype(np.int64)

    def on(self, chips: Array) -> dict[Resource, Array]:
        """All that the cores use on these chips."""
        return {**self.uses, "out_axons_across_chips": self.across(chips)}


@dataclass(frozen=True, eq=False)
class Arriving:
    """What the synapses into a group take on each core.

    Attributes
    ----------
    in_axons, memory_bits, longest_delay : int64 array of shape (cores,)
    formats : tuple of (int64 array, tuple)
        The cores that have a synapse of a format, and the format.
    reached : tuple of CSR matrix of shape (n_in, cores)
        Of each synapse.
    """

    in_axons: Array
    memory_bits: Array
    longest_delay: Array
    formats: tuple[tuple[Array, tuple[Any, ...]], ...]
    reached: tuple[sparse.csr_matrix, ...]


def arriving(
    synapses: Sequence[Synapse],
    core_of: Array,
    cores: int,
    chip: Chip,
    strategy: str = "packed",
    whole: Sequence[Synapse] = (),
) -> Arriving:
    """What synapses into one group, whose neurons are on the cores ``core_of``, take there.

    Parameters
    ----------
    synapses : sequence of Synapse
    core_of : int array of shape (n_out,)
    cores : int
    chip : Chip
    strategy : str
        Intel's counts as its compiler does.
    whole : sequence of Synapse
        Those that ``synapses`` are parts of; left out where they are whole.
    """
    axons, bits, delays = (np.zeros(cores, np.int64) for _ in range(3))
    formats, all_reached = [], []
    for synapse, all_of_it in zip(synapses, whole or synapses, strict=True):
        reached = reach(synapse.weights, core_of, cores)
        own = np.bincount(reached.indices, minlength=cores)
        axons += in_axons(synapse, reached, chip, strategy)
        bits += memory_bits(synapse, core_of, cores, chip, reached, encodings_of(strategy), all_of_it)
        delays = np.maximum(delays, np.where(own > 0, synapse.delay, 0))
        formats.append((np.flatnonzero(own), format_of(synapse)))
        all_reached.append(reached)
    return Arriving(axons, bits, delays, tuple(formats), tuple(all_reached))


def measure(programs: Sequence[Program], partition: Partition, chip: Chip) -> Resources:
    """What every core uses."""
    cores = partition.cores
    compartments, axons, bits, delays, configured = (np.zeros(cores, np.int64) for _ in range(5))
    sent, held = [np.zeros((3, 0), np.int64)], [np.zeros((0, 2), np.int64)]
    formats: list[tuple[Array, tuple[Any, ...]]] = []
    for program, placed in by_program(programs, partition.groups):
        for group in program.groups:
            core_of, each = placed[group.name].core_of, program.compartments(group)
            synapses = program.synapses_into(group.name)
            found = arriving(synapses, core_of, cores, chip, partition.strategy)
            compartments += np.bincount(core_of, minlength=cores) * each
            configured += _per_core(distinct(core_of, configurations(group)), cores) * each
            axons += found.in_axons
            bits += found.memory_bits
            delays = np.maximum(delays, found.longest_delay)
            formats += found.formats
            if group.spiking:
                held.append(distinct(core_of, thresholds(group)))
            for synapse, reached in zip(synapses, found.reached, strict=True):
                if synapse.source in placed:
                    sent.append(_sent(placed[synapse.source].core_of, reached))
    source, target, messages = np.concatenate(sent, axis=1)
    uses: dict[Resource, Array] = {
        "compartments": compartments,
        "in_axons": axons,
        "out_axons": np.bincount(source, messages, cores).astype(np.int64),
        "synapse_memory_bits": bits,
        "groups": configured,
        "thresholds": _per_core(np.unique(np.concatenate(held), axis=0), cores),
        "synapse_formats": format_counts(formats, cores),
    }
    traffic = sparse.coo_matrix((messages, (source, target)), (cores, cores))
    return Resources(uses, delays, sparse.csr_matrix(traffic))


def limits(chip: Chip, longest_delay: Array) -> dict[Resource, Array | None]:
    """How much each core has of every resource: int64 arrays of shape (cores,), None where it is not known.

    Long delays cost compartments on some chips.
    """
    found: dict[Resource, Array | None] = {"compartments": compartment_limit(chip, longest_delay)}
    for resource, name in LIMITS.items():
        limit = getattr(chip.limits, name)
        found[resource] = None if limit is None else np.full(len(longest_delay), limit.value, np.int64)
    return found


def compartment_limit(chip: Chip, longest_delay: Array) -> Array | None:
    """Compartments of cores whose incoming synapses delay by as much."""
    most, by_delay = chip.limits.neurons_per_core, chip.limits.compartments_per_core_by_delay
    if most is None:
        return None
    found = np.full(np.shape(longest_delay), most.value, np.int64)
    if by_delay is None:
        return found
    table = np.asarray(sorted(by_delay.value))
    left: Array = np.append(table[:, 1], 0)[np.searchsorted(table[:, 0], longest_delay)]
    return np.asarray(np.minimum(found, left))


def by_program(
    programs: Sequence[Program], groups: Sequence[PlacedGroup]
) -> Iterator[tuple[Program, dict[str, PlacedGroup]]]:
    """Each student's Program with its placed groups by name."""
    rest = iter(groups)
    for program in programs:
        yield program, {group.name: next(rest) for group in program.groups}


def format_of(synapse: Synapse) -> tuple[Any, ...]:
    """What synapses must share to have one format."""
    return (synapse.weight_exp, synapse.sign_mode, synapse.delay)


def configurations(group: NeuronGroup) -> Array:
    """The compartment configuration of each neuron: int64 array of shape (n,), numbered from 0."""
    registers = [group.du, group.dv, *(group.own[name] for name in sorted(group.own))]
    if group.vsub_mant is not None:
        registers.append(group.vsub_mant)
    values = np.stack([np.broadcast_to(np.reshape(each, -1), group.size) for each in registers], axis=1)
    if not np.any(values != values[:1]):
        return np.zeros(group.size, np.int64)
    return np.unique(values, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def thresholds(group: NeuronGroup) -> Array:
    """The threshold of each neuron of a spiking group: int64 array of shape (n,)."""
    return np.broadcast_to(np.asarray(group.vth_mant, np.int64).reshape(-1), group.size)


def _sent(source_core: Array, reached: sparse.csr_matrix) -> Array:
    """Source core, target core, messages: each neuron sends one to every core that it reaches.

    Int64 array of shape (3, pairs of cores).
    """
    cores = reached.shape[1]
    senders = np.repeat(source_core.astype(np.int64), np.diff(reached.indptr))
    pairs, messages = np.unique(senders * cores + reached.indices, return_counts=True)
    return np.stack([pairs // cores, pairs % cores, messages])


def format_counts(formats: Sequence[tuple[Array, tuple[Any, ...]]], cores: int) -> Array:
    """How many distinct formats each core has; ``formats`` as in :class:`Arriving`."""
    number = {each: index for index, each in enumerate(dict.fromkeys(form for _, form in formats))}
    pairs = [np.zeros((0, 2), np.int64)]
    pairs += [np.stack([held, np.full(len(held), number[form])], axis=1) for held, form in formats]
    return _per_core(np.unique(np.concatenate(pairs), axis=0), cores)


def distinct(core_of: Array, values: Array) -> Array:
    """Distinct (core, value), of shape (pairs, 2)."""
    if len(values) and not np.any(values != values[0]):
        cores = np.unique(core_of).astype(np.int64)
        return np.stack([cores, np.full(len(cores), values[0])], axis=1)
    return np.unique(np.stack([core_of.astype(np.int64), values], axis=1), axis=0)


def _per_core(pairs: Array, cores: int) -> Array:
    return np.bincount(pairs[:, 0], minlength=cores)
