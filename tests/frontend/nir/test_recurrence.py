"""Recurrent layers whose input goes through the recurrent matrix, and the same with a straight input."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

from sne_deploy.frontend.graph_models import ensemble_of_graphs
from sne_deploy.frontend.nir.normalise import normalise
from sne_deploy.frontend.nir.recurrence import through_recurrence, with_straight_input
from sne_deploy.frontend.options import ReadOptions
from tests.interop.simulation import Rules, simulate

SIZE, STEPS = 5, 30
BETA = 0.75


def layer(entry: str) -> nir.NIRGraph:
    """A recurrent layer as a graph of its own, its input led into ``entry``, behind a matrix."""
    rng = np.random.default_rng(2)
    ones = np.ones(SIZE)
    lif = nir.LIF(tau=ones / (1 - BETA), r=BETA * ones, v_leak=0 * ones, v_threshold=ones, v_reset=0 * ones)
    inner = nir.NIRGraph(
        {
            "in": nir.Input(np.array([SIZE])),
            "w_rec": nir.Linear(rng.normal(0, 0.5, (SIZE, SIZE))),
            "lif": lif,
            "out": nir.Output(np.array([SIZE])),
        },
        [("in", entry), ("w_rec", "lif"), ("lif", "w_rec"), ("lif", "out")],
        type_check=False,
    )
    nodes: dict[str, Any] = {
        "input": nir.Input(np.array([4])),
        "fc": nir.Linear(rng.normal(0.3, 0.5, (SIZE, 4))),
        "rnn": inner,
        "output": nir.Output(np.array([SIZE])),
    }
    return nir.NIRGraph(nodes, [("input", "fc"), ("fc", "rnn"), ("rnn", "output")], type_check=False)


def own_spikes(graph: nir.NIRGraph, x: Any) -> Any:
    """Spyx' RLIF: a spike of what the membrane was, fed back in its own step."""
    v, spikes = np.zeros((len(x), SIZE)), []
    fc, w_rec = graph.nodes["fc"].weight, graph.nodes["rnn"].nodes["w_rec"].weight
    for t in range(STEPS + 1):
        s = v > 1
        now = x[:, t] @ fc.T if t < STEPS else 0
        v = BETA * v + now + s @ w_rec.T - s
        spikes.append(s)
    return np.stack(spikes, axis=1)[:, 1:]


def test_a_convention_leads_the_input_straight_to_the_neurons() -> None:
    written = layer("w_rec")
    x = np.random.default_rng(0).integers(0, 2, (4, STEPS, 4))
    (plain,) = ensemble_of_graphs([written], ["a"], ReadOptions(timesteps=STEPS, dt_s=1.0)).students
    assert any("through one matrix" in note and "--convention spyx" in note for note in plain.notes)
    (student,) = ensemble_of_graphs([written], ["a"], ReadOptions(STEPS, convention="spyx")).students
    assert not any("matrix" in note for note in student.notes)
    expected = own_spikes(written, x)
    spikes = simulate(student.network, x, Rules(1.0, "subtract_delayed")).values["rnn.lif"]
    assert np.array_equal(spikes, expected)
    assert 0.05 < expected.mean() < 0.95


@pytest.mark.parametrize("entry", ["lif", "w_rec"])
def test_a_straight_input_is_left_alone(entry: str) -> None:
    made = normalise(layer(entry))
    assert through_recurrence(made) == ({"rnn.w_rec": "rnn.lif"} if entry == "w_rec" else {})
    straight = with_straight_input(made)
    assert straight.edges == normalise(layer("lif")).edges
    assert with_straight_input(straight) is straight
