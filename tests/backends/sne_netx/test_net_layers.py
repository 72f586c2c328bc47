"""What older ``.net`` files hold, and every reason for which one is not read, each in one line."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sne_deploy.errors import GraphError, UnsupportedError
from sne_deploy.frontend.hdf5.file import read_hdf5
from sne_deploy.ir.program import Program
from sne_deploy.ir.verify import verify
from sne_deploy.ir.weights import ConvWeights, DenseWeights
from sne_netx.format.file import program_of, read_net, write_net
from sne_netx.format.parse import ROOTS
from sne_netx.format.program import ReadOptions
from tests.effort import examples
from tests.net_programs import chain
from tests.reference import simulate

Tree = dict[str, Any]
OLD_NEURON = {
    "type": "LOIHI",
    "iDecay": 4096,
    "vDecay": 1024,
    "vThMant": 25,
    "refDelay": 1,
    "wgtExp": 0,
    "scaleRho": 1.0,
    "tauRho": 0.5,
    "theta": 1600,
}
NEW_NEURON = {
    "type": "CUBA",
    "iDecay": 410,
    "vDecay": 410,
    "vThMant": 64,
    "refDelay": 1,
    "gradedSpike": False,
}


def store(path: Path, tree: Tree) -> Path:
    """Write a tree as lava-dl does: strings of fixed length."""
    with h5py.File(path, "w") as file:
        for name, value in tree.items():
            _store(file, name, value)
    return path


def _store(group: h5py.Group, name: str, value: Any) -> None:
    if isinstance(value, dict):
        inner = group.create_group(name)
        for key, part in value.items():
            _store(inner, key, part)
    else:
        text = isinstance(value, str)
        group.create_dataset(name, data=np.array([value.encode()], "S10") if text else np.asarray(value))


def old_file() -> Tree:
    """Input neurons, a convolution whose weights have a fifth axis, a flatten, a dense layer; all float32."""
    rng = np.random.default_rng(0)
    conv = (rng.integers(-20, 20, (4, 3, 3, 3, 1)) * 2).astype(np.float32)
    dense = (rng.integers(-20, 20, (5, 4 * 4 * 6)) * 2).astype(np.float32)
    layers = {
        "0": {"type": "input", "shape": [3, 6, 8], "weight": np.float32([40]), "bias": np.float32(36)},
        "1": {
            "type": "conv",
            "shape": [4, 4, 6],
            "weight": conv,
            "bias": np.float32([2, 0, -6, 4]),
            "stride": 1,
            "padding": [0, 0],
            "dilation": [1, 1],
            "groups": 1,
            "inChannels": 3,
            "outChannels": 4,
            "kernelSize": [3, 3],
        },
        "2": {"type": "flatten", "shape": [1, 1, 96]},
        "3": {"type": "dense", "shape": [5, 1, 1], "weight": dense, "inFeatures": 96, "outFeatures": 5},
    }
    for index in ("0", "1", "3"):
        layers[index]["neuron"] = dict(OLD_NEURON)
    return {"layer": layers, "simulation": {"Ts": 1, "tSample": 16}}


def dense_file(*weights: Any, **last: Any) -> Tree:
    """Dense layers; the options go into the last one."""
    layers: Tree = {
        str(index): {"type": "dense", "shape": [len(weight)], "weight": weight, "neuron": dict(NEW_NEURON)}
        for index, weight in enumerate(map(np.asarray, weights))
    }
    layers[str(len(weights) - 1)].update(last)
    return {"layer": layers}


def read(tmp_path: Path, tree: Tree, **options: Any) -> Program:
    program = read_net(store(tmp_path / "a.net", tree), **options)
    verify(program, "reading")
    return program


# --- older files ------------------------------------------------------------------------------------


def test_an_old_file(tmp_path: Path) -> None:
    program = read(tmp_path, old_file())
    assert [(g.name, g.kind, g.shape, g.depth) for g in program.groups] == [
        ("input-0", "lif", (3, 6, 8), 0),
        ("conv-1", "lif", (4, 4, 6), 1),
        ("dense-3", "lif", (5,), 2),
    ]
    assert program.timesteps == 16
    assert all((int(g.du), int(g.dv), int(g.vth_mant)) == (4095, 1024, 25) for g in program.groups)
    conv = program.synapses[0].weights
    assert isinstance(conv, ConvWeights)
    np.testing.assert_array_equal(conv.kernel, old_file()["layer"]["1"]["weight"][..., 0])
    bias = np.repeat([2, 0, -6, 4], 24)
    np.testing.assert_array_equal(program.groups[1].bias_mant, bias)
    assert program.groups[1].bias_exp == 6
    (host,) = program.hosts
    x = np.linspace(-1, 1, 144).reshape(1, 3, 6, 8)
    np.testing.assert_array_equal(host.drive(x)[0], np.rint(40 * x.reshape(1, -1) + 36))
    assert not host.per_step_messages


def test_an_old_file_without_its_input_neurons(tmp_path: Path) -> None:
    program = read(tmp_path, old_file(), skip_input_neurons=True)
    assert (program.input.kind, program.input.shape) == ("spikes", (3, 6, 8))
    assert [group.depth for group in program.groups] == [1, 2]
    whole = read(tmp_path, old_file())
    image = np.random.default_rng(1).random((1, 3, 6, 8))
    spikes = np.asarray(simulate(whole, image).layers["input-0"].raster).reshape(1, 16, 3, 6, 8)
    expected = simulate(whole, image)
    assert simulate(program, spikes).raw_outputs == expected.raw_outputs
    assert sum(expected.raw_outputs[0]) > 0


def test_flat_weights_and_no_input_layer(tmp_path: Path) -> None:
    first, second = np.arange(12).reshape(3, 4) * 2 - 10, np.float32([[2, -4, 6]])
    tree = dense_file(first, second)
    tree["layer"]["1"]["weight"] = second.reshape(-1)
    program = read(tmp_path, tree, dt_s=0.5)
    assert (program.input.shape, program.timesteps, program.dt_s) == ((4,), 1, 0.5)
    assert program.graph.metadata["dt_s"] == 0.5
    assert [group.kind for group in program.groups] == ["cuba_lif", "cuba_lif"]
    assert isinstance(program.synapses[1].weights, DenseWeights)
    np.testing.assert_array_equal(program.synapses[1].weights.array, second)


def test_a_last_layer_without_a_neuron_sums_up(tmp_path: Path) -> None:
    tree = dense_file([[2, 4], [6, -8]])
    del tree["layer"]["0"]["neuron"]
    program = read(tmp_path, tree)
    group = program.groups[0]
    assert (group.kind, int(group.du), int(group.dv), program.readout) == ("li", 4095, 0, "v_last")
    spikes = np.array([[[1, 0], [1, 1], [0, 1]]], np.uint8)
    assert simulate(replace(program, timesteps=3), spikes).raw_outputs == [[64 * 12, 64 * -4]]


def test_the_largest_threshold_last_is_a_readout(tmp_path: Path) -> None:
    tree = dense_file([[2, 4], [6, -8]], [[2, 2]])
    for layer in tree["layer"].values():
        layer["neuron"]["vThMant"] = 131071
    assert [group.kind for group in read(tmp_path, tree).groups] == ["cuba_lif", "cuba_li"]


def test_odd_weights_of_both_signs_become_two_synapses(tmp_path: Path) -> None:
    weights = np.array([[3, -5, 0], [2, 7, -1]])
    program = read(tmp_path, dense_file(weights))
    assert [s.sign_mode for s in program.synapses] == ["excitatory", "inhibitory"]
    np.testing.assert_array_equal(sum(s.weights.matrix().toarray() for s in program.synapses), weights)
    write_net(tmp_path / "b.net", program)
    again = read_net(tmp_path / "b.net")
    assert [s.name for s in again.synapses] == [s.name for s in program.synapses]


def test_weights_that_netx_clips_are_counted(tmp_path: Path) -> None:
    program = read(tmp_path, dense_file([[300, -2], [254, -400]]))
    assert program.synapses[0].saturated_weights == 2
    (warning,) = program.warnings
    assert warning.startswith("layer 0 (dense): netx computes with other weights than the file holds")
    assert warning.endswith("2 of 4 differ, by up to 144")
    np.testing.assert_array_equal(program.synapses[0].weights.values, [[254, -2], [254, -256]])


def test_a_weight_that_netx_cannot_shift_is_what_netx_makes_of_it(tmp_path: Path) -> None:
    program = read(tmp_path, dense_file([[-64, 0], [-4, -32]]))
    np.testing.assert_array_equal(program.synapses[0].weights.values, [[-62, 0], [-4, -32]])
    assert "1 of 4 differ, by up to 2" in program.warnings[0]


def test_decays_and_thresholds_of_each_neuron(tmp_path: Path) -> None:
    neuron = {**NEW_NEURON, "iDecay": [4096, 1000], "vDecay": np.float32([0, 500]), "vThMant": [7, 9]}
    (group,) = read(tmp_path, dense_file([[2, 4], [6, -8]], neuron=neuron)).groups
    assert (group.du.tolist(), group.dv.tolist()) == ([4095, 999], [0, 500])
    assert (group.vth_mant.tolist(), group.kind) == ([7, 9], "cuba_lif")
    tree = old_file()
    maps = tree["layer"]["1"]["neuron"]
    maps["vDecay"] = np.arange(4)
    maps["vThMant"] = 1 + np.arange(96).reshape(6, 4, 4)  # (w, h, c)
    conv = read(tmp_path, tree).groups[1]
    assert conv.dv.reshape(4, 4, 6)[:, 0, 0].tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(conv.vth_mant.reshape(4, 4, 6), maps["vThMant"].transpose(2, 1, 0))


@pytest.mark.parametrize("threshold", [131072, 262143, 2**25 - 1])
def test_neurons_that_never_spike_are_read(tmp_path: Path, threshold: int) -> None:
    neuron = {**NEW_NEURON, "vThMant": threshold}
    program = read(tmp_path, dense_file([[2, 4], [6, -8]], neuron=neuron))
    assert (program.groups[0].kind, program.readout) == ("cuba_li", "v_last")
    tree = dense_file([[2, 4], [6, -8]], [[2, 2]])
    tree["layer"]["0"]["neuron"]["vThMant"] = threshold
    with pytest.raises(GraphError, match=rf"layer 0 \(dense\): neuron field 'vThMant' is {threshold}, more"):
        read(tmp_path, tree)


@pytest.mark.parametrize(
    "delay", [[0, 2, 5], np.float32([[0, 0], [2, 2], [5, 5]])], ids=["axons", "synapses"]
)
def test_delays_of_dense_layers(tmp_path: Path, delay: Any) -> None:
    weights = np.array([[2, 4], [6, 8], [-2, 10]])
    program = read(tmp_path, dense_file(weights, delay=delay))
    assert [(s.delay, s.within_sample) for s in program.synapses] == [(0, False), (2, True), (5, True)]
    assert program.groups[0].depth == 1
    total = sum(s.weights.matrix().toarray() for s in program.synapses)
    np.testing.assert_array_equal(total, weights)
    for row, synapse in enumerate(program.synapses):
        assert np.flatnonzero(synapse.weights.matrix().toarray().any(axis=1)).tolist() == [row]


def test_a_convolution_without_an_input_layer(tmp_path: Path) -> None:
    tree = old_file()
    layers = tree["layer"]
    tree["layer"] = {"0": layers["1"]}
    assert read(tmp_path, tree, input_shape=(3, 6, 8)).input.shape == (3, 6, 8)
    with pytest.raises(GraphError, match=r"layer 0 \(conv\): no input layer says .*: input_shape="):
        read(tmp_path, tree)


def test_a_bias_for_every_neuron_of_a_convolution(tmp_path: Path) -> None:
    tree = old_file()
    bias = np.arange(96).reshape(6, 4, 4)  # (w, h, c)
    tree["layer"]["1"]["bias"] = bias
    program = read(tmp_path, tree)
    np.testing.assert_array_equal(program.groups[1].bias_mant.reshape(4, 4, 6), bias.transpose(2, 1, 0))


# --- refusals ---------------------------------------------------------------------------------------


def at(path: str, value: Any) -> Callable[[Tree], None]:
    """Set a field; ``...`` removes it."""

    def change(tree: Tree) -> None:
        *parents, name = path.split("/")
        for parent in parents:
            tree = tree[parent]
        if value is ...:
            del tree[name]
        else:
            tree[name] = value

    return change


REFUSED: list[tuple[Callable[[Tree], None], str]] = [
    (at("layer", ...), "is HDF5 but no .net file: group 'layer' is missing"),
    (at("layer/1", ...), "group 'layer' must hold the layers 0, 1, 2, ... without a gap"),
    (at("layer/1/type", "pool"), "layer 1: type 'pool', which netx does not run either"),
    (at("layer/1/type", "blur"), "layer 1: type 'blur'; known: input, flatten, dense, dense_rec, conv"),
    (at("layer/1/type", 5), "layer 1: field 'type' must be a string"),
    (at("layer/1/neuron/type", "SDNN"), "layer 1: neuron type 'SDNN'; known: LOIHI, CUBA"),
    (
        at("layer/1/neuron/refDelay", 3),
        "layer 1: neuron field 'refDelay' is 3: a refractory delay, which netx ignores",
    ),
    (
        at("layer/1/neuron/wgtExp", 2),
        "neuron field 'wgtExp' is 2: an exponent of weights, which netx ignores",
    ),
    (at("layer/1/neuron/gradedSpike", True), "neuron field 'gradedSpike' is 1: graded spikes"),
    (at("layer/1/neuron/mystery", 1), "layer 1 (conv), neuron: unknown field 'mystery'"),
    (
        at("layer/1/neuron/iDecay", 0),
        "field 'iDecay' is 0: a current without decay has no register; give 1 to 4096",
    ),
    (at("layer/1/neuron/iDecay", 5000), "field 'iDecay' is 5000, outside 0..4096"),
    (at("layer/1/neuron/vDecay", 4096), "field 'vDecay' is 4096, more than the register's 4095"),
    (
        at("layer/1/neuron/vThMant", 131072),
        "neuron field 'vThMant' is 131072, more than the register's 131071",
    ),
    (
        at("layer/1/neuron/vThMant", [1, 2]),
        "field 'vThMant' has shape (2,), must be one value or have (4,) or (6, 4, 4)",
    ),
    (at("layer/1/neuron/vThMant", 2**25), "field 'vThMant' is 33554432, outside 0..33554431"),
    (at("layer/1/neuron/iDecay", [1, 1, 1, 5000]), "field 'iDecay' reaches 1..5000, outside 0..4096"),
    (at("layer/1/neuron/vThMant", ...), "layer 1 (conv), neuron: field 'vThMant' is missing"),
    (at("layer/1/neuron", ...), "layer 1 (conv): field 'neuron' is missing"),
    (at("layer/1/weight", {"real": [1], "imag": [1]}), "layer 1: complex weights"),
    (at("layer/1/weight", np.full((4, 3, 3, 3), 0.5)), "field 'weight' holds 0.5, which is no whole number"),
    (
        at("layer/1/weight", np.full((4, 3, 3, 3), np.nan)),
        "field 'weight' holds nan, which is no whole number",
    ),
    (
        at("layer/1/weight", np.full((4, 3, 3, 3), 1e300)),
        "field 'weight' reaches 1e+300..1e+300, more than 31 bits",
    ),
    (
        at("layer/1/weight", np.full((4, 3, 3, 3), 300)),
        "field 'weight': weights reach 0..300, outside 0..255",
    ),
    (
        at("layer/1/weight", np.full((4, 3, 3), 2)),
        "field 'weight' has shape (4, 3, 3), must have (4, c_in / groups",
    ),
    (at("layer/1/weight", "text"), "field 'weight' must hold numbers"),
    (at("layer/1/shape", [4, 4, 5]), "field 'shape' is (4, 4, 5), the convolution gives (4, 4, 6)"),
    (at("layer/1/shape", [4, -4, 5]), "field 'shape' is [4, -4, 5], must be 3 sizes from 1"),
    (at("layer/1/groups", 3), "field 'inChannels' is 3, the weights and shape say 9"),
    (at("layer/1/stride", 0), "field 'stride' is [0], must be one or two numbers from 1 to 127"),
    (at("layer/1/kernelSize", [2, 3]), "field 'kernelSize' is not that of weights of shape (4, 3, 3, 3)"),
    (at("layer/1/delay", [1, 0, 0, 0]), "field 'delay' is not 0; netx ignores the delays of convolutions"),
    (at("layer/1/bias", [1, 2]), "field 'bias' has shape (2,), must have (4,) or (6, 4, 4)"),
    (at("layer/1/bias", [5000, 0, 0, 0]), "field 'bias' reaches 0..5000, outside -4096..4095"),
    (at("layer/1/mystery", 1), "layer 1 (conv): unknown field 'mystery'"),
    (at("layer/0/shape", [2, 6, 8]), "layer 1 (conv): field 'weight' takes 3 channels, it gets 2"),
    (
        at("layer/0/shape", [144]),
        "a convolution takes maps (c, h, w), and what comes before it has shape (144,)",
    ),
    (at("layer/0/weight", [1, 2]), "layer 0 (input): field 'weight' has 2 values, must have one"),
    (
        at("layer/0/neuron/iDecay", 4000),
        "layer 0 (input): neuron field 'iDecay' is 4000: netx gives a constant input",
    ),
    (at("layer/2/type", "input"), "layer 2 (input): an input layer behind other layers"),
    (at("layer/2/mystery", 1), "layer 2 (flatten): unknown field 'mystery'"),
    (at("layer/3/type", "flatten"), "layer 3 (flatten): unknown field"),
    (
        at("layer/3/weight", np.full((5, 95), 2)),
        "layer 3 (dense): field 'inFeatures' is 96, the weights and shape say 95",
    ),
    (
        at("layer/3/weight", np.full((4, 96), 2)),
        "layer 3 (dense): field 'weight' has shape (4, 96), must have 5 rows",
    ),
    (at("layer/3/weight", np.full((5, 96), 256)), "field 'weight': weights reach 256, more than 8 bits hold"),
    (at("layer/3/delay", 70), "field 'delay' reaches 70..70, outside 0..62"),
    (
        at("layer/3/delay", [1, 2]),
        "field 'delay' has shape (2,), which does not fit weights of shape (5, 96)",
    ),
    (at("layer/3/bias", [1, 2]), "field 'bias' has 2 values for 5 neurons"),
    (at("simulation/Ts", 3), "simulation: field 'tSample' is 16 in steps of 3: no whole number of steps"),
    (at("sne_deploy", {"version": 7}), "group 'sne_deploy': field 'version' is not 1"),
]


@pytest.mark.parametrize(("change", "text"), REFUSED, ids=[text[:40] for _, text in REFUSED])
def test_refusals(tmp_path: Path, change: Callable[[Tree], None], text: str) -> None:
    tree = copy.deepcopy(old_file())
    change(tree)
    path = store(tmp_path / "a.net", tree)
    with pytest.raises((GraphError, UnsupportedError)) as caught:
        read_net(path)
    message = str(caught.value)
    assert text in message
    assert message.startswith(f"{path}: ")
    assert "\n" not in message


def test_every_unsupported_layer_is_listed(tmp_path: Path) -> None:
    tree = old_file()
    tree["layer"]["1"]["type"], tree["layer"]["3"]["neuron"]["type"] = "pool", "RF"
    with pytest.raises(UnsupportedError) as caught:
        read_net(store(tmp_path / "a.net", tree))
    assert len(caught.value.problems) == 2


DENSE_REFUSED: list[tuple[Tree, str]] = [
    ({"weight_rec": [[2, 4]], "type": "dense_rec"}, "field 'weight_rec' has shape (1, 2), must have 2 rows"),
    (
        {"weight_rec": np.eye(2), "type": "dense_rec", "delay": 1},
        "field 'delay' is not 0 in a recurrent layer",
    ),
    ({"weight_rec": np.eye(2)}, "unknown field 'weight_rec'"),
    (
        {"neuron": {**NEW_NEURON, "iDecay": 0, "vDecay": 4096, "vThMant": 131072}, "bias": [1, 1]},
        "v is the sum of its inputs",
    ),
]


@pytest.mark.parametrize(("last", "text"), DENSE_REFUSED, ids=[text[:40] for _, text in DENSE_REFUSED])
def test_dense_refusals(tmp_path: Path, last: Tree, text: str) -> None:
    with pytest.raises(GraphError, match="layer 1") as caught:
        read(tmp_path, dense_file([[2, 4], [6, -8]], [[2, 4], [4, 2]], **last))
    assert text in str(caught.value)


def test_layers_that_do_not_chain(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=r"layer 1 \(dense\): field 'weight' has 3 columns for 2 inputs"):
        read(tmp_path, dense_file([[2, 4], [6, -8]], [[2, 4, 6]]))
    silent = dense_file([[2, 4], [6, -8]], [[2, 4]])
    del silent["layer"]["0"]["neuron"]
    with pytest.raises(
        GraphError, match=r"layer 0 \(dense\): field 'neuron' is missing, so that it does not spike"
    ):
        read(tmp_path, silent)
    maps = old_file()
    maps["layer"]["2"] = maps["layer"].pop("3")
    with pytest.raises(
        GraphError, match=r"a dense layer behind maps of shape \(4, 4, 6\) without a flatten layer"
    ):
        read(tmp_path, maps)
    open_end = old_file()
    del open_end["layer"]["3"]
    with pytest.raises(GraphError, match="it must end with a layer of neurons"):
        read(tmp_path, open_end)


EXTRA_REFUSED: list[tuple[Callable[[Tree], None], str]] = [
    (at("readout", "v_last"), "field 'readout' is 'v_last', which does not fit the last layer's threshold"),
    (at("readout", "loud"), "field 'readout' is 'loud', not one of count, v_last"),
    (at("groups/1/kind", "li"), "groups, 1: field 'kind' is 'li', which the layer's neurons are not"),
    (at("groups/1/shape", [2, 2]), "field 'shape' is (2, 2), the layer has 75 neurons"),
    (at("groups/1/scale", -1.0), "field 'scale' is -1, must be above 0"),
    (at("groups/1/v_reset", [0.0, 1.0]), "field 'v_reset' has shape (2,) for 75 neurons"),
    (at("groups/1/per_neuron", ["du", "x"]), "field 'per_neuron' names a field that is none of"),
    (at("groups/1/name", "in"), "field 'groups' names a group twice"),
    (at("groups/2", ...), "field 'groups' holds 2 groups; it must hold 3, one for each layer of neurons"),
    (at("synapses/0/target", 2), "synapses, 1: no such synapse in the layers"),
    (at("synapses/0/sign_mode", "odd"), "field 'sign_mode' is 'odd', not one of mixed"),
    (at("synapses/0/name", "s1"), "field 'synapses' names a synapse twice"),
    (
        at("host/indices", np.arange(60, dtype=np.int32) + 1),
        "field 'indices' is no sparse matrix of shape (60, 60)",
    ),
    (at("host/data", np.full(60, np.inf)), "or the matrix is not finite"),
    (at("host/register_limit", 5000), "field 'register_limit' is 5000, outside 1..4095"),
    (at("input/range", [1.0, 0.0]), "field 'range' must be two numbers, low < high"),
    (at("timesteps", 0), "field 'timesteps' is 0, outside 1..1000000"),
    (at("student", ...), "field 'student' is missing"),
]


@pytest.mark.parametrize(("change", "text"), EXTRA_REFUSED, ids=[text[:40] for _, text in EXTRA_REFUSED])
def test_a_group_that_does_not_fit_the_layers(
    tmp_path: Path, change: Callable[[Tree], None], text: str
) -> None:
    write_net(tmp_path / "a.net", chain("cd", "current", "count")[0])
    with h5py.File(tmp_path / "a.net", "r+") as file:
        tree = _tree(file["sne_deploy"])
        change(tree)
        del file["sne_deploy"]
        _store_again(file, "sne_deploy", tree)
    with pytest.raises(GraphError) as caught:
        read_net(tmp_path / "a.net")
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_its_group_the_network_is_the_same(tmp_path: Path) -> None:
    program, inputs = chain("crd", "spikes", "v_last")
    write_net(tmp_path / "a.net", program)
    with h5py.File(tmp_path / "a.net", "r+") as file:
        del file["sne_deploy"]
    again = read_net(tmp_path / "a.net")
    assert [group.name for group in again.groups] == ["conv-1", "dense_rec-3", "dense-4"]
    assert simulate(again, inputs).raw_outputs == simulate(program, inputs).raw_outputs


def _tree(group: h5py.Group) -> Tree:
    return {
        name: _tree(value)
        if isinstance(value, h5py.Group)
        else (value.asstr()[()] if h5py.check_string_dtype(value.dtype) else value[()])
        for name, value in group.items()
    }


def _store_again(group: h5py.Group, name: str, value: Any) -> None:
    if isinstance(value, dict):
        inner = group.create_group(name)
        for key, part in value.items():
            _store_again(inner, key, part)
    elif isinstance(value, str) or np.asarray(value).dtype.kind in "OU":
        group.create_dataset(name, data=value, dtype=h5py.string_dtype())
    else:
        group.create_dataset(name, data=value)


JUNK = st.one_of(
    st.sampled_from(["", "conv", "dense", "CUBA", "\x1b[2J", "sparse", "mixed"]),
    st.lists(st.sampled_from(["du", "", "x"]), max_size=3),
    st.sampled_from([{}, {"type": "input"}, {"0": {}}, {"weight": np.ones(3)}]),
    st.builds(
        lambda shape, value, kind: np.full(shape, value).astype(kind),
        st.sampled_from([(), (1,), (0,), (2,), (3,), (4,), (5, 96), (4, 3, 3, 3), (1, 1, 1, 1, 1, 1)]),
        st.sampled_from([0, 1, 2, -1, 127, 128, 255, 4096, 131071, -(2**31), 2**31 - 1]),
        st.sampled_from(["int8", "uint8", "int32", "int64", "uint64", "float32", "float64", "bool"]),
    ),
    st.sampled_from([np.asarray(x) for x in (np.nan, np.inf, -np.inf, 0.5, 1e300, -1e300, 2.0**63)]),
)


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> list[Tree]:
    """As the reader gives them: an old file, and one of our own."""
    folder = tmp_path_factory.mktemp("trees")
    store(folder / "a.net", old_file())
    write_net(folder / "b.net", chain("crd", "current", "v_last")[0])
    return [read_hdf5(folder / name, ROOTS) for name in ("a.net", "b.net")]


@settings(
    max_examples=examples(400), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_change_gives_a_program_or_an_error_of_ours(trees: list[Tree], data: st.DataObject) -> None:
    tree = copy.deepcopy(data.draw(st.sampled_from(trees)))
    for _ in range(data.draw(st.integers(1, 3))):
        places = [(group, name) for group in _groups(tree) for name in sorted(group)]
        if not places:
            break
        group, name = places[data.draw(st.integers(0, len(places) - 1))]
        what = data.draw(st.sampled_from(["remove", "replace", "replace", "rename"]))
        value = group.pop(name)
        if what != "remove":
            group[
                name if what == "replace" else data.draw(st.sampled_from(["0", "9", "bias", "delay", "x"]))
            ] = copy.deepcopy(data.draw(JUNK)) if what == "replace" else value
    try:
        program = program_of(tree, "a", ReadOptions())
    except (GraphError, UnsupportedError):
        return
    verify(program, "reading")


def _groups(tree: Tree) -> list[Tree]:
    return [tree] + [inner for value in tree.values() if isinstance(value, dict) for inner in _groups(value)]
