"""Pools against torch's own: as layers, as a NIR graph, and in integers on every target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import norse.torch as norse
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

import sne_deploy as sne
from sne_deploy.backend import RunOptions, load_backend
from sne_deploy.errors import GraphError, InputError
from sne_deploy.frontend.nir.file import read_nir, write_nir
from sne_deploy.frontend.norse.export import export_student
from sne_deploy.ir.program import Precision, Program
from sne_deploy.model.checkpoint.document import from_ensemble
from sne_deploy.passes.pipeline import compile_student
from sne_norse.graph_executor import GraphExecutor
from sne_norse.layer_executor import LayerExecutor
from tests.chip_registers import LOIHI1
from tests.effort import examples
from tests.reference import assert_equal, simulate

pytestmark = pytest.mark.usefixtures("warm_lava")

STEPS, SAMPLES = 6, 2


def firing(v_th: float = 0.05) -> nn.Module:
    """Neurons that keep nothing and fire above a threshold."""
    return norse.LIFBoxCell(norse.LIFBoxParameters(tau_mem_inv=torch.tensor(1000.0), v_th=torch.tensor(v_th)))


@st.composite
def pools(draw: Any, kind: str) -> tuple[nn.Module, tuple[int, ...]]:
    """A pool of torch's, and an input's shape that fits it."""
    axes = int(kind[-2])
    pick = [draw(st.tuples(*[st.integers(1, 4)] * 3)) for _ in range(axes)]
    kernel, stride, dilation = (tuple(entry) for entry in zip(*pick, strict=True))
    if kind.startswith("Adaptive"):
        sizes = tuple(draw(st.integers(1, 11)) for _ in range(axes))
        return getattr(nn, kind)(tuple(draw(st.integers(1, 9)) for _ in range(axes))), (2, *sizes)
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    options: dict[str, Any] = {"stride": stride, "padding": padding}
    if kind.startswith("Max"):
        options |= {"dilation": dilation, "ceil_mode": draw(st.booleans())}
    reach = [
        (d if kind.startswith("Max") else 1) * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)
    ]
    sizes = tuple(draw(st.integers(max(1, r - 2 * p), 13)) for r, p in zip(reach, padding, strict=True))
    one = axes == 1
    arguments = {k: v[0] if one and isinstance(v, tuple) else v for k, v in options.items()}
    return getattr(nn, kind)(kernel[0] if one else kernel, **arguments), (2, *sizes)


def program_of(
    module: nn.Module, shape: tuple[int, ...], precision: Precision = "float", encoder: str = "spikes"
) -> Program:
    ensemble = sne.ensemble([module], input_shape=shape, timesteps=STEPS, encoder=sne.Encoder(encoder))  # type: ignore[arg-type]  # one of its kinds
    return compile_student(
        ensemble.students[0],
        input_shape=shape,
        timesteps=STEPS,
        encoder=ensemble.encoder,
        precision=precision,
        formats=LOIHI1,
    )


def random_spikes(shape: tuple[int, ...], seed: int, rate: float = 0.2) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.random((SAMPLES, STEPS, *shape)) < rate).astype(np.uint8)


def by_torch(module: nn.Module, x: np.ndarray) -> np.ndarray:
    return module(torch.tensor(x, dtype=torch.float64).flatten(0, 1)).numpy().reshape(*x.shape[:2], -1)


@pytest.mark.parametrize("kind", ["MaxPool1d", "MaxPool2d"])
@given(st.data())
@settings(max_examples=examples(8))
def test_a_maximum_of_spikes_is_torchs_everywhere(kind: str, data: st.DataObject) -> None:
    """As layers, node by node, and in integers, bit for bit, with a walk's counts."""
    pool, shape = data.draw(pools(kind))
    x = random_spikes(shape, data.draw(st.integers(0, 99)), data.draw(st.sampled_from((0.02, 0.2, 0.9))))
    module = norse.SequentialState(pool, nn.Flatten(), firing())
    expected = by_torch(pool, x)
    assume(np.isfinite(expected).all())  # dilated windows that see padding alone are refused
    floating = program_of(module, shape)
    group = floating.groups[0]
    for sent in (LayerExecutor(floating).run(x), GraphExecutor(floating).run(x)):
        assert sent[group.name].dtype == np.uint8
        np.testing.assert_array_equal(sent[group.name].reshape(expected.shape), expected)
    fixed = program_of(module, shape, "fixed")
    reference = simulate(fixed, x)
    with load_backend("loihi").compile(fixed, RunOptions()) as executable:
        trace = executable.run(x, "all")
    assert_equal(trace, reference, fixed)
    recorded = trace.layers[0].recorded_spikes
    assert recorded is not None
    np.testing.assert_array_equal(recorded.reshape(expected.shape), expected)


@pytest.mark.parametrize("kind", ["AvgPool1d", "AvgPool2d", "AdaptiveAvgPool1d", "AdaptiveAvgPool2d"])
@given(st.data())
@settings(max_examples=examples(8))
def test_an_average_is_torchs(kind: str, data: st.DataObject) -> None:
    """Windows that differ in size or distance, that overlap, and more outputs than inputs."""
    pool, shape = data.draw(pools(kind))
    x = random_spikes(shape, data.draw(st.integers(0, 99)), 0.5)
    readout = norse.LIBoxCell(norse.LIBoxParameters(tau_mem_inv=torch.tensor(1000.0)))
    program = program_of(norse.SequentialState(pool, readout), shape)
    expected = by_torch(pool, x)
    for sent in (LayerExecutor(program).run(x), GraphExecutor(program).run(x)):
        got = sent[program.groups[0].name].reshape(expected.shape)
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("target", ["loihi", "lava", "netx", "norse"])
def test_the_same_maxima_on_every_target(target: str) -> None:
    if target in ("lava", "netx"):
        pytest.importorskip("lava", reason="lava-nc is not installed")
    torch.manual_seed(2)
    pool, conv = nn.MaxPool2d(3, 2, 1), nn.Conv2d(1, 2, 3)
    module = norse.SequentialState(conv, firing(), pool, nn.Flatten(), nn.Linear(18, 3), firing())
    ensemble = sne.ensemble([module], input_shape=(1, 8, 8), timesteps=STEPS)
    x = random_spikes((1, 8, 8), 1, 0.3)
    with sne.compile(ensemble, target=target, fidelity=False) as compiled:
        result = compiled.run(x, record="spikes").students[0]
    first, second = (result.spikes[name] for name in ("lifboxcell_1", "maxpool2d_2"))
    np.testing.assert_array_equal(second.reshape(SAMPLES, STEPS, -1), by_torch(pool, first))
    assert 0 < second.mean() < 1
    fan_out = nn.functional.conv_transpose2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 3, 3), None, 2, 1, 1)
    arrived = (first * fan_out.numpy()[0, 0]).sum((1, 2, 3, 4))
    assert result.synops_per_layer["maxpool2d_2"].tolist() == arrived.tolist()


def test_a_file_holds_it_exactly(tmp_path: Path) -> None:
    """NIR has no maximum: what is written is a convolution with ones and a threshold."""
    pool = nn.MaxPool2d((3, 2), (2, 1), (1, 0), (1, 2), ceil_mode=True)
    ensemble = sne.ensemble([norse.SequentialState(pool, firing())], input_shape=(2, 8, 7), timesteps=STEPS)
    write_nir(tmp_path / "a.nir", export_student(ensemble.students[0], (2, 8, 7)))
    kinds = [type(node).__name__ for node in read_nir(tmp_path / "a.nir").nodes.values()]
    assert sorted(kinds) == ["Conv2d", "Input", "LIF", "Output", "Threshold"]
    x = random_spikes((2, 8, 7), 0)
    with sne.compile(sne.load(tmp_path / "a.nir", timesteps=STEPS), target="norse") as compiled:
        sent = compiled.run(x, record="spikes").students[0].spikes["maxpool2d_0"]
    np.testing.assert_array_equal(sent.reshape(SAMPLES, STEPS, -1), by_torch(pool, x))


def test_the_parts_of_an_average_are_not_in_names() -> None:
    pool, linear = nn.AdaptiveAvgPool2d((5, 3)), nn.Linear(30, 2)
    module = norse.SequentialState(firing(), nn.Conv2d(1, 2, 1), pool, nn.Flatten(), linear, firing())
    (synapse,) = (s for s in program_of(module, (1, 8, 7)).synapses if s.source == "lifboxcell_0")
    assert synapse.name == "conv2d_1+adaptiveavgpool2d_2+linear_4"


def test_a_model_holds_it(tmp_path: Path) -> None:
    module = norse.SequentialState(
        nn.MaxPool2d(2, ceil_mode=True),
        nn.Conv2d(1, 2, 2),
        firing(),
        nn.AdaptiveAvgPool2d((None, 2)),
        firing(),
    )
    ensemble = sne.ensemble([module], input_shape=(1, 7, 7), timesteps=STEPS)
    assert from_ensemble(ensemble)["version"] == 3
    ensemble.save(tmp_path / "model.pt")
    x = random_spikes((1, 7, 7), 5)
    results = []
    for model in (ensemble, sne.load(tmp_path / "model.pt")):
        with sne.compile(model, target="norse") as compiled:
            results.append(compiled.run(x).logits)
    np.testing.assert_array_equal(*results)
    assert results[0].any()


REAL = {
    "behind a map": [nn.Conv2d(1, 1, 3), nn.MaxPool2d(2), firing()],
    "behind an average": [firing(), nn.AvgPool2d(2), nn.Dropout(), nn.MaxPool2d(2), firing()],
    "behind membranes": [norse.LIBoxCell(), nn.MaxPool2d(2)],
}


@pytest.mark.parametrize("case", REAL)
def test_a_maximum_of_real_numbers_is_refused(case: str) -> None:
    with pytest.raises(GraphError, match=r"MaxPool2d: layer \d \(.*\) sends no spikes, .*an average"):
        sne.ensemble([norse.SequentialState(*REAL[case])], input_shape=(1, 8, 8), timesteps=STEPS)


def test_what_is_said_of_a_maximum_of_real_numbers_helps() -> None:
    behind = [nn.Conv2d(1, 1, 3), firing(), nn.MaxPool2d(2), firing()]
    average = [nn.Conv2d(1, 1, 3), nn.AvgPool2d(2), firing()]
    for modules in (behind, average):
        sne.ensemble([norse.SequentialState(*modules)], input_shape=(1, 8, 8), timesteps=STEPS)


@pytest.mark.parametrize("encoder", ["constant", "graded"])
def test_a_maximum_of_real_input_is_refused(encoder: str) -> None:
    module, shape = norse.SequentialState(nn.MaxPool2d(2), firing()), (1, 8, 8)
    with pytest.raises(InputError, match=rf"MaxPool2d: its input is {encoder}.*'spikes' or 'bernoulli'"):
        program_of(module, shape, encoder=encoder)
    assert program_of(module, shape, encoder="bernoulli").groups
