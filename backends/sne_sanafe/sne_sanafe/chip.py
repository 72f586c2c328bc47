"""A placed student on SANA-FE's Loihi, which is told when each neuron spikes.

SANA-FE's own neurons compute in floating point, so they would not spike as the compiled integers do. Here
they do: weights are 0, a neuron spikes where its bias is above its threshold, and the bias is set at the
steps in which the simulated network spiked. What SANA-FE counts (synapses read, neurons updated, messages,
hops) and how long it says that cores and links take is its own.

Every neuron is updated at every step, as all enabled compartments of the chip are. Those that a neuron has
beside its first are neurons that never spike. Spikes from outside come from its input units, on cores that
the placement leaves free. All layers do their step t at once, so a sample of T steps takes T; what a
synapse on a cycle would deliver to the next sample is sent.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
import sanafe

from sne_deploy.errors import MappingError
from sne_deploy.ir.program import ALWAYS_ON, Program
from sne_deploy.ir.weights import ConvWeights, DenseWeights, SparseWeights
from sne_deploy.mapping.placement import Placement, Site

Array = npt.NDArray[Any]

ROWS, CORES, PER_CORE = 4, 128, 1024
"""Of the Loihi that SANA-FE ships: tiles in a column, cores, neurons of a core and its input units."""
_SYNAPSES = {
    ConvWeights: "loihi_conv_synapse",
    DenseWeights: "loihi_dense_synapse",
    SparseWeights: "loihi_sparse_synapse",
}
_NEURON = {"threshold": 0.5, "reset_mode": "hard", "reset": 0.0}


@dataclass(frozen=True)
class Found:
    """What SANA-FE counted and charged, over all steps.

    Attributes
    ----------
    synapse_j, dendrite_j, soma_j, network_j : float
        Energies, by its own terms.
    time_s : float
        On the chip, by its detailed timing model.
    synops, updates, spikes, messages : int
        Synapses read, neurons updated, neurons and inputs that spiked, messages sent.
    run_s : float
        Processor time of its simulation alone, without setting spikes.
    """

    synapse_j: float = 0.0
    dendrite_j: float = 0.0
    soma_j: float = 0.0
    network_j: float = 0.0
    time_s: float = 0.0
    synops: int = 0
    updates: int = 0
    spikes: int = 0
    messages: int = 0
    run_s: float = 0.0

    def __add__(self, other: Found) -> Found:
        mine, theirs = vars(self), vars(other)
        return Found(**{name: value + theirs[name] for name, value in mine.items()})

    @property
    def total_j(self) -> float:
        """The sum of the energies."""
        return self.synapse_j + self.dendrite_j + self.soma_j + self.network_j


class Network:
    """Neurons and synapses on the cores of SANA-FE's Loihi.

    ``add`` and ``join`` build it, ``run`` loads and drives it.
    """

    def __init__(self) -> None:
        self._arch = sanafe.load_loihi()
        self._net = sanafe.Network()
        self._inputs: set[str] = set()
        self._units: dict[int, Any] = {}

    def add(
        self, name: str, cores: Sequence[int], synapse: str = "loihi_dense_synapse", *, forced: bool = True
    ) -> None:
        """Add a group of neurons, each on the core of that number.

        Such synapses lead into it. Its neurons are updated at every step, or else at those in which they have
        input or potential.
        """
        group = self._net.create_neuron_group(
            name,
            len(cores),
            {**_NEURON, "force_update": forced},
            default_synapse_hw_name=synapse,
            default_dendrite_hw_name="loihi_dendrites",
            soma_hw_name="loihi_lif",
        )
        self._map(group, cores)

    def add_inputs(self, name: str, cores: Sequence[int]) -> None:
        """Add a group of inputs, each on the core of that number: they cost nothing but their messages."""
        group = self._net.create_neuron_group(
            name,
            len(cores),
            default_synapse_hw_name="loihi_dense_synapse",
            default_dendrite_hw_name="loihi_dendrites",
        )
        for neuron, core in zip(group, cores, strict=True):
            unit = next(self._units.setdefault(core, count()))
            neuron.set_attributes(soma_hw_name=f"loihi_inputs[{unit}]")
        self._map(group, cores)
        self._inputs.add(name)

    def join(self, source: str, target: str, pairs: Sequence[tuple[int, int]]) -> None:
        """Add a synapse, of weight 0, for each pair of a source and a target neuron."""
        weights = {"weight": [0.0] * len(pairs)}
        self._net[source].connect_neurons_sparse(self._net[target], weights, list(pairs))

    def run(self, spikes: Mapping[str, Array], steps: int) -> list[Found]:
        """Drive the groups.

        Parameters
        ----------
        spikes : mapping of group name to bool array of shape (steps, neurons)
            Groups that are not named never spike.
        steps : int

        Returns
        -------
        list of Found
            One per step.
        """
        chip = sanafe.SpikingChip(self._arch)
        with contextlib.redirect_stdout(io.StringIO()):
            chip.load(self._net)
        mapped = chip.mapped_neuron_groups
        neurons = {name: list(mapped[name]) for name in spikes}
        last = {name: np.zeros(each.shape[1], bool) for name, each in spikes.items()}
        found = []
        for step in range(steps):
            for name, each in spikes.items():
                register = "rate" if name in self._inputs else "bias"
                for index in np.flatnonzero(each[step] != last[name]):
                    neurons[name][index].set_attributes({register: float(each[step, index])})
                last[name] = each[step]
            found.append(_step(chip))
        return found

    def _map(self, group: Any, cores: Sequence[int]) -> None:
        places = self._arch.cores()
        for neuron, core in zip(group, cores, strict=True):
            neuron.map_to_core(places[core])


def student(program: Program, placement: Placement) -> Network:
    """Build a student, alone on the cores of a placement.

    Raises
    ------
    MappingError
        The placement is none of a single Loihi 1, the only one that SANA-FE describes.
    """
    if placement.chip != "loihi1" or placement.chips > 1:
        raise MappingError(
            f"the placement has {placement.chips} chips of {placement.chip}, and SANA-FE describes one "
            "loihi1; give a model that fits on one, and compile it for hardware loihi1"
        )
    places = [core_number(core.site) for core in placement.cores]
    network, groups = Network(), {group.name: group for group in program.groups}
    for name, group in groups.items():
        on_core = [places[core] for core in placement.of(program.name, name).core_of]
        network.add(name, on_core, _kind(program, name))
        others = program.compartments(group) - 1
        if others:
            network.add(f"{name}: further compartments", on_core * others)
    _add_inputs(network, program, sorted(set(range(CORES)) - set(places)))
    for synapse in program.synapses:
        table = synapse.weights.matrix().tocoo()
        pairs = list(zip(table.col.tolist(), table.row.tolist(), strict=True))
        network.join(synapse.source, synapse.target, pairs)
    return network


def core_number(site: Site) -> int:
    """SANA-FE's number of a core: tiles are numbered down the columns."""
    return (site.x * ROWS + site.y) * (CORES // 32) + site.in_tile


def _add_inputs(network: Network, program: Program, free: Sequence[int]) -> None:
    sources = {synapse.source: synapse.weights.shape[1] for synapse in program.synapses}
    place = 0
    for name, size in sources.items():
        if name not in (ALWAYS_ON, program.input.name):
            continue
        if place + size > PER_CORE * len(free):
            raise MappingError(
                f"student {program.name!r} has {size} inputs, and the {len(free)} cores that are free have "
                f"{PER_CORE} each; give a model that leaves more cores free"
            )
        network.add_inputs(name, [free[index // PER_CORE] for index in range(place, place + size)])
        place += size


def _kind(program: Program, name: str) -> str:
    """The synapse unit of a group: that of most of its synapses, since a group has one."""
    into = program.synapses_into(name)
    if not into:
        return _SYNAPSES[DenseWeights]
    return _SYNAPSES[type(max(into, key=lambda synapse: synapse.weights.matrix().nnz).weights)]


def _step(chip: Any) -> Found:
    started = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        result = chip.sim(1, processing_threads=1)
    seconds = time.process_time() - started
    energy = result["energy"]
    return Found(
        synapse_j=energy["synapse"],
        dendrite_j=energy["dendrite"],
        soma_j=energy["soma"],
        network_j=energy["network"],
        time_s=result["sim_time"],
        synops=result["spikes"],
        updates=result["neurons_updated"],
        spikes=result["neurons_fired"],
        messages=result["packets_sent"],
        run_s=seconds,
    )
