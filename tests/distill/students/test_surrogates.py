"""A spike's gradient: by hand, its area, and the same training whatever the unit of the membrane."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from norse.torch import LIFBoxCell, LIFBoxParameters

from sne_deploy.distill.students.simulate import simulate
from sne_deploy.distill.students.surrogates import Surrogate
from sne_deploy.errors import InputError
from tests.effort import examples

WINDOWS = ("rectangle", "triangle")


def cell(v_th: float, v_leak: float = 0.0, tau_mem_s: float = 2e-3) -> torch.nn.Sequential:
    values = {"tau_mem_inv": 1.0 / tau_mem_s, "v_th": v_th, "v_leak": v_leak, "v_reset": v_leak}
    tensors = {name: torch.tensor(value) for name, value in values.items()}
    return torch.nn.Sequential(LIFBoxCell(LIFBoxParameters(**tensors)))


def gradient(network: torch.nn.Module, current: torch.Tensor, surrogate: Surrogate) -> torch.Tensor:
    """Of the number of spikes in one step."""
    x = current.clone().requires_grad_()
    simulate(network, x, 1, "count", surrogate=surrogate).outputs.sum().backward()
    assert x.grad is not None
    return x.grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])  # kernels, kernels, tensors
def test_windows_by_hand_in_one_step(dtype: torch.dtype) -> None:
    # a step takes the membrane to half of the current, v_th 0.5: x = (current - 1) / 2, of the current 1/2
    current = torch.tensor([[-0.25, 0.25, 0.75, 1.0, 1.5, 1.75, 2.25]], dtype=dtype)
    narrow = gradient(cell(0.5), current, Surrogate("rectangle", width=1.0))
    assert narrow.tolist() == [[0.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.0]]
    wide = gradient(cell(0.5), current, Surrogate("rectangle", width=2.0))
    assert wide.tolist() == [[0.25] * 7]
    # half-width 0.5, height 2: 1 - |current - 1|, times 2, times 1/2
    triangle = gradient(cell(0.5), current, Surrogate("triangle", width=1.0))
    assert triangle.tolist() == [[0.0, 0.25, 0.75, 1.0, 0.5, 0.25, 0.0]]


@pytest.mark.parametrize("kind", WINDOWS)
@settings(max_examples=examples(20))
@given(st.floats(0.3, 3.0), st.floats(-1.0, 1.0), st.floats(0.3, 3.0))
def test_the_area_is_a_steps(kind: str, width: float, v_leak: float, distance: float) -> None:
    current = torch.linspace(-40, 40, 40_001, dtype=torch.float64)[None]
    made = gradient(cell(v_leak + distance, v_leak), current, Surrogate(kind, width=width))  # type: ignore[arg-type]
    area = float(made.sum()) * 80 / 40_000
    assert area == pytest.approx(1.0, rel=2e-2)


@pytest.mark.parametrize("kind", WINDOWS)
@settings(max_examples=examples(20))
@given(st.integers(0, 2**31), st.floats(0.2, 5.0), st.floats(0.2, 2.0), st.floats(1e-3, 1e-2))
def test_a_width_means_the_same_in_every_unit(
    kind: str, seed: int, unit: float, width: float, tau_mem_s: float
) -> None:
    surrogate = Surrogate(kind, width=width)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(seed)
    current = torch.rand(3, 40, generator=generator, dtype=torch.float64) * 4
    one = gradient(cell(1.0, tau_mem_s=tau_mem_s), current, surrogate)
    other = gradient(cell(unit, tau_mem_s=tau_mem_s), current * unit, surrogate)
    close = torch.isclose(one, other * unit, rtol=1e-4, atol=1e-6)
    assert close.double().mean() > 0.95  # float32 parameters may put a membrane beyond a window's edge


@pytest.mark.parametrize("kind", WINDOWS)
def test_a_threshold_at_rest_has_no_width(kind: str) -> None:
    surrogate = Surrogate(kind)  # type: ignore[arg-type]
    for dtype in (torch.float32, torch.float64):
        with pytest.raises(
            InputError, match=rf"{kind} of width 1: is relative .* not -0\.5; use 'superspike'"
        ):
            gradient(cell(0.5, 1.0), torch.zeros(1, 2, dtype=dtype), surrogate)
    assert gradient(cell(0.5, 1.0), torch.zeros(1, 2), Surrogate()).abs().sum() > 0
