"""Which groups run together, and after which."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sne_deploy.ir.program import ALWAYS_ON, Program, Synapse
from sne_deploy.ir.weights import DenseWeights
from sne_loihi.plan import Plan, blocks_of
from tests.small_programs import one_layer


def connected(names: str, edges: str) -> Program:
    """Groups of one neuron; ``ab`` among the edges is a synapse from a to b, ``>a`` one from the input."""
    program = one_layer([[2]], "mixed")
    sources = {">": "input", "!": ALWAYS_ON}
    weights = DenseWeights(np.asarray([[2]], np.int32))
    return replace(
        program,
        groups=tuple(replace(program.groups[0], name=name) for name in names),
        synapses=tuple(Synapse(e, sources.get(e[0], e[0]), e[1], weights) for e in edges.split()),
        outputs=(names[-1],),
    )


@pytest.mark.parametrize(
    ("names", "edges", "blocks"),
    [
        ("abc", ">a ab bc", ["a", "b", "c"]),
        ("abc", ">a ab bc ac >c !c", ["a", "b", "c"]),
        ("abc", ">a ab bc bb", ["a", "b", "c"]),
        ("abc", ">a ab bc ca", ["abc"]),
        ("abcd", ">a ab bc ca cd", ["abc", "d"]),
        ("abcd", ">a ab bc cd db", ["a", "bcd"]),
        ("abcde", ">a ab ba bc cd dc de", ["ab", "cd", "e"]),
    ],
)
def test_only_groups_on_a_cycle_run_together(names: str, edges: str, blocks: list[str]) -> None:
    assert ["".join(block) for block in blocks_of(connected(names, edges))] == blocks


def test_a_group_between_the_ends_of_a_cycle_runs_alone() -> None:
    blocks = blocks_of(connected("abcd", ">a ab >c bd da"))
    assert sorted("".join(block) for block in blocks) == ["abd", "c"]


def test_a_late_synapse_from_a_group_that_comes_later_in_the_program() -> None:
    assert blocks_of(connected("ab", ">a ba >b")) == (("b",), ("a",))


def test_a_block_is_a_cycle_where_a_group_drives_itself() -> None:
    plan = Plan.of(connected("abc", ">a ab bc bb"))
    assert [plan.is_cycle(block) for block in plan.blocks] == [False, True, False]
