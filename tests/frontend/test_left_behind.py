"""What a reading of a model must not lose: an encoder's rate, a factor behind the output, a gain, a name."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import nir
import norse.torch as snn
import numpy as np
import pytest
import torch
from torch import nn

import sne_deploy as sne
from sne_deploy.errors import GraphError, InputError


class Rates(snn.PoissonEncoder):
    """A subclass that computes the same."""

    def __init__(self) -> None:
        super().__init__(20, f_max=200, dt=0.001)


class Encoded(nn.Module):
    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder, self.map, self.cell = encoder, nn.Linear(6, 4), snn.LIFBoxCell()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state, found = None, []
        for step in self.encoder(x):
            z, state = self.cell(self.map(step), state)
            found.append(z)
        return torch.stack(found).sum(0)


def test_a_subclass_of_an_encoder_keeps_its_rate() -> None:
    for encoder in (Rates(), snn.PoissonEncoder(20, f_max=200, dt=0.001)):
        made = sne.ensemble(Encoded(encoder), input_shape=6, timesteps=20)
        assert (made.encoder.kind, made.encoder.scale) == ("bernoulli", pytest.approx(0.2))
        with pytest.raises(InputError, match="begins with an encoder module"):
            sne.ensemble(Encoded(encoder), input_shape=6, timesteps=20, encoder="constant")


class Read(nn.Module):
    """A membrane, and what is made of it at the end."""

    def __init__(self, end: Callable[[torch.Tensor], torch.Tensor], seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.map, self.cell, self.end = nn.Linear(5, 3, bias=False), snn.LIBoxCell(), end

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = None
        for step in range(len(x)):
            v, state = self.cell(self.map(x[step]), state)
        return self.end(v)


SPIKES = (np.random.default_rng(0).random((40, 8, 5)) < 0.5).astype(np.float32)


def test_factors_of_all_students_leave_the_class_of_their_mean() -> None:
    modules = [Read(lambda v: 10 * v, seed) for seed in (2, 3)]
    found = sne.compile(sne.ensemble(modules, input_shape=5, timesteps=8), "norse").run(SPIKES)
    x = torch.from_numpy(SPIKES).transpose(0, 1)
    wanted = sum(module(x) for module in modules).argmax(1).numpy()
    np.testing.assert_array_equal(found.predictions, wanted)


@pytest.mark.parametrize("end", [lambda v: v, lambda v: 5 * v, lambda v: v.softmax(-1)])
def test_what_students_differ_in_behind_their_outputs_is_refused(end: Any) -> None:
    modules = [Read(lambda v: 10 * v, 2), Read(end, 3)]
    with pytest.raises(InputError, match=r"'student0' and 'student1' differ .*a factor of 10 .*last layers"):
        sne.ensemble(modules, input_shape=5, timesteps=8)
    for one in modules:
        sne.ensemble(one, input_shape=5, timesteps=8)


def test_a_mean_of_softmaxes_is_said_to_be_that_of_logits() -> None:
    made = sne.ensemble([Read(lambda v: v.softmax(-1), seed) for seed in (0, 1)], input_shape=5, timesteps=8)
    assert all(any("mean over students is that of their logits" in n for n in s.notes) for s in made.students)


def chain(*nodes: tuple[str, Any], n: int) -> nir.NIRGraph:
    ends = {"input": nir.Input(np.array([1])), "output": nir.Output(np.array([n]))}
    names = ["input", *(name for name, _ in nodes), "output"]
    edges = list(pairwise(names))
    return nir.NIRGraph({**ends, **dict(nodes)}, edges, type_check=False)


@pytest.mark.parametrize("tau", [1.0, 1.001, 2.0])
def test_an_input_counts_in_full_whatever_the_time_constant(tau: float) -> None:
    last = nir.LI(tau=np.full(1, tau), r=np.ones(1), v_leak=np.zeros(1))
    graph = chain(("map", nir.Linear(np.ones((1, 1)))), ("last", last), n=1)
    x = np.zeros((1, 3, 1))
    x[0, 2] = 1
    options: dict[str, Any] = {"timesteps": 3, "dt_s": 1.0, "decay": "exponential", "gain": "full"}
    assert sne.compile(graph, "norse", **options).run(x).logits.item() == pytest.approx(1.0)


def test_a_gain_of_one_is_not_taken_for_a_decayed_one() -> None:
    """tau exp(-dt / tau) / dt is 1 where tau is 1.7632 dt."""
    tau, ones = np.array([1.76, 1.7632, 1.77, 5.0]) * 1e-3, np.ones(4)
    cell = nir.CubaLIF(
        tau_mem=tau,
        tau_syn=5e-3 * ones,
        r=ones,
        v_leak=0 * ones,
        v_threshold=ones,
        v_reset=0 * ones,
        w_in=ones,
    )
    graph = chain(("map", nir.Linear(np.ones((4, 1)))), ("cell", cell), n=4)
    made = sne.load(graph, timesteps=3, convention="norse", dt_s=1e-3)
    (student,) = made.students
    np.testing.assert_allclose(student.network.nodes["cell"].w_in, 5.0)  # type: ignore[union-attr]


def spiking(n: int) -> nir.LIF:
    return nir.LIF(
        tau=np.full(n, 4.0),
        r=np.full(n, 4.0),
        v_leak=np.zeros(n),
        v_threshold=np.ones(n),
        v_reset=np.zeros(n),
    )


def test_names_that_the_compiler_uses_itself() -> None:
    graph = chain(("map", nir.Linear(np.ones((2, 1)))), ("always_on", spiking(2)), n=2)
    with pytest.raises(GraphError, match="'always_on' has the name of what sends biases; give it another"):
        sne.compile(graph, "loihi", timesteps=2, dt_s=1.0)
    nodes = {
        **{name: nir.Input(np.array([1])) for name in ("a", "b")},
        **{f"of {name}": nir.Linear(np.ones((2, 1))) for name in ("a", "b")},
        "a+b": spiking(2),
        "output": nir.Output(np.array([2])),
    }
    edges = [("a", "of a"), ("b", "of b"), ("of a", "a+b"), ("of b", "a+b"), ("a+b", "output")]
    with sne.compile(
        nir.NIRGraph(nodes, edges, type_check=False), "loihi", timesteps=2, dt_s=1.0
    ) as compiled:
        assert compiled.programs[0].input.size == 2


def test_tensors_with_a_batch_axis_are_read_as_arrays_are() -> None:
    def filled(value: float) -> torch.Tensor:
        return torch.full((1, 4), value)

    found = []
    for make in (filled, lambda value: filled(value).numpy()):
        cell = nir.LIF(tau=make(4), r=make(4), v_leak=make(0), v_threshold=make(1), v_reset=make(0))
        graph = chain(("map", nir.Linear(np.ones((4, 1)))), ("cell", cell), n=4)
        found.append(sne.compile(graph, "loihi", timesteps=4, dt_s=1.0).run(np.ones((1, 4, 1))).logits)
    np.testing.assert_array_equal(*found)


class Pool1d(nn.MaxPool1d):
    pass


class Down1d(nn.AvgPool2d):
    pass


@pytest.mark.parametrize(("pool", "shape"), [(Pool1d(2), (2, 8)), (Down1d(2), (2, 8, 8))])
def test_a_layers_axes_are_those_of_its_base_and_not_of_its_name(
    pool: nn.Module, shape: tuple[int, ...]
) -> None:
    made = sne.ensemble(snn.SequentialState(snn.LIFBoxCell(), pool), input_shape=shape, timesteps=4)
    kinds = [layer.kind for layer in made.students[0].network]  # type: ignore[union-attr]
    assert type(pool).__mro__[1].__name__ in kinds


def test_a_factor_in_the_last_layers_weights_is_that_of_the_output() -> None:
    """What the refusal advises."""
    modules = [Read(lambda v: v, seed) for seed in (2, 3)]
    x = torch.from_numpy(SPIKES).transpose(0, 1)
    wanted = (10 * modules[0](x) + modules[1](x)).argmax(1).numpy()
    with torch.no_grad():
        modules[0].map.weight.mul_(10)
    found = sne.compile(sne.ensemble(modules, input_shape=5, timesteps=8), "norse").run(SPIKES)
    np.testing.assert_array_equal(found.predictions, wanted)
