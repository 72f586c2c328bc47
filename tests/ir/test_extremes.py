"""What neurons reach in any number of steps is what a loop over all of them finds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.ir import extremes as module
from sne_deploy.ir.extremes import BEYOND, extremes
from sne_deploy.ir.program import NeuronGroup
from sne_deploy.neurons.dynamics import Dynamics
from tests.chip_registers import LOIHI1
from tests.effort import examples

KINDS = ("lif", "li", "cuba_lif", "cuba_li", "if")
DECAYS = (0, 1, 3, 40, 512, 4095)


def loop(model: Dynamics, low: np.ndarray, high: np.ndarray, timesteps: int) -> list[np.ndarray]:
    """Smallest and largest u, smallest and largest v, step by step."""
    low, high = model.entering(low), model.entering(high)
    u_low, v_low = u_high, v_high = model.start()
    found = [u_low, u_high, v_low, v_high]
    for _ in range(timesteps):
        u_low, u_high = model.current(u_low, low), model.current(u_high, high)
        v_low, v_high = model.waited(model.membrane(v_low, u_low), model.membrane(v_high, u_high))
        found = [
            np.minimum(found[0], u_low), np.maximum(found[1], u_high),
            np.minimum(found[2], v_low), np.maximum(found[3], v_high),
        ]  # fmt: skip
        v_low, v_high = model.after_reset(v_low, v_high)
        if model.formats is not None:
            u_low, u_high = np.maximum(u_low, -BEYOND), np.minimum(u_high, BEYOND)
            v_low, v_high = np.maximum(v_low, -BEYOND), np.minimum(v_high, BEYOND)
    return found


def group_of(rng: np.random.Generator, kind: str, reset: str, *, whole: bool) -> NeuronGroup:
    """Six neurons with registers, or real numbers, of every size."""

    def among(*values: float) -> np.ndarray:
        return rng.choice(values, 6)

    unity = 1 if whole else 4096
    current = kind.startswith("cuba")
    values: dict[str, Any] = {
        "du": (among(*DECAYS) + (not whole)) / unity if current else np.full(6, 4095 if whole else 1.0),
        "dv": np.full(6, 0.0) if kind == "if" else among(*DECAYS, 4096 if not whole else 4095) / unity,
        "vth_mant": among(1, 50, 131071),
        "bias_mant": among(0, 0, 1, -1, 4000, -4000),
        "v_init": among(0, 0, 5, -5, 2**22, -(2**22)),
    }
    arrays = {name: value.astype(np.int32) if whole else value for name, value in values.items()}
    soft = {"vsub_mant": arrays["vth_mant"]} if reset == "subtract" else {}
    group = NeuronGroup(
        "g", "lif" if kind == "if" else kind, (6,), bias_exp=0, depth=1, scale=1.0,
        v_reset=np.asarray(0.0), **arrays, **soft,
    )  # fmt: skip
    return replace(group, reset_delayed=reset == "delayed" and group.spiking)


def case(seed: int, kind: str, reset: str, *, whole: bool) -> tuple[Dynamics, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    group = group_of(rng, kind, reset, whole=whole)
    ends = rng.choice([0, 0, 1, 2, 7, 63, 1000, 40000, -1, -3, -500], (2, 6))
    ends = ends if whole else ends * rng.uniform(0.5, 2, (2, 6))
    return Dynamics(group, LOIHI1 if whole else None), ends.min(axis=0), ends.max(axis=0)


CASES = given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(KINDS),
    reset=st.sampled_from(["value", "subtract", "delayed"]),
    timesteps=st.sampled_from([1, 8, 9, 10, 100, 1500]),
)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are taken at once from the beginning."""
    monkeypatch.setattr(module, "PLAIN", 8)
    monkeypatch.setattr(module, "_PAUSE", 2)


@settings(max_examples=examples(12), deadline=None)
@CASES
def test_registers_are_those_of_the_loop(seed: int, kind: str, reset: str, timesteps: int) -> None:
    model, low, high = case(seed, kind, reset, whole=True)
    found = extremes(model, low, high, timesteps)
    for one, other in zip([*found.u, *found.v], loop(model, low, high, timesteps), strict=True):
        assert one.tolist() == other.tolist()


@settings(max_examples=examples(12), deadline=None)
@CASES
def test_real_numbers_are_those_of_the_loop_to_rounding(
    seed: int, kind: str, reset: str, timesteps: int
) -> None:
    model, low, high = case(seed, kind, reset, whole=False)
    found = extremes(model, low, high, timesteps)
    for one, other in zip([*found.u, *found.v], loop(model, low, high, timesteps), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("kind", ["li", "lif", "cuba_lif"])
def test_a_million_steps_are_few(kind: str, whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred steps of decay, and what does not decay at all."""
    rng = np.random.default_rng(1)
    group = group_of(rng, kind, "value", whole=whole)
    dv = np.array([0, 0, 0, 40, 40, 40]) / (1 if whole else 4096)
    du = np.full(6, 40) / (1 if whole else 4096) if kind == "cuba_lif" else group.du
    group = replace(group, dv=dv.astype(group.dv.dtype), du=np.asarray(du, group.du.dtype))
    steps = []
    step = module.Drive.step
    monkeypatch.setattr(module.Drive, "step", lambda *given: steps.append(1) or step(*given))
    extremes(Dynamics(group, LOIHI1 if whole else None), np.full(6, -3), np.full(6, 5), 10**6)
    assert len(steps) < 10_000
