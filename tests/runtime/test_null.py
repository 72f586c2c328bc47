"""What a target does not model is null, whoever ran in which slice: never 0, and a sum says what it lacks."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import sne_deploy as sne
from sne_deploy.backend import RunOptions, Silent, load_backend
from sne_deploy.energy.accounting import PARTS
from sne_deploy.ir.program import Program
from sne_deploy.runtime import slices
from sne_deploy.runtime.trace import LayerTrace, Trace
from tests.effort import examples
from tests.networks import INPUT_SHAPE, lif_box, network

STEPS, SAMPLES = 5, 7
NAMES = ("convolutional", "recurrent", "counting")
KEYS = tuple(field.name for field in dataclasses.fields(LayerTrace) if field.name != "name")
MODELLED = {
    "norse": {"synops", "spikes"},
    "loihi": {"synops", "spikes", "updates_active", "updates_idle", "u_wraps", "v_saturations"},
}
RECORDED = {"counts": set(), "spikes": {"recorded_spikes"}, "all": {"recorded_spikes"}}
STATES = {"recorded_u", "recorded_v"}


@pytest.fixture(scope="module")
def ensemble() -> sne.Ensemble:
    return sne.ensemble(
        [network(name, seed) for seed, name in enumerate(NAMES)],
        input_shape=INPUT_SHAPE,
        timesteps=STEPS,
        names=NAMES,
    )


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    return (np.random.default_rng(4).random((SAMPLES, STEPS, *INPUT_SHAPE)) < 0.4).astype(np.uint8)


@st.composite
def policies(draw: Any) -> sne.ActivationPolicy:
    """Some of the students always, or one after another until the head is sure."""
    order = tuple(draw(st.permutations(range(len(NAMES)))))
    most = draw(st.none() | st.integers(1, len(NAMES)))
    if draw(st.booleans()):
        return sne.ActivationPolicy("static", order, students=most)
    return sne.ActivationPolicy("confidence", order, draw(st.floats(0.2, 0.6)), students=most)


def present(trace: Trace) -> list[set[str]]:
    """Of every layer, the names of what is not null; recordings are of groups that spike."""
    return [{key for key in KEYS if getattr(layer, key) is not None} for layer in trace.layers]


def expected(program: Program, target: str, record: str) -> list[set[str]]:
    found = []
    for group in program.groups:
        keys = MODELLED[target] | (RECORDED[record] if group.spiking else set())
        found.append(keys | (STATES if record == "all" and target == "loihi" else set()))
    return found


@settings(max_examples=examples(12), deadline=None)
@given(
    target=st.sampled_from(sorted(MODELLED)),
    record=st.sampled_from(sorted(RECORDED)),
    policy=policies(),
    size=st.integers(1, SAMPLES),
    order=st.permutations(range(SAMPLES)),
)
def test_null_is_never_zero(
    ensemble: sne.Ensemble,
    samples: np.ndarray,
    target: str,
    record: Any,
    policy: sne.ActivationPolicy,
    size: int,
    order: list[int],
) -> None:
    """Slices of any size, samples in any order: the same report, and null where the target does not count."""
    x = samples[list(order)]
    with sne.compile(ensemble, target, policy=policy, fidelity=False) as compiled:
        whole = compiled.run(x, record=record)
        with pytest.MonkeyPatch.context() as patched:
            cut = [slice(first, min(first + size, SAMPLES)) for first in range(0, SAMPLES, size)]
            patched.setattr(slices, "sample_slices", lambda *_, **__: iter(cut))
            found = compiled.run(x, record=record)
    assert found.report.model_dump(exclude={"provenance"}) == whole.report.model_dump(exclude={"provenance"})
    for result in (whole, found):
        for student in result.students:
            assert present(student.trace) == expected(student.program, target, record)
            shapes = {g.name: (SAMPLES, STEPS, *g.shape) for g in student.program.groups if g.spiking}
            kept = {} if record == "counts" else shapes
            assert {name: spikes.shape for name, spikes in student.spikes.items()} == kept
        costs = [*result.report.students, result.report.ensemble]
        for cost in costs:
            energy, ran = cost.energy_per_sample_j, cost.totals.samples_run > 0
            assert (cost.totals.updates_active is None) == (target == "norse")
            assert (energy.updates is None) == (target == "norse" or not ran)
            known = {part: getattr(energy, part) for part in PARTS}
            assert energy.total_excludes == tuple(part for part in PARTS if known[part] is None)
            assert energy.total == (sum(each for each in known.values() if each is not None) if ran else None)
        for layer in (layer for student in result.report.students for layer in student.layers):
            assert (layer.u_wraps is None) == (layer.v_saturations is None) == (target == "norse")


CASES = [(target, record) for target in ("norse", "loihi") for record in ("counts", "spikes", "all")]


@pytest.mark.parametrize(("target", "record"), [*CASES, ("lava", "all"), ("netx", "spikes")])
def test_what_did_not_run_is_as_what_ran(target: str, record: Any) -> None:
    """Every target says of a student that did not run which quantities it would have had, of which type."""
    module = torch.nn.Sequential(torch.nn.Linear(4, 3), lif_box(), torch.nn.Linear(3, 2), lif_box())
    model = sne.ensemble([module], input_shape=(4,), timesteps=STEPS)
    samples = np.ones((2, STEPS, 4), np.uint8)
    with sne.compile(model, target, fidelity=False) as compiled:
        (program,) = compiled.programs
    with load_backend(target).compile(program, RunOptions()) as executable:
        assert isinstance(executable, Silent)
        ran, silent = executable.run(samples, record), executable.not_run(2, record)
    for one, other in zip(ran.layers, silent.layers, strict=True):
        for key in KEYS:
            a, b = getattr(one, key), getattr(other, key)
            assert (a is None) == (b is None), key
            if a is not None:
                assert (a.shape, a.dtype) == (b.shape, b.dtype), key
                assert not b.any(), key
    assert ran.raw_outputs.shape == silent.raw_outputs.shape
    assert np.isnan(silent.outputs).all()
