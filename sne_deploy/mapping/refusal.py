"""What does not fit, by how much, and what would help."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

import numpy as np

from sne_deploy.chips.chip import Chip, chip_names, load_chip
from sne_deploy.errors import MappingError
from sne_deploy.mapping.layer import Layer
from sne_deploy.mapping.parts import Rows
from sne_deploy.mapping.placement import Placement, Resource
from sne_deploy.mapping.resources import LIMITS, limits

_WORDS: dict[Resource, str] = {
    "compartments": "compartments",
    "in_axons": "in-axons",
    "out_axons": "out-axons",
    "out_axons_across_chips": "out-axons to other chips",
    "synapse_memory_bits": "bits of synaptic memory",
    "groups": "compartment configurations",
    "thresholds": "thresholds",
    "synapse_formats": "synapse formats",
}


def refuse_neuron(layer: Layer, neuron: int) -> NoReturn:
    """A neuron that fits on no core."""
    found = layer.pieces(Rows(slice(neuron, neuron + 1)), np.zeros(1, np.int32), 1)
    most = limits(layer.chip, found.arriving.longest_delay)
    for resource, used in found.uses.items():
        limit = most[resource]
        if limit is not None and used[0] > limit[0]:
            raise MappingError(
                f"student {layer.program.name!r}, layer {layer.group.name!r}: neuron {neuron} needs "
                f"{used[0]} {_WORDS[resource]}, {used[0] - limit[0]} more than the {limit[0]} of a core of "
                f"{layer.chip.name}; {_remedy(resource, int(used[0]), int(limit[0]), layer.chip)}"
            )
    raise AssertionError(f"neuron {neuron} of {layer.group.name!r} fits; please report this as a bug")


def refuse_cores(placement: Placement, exceeded: Mapping[int, Resource]) -> NoReturn:
    """Cores that use more than they have, whatever was tried: how many, and the worst."""
    uses = {core: placement.cores[core].uses[resource] for core, resource in exceeded.items()}
    core = max(uses, key=lambda each: uses[each].used / (uses[each].limit or 1))
    use, resource = uses[core], exceeded[core]
    limit = use.limit or 0
    many = f"{len(exceeded):,} of {len(placement.cores):,} cores use too much: " if len(exceeded) > 1 else ""
    held = [each for each in placement.groups if core in each.core_of]
    layer = max(held, key=lambda each: int(np.count_nonzero(each.core_of == core)))
    raise MappingError(
        f"{many}student {layer.student!r}, layer {layer.name!r}: a core by strategy "
        f"{placement.strategy!r} needs {use.used} {_WORDS[resource]}, {use.used - limit} more than the "
        f"{limit} of a core of {placement.chip}; {_other_mapping(placement, resource, use.used)}"
    )


def refuse_chips(placement: Placement, chips: int) -> NoReturn:
    """More chips than there are."""
    students = len({each.student for each in placement.groups})
    fewer = "" if students == 1 else ", map fewer students"
    raise MappingError(
        f"{len(placement.cores):,} cores take {placement.chips:,} chips of {placement.chip}, "
        f"{placement.chips - chips:,} more than the {chips:,} there are; give {placement.chips:,}{fewer} or "
        "smaller layers, or another --hardware"
    )


def _other_mapping(placement: Placement, resource: Resource, used: int) -> str:
    if placement.strategy != "packed":
        return "map with strategy 'packed'"
    return f"give each neuron fewer targets in other layers{_or_hardware(resource, used, placement.chip)}"


def _remedy(resource: Resource, used: int, limit: int, chip: Chip) -> str:
    """What a neuron may have at most, and the packaged chip that has more, if any."""
    own = {
        "in_axons": f"leave each neuron at most {limit} inputs, by pruning or by pooling before the layer",
        "out_axons": f"let each neuron reach at most {limit} cores",
        "compartments": "use a reset that takes fewer compartments, or shorter delays",
        "synapse_memory_bits": "leave each neuron fewer inputs, or store its weights in fewer bits",
    }.get(resource, f"{_WORDS[resource]} must be at most {limit}")
    return own + _or_hardware(resource, used, chip.name)


def _or_hardware(resource: Resource, used: int, but: str) -> str:
    """The packaged chip, if any, that has as much for a core."""
    for name in chip_names():
        more = getattr(load_chip(name).limits, LIMITS.get(resource, "neurons_per_core"))
        if name != but and (more is None or more.value >= used):
            return f", or use hardware {name}"
    return ""
