"""Neurons whose threshold is infinite are read by their membrane; empty shapes follow from the network."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

import sne_deploy as sne
from sne_deploy.errors import GraphError
from sne_deploy.frontend.nir.file import read_nir
from sne_deploy.frontend.nir.neuron_nodes import node_class
from sne_deploy.frontend.nir.normalise import normalise
from sne_deploy.neurons import cuba_li
from tests.frontend.nir.test_input_shapes import chain, lif

SIZE = 3


def neurons(kind: Any, **more: Any) -> Any:
    ones = np.ones(SIZE)
    taus = {
        nir.LIF: {"tau": 0.02 * ones, "v_leak": 0.1 * ones},
        nir.IF: {},
        nir.CubaLIF: {
            "tau_mem": 0.02 * ones,
            "tau_syn": 0.004 * ones,
            "w_in": 4 * ones,
            "v_leak": 0.1 * ones,
        },
    }
    return kind(
        **taus[kind],
        r=2 * ones,
        v_threshold=more.pop("v_threshold", np.full(SIZE, np.inf)),
        v_reset=0 * ones,
        **more,
    )


READOUTS = {nir.LIF: nir.LI, nir.IF: nir.I, nir.CubaLIF: node_class(cuba_li.NODE)}


@pytest.mark.parametrize("kind", READOUTS)
@pytest.mark.parametrize("threshold", [np.inf, 1e35, float(np.finfo(np.float32).max)])
def test_an_infinite_threshold_is_a_readout(kind: Any, threshold: float, tmp_path: Any) -> None:
    weights = nir.Linear(np.arange(12.0).reshape(3, 4))
    fires = neurons(kind, v_threshold=np.full(SIZE, threshold), metadata={"reset": "subtract"})
    fields = {
        f: getattr(fires, f)
        for f in ("tau", "tau_mem", "tau_syn", "w_in", "v_leak", "r")
        if hasattr(fires, f)
    }
    path = tmp_path / "net.nir"
    nir.write(path, nir.NIRGraph.from_list(weights, fires, type_check=False))
    x = np.random.default_rng(0).integers(0, 2, (5, 20, 4)).astype(np.uint8)
    outputs = []
    for graph in (read_nir(path), chain(weights, fires), chain(weights, READOUTS[kind](**fields))):
        ensemble = sne.load(graph, timesteps=20, dt_s=1e-3, gain=None)
        (student,) = ensemble.students
        assert student.readout == "v_last"
        said = [note for note in student.notes if "v_threshold is infinite, so it never spikes" in note]
        assert len(said) == (len(outputs) < 2)
        with sne.compile(ensemble, target="norse") as network:
            outputs.append(network.run(x).students[0].outputs)
    assert np.array_equal(outputs[0], outputs[2])
    assert np.array_equal(outputs[1], outputs[2])
    assert np.ptp(outputs[0]) > 0


def test_what_is_neither_a_readout_nor_spikes_is_refused() -> None:
    with pytest.raises(GraphError, match=r"v_threshold is infinite in 1 of 3 neurons.*divide the node"):
        normalise(chain(neurons(nir.LIF, v_threshold=np.array([1.0, np.inf, 1.0]))))
    elsewhere = neurons(nir.IF)
    elsewhere.v_reset = np.full(SIZE, -1.0)
    with pytest.raises(GraphError, match=r"v starts at v_reset, which is not 0; write v_reset 0"):
        normalise(chain(elsewhere))


@pytest.mark.parametrize("port", ["input", "output"])
@pytest.mark.parametrize("empty", [np.zeros(0, np.int64), np.zeros(0)])
def test_an_empty_shape_follows_from_the_network(port: str, empty: Any, tmp_path: Any) -> None:
    made = chain(nir.Linear(np.ones((3, 4))), lif(3), enters=np.array([4]), leaves=np.array([3]))
    whole = normalise(made)
    setattr(made.nodes[port], f"{port}_type", {port: empty})
    path = tmp_path / "net.nir"
    nir.write(path, made)
    for graph in (made, read_nir(path)):
        again = normalise(graph)
        assert {name: tuple(node.output_type["output"]) for name, node in again.nodes.items()} == {
            name: tuple(node.output_type["output"]) for name, node in whole.nodes.items()
        }


def test_a_torso_says_so(tmp_path: Any) -> None:
    """What nir.write leaves where it fails, in a node or before the first."""
    for node in (nir.Scale(np.array([object()])), None):
        path = tmp_path / "net.nir"
        path.unlink(missing_ok=True)
        graph = chain(lif(3))
        graph.nodes["n0"] = node
        with pytest.raises((TypeError, AttributeError)):
            nir.write(path, graph)
        with pytest.raises(
            GraphError, match=r"holds no graph, only what nir.write had written .* Sinabs call"
        ):
            read_nir(path)
