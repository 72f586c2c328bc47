"""SANA-FE on placed students: its counts and charges, held to the simulation and to the mesh.

From the root: ``PYTHONPATH=backends/sne_sanafe pytest backends/sne_sanafe/tests``.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sanafe", reason="SANA-FE is not installed: pip install sanafe")
pytest.importorskip(
    "sne_sanafe", reason="PYTHONPATH lacks backends/sne_sanafe, and sne-sanafe is not installed"
)

import sne_deploy as sne
from sne_deploy.chips.chip import load_chip
from sne_deploy.data import load_data
from sne_deploy.errors import MappingError, VerificationError
from sne_deploy.mapping.mapper import map_programs
from sne_deploy.mapping.mesh import Mesh, hops
from sne_sanafe import Comparison, compare
from sne_sanafe.chip import Found, Network, core_number, student
from sne_sanafe.comparison import _checked
from sne_sanafe.constants import Charges, charges
from sne_sanafe.table import figures, text
from tests.small_programs import one_layer

ROOT = Path(__file__).parents[3]
DIGITS = ROOT / "examples" / "digits" / "model.pt"
LOIHI1 = load_chip("loihi1")


@pytest.fixture(scope="module")
def digits() -> Comparison:
    ensemble = sne.load(DIGITS)
    data = load_data(
        "digits", input_shape=ensemble.input_shape, timesteps=ensemble.timesteps, encoder=ensemble.encoder
    )
    with sne.compile(ensemble, target="loihi") as compiled:
        return compare(compiled, data.x[:3])


@pytest.fixture(scope="module")
def price() -> Charges:
    return charges()


def test_the_charges_are_those_that_the_description_of_loihi_gives(price: Charges) -> None:
    expected = (51.2, 51.2 + 21.6, 69.3, 35.5, 111.0, 3.0, 4.2)
    assert np.multiply(list(vars(price).values()), 1e12) == pytest.approx(expected)


def test_messages_cross_the_links_of_our_mesh(price: Charges) -> None:
    mesh, rng = Mesh.of(LOIHI1), np.random.default_rng(0)
    sites = [mesh.site(0, int(place)) for place in rng.permutation(128)]
    pairs = [(int(a), int(b)) for a, b in rng.integers(0, 128, (60, 2))]
    network = Network()
    network.add("group", [core_number(site) for site in sites])
    network.join("group", "group", pairs)
    (found,) = network.run({"group": np.ones((1, 128), bool)}, 1)
    source, target = np.array(sorted(set(pairs))).T
    way = hops(sites, source, target, mesh)
    assert found.messages == len(source)
    expected = len(source) * price.message_j
    expected += way.east_west.sum() * price.east_west_j + way.north_south.sum() * price.north_south_j
    assert found.network_j == pytest.approx(expected)
    assert found.synops == 60


def test_spikes_from_outside_enter_by_inputs_that_cost_messages_alone(price: Charges) -> None:
    program = one_layer([[4, 0, 2], [2, -6, 0]], "mixed")
    network = student(program, map_programs((program,), LOIHI1))
    given = np.array([[1, 1, 0], [0, 0, 0], [0, 0, 1]], bool)
    found = network.run({"input": given}, 3)
    assert [each.synops for each in found] == [2 + 1, 0, 1]
    assert [each.spikes for each in found] == [2, 0, 1]
    assert [each.updates - each.spikes for each in found] == [2, 2, 2]
    assert [each.soma_j for each in found] == pytest.approx([2 * price.update_j] * 3)
    assert found[0].network_j >= 2 * price.message_j
    assert found[1].network_j == 0


def test_drawn_spikes_enter_as_the_encoder_draws_them() -> None:
    import norse.torch as norse
    import torch

    torch.manual_seed(0)
    module = norse.SequentialState(torch.nn.Linear(12, 20), norse.LIFBoxCell(), torch.nn.Linear(20, 3))
    model = sne.ensemble(module, input_shape=12, timesteps=5, encoder="bernoulli", readout="v_last")
    with sne.compile(model, target="loihi", seed=7) as compiled:
        x = np.random.default_rng(0).random((4, 12))
        found = compare(compiled, x, seed=7)
        assert found.found.spikes - found.counts.spikes == found.counts.input_spikes > 0
        with pytest.raises(VerificationError, match="SANA-FE counted"):
            compare(compiled, x, seed=8)


def test_a_network_that_sends_nothing_costs_its_updates(price: Charges) -> None:
    import norse.torch as norse
    import torch

    module = norse.SequentialState(torch.nn.Linear(12, 20), norse.LIBoxCell())
    model = sne.ensemble(module, input_shape=12, timesteps=5, encoder="constant", readout="v_last")
    with sne.compile(model, target="loihi") as compiled:
        found = compare(compiled, np.zeros((2, 12)))
    assert found.found.total_j == pytest.approx(20 * 5 * 2 * price.update_j)
    assert "SynOp" in text(found)


def test_the_total_on_digits_is_within_25_percent(digits: Comparison) -> None:
    assert 0.8 < digits.total.ratio < 1.25
    synapse, dendrite, soma, network = digits.terms
    assert dendrite.sanafe_j == dendrite.ours_j == 0
    assert synapse.ratio < 35.5 / 23.6
    assert 0.9 < soma.ratio < 1.25
    assert network.ratio > 10
    assert digits.found.total_j == pytest.approx(sum(term.sanafe_j for term in digits.terms))


def test_the_energies_are_the_counts_times_the_charges(digits: Comparison, price: Charges) -> None:
    neurons = digits.updates * price.update_j + digits.counts.spikes * price.spike_j
    assert digits.found.soma_j == pytest.approx(neurons)
    assert digits.found.synops == digits.counts.synops + digits.late_synops
    assert digits.late_synops > 0  # a student has a cycle
    assert 0 < digits.quiet_s < digits.found.time_s
    assert 0 < digits.time_quiet_s < digits.time_s
    read = digits.found.synapse_j / digits.found.synops
    assert 24.0e-12 < read < 35.5e-12


def test_what_sanafe_counts_otherwise_is_refused() -> None:
    with sne.compile(sne.load(DIGITS), target="loihi") as compiled:
        run = compiled.run(np.zeros((1, 1, 8, 8)), record="spikes").run
    result = next(each for each in run.students if each.name == "dense")
    sent = {name: spikes.reshape(16, -1) for name, spikes in result.spikes.items()}
    with pytest.raises(VerificationError, match="SANA-FE counted 1000000 SynOps, not "):
        _checked(result, Found(synops=1_000_000), sent, 16)


def test_a_placement_of_several_chips_is_refused() -> None:
    program = one_layer([[2]], "mixed")
    placement = replace(map_programs((program,), LOIHI1), chips=2)
    with pytest.raises(MappingError, match="2 chips of loihi1, and SANA-FE describes one"):
        student(program, placement)


def test_the_table_has_every_term_and_the_json_the_same_numbers(digits: Comparison) -> None:
    table, numbers = text(digits), json.loads(json.dumps(figures(digits)))
    for term, line in zip(numbers["terms"], table.splitlines()[2:], strict=False):
        assert line.startswith(term["sanafe"])
        assert f"{term['sanafe_j'] * 1e6:.4f}" in line
        assert term["ratio"] is None or line.endswith(f"{term['ratio']:.2f}")
    assert numbers["counts"]["synops"] == digits.counts.synops
