"""Every mapping keeps every limit and loses nothing: uses are counted again from the placement alone."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.chips.chip import Chip, load_chip
from sne_deploy.errors import InputError, MappingError
from sne_deploy.ir.program import Program
from sne_deploy.ir.weights import DenseWeights
from sne_deploy.mapping.mapper import map_programs
from sne_deploy.mapping.placement import Placement
from tests import strategies
from tests.effort import examples
from tests.small_programs import one_layer

LIMITS = {
    "neurons_per_core": "compartments",
    "in_axons_per_core": "in_axons",
    "out_axons_per_core": "out_axons",
    "out_axons_across_chips_per_core": "out_axons_across_chips",
    "synapse_memory_per_core": "synapse_memory_bits",
    "groups_per_core": "groups",
    "thresholds_per_core": "thresholds",
    "synapse_formats_per_core": "synapse_formats",
}


def small(chip: Chip, **limits: int) -> Chip:
    """The chip with other limits."""
    given = {name: getattr(chip.limits, name).model_copy(update={"value": n}) for name, n in limits.items()}
    return chip.model_copy(update={"limits": chip.limits.model_copy(update=given)})


def counted(programs: list[Program], placement: Placement) -> list[dict[str, int]]:
    """What each core uses, synapse by synapse, but for its synaptic memory."""
    groups = iter(placement.groups)
    found: list[dict[str, Any]] = [defaultdict(set) for _ in placement.cores]
    for program in programs:
        where = {group.name: next(groups).core_of.tolist() for group in program.groups}
        for group in program.groups:
            registers = [group.du, group.dv, *(group.own[name] for name in sorted(group.own))]
            registers += [] if group.vsub_mant is None else [group.vsub_mant]
            flat = [np.broadcast_to(np.reshape(each, -1), group.size).tolist() for each in registers]
            threshold = np.broadcast_to(np.reshape(group.vth_mant, -1), group.size).tolist()
            for i, core in enumerate(where[group.name]):
                for part in range(program.compartments(group)):
                    found[core]["compartments"].add((program.name, group.name, i, part))
                    setting = tuple(each[i] for each in flat)
                    found[core]["groups"].add((program.name, group.name, part, setting))
                if group.spiking:
                    found[core]["thresholds"].add(threshold[i])
        for synapse in program.synapses:
            matrix = synapse.weights.matrix().tocoo()
            for o, i in zip(matrix.row.tolist(), matrix.col.tolist(), strict=True):
                core = where[synapse.target][o]
                found[core]["in_axons"].add((program.name, synapse.name, i))
                found[core]["synapse_formats"].add((synapse.weight_exp, synapse.sign_mode, synapse.delay))
                if synapse.source in where:
                    own = where[synapse.source][i]
                    message = (program.name, synapse.name, i, core)
                    found[own]["out_axons"].add(message)
                    if placement.cores[own].site.chip != placement.cores[core].site.chip:
                        found[own]["out_axons_across_chips"].add(message)
    return [{name: len(each[name]) for name in LIMITS.values()} for each in found]


def check(programs: list[Program], placement: Placement, chip: Chip) -> None:
    sizes = [(p.name, g.name, g.size) for p in programs for g in p.groups]
    assert [(g.student, g.name, len(g.core_of)) for g in placement.groups] == sizes
    held = np.unique(np.concatenate([group.core_of for group in placement.groups]))
    assert held.tolist() == list(range(len(placement.cores)))
    for core, found in zip(placement.cores, counted(programs, placement), strict=True):
        for limit, resource in LIMITS.items():
            use, most = core.uses[resource], getattr(chip.limits, limit)
            if resource != "synapse_memory_bits":
                assert use.used == found[resource]
            assert (use.limit is None) == (most is None)
            if use.limit is not None:
                assert use.limit <= most.value
                assert use.used <= use.limit
    sites = [core.site for core in placement.cores]
    assert len(set(sites)) == len(sites)
    assert {site.chip for site in sites} == set(range(placement.chips))


@st.composite
def chips(draw: Any) -> Chip:
    """Small ones, on which networks of a few neurons fill cores and chips."""
    chip = load_chip(draw(st.sampled_from(["loihi1", "loihi2"])))
    limits = {
        "neurons_per_core": draw(st.integers(4, 12)),
        "synapse_memory_per_core": draw(st.integers(30, 80)) * 64,
        "in_axons_per_core": draw(st.integers(40, 80)),
    }
    if chip.name == "loihi1":
        limits["out_axons_per_core"] = draw(st.integers(30, 60))
        limits["thresholds_per_core"] = draw(st.integers(1, 8))
        limits["cores_per_chip"] = draw(st.integers(2, 8))
        limits["out_axons_across_chips_per_core"] = draw(st.integers(8, 30))
    return small(chip, **limits)


@settings(max_examples=examples(12), deadline=None)
@given(st.data())
def test_every_mapping_keeps_every_limit_and_loses_nothing(data: Any) -> None:
    names = "ab"[: data.draw(st.integers(1, 2))]
    programs = [replace(data.draw(strategies.programs("fixed")), name=name) for name in names]
    chip = data.draw(chips())
    try:
        placement = map_programs(programs, chip)
    except MappingError:
        return
    check(programs, placement, chip)


@pytest.mark.parametrize("strategy", ["packed", "intel"])
def test_students_share_no_core(strategy: str) -> None:
    programs = [replace(one_layer([[2] * 3] * 5, "mixed"), name=name) for name in "abc"]
    placement = map_programs(programs, load_chip("loihi2"), strategy)
    assert [group.core_of.tolist() for group in placement.groups] == [[0] * 5, [1] * 5, [2] * 5]


def test_more_chips_than_there_are_is_refused_and_the_remedies_work() -> None:
    programs = [replace(one_layer([[2] * 3] * 5, "mixed"), name=name) for name in "abc"]
    chip = small(load_chip("loihi1"), cores_per_chip=1)
    message = (
        "3 cores take 3 chips of loihi1, 1 more than the 2 there are; give 3, map fewer students or smaller "
        "layers, or another --hardware"
    )
    with pytest.raises(MappingError, match=f"^{message}$"):
        map_programs(programs, chip, chips=2)
    assert map_programs(programs, chip, chips=3).chips == 3
    assert map_programs(programs[:2], chip, chips=2).chips == 2
    assert map_programs(programs, load_chip("loihi2"), chips=2).chips == 1
    for none in (0, -1, 1.5, "two"):
        with pytest.raises(InputError, match="chips"):
            map_programs(programs, chip, chips=none)  # type: ignore[arg-type]


def test_cores_that_send_too_much_to_other_chips_are_halved() -> None:
    """Forty neurons, each to forty others, on chips of four cores of ten compartments."""
    weights = DenseWeights(np.full((40, 40), 2, np.int32))
    first = one_layer([[2] * 4] * 40, "mixed")
    second = replace(first.groups[0], name="h", depth=1)
    synapse = replace(first.synapses[0], name="s", source="g", target="h", weights=weights)
    program = replace(
        first, groups=(*first.groups, second), synapses=(*first.synapses, synapse), outputs=("h",)
    )
    plain = small(load_chip("loihi1"), neurons_per_core=10, cores_per_chip=4)
    for most, wanted in ((20, 8), (12, 9), (6, 13)):
        chip = small(plain, out_axons_across_chips_per_core=most)
        placement = map_programs([program], chip)
        check([program], placement, chip)
        assert len(placement.cores) >= wanted
    message = (
        "^[0-9]+ of [0-9]+ cores use too much: student 'tiny', layer '[gh]': a core by strategy 'packed' "
        "needs [0-9]+ out-axons to other chips, [0-9]+ more than the 2 of a core of loihi1; give each neuron "
        "fewer targets in other layers, or use hardware loihi2"
    )
    with pytest.raises(MappingError, match=message):  # more cores would send even more
        map_programs([program], small(plain, out_axons_across_chips_per_core=2))
    assert map_programs([program], load_chip("loihi2")).chips == 1


def test_too_many_inputs_are_refused_and_the_remedies_work() -> None:
    program = one_layer([[2] * 20] * 3, "mixed")
    chip = small(load_chip("loihi1"), in_axons_per_core=16)
    with pytest.raises(
        MappingError,
        match=r"student 'tiny', layer 'g': neuron 0 needs 20 in-axons, 4 more than the 16 of a core of "
        r"loihi1; leave each neuron at most 16 inputs, by pruning or by pooling before the layer, or use "
        r"hardware loihi2$",
    ):
        map_programs([program], chip)
    assert len(map_programs([program], load_chip("loihi2")).cores) == 1
    array = np.full((3, 20), 2, np.int32)
    array[:, 16:] = 0
    synapse = replace(program.synapses[0], weights=DenseWeights(array))
    assert len(map_programs([replace(program, synapses=(synapse,))], chip).cores) == 1


def test_an_unknown_strategy_and_floating_point_are_refused() -> None:
    program = one_layer([[2]], "mixed")
    with pytest.raises(InputError, match="unknown strategy 'best'; known: packed, intel"):
        map_programs([program], load_chip("loihi1"), "best")
    with pytest.raises(InputError, match="compile with precision fixed"):
        map_programs([replace(program, precision="float")], load_chip("loihi1"))
