"""Graphs that other frameworks exported, compiled here: their spikes, and what becomes of faulty files.

Floating point must give the framework's own spikes, every one, in every layer. Fixed point has 8-bit weights:
its rates and counts must stay close, and ``lava`` and ``loihi`` must give the same bits.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache

import nir
import numpy as np
import pytest

import sne_deploy as sne
from sne_deploy.errors import GraphError
from sne_deploy.frontend.graph_models import ASSUMED
from sne_deploy.frontend.nir.conventions import MULTI_SPIKE
from sne_deploy.frontend.nir.file import read_nir, write_nir
from tests.interop.live import LOST, compare
from tests.interop.stored import Stored, load, names

pytestmark = pytest.mark.usefixtures("warm_lava")

MEMBRANE = 1e-6
FIRST_LAYER, COUNTS, RATE = 0.85, 0.97, 0.01
"""Fixed point: overlap of the first layer's spikes, correlation of counts, difference of rates."""
REFUSED = {
    "norse_fault_none": (1e-3, "norse_fault_none.nir: holds no graph, only what nir.write had written"),
    "norse_fault_thousandth": (
        1e-3,
        "Norse 1.1.0's own export .* multiply them by 1000",
    ),
    "snntorch_fault_beta_one": (1e-4, "node '1' .LIF.: field 'tau' .* infinite"),
}
NOTED = {
    "norse_fault_batch_axis": r"declares shape \(8, 24\); read as \(24,\)",
    "norse_fault_iaf_dt": r"node '3' \(IF\): r is 1.* exporters of Norse .* --convention norse",
    "norse_fault_w_in": r"nodes '1', '3' .* w_in .* Norse's own export",
    "sinabs_fault_time_axis": r"declares shape \(40, 24\); read as \(24,\)",
}
NO_FIELD = (
    "sinabs_fault_min_v_mem",
    "sinabs_fault_multi_spike",
    "sinabs_fault_reset_value",
    "snntorch_fault_rsynaptic_zero_delay",
    "snntorch_fault_subtract_twice",
    "snntorch_fault_synaptic_zero_delay",
    "spikingjelly_fault_cuba_start",
    "spikingjelly_fault_ties",
)
"""What these do cannot be said in NIR, nor in the metadata that this project reads."""
ON_LAVA = (
    "norse_conv",
    "sinabs_conv_subtract",
    "sinabs_lif_subtract",
    "snntorch_leaky_subtract_delay",
    "snntorch_rleaky_zero",
    "snntorch_rsynaptic_subtract_delay",
    "spikingjelly_conv_v_reset",
    "spikingjelly_cuba",
)
"""Every kind of layer and of reset once, where Lava runs fixed point too."""
RECURRENT = tuple(name for name in names(fault=False) if name.startswith("snntorch_r"))


def compiled(stored, tmp_path, target, precision, path=None):
    """The recording's graph with what its framework leaves to be said: dt and reset."""
    about, path = stored.about, path or stored.path
    reset = "subtract" if about["reset"] == "subtract" else None
    if about["reset"] == "subtract_delayed":
        graph = read_nir(path)
        for node in graph.nodes.values():
            if isinstance(node, (nir.LIF, nir.CubaLIF, nir.IF)):
                node.metadata |= {"reset": "subtract", "reset_delayed": True}
        path = tmp_path / f"{stored.name}.nir"
        write_nir(path, graph)
    ensemble = sne.load(path, timesteps=about["timesteps"], dt_s=stored.rules.dt_s, reset=reset)
    return sne.compile(ensemble, target=target, precision=precision, fidelity=False)


def run(stored, tmp_path, target, precision, path=None):
    """What the first student gave."""
    with compiled(stored, tmp_path, target, precision, path) as network:
        return network.run(stored.inputs, record="spikes").students[0]


def spiking(stored):
    return {node: values for node, values in stored.outputs.items() if values.dtype == bool}


def assert_equal(stored: Stored, student):
    for node, expected in spiking(stored).items():
        assert int((student.spikes[node] != expected).sum()) == 0, node
    for expected in (values for values in stored.outputs.values() if values.dtype.kind == "f"):
        assert student.program.readout == "v_last"
        np.testing.assert_allclose(student.outputs, expected[:, -1], rtol=0, atol=MEMBRANE)


@pytest.mark.parametrize("target", ["norse", "lava"])
@pytest.mark.parametrize("name", names(fault=False))
def test_floating_point_gives_the_frameworks_spikes(name, target, tmp_path):
    stored = load(name)
    with compiled(stored, tmp_path, target, "float") as network:
        notes = network.ensemble.students[0].notes  # a sound file gives nothing to note
        assert all(note.startswith(ASSUMED) for note in notes if note != MULTI_SPIKE)
        assert (MULTI_SPIKE in notes) == (name.startswith("sinabs") and stored.rules.dt_s == 1)
        assert_equal(stored, network.run(stored.inputs, record="spikes").students[0])


@cache
def fixed(name, target, folder):
    return run(load(name), folder, target, "fixed").spikes


@pytest.mark.parametrize("name", names(fault=False))
def test_fixed_point_stays_close(name, tmp_path_factory):
    stored = load(name)
    spikes = fixed(name, "loihi", tmp_path_factory.getbasetemp())
    for index, (node, expected) in enumerate(spiking(stored).items()):
        assert abs(spikes[node].mean() - expected.mean()) < RATE
        counts = [values.sum(axis=1).ravel() for values in (spikes[node], expected)]
        assert np.corrcoef(*counts)[0, 1] > COUNTS
        if index == 0 and name not in RECURRENT:
            overlap = (spikes[node] & expected).sum() / (spikes[node] | expected).sum()
            assert overlap > FIRST_LAYER


@pytest.mark.parametrize("name", ON_LAVA)
def test_lava_and_loihi_give_the_same_bits(name, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp()
    lava, loihi = (fixed(name, target, folder) for target in ("lava", "loihi"))
    assert lava.keys() == loihi.keys()
    for node in lava:
        assert np.array_equal(lava[node], loihi[node])


@pytest.mark.parametrize(("name", "dt_s", "match"), [(name, *rest) for name, rest in REFUSED.items()])
def test_a_file_that_makes_no_sense_is_refused(name, dt_s, match):
    with pytest.raises(GraphError, match=match) as error:
        sne.load(load(name).path, timesteps=40, dt_s=dt_s)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name", [name for name in names(fault=True) if name not in (*NO_FIELD, "norse_fault_none")]
)
def test_a_repaired_file_gives_the_frameworks_spikes(name, tmp_path):
    stored = load(name)
    graph = stored.repaired_graph
    for node in graph.nodes.values():
        if isinstance(node, (nir.AvgPool2d, nir.SumPool2d)):
            node.padding = np.broadcast_to(node.padding, (2,)).copy()
    path = tmp_path / f"{name}.nir"
    write_nir(path, graph)
    assert_equal(stored, run(stored, tmp_path, "norse", "float", path))


SAID = [name for name in names(fault=True) if name not in LOST and name != "norse_fault_batch_axis"]
"""Faults that a framework's convention knows."""


@pytest.mark.parametrize("name", [name for name in SAID if not name.startswith("snntorch")])
def test_a_convention_makes_a_file_what_its_framework_computed(name):
    assert compare(load(name)).differ == 0


@pytest.mark.parametrize(("name", "match"), list(NOTED.items()))
def test_a_file_in_doubt_is_read_with_a_note(name, match):
    stored = load(name)
    (student,) = sne.load(stored.path, timesteps=40, dt_s=stored.about["dt_s"]).students
    assert any(re.search(match, note) for note in student.notes)


@pytest.mark.parametrize("name", ["norse_fault_batch_axis", "sinabs_fault_time_axis"])
def test_a_leading_axis_is_no_part_of_the_shape(name, tmp_path):
    stored = load(name)
    assert_equal(stored, run(stored, tmp_path, "norse", "float"))


@pytest.mark.parametrize("name", [name for name in names(fault=False) if name.startswith("snntorch")])
def test_a_wrong_dt_is_told_the_right_one(name):
    with pytest.raises(GraphError, match=r"imply dt = 0\.0001 s: give --dt-s 0\.0001"):
        sne.load(load(name).path, timesteps=40, dt_s=1e-3)


def test_the_reset_must_be_asked_for(tmp_path):
    """Without it, a graph of a subtracting framework runs as NIR says it: to v_reset."""
    stored = load("sinabs_iaf_subtract")
    wrong = replace(stored, about={**stored.about, "reset": "value"})
    spikes = run(wrong, tmp_path, "norse", "float").spikes
    assert sum(int((spikes[node] != expected).sum()) for node, expected in spiking(stored).items()) > 100
