"""Lava's floating-point models against Norse itself, in float64.

Both compute the same equations in another order of operations, so a membrane that meets its threshold to
within rounding may fire in one and not in the other, and what follows in that sample differs. Up to there,
every spike must be equal; and there, the membrane must lie within 1e-9 of the threshold.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import sne_deploy as sne
from sne_deploy.backend import RunOptions, load_backend
from sne_deploy.data.digits import digits_split
from sne_deploy.ir.program import NeuronGroup, Program
from sne_deploy.passes.pipeline import compile_student
from sne_deploy.runtime.trace import LayerTrace, Trace
from tests.chip_registers import LOIHI1
from tests.networks import INPUT_SHAPE, NETWORKS, network

pytestmark = pytest.mark.usefixtures("warm_lava")

MODEL = Path(__file__).parents[2] / "examples" / "digits" / "model.pt"
TOLERANCE = 1e-9


def first_differences(program: Program, lava: Trace, norse: Trace) -> dict[int, float]:
    """Sample to the largest |v - v_th| where its spikes first differ; empty where all are equal."""
    layers = [
        (program.group(one.name), one, other)
        for one, other in zip(lava.layers, norse.layers, strict=True)
        if program.group(one.name).spiking
    ]
    found: dict[int, float] = {}
    for sample in range(len(layers[0][1].spikes)):
        steps = [_first_step(one, other, sample) for _, one, other in layers]
        step = min(steps)
        if step < program.timesteps:  # in the first layer that differs then: the others follow it
            group, one, other = layers[steps.index(step)]
            found[sample] = float(_distance(group, one, other, sample, step).max())
    return found


def _first_step(one: LayerTrace, other: LayerTrace, sample: int) -> int:
    assert one.recorded_spikes is not None
    assert other.recorded_spikes is not None
    a, b = one.recorded_spikes[sample], other.recorded_spikes[sample]
    assert a.shape == b.shape
    differ = (a != b).reshape(len(a), -1).any(axis=1)
    return int(differ.argmax()) if differ.any() else len(a)


def _distance(group: NeuronGroup, one: LayerTrace, other: LayerTrace, sample: int, step: int) -> np.ndarray:
    """|v - v_th| before a spike could reset v, of the neurons that differ at a step."""
    assert one.recorded_v is not None
    assert one.recorded_u is not None
    v = one.recorded_v[sample].reshape(-1, group.size)
    u = one.recorded_u[sample].reshape(-1, group.size)
    before = v[step - 1] if step else np.broadcast_to(group.v_init, group.size)
    membrane = (1 - group.dv) * before + u[step] + group.bias_mant
    differ = (one.recorded_spikes[sample, step] != other.recorded_spikes[sample, step]).reshape(-1)
    return np.broadcast_to(np.abs(membrane - group.vth_mant), group.size)[differ]


def run_both(program: Program, inputs: np.ndarray) -> tuple[Trace, Trace]:
    traces = []
    for target, record in (("lava", "all"), ("norse", "spikes")):
        with load_backend(target).compile(program, RunOptions()) as executable:
            traces.append(executable.run(inputs, record))
    return traces[0], traces[1]


def check(program: Program, inputs: np.ndarray) -> None:
    lava, norse = run_both(program, inputs)
    assert sum(int(layer.spikes.sum()) for layer in norse.layers) > len(inputs), "hardly a spike: no test"
    differences = first_differences(program, lava, norse)
    assert all(distance < TOLERANCE for distance in differences.values()), differences
    same = np.ones(len(inputs), bool)
    same[list(differences)] = False
    assert same.mean() > 0.9, f"samples {sorted(differences)} differ: rounding does not explain so many"
    np.testing.assert_allclose(lava.outputs[same], norse.outputs[same], rtol=1e-9, atol=1e-9)
    for one, other in zip(lava.layers, norse.layers, strict=True):
        np.testing.assert_array_equal(one.spikes[same], other.spikes[same], one.name)
        np.testing.assert_array_equal(one.synops[same], other.synops[same], one.name)
    np.testing.assert_array_equal(lava.input_spikes, norse.input_spikes)
    np.testing.assert_array_equal(lava.host_macs, norse.host_macs)


@pytest.mark.parametrize("name", ["conv", "dense", "current", "recurrent"])
def test_the_digits(name: str) -> None:
    ensemble = sne.load(MODEL)
    student = next(student for student in ensemble.students if student.name == name)
    program = compile_student(
        student,
        input_shape=ensemble.input_shape,
        timesteps=ensemble.timesteps,
        encoder=ensemble.encoder,
        precision="float",
        formats=LOIHI1,
    )
    x = digits_split()[2][:40].reshape(40, *ensemble.input_shape)
    check(program, np.asarray(x))


@pytest.mark.parametrize("encoder", ["spikes", "constant"])
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_small_networks(name: str, encoder: str) -> None:
    """Of every kind of cell, with parameters that are nowhere the default."""
    ensemble = sne.ensemble([network(name)], input_shape=INPUT_SHAPE, timesteps=15)
    kind = sne.Encoder(encoder)  # type: ignore[arg-type]  # one of the two
    program = compile_student(
        ensemble.students[0],
        input_shape=INPUT_SHAPE,
        timesteps=15,
        encoder=kind,
        precision="float",
        formats=LOIHI1,
    )
    rng = np.random.default_rng(5)
    spikes = (rng.random((12, 15, *INPUT_SHAPE)) < 0.4).astype(np.uint8)
    check(program, spikes if encoder == "spikes" else rng.random((12, *INPUT_SHAPE)))


def test_a_difference_away_from_the_threshold_is_found() -> None:
    """The comparison itself: a spike too many is a difference, at the membrane's distance."""
    ensemble = sne.ensemble([network("counting")], input_shape=INPUT_SHAPE, timesteps=15)
    program = compile_student(
        ensemble.students[0],
        input_shape=INPUT_SHAPE,
        timesteps=15,
        encoder=sne.Encoder(),
        precision="float",
        formats=LOIHI1,
    )
    inputs = (np.random.default_rng(5).random((2, 15, *INPUT_SHAPE)) < 0.4).astype(np.uint8)
    lava, norse = run_both(program, inputs)
    assert norse.layers[0].recorded_spikes is not None
    wrong = norse.layers[0].recorded_spikes.copy()
    wrong[1, 4, 0] ^= True
    spoilt = replace(norse, layers=(replace(norse.layers[0], recorded_spikes=wrong), *norse.layers[1:]))
    (sample,), (distance,) = zip(*first_differences(program, lava, spoilt).items(), strict=True)
    assert sample == 1
    assert distance > 1e-3
