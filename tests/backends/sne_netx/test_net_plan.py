"""What keeps a Program from being a ``.net`` file, by name; and what can be one in other words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from sne_deploy.errors import InputError, OutputError, UnsupportedError
from sne_deploy.ir.program import ALWAYS_ON, Program, Synapse
from sne_deploy.ir.weights import ConvWeights, DenseWeights, SparseWeights
from sne_netx.format.file import read_net, write_net
from tests.net_programs import chain, problems_of, same
from tests.reference import simulate

Change = Callable[[Program], Program]


def int32(value: Any) -> np.ndarray:
    return np.asarray(value, np.int32)


def group(position: int, **changes: Any) -> Change:
    """Change a group."""

    def change(program: Program) -> Program:
        groups = list(program.groups)
        groups[position] = replace(groups[position], **changes)
        return replace(program, groups=tuple(groups))

    return change


def synapse(position: int, **changes: Any) -> Change:
    """Change a synapse."""

    def change(program: Program) -> Program:
        synapses = list(program.synapses)
        synapses[position] = replace(synapses[position], **changes)
        return replace(program, synapses=tuple(synapses))

    return change


def added(name: str, source: str, target: str, shape: tuple[int, int], **options: Any) -> Change:
    """Add a dense synapse of weight 2."""
    extra = Synapse(name, source, target, DenseWeights(np.full(shape, 2, np.int32)), **options)
    return lambda program: replace(program, synapses=(*program.synapses, extra))


def host_into(position: int) -> Change:
    def change(program: Program) -> Program:
        target = program.groups[position]
        matrix = sparse.csr_matrix((target.size, program.input.size))
        extra = replace(program.hosts[0], target=target.name, matrix=matrix, bias=np.zeros(target.size))
        return replace(program, hosts=(*program.hosts, extra))

    return change


SPIKES = ("dd", "spikes", "count")
"""Groups d0 of 8 neurons and d1 of 4; synapses s0 and s1."""
CURRENT = ("cd", "current", "count")
"""Groups in of (2, 6, 5), c0 of (3, 5, 5) and d1 of 4; synapses s0 and s1."""
READ = ("rd", "spikes", "v_last")

PROBLEMS: list[tuple[Any, Change, str]] = [
    (SPIKES, lambda p: replace(p, precision="float"), "precision 'float'; netx holds registers"),
    (
        SPIKES,
        lambda p: replace(p, outputs=("d0", "d1")),
        "outputs d0, d1; netx reads the last group of a chain alone",
    ),
    (
        SPIKES,
        lambda p: replace(p, outputs=("d0",)),
        "outputs d0; netx reads the last group of a chain alone, here 'd1'",
    ),
    (CURRENT, host_into(1), "constant input into group 'c0'; netx takes one into the first group alone"),
    (
        SPIKES,
        added("skip", "input", "d1", (4, 60)),
        "synapse 'skip' from 'input' to 'd1'; netx runs chains of groups",
    ),
    (
        SPIKES,
        added("back", "d1", "d0", (8, 4), within_sample=True),
        "synapse 'back' from 'd1' to 'd0'; netx runs chains",
    ),
    (
        SPIKES,
        lambda p: replace(p, synapses=p.synapses[:1]),
        "group 'd1' has no synapse from 'd0'; netx runs chains",
    ),
    (SPIKES, group(1, depth=4), "group 'd1' runs 4 steps behind the input, in a chain 2"),
    (
        CURRENT,
        added("loop", "in", "in", (60, 60), within_sample=True),
        "synapse 'loop' from 'in' to 'in'; netx runs chains",
    ),
    (
        SPIKES,
        added("b", ALWAYS_ON, "d1", (4, 1)),
        "synapse 'b': a bias behind the synaptic current (always-on axon)",
    ),
    (
        ("rd", "spikes", "count"),
        synapse(0, delay=1, within_sample=True),
        "synapse 's0': a delay of 1 steps in a recurrent layer, whose weights netx then misreads",
    ),
    (SPIKES, group(1, depth=3), "synapse 's1' delivers -1 steps after it was sent, in netx's chain 0"),
    (
        SPIKES,
        added("late", "d0", "d1", (4, 8), delay=1, within_sample=True),
        "weights into group 'd1': two neurons with synapses of several delays",
    ),
    (READ, added("loop", "d1", "d1", (4, 4), within_sample=True), "synapse 'loop': from a readout to itself"),
    (SPIKES, group(0, v_init=int32(5)), "group 'd0': starts a sample at v other than the reset value"),
    (SPIKES, group(0, vsub_mant=int32(5)), "group 'd0': soft reset; netx resets v to 0"),
    (
        SPIKES,
        group(0, bias_exp=3, bias_mant=int32(7)),
        "group 'd0': biases with the exponent 3; netx has the exponent 6",
    ),
    (SPIKES, group(0, bias_exp=7, bias_mant=int32(4000)), "group 'd0': biases with the exponent 7"),
    (
        CURRENT,
        group(0, bias_mant=int32(7)),
        "group 'in': a bias beside the constant input; netx's input layer has none",
    ),
    (SPIKES, group(1, vth_mant=int32(131071)), "group 'd1': a last threshold of 131071 marks a readout"),
    (
        SPIKES,
        synapse(1, weights=DenseWeights(np.where(np.eye(4, 8) > 0, -64, 0).astype(np.int32))),
        "weights into group 'd1': netx would change 4 of them, the first from -64 to -32; use target loihi",
    ),
    (SPIKES, group(0, vsub_mant=int32(0)), "group 'd0': spikes that reset nothing; netx resets v to 0"),
    (SPIKES, group(0, reset_delayed=True), "group 'd0': a reset a step later; netx resets v at once"),
    (SPIKES, synapse(1, weight_exp=3), "weights into group 'd1': "),
    (
        SPIKES,
        synapse(1, weights=DenseWeights(np.zeros((4, 8), np.int32))),
        "weights into group 'd1': every weight is 0",
    ),
    (CURRENT, synapse(0, weight_exp=3), "weights into group 'c0': weights reach"),
]


@pytest.mark.parametrize(("start", "change", "text"), PROBLEMS, ids=[text[:50] for *_, text in PROBLEMS])
def test_problems_are_named(tmp_path: Path, start: Any, change: Change, text: str) -> None:
    program, _ = chain(*start)
    assert problems_of(program) == []
    broken = change(program)
    problems = problems_of(broken)
    assert any(problem.startswith(text) for problem in problems), problems
    assert not any("\n" in problem for problem in problems)
    with pytest.raises(UnsupportedError) as caught:
        write_net(tmp_path / "a.net", broken)
    assert list(caught.value.problems) == problems
    assert not list(tmp_path.iterdir())


def test_all_problems_are_listed() -> None:
    program, _ = chain(*SPIKES)
    broken = group(0, v_init=int32(1), vsub_mant=int32(1))(group(1, depth=3)(program))
    assert len(problems_of(broken)) == 4


def test_sums_beyond_32_bits_are_named() -> None:
    program, _ = chain(*SPIKES)
    entry = replace(program.input, shape=(140_000,))
    wide = DenseWeights(np.full((8, 140_000), 254, np.int32))
    broken = synapse(0, weights=wide)(replace(program, input=entry))
    assert problems_of(broken) == [
        "group 'd0': its inputs reach 35560000, and Lava's 32-bit integers wrap above 33423360"
    ]


def test_a_convolution_that_wraps_is_named() -> None:
    program, _ = chain("c", "spikes", "count")
    kernel = np.full((1, 33_030, 1, 1), 254, np.int32)
    conv = ConvWeights(kernel, (33_030, 1, 1), (1, 1, 1))
    entry = replace(program.input, shape=(33_030, 1, 1))
    broken = group(0, shape=(1, 1, 1))(synapse(0, weights=conv)(replace(program, input=entry)))
    assert problems_of(broken) == [
        "weights into group 'c0': sums reach 8389620, and Lava's convolution wraps above 8388607"
    ]


def assert_same_network(tmp_path: Path, program: Program, inputs: np.ndarray) -> Program:
    write_net(tmp_path / "a.net", program)
    again = read_net(tmp_path / "a.net")
    expected, got = simulate(program, inputs), simulate(again, inputs)
    assert got.raw_outputs == expected.raw_outputs
    for one, other in zip(program.groups, again.groups, strict=True):
        assert got.layers[other.name].raster == expected.layers[one.name].raster
        assert got.layers[other.name].synops == expected.layers[one.name].synops
    assert sum(expected.raw_outputs[0]) != 0
    return again


def test_a_convolution_behind_a_dense_layer_is_written_out(tmp_path: Path) -> None:
    program, inputs = chain(*SPIKES)
    kernel = np.array([[[[40, -20], [60, 30]]], [[[20, 50], [-10, 40]]]], np.int32)
    conv = ConvWeights(kernel, (2, 2, 2), (2, 1, 1), groups=2)
    program = group(0, shape=(2, 2, 2))(
        group(1, shape=(2, 1, 1), vth_mant=int32(50))(synapse(1, weights=conv)(program))
    )
    again = assert_same_network(tmp_path, program, inputs)
    assert isinstance(again.synapses[1].weights, DenseWeights)


def test_parallel_synapses_are_joined(tmp_path: Path) -> None:
    program, inputs = chain(*SPIKES)
    high = synapse(1, weights=DenseWeights(program.synapses[1].weights.values // 8 * 2), weight_exp=2)(
        program
    )
    low = Synapse("s1.low", "d0", "d1", DenseWeights(np.full((4, 8), 1, np.int32)), sign_mode="excitatory")
    both = replace(high, synapses=(*high.synapses, low))
    write_net(tmp_path / "a.net", both)
    again = read_net(tmp_path / "a.net")
    assert simulate(again, inputs).raw_outputs == simulate(both, inputs).raw_outputs


def test_sparse_weights_stay_sparse(tmp_path: Path) -> None:
    program, inputs = chain(*SPIKES)
    csr = sparse.csr_matrix(program.synapses[1].weights.values * (np.arange(32).reshape(4, 8) % 3 == 0))
    again = assert_same_network(tmp_path, synapse(1, weights=SparseWeights(csr))(program), inputs)
    assert isinstance(again.synapses[1].weights, SparseWeights)
    same(again.synapses[1].weights.csr.toarray(), csr.toarray())


def test_a_bias_of_another_exponent_that_fits(tmp_path: Path) -> None:
    program, inputs = chain(*SPIKES)
    program = group(0, bias_exp=3, bias_mant=int32(8 * 14))(group(1, bias_exp=7, bias_mant=int32(9))(program))
    again = assert_same_network(tmp_path, program, inputs)
    assert [(int(g.bias_mant), g.bias_exp) for g in again.groups] == [(14, 6), (18, 6)]


def test_an_input_transform_that_netx_has(tmp_path: Path) -> None:
    import h5py

    write_net(tmp_path / "a.net", chain(*CURRENT)[0])
    with h5py.File(tmp_path / "a.net") as file:
        assert (int(file["layer/0/weight"][()]), int(file["layer/0/bias"][()])) == (30, 4)


def test_names_that_cannot_be_stored(tmp_path: Path) -> None:
    program, _ = chain(*SPIKES)
    with pytest.raises(InputError, match=r"student 'a\\x00b': a zero character cannot be stored"):
        write_net(tmp_path / "a.net", replace(program, name="a\0b"))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        write_net(tmp_path / "none" / "a.net", chain(*SPIKES)[0])
