"""LIFBox cells in kernels: Norse's spikes bit for bit, and Norse's gradients."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from norse.torch import LIFBoxCell, LIFBoxParameters
from torch import Tensor

from sne_deploy.distill.students import box_neurons
from sne_deploy.distill.students.box_neurons import SMALL, box_constants, run_box_cell, run_box_steps
from sne_deploy.distill.students.simulate import simulate
from sne_deploy.distill.students.surrogates import NORSES, Surrogate
from sne_deploy.errors import InputError
from sne_deploy.frontend.norse import cells as norse_cells


def cell(tau_mem_s: float = 2e-3, v_leak: float = 0.0, v_th: float = 1.0, v_reset: float = 0.0) -> LIFBoxCell:
    values = {"tau_mem_inv": 1.0 / tau_mem_s, "v_leak": v_leak, "v_th": v_th, "v_reset": v_reset}
    return LIFBoxCell(LIFBoxParameters(**{name: torch.tensor(value) for name, value in values.items()}))


def norse(module: LIFBoxCell, current: Tensor, timesteps: int, steady: bool) -> Tensor:
    state, steps = None, []
    for step in range(timesteps):
        z, state = module(current if steady else current[step], state)
        steps.append(z)
    return torch.stack(steps)


def both(module: LIFBoxCell, current: Tensor, timesteps: int, steady: bool, wanted: Tensor) -> Any:
    """Spikes and gradients of the current, by Norse and by the kernels."""
    found = []
    constants = box_constants(module, current)
    assert constants is not None
    for kernels in (False, True):
        x = current.clone(memory_format=torch.preserve_format).requires_grad_()
        if kernels:
            spikes = run_box_cell(constants, x, timesteps, steady, NORSES)
        else:
            spikes = norse(module, x, timesteps, steady)
        (gradient,) = torch.autograd.grad(spikes, x, wanted)
        found.append((spikes.detach(), gradient))
    return found


@given(
    seed=st.integers(0, 2**31),
    timesteps=st.integers(1, 6),
    steady=st.booleans(),
    images=st.booleans(),
    tau_mem_s=st.floats(1e-3, 2e-2),
    v_leak=st.floats(-0.5, 0.5),
    v_th=st.floats(0.1, 2.0),
    v_reset=st.floats(-0.5, 0.05),
)
def test_spikes_and_gradients_are_norses(
    seed: int, timesteps: int, steady: bool, images: bool, **parameters: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    shape = (3, 5, 7, 6) if images else (4, 37)
    full = shape if steady else (timesteps, *shape)
    current = torch.randn(full, generator=generator) * 2
    if images and steady:
        current = current.contiguous(memory_format=torch.channels_last)
    wanted = torch.randn(timesteps, *shape, generator=generator)
    (spikes, gradient), (ours, our_gradient) = both(cell(**parameters), current, timesteps, steady, wanted)
    assert torch.equal(spikes, ours)
    torch.testing.assert_close(our_gradient, gradient, rtol=1e-4, atol=1e-5)


def test_channels_last_series_and_threads_change_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    current = torch.randn(4, 3, 32, 20, 20, generator=generator) * 2
    assert current[0].numel() > SMALL
    last = current.flatten(0, 1).contiguous(memory_format=torch.channels_last).reshape(4, 3, 32, 20, 20)
    wanted = torch.randn(current.shape, generator=generator)
    threads = torch.get_num_threads()
    found = []
    for x, count in ((current, 1), (last, 1), (last, 2), (current, 3)):
        torch.set_num_threads(count)
        try:
            found.append(both(cell(), x, 4, False, wanted)[1])
        finally:
            torch.set_num_threads(threads)
    for spikes, gradient in found[1:]:
        assert torch.equal(spikes, found[0][0])
        assert torch.equal(gradient, found[0][1])


def test_the_gradient_by_hand_with_a_steepness() -> None:
    # gain 1/2, two steps of 1.2: v = 0.6, then 0.9, no spike; slopes (3 * 0.4 + 1)^-2 and (3 * 0.1 + 1)^-2
    constants = box_constants(cell(), torch.zeros(1, 1))
    assert constants is not None
    x = torch.tensor([[1.2]], requires_grad=True)
    spikes = run_box_cell(constants, x, 2, True, Surrogate("superspike", 3.0))
    (gradient,) = torch.autograd.grad(spikes, x, torch.tensor([[[1.0]], [[10.0]]]))
    first, second = 1 / 2.2**2, 10 / 1.3**2
    # through v into the second step, and through the reset, where a spike's gradient is v_reset - v
    through = second * 0.5
    first = first + through * (0.0 - 0.6) / 2.2**2
    assert gradient.item() == pytest.approx(0.5 * second + 0.5 * (first + through), rel=1e-5)


SURROGATES = [
    Surrogate("superspike", 3.0),
    Surrogate("rectangle", width=1.3),
    Surrogate("triangle", width=0.9),
]


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("v_leak", [0.0, 0.1])
@pytest.mark.parametrize("surrogate", SURROGATES, ids=lambda one: one.kind)
def test_step_by_step_is_the_same_for_any_type_and_device(
    surrogate: Surrogate, v_leak: float, count: int
) -> None:
    generator = torch.Generator().manual_seed(2)
    current = torch.randn(count, 3, 40, generator=generator) * 2
    wanted = torch.randn(count, 3, 40, generator=generator)
    module = cell(v_leak=v_leak, v_reset=-0.2)
    constants = box_constants(module, current)
    assert constants is not None
    found: list[tuple[Tensor, Tensor]] = []
    for kernels in (True, False):
        x = current.clone().requires_grad_()
        if kernels:
            spikes = run_box_cell(constants, x, count, False, surrogate)
        else:
            steps = run_box_steps(module, iter(x), surrogate)
            assert steps is not None
            spikes = steps
        found.append((spikes, torch.autograd.grad(spikes, x, wanted)[0]))
    assert torch.equal(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-4, atol=1e-5)
    double = simulate(torch.nn.Sequential(module), current[0].double(), 4, "count", surrogate=surrogate)
    assert torch.equal(
        double.outputs.float(), simulate(torch.nn.Sequential(module), current[0], 4, "count").outputs
    )


def test_bfloat16_series_have_float32_states() -> None:
    generator = torch.Generator().manual_seed(1)
    current = (torch.randn(3, 6, 50, generator=generator) * 2).bfloat16()
    wanted = torch.randn(3, 6, 50, generator=generator).bfloat16()
    module = cell()
    (spikes, gradient) = both(module, current.float(), 3, False, wanted.float())[1]
    (half, half_gradient) = both(module, current, 3, False, wanted)[1]
    assert half.dtype == half_gradient.dtype == torch.bfloat16
    assert torch.equal(half.float(), spikes)
    assert torch.equal(half_gradient, gradient.bfloat16())


def test_what_the_kernels_cannot_run_is_norses() -> None:
    learned = LIFBoxCell(LIFBoxParameters(v_th=torch.tensor(1.0, requires_grad=True)))
    other = LIFBoxCell(LIFBoxParameters(method="heaviside"))
    each = LIFBoxCell(LIFBoxParameters(v_th=torch.ones(5)))
    x = torch.zeros(2, 5)
    assert all(box_constants(module, x) is None for module in (learned, other, each))
    assert box_constants(cell(), x.double()) is None
    assert box_constants(norse_cells.LIFBoxCell(cell().p), x) is not None
    with pytest.raises(InputError, match=r"alpha 2: needs LIFBoxCell neurons with fixed scalar parameters"):
        simulate(torch.nn.Sequential(other), x, 2, "count", surrogate=Surrogate(alpha=2.0))


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # from Python 3.12 on
def test_a_fork_has_threads_of_its_own() -> None:
    """Those of the process that it came from are not in it; it would wait for them for ever."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        box_neurons._in_threads(lambda *_: None, SMALL)
        child = os.fork()
        if not child:
            signal.alarm(60)
            box_neurons._in_threads(lambda *_: None, SMALL)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        torch.set_num_threads(threads)
