"""Graded input is computed on the host at each step: what is counted for it, and what is refused."""

from __future__ import annotations

import nir
import numpy as np
import pytest

import sne_deploy as sne
from sne_deploy.backend import RunOptions
from sne_deploy.errors import UnsupportedError
from sne_netx import NetxBackend

pytestmark = pytest.mark.usefixtures("warm_lava")

STEPS = 6


def branched(*, delayed: bool = False) -> nir.NIRGraph:
    """The input enters both groups; of the second one, it meets what the first sends."""
    rng = np.random.default_rng(0)

    def lif(size: int) -> nir.LIF:
        ones = np.ones(size)
        return nir.LIF(ones * 0.01, ones * 10, ones * 0, ones * 0.5, v_reset=ones * 0)

    second = np.array([[1.0, 0.0, -1.0], [0.0, 0.5, 0.0]])
    nodes = {
        "input": nir.Input(np.array([3])),
        "fc": nir.Affine(rng.normal(0.2, 0.3, (4, 3)), rng.normal(0, 0.1, 4)),
        "a": lif(4),
        "ab": nir.Linear(rng.normal(0, 0.5, (2, 4))),
        "skip": nir.Linear(second),
        "b": lif(2),
        "output": nir.Output(np.array([2])),
    }
    edges = [("input", "fc"), ("fc", "a"), ("a", "ab"), ("ab", "b"), ("skip", "b"), ("b", "output")]
    if delayed:
        nodes["late"] = nir.Delay(np.full(3, 0.002))
        edges += [("input", "late"), ("late", "skip")]
    else:
        edges += [("input", "skip")]
    return nir.NIRGraph(nodes, edges, type_check=False)


def model(**changes: bool) -> sne.Ensemble:
    graph = branched(**changes)
    return sne.load(graph, timesteps=STEPS, dt_s=0.001, encoder="graded", input_range=(-4, 4), reset="value")


def test_what_is_counted() -> None:
    """12 + 3 multiplications and 4 + 2 messages at every step; no SynOp of the input."""
    x = np.random.default_rng(1).uniform(-4, 4, (7, STEPS, 3))
    with sne.compile(model(), "loihi") as compiled:
        result = compiled.run(x, record="spikes", verify=2)
    (student,) = result.students
    assert student.host_macs.tolist() == [15 * STEPS] * 7
    assert student.input_spikes.tolist() == [6 * STEPS] * 7
    sent = student.spikes["a"][:, :STEPS].sum(axis=1)
    (synapse,) = student.program.synapses
    assert synapse.source == "a"
    assert (
        student.synops.tolist()
        == (sent @ np.count_nonzero(synapse.weights.matrix().toarray(), axis=0)).tolist()
    )
    assert sent.any()


def test_steps_do_not_mix() -> None:
    """In floating point, each step has its own input: the plain recurrence, by hand."""
    x = np.random.default_rng(2).uniform(-4, 4, (5, STEPS, 3))
    nodes = branched().nodes
    wanted = np.zeros((5, 2))
    for sample, frames in enumerate(x):
        v, w = np.zeros(4), np.zeros(2)
        for frame in frames:
            v = 0.9 * v + nodes["fc"].weight @ frame + nodes["fc"].bias
            fired = v > 0.5
            v = np.where(fired, 0, v)
            w = 0.9 * w + nodes["ab"].weight @ fired + nodes["skip"].weight @ frame
            out = w > 0.5
            w = np.where(out, 0, w)
            wanted[sample] += out
    for target in ("norse", "lava"):
        with sne.compile(model(), target, precision="float") as compiled:
            np.testing.assert_array_equal(compiled.run(x).logits, wanted)
    assert len(np.unique(wanted)) > 2


def test_what_would_be_late_or_has_no_file_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="node 'late' delays a graded input, which would begin late"):
        sne.compile(model(delayed=True), "norse")
    with sne.compile(model(), "loihi") as compiled, pytest.raises(UnsupportedError) as refused:
        NetxBackend().compile(compiled.programs[0], RunOptions())
    assert any("graded input, which differs from step to step" in text for text in refused.value.problems)
