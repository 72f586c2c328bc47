"""A student's layers, all steps at once, against Norse's own modules step by step: bit for bit."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import norse.torch as snn
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.backend import RunOptions
from sne_deploy.errors import VerificationError
from sne_deploy.frontend.norse.build import module_from_layers
from sne_deploy.ir.program import Program
from sne_deploy.model.ensemble import Layer
from sne_deploy.model.layers.registry import LAYER_KINDS
from sne_deploy.runtime.trace import Trace
from sne_norse import layer_executor, stages
from sne_norse.cells import CELLS
from sne_norse.executable import NorseExecutable
from sne_norse.layer_executor import LayerExecutor
from sne_norse.stages import make_stage
from tests.backends.sne_norse.chains import (
    CELL,
    DRAW,
    SAMPLES,
    SIZE,
    SPIKING,
    STEPS,
    chain,
    compiled,
    samples,
)
from tests.effort import examples
from tests.networks import INPUT_SHAPE, NETWORKS, network
from tests.norse_oracle import norse_steps


def check(program: Program, inputs: np.ndarray) -> int:
    """Every group at every step, bit for bit; the number of spikes."""
    sent = LayerExecutor(program).run(inputs)
    count = 0
    for t, expected in enumerate(norse_steps(program, inputs)):
        assert set(expected) == set(sent)
        for group in program.groups:
            raster = sent[group.name]
            assert raster.shape == (len(inputs), program.timesteps, *group.shape)
            assert raster.dtype == (np.uint8 if group.spiking else np.float64)
            np.testing.assert_array_equal(raster[:, t], expected[group.name], f"{group.name}, step {t}")
            count += int(raster[:, t].sum()) if group.spiking else 0
    return count


def on_a_grid(module: torch.nn.Module) -> torch.nn.Module:
    """The same with weights that are multiples of 2^-20: no sum of theirs is rounded, in whatever order."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.round(parameter * 2**20) / 2**20)
    return module


@pytest.mark.parametrize("encoder", ["spikes", "constant"])
@pytest.mark.parametrize("name", NETWORKS)
def test_small_networks(name: str, encoder: str) -> None:
    program = compiled(on_a_grid(network(name)), INPUT_SHAPE, encoder)
    torchs = ("AvgPool2d", "AdaptiveAvgPool2d", "BatchNorm2d")
    expected = tuple("torch" if layer.kind in torchs else "compiled" for layer in program.layers)
    assert LayerExecutor(program).ways == expected
    assert check(program, samples(program, seed=3)) > SAMPLES * STEPS


@given(
    st.lists(CELL, min_size=1, max_size=3),
    st.sampled_from(("spikes", "constant")),
    st.sampled_from((None, "LICell", "LIBoxCell")),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=examples(60))
def test_random_chains(cells: list[dict[str, Any]], encoder: str, readout: str | None, seed: int) -> None:
    program = compiled(on_a_grid(chain(cells, readout, seed)), (SIZE,), encoder)
    assert set(LayerExecutor(program).ways) == {"compiled"}
    check(program, samples(program, seed))


@pytest.mark.parametrize(("kind", "subtracts"), [*((kind, False) for kind in SPIKING), ("LIFBoxCell", True)])
def test_the_random_chains_spike(kind: str, subtracts: bool) -> None:
    """What the property compares is not silence."""
    cells = [{**DRAW, "kind": kind, "subtracts": subtracts}]
    program = compiled(on_a_grid(chain(cells, None, 0)), (SIZE,), "spikes")
    assert check(program, samples(program, 0)) > 20


# --- every way of computing a cell ------------------------------------------------------------------


def a_cell(kind: str, seed: int = 0) -> Layer:
    """A cell of SIZE neurons, each with its own parameters."""
    rng = np.random.default_rng(seed)
    tensors = {
        name: rng.uniform(low, high, SIZE)
        for name, (low, high) in {
            "tau_mem_inv": (100, 900),
            "tau_syn_inv": (100, 900),
            "v_leak": (-0.2, 0.2),
            "v_th": (0.3, 0.9),
            "v_reset": (-0.3, 0.1),
            "input_weights": (0, 0),
            "recurrent_weights": (0, 0),
        }.items()
        if name in LAYER_KINDS[kind].tensors
    }
    for name in ("input_weights", "recurrent_weights"):
        if name in tensors:
            tensors[name] = rng.integers(-64, 65, (SIZE, SIZE)) / 64
    recurrent = {"autapses": True} if "recurrent_weights" in tensors else {}
    return Layer(kind, {"dt": 0.001, **recurrent}, tensors)


def by_norse(layer: Layer, x: np.ndarray) -> np.ndarray:
    """What Norse's own cell sends."""
    module, state, sent = module_from_layers([layer], dtype=torch.float64), None, []
    for t in range(x.shape[1]):
        z, state = module(torch.tensor(x[:, t]), state)
        sent.append(z.numpy().copy())
    return np.stack(sent, axis=1)


def entering(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-512, 1024, (SAMPLES, 200, SIZE)) / 1024


def test_every_kind_of_cell_has_a_kernel() -> None:
    pools = {"MaxPool1d", "MaxPool2d"}  # have a kernel of their own
    assert set(CELLS) | pools == {name for name, kind in LAYER_KINDS.items() if kind.neuron}


@pytest.mark.parametrize("kind", CELLS)
def test_a_cell_compiled_is_norses_own(kind: str) -> None:
    layer, x = a_cell(kind), entering(1)
    stage = make_stage(layer, (SIZE,))
    assert stage.way == "compiled"
    np.testing.assert_array_equal(stage.run(x, x.shape[1]), by_norse(layer, x))


@pytest.mark.parametrize("kind", CELLS)
def test_what_enters_at_every_step_alike_is_given_once(kind: str) -> None:
    layer, x = a_cell(kind), entering(2)[:, :1]
    stage = make_stage(layer, (SIZE,))
    np.testing.assert_array_equal(stage.run(x, 50), by_norse(layer, np.repeat(x, 50, axis=1)))


@pytest.mark.parametrize("kind", CELLS)
def test_a_cell_without_a_kernel_is_norses_own_and_counted(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "CELLS", {})
    layer, x = a_cell(kind), entering(3)
    stage = make_stage(layer, (SIZE,))
    assert stage.way == "norse"
    got = stage.run(x, x.shape[1])
    assert got.dtype == (np.uint8 if LAYER_KINDS[kind].spiking else np.float64)
    np.testing.assert_array_equal(got, by_norse(layer, x))
    np.testing.assert_array_equal(stage.run(x[:, :1], 50), by_norse(layer, np.repeat(x[:, :1], 50, axis=1)))


@pytest.mark.parametrize("kind", [kind for kind in SPIKING if kind != "LIFRecurrentCell"])
def test_membranes_have_norses_bits(kind: str) -> None:
    """At a threshold that is the highest membrane nothing fires; one place below it, every neuron does."""
    layer, x = a_cell(kind), entering(4)[:1]
    quiet = replace(layer, tensors={**layer.tensors, "v_th": np.full(SIZE, 1e9)})
    module, state, highest = module_from_layers([quiet], dtype=torch.float64), None, np.full(SIZE, -np.inf)
    for t in range(x.shape[1]):
        _, state = module(torch.tensor(x[:, t]), state)
        highest = np.maximum(highest, state[0].v.numpy()[0])
    for v_th, fires in ((highest, False), (np.nextafter(highest, -np.inf), True)):
        sharp = replace(layer, tensors={**layer.tensors, "v_th": v_th})
        spikes = make_stage(sharp, (SIZE,)).run(x, x.shape[1])
        assert (spikes.any(axis=1) == fires).all()


def test_the_executable_reports_cells_without_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    program = compiled(on_a_grid(network("dense")), INPUT_SHAPE, "constant")
    inputs = samples(program, 0)
    ours = NorseExecutable(program, RunOptions())
    expected = ours.run(inputs, "spikes")
    assert ours.fallbacks == {}
    monkeypatch.setattr(stages, "CELLS", {k: v for k, v in CELLS.items() if k != "LIFCell"})
    slow = NorseExecutable(program, RunOptions())
    assert slow.fallbacks == {}
    assert_same(slow.run(inputs, "spikes"), expected)
    assert slow.fallbacks == {"LIFCell without a kernel, step by step": 1}


# --- maps -------------------------------------------------------------------------------------------


@given(st.data())
@settings(max_examples=examples(60))
def test_a_convolution_is_torchs(data: st.DataObject) -> None:
    """Of small integers, which no order of sums rounds."""
    small = st.integers(1, 3)
    groups, batch = data.draw(st.integers(1, 2)), 2
    c_in, c_out = groups * data.draw(small), groups * data.draw(small)
    kernel, stride, dilation = (tuple(data.draw(small) for _ in range(2)) for _ in range(3))
    padding = tuple(data.draw(st.integers(0, 2)) for _ in range(2))
    size = tuple(
        data.draw(st.integers(max(1, d * (k - 1) + 1 - 2 * p), 9))
        for k, d, p in zip(kernel, dilation, padding, strict=True)
    )
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    x = rng.integers(0, 2, (batch, c_in, *size)).astype(np.uint8)
    weight, bias = rng.integers(-9, 10, (c_out, c_in // groups, *kernel)) / 8, rng.integers(-9, 10, c_out) / 8
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    layer = Layer("Conv2d", options, {"weight": weight, "bias": bias})
    stage = make_stage(layer, x.shape[1:])
    assert stage.way == "compiled"
    expected = torch.nn.functional.conv2d(
        torch.tensor(x, dtype=torch.float64), torch.tensor(weight), torch.tensor(bias), *options.values()
    )
    for sent in (x, 0.75 * x):
        scaled = (expected - torch.tensor(bias)[:, None, None]) * (0.75 if sent is not x else 1)
        got = stage.run(sent[:, None], 1)[:, 0]
        np.testing.assert_array_equal(got, (scaled + torch.tensor(bias)[:, None, None]).numpy())


def test_a_convolution_along_one_axis_is_torchs() -> None:
    rng = np.random.default_rng(0)
    x, weight = rng.integers(0, 2, (3, 4, 11)).astype(np.uint8), rng.integers(-9, 10, (6, 2, 3)) / 8
    options: dict[str, Any] = {"stride": 2, "padding": 1, "dilation": 2, "groups": 2}
    stage = make_stage(Layer("Conv1d", options, {"weight": weight}), x.shape[1:])
    expected = torch.nn.functional.conv1d(
        torch.tensor(x, dtype=torch.float64), torch.tensor(weight), None, *options.values()
    )
    np.testing.assert_array_equal(stage.run(x[:, None], 1)[:, 0], expected.numpy())


@pytest.mark.parametrize("density", [0.0, 0.1, 1.0])
def test_a_product_is_the_sum_over_what_is_not_zero(density: float) -> None:
    rng = np.random.default_rng(0)
    weight, bias = rng.integers(-64, 65, (7, 50)) / 64, rng.integers(-64, 65, 7) / 64
    stage = make_stage(Layer("Linear", {}, {"weight": weight, "bias": bias}), (50,))
    spikes = (rng.random((4, 9, 50)) < density).astype(np.uint8)
    np.testing.assert_array_equal(stage.run(spikes, 9), spikes @ weight.T + bias)
    graded = spikes * rng.integers(1, 9, spikes.shape) / 4
    np.testing.assert_array_equal(stage.run(graded, 9), graded @ weight.T + bias)


# --- whole runs -------------------------------------------------------------------------------------


def assert_same(trace: Trace, expected: Trace) -> None:
    for name in ("raw_outputs", "outputs", "input_spikes", "host_macs"):
        np.testing.assert_array_equal(getattr(trace, name), getattr(expected, name), strict=True)
    for layer, other in zip(trace.layers, expected.layers, strict=True):
        for name in ("synops", "spikes", "recorded_spikes"):
            np.testing.assert_array_equal(getattr(layer, name), getattr(other, name), name, strict=True)


@pytest.mark.parametrize("encoder", ["spikes", "constant"])
@pytest.mark.parametrize("name", NETWORKS)
def test_how_samples_are_put_together_changes_nothing(
    name: str, encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights of all digits, whose sums are rounded: rows do not depend on each other."""
    program = compiled(network(name), INPUT_SHAPE, encoder)
    inputs = np.concatenate([samples(program, seed) for seed in range(3)])
    whole = NorseExecutable(program, RunOptions()).run(inputs, "spikes")
    monkeypatch.setattr(layer_executor, "CHUNK_BYTES", 1)
    one = NorseExecutable(program, RunOptions())
    assert one.student.chunk == 1
    assert_same(one.run(inputs, "spikes"), whole)


def test_a_sum_of_membranes_runs_from_step_to_step() -> None:
    """Also of one neuron, where NumPy's own sum would go by pairs."""
    module = snn.SequentialState(torch.nn.Linear(6, 1), snn.LICell(snn.LIParameters()))
    program = replace(compiled(module, (6,), "spikes"), readout="v_mean", timesteps=300)
    inputs = samples(program, 0)
    total = np.zeros((SAMPLES, 1))
    for sent in norse_steps(program, inputs):
        total = total + sent[program.groups[0].name]
    trace = NorseExecutable(program, RunOptions()).run(inputs)
    np.testing.assert_allclose(trace.raw_outputs, total, rtol=1e-13)
    v = LayerExecutor(program).run(inputs)[program.groups[0].name]
    by_step = np.zeros((SAMPLES, 1))
    for t in range(300):
        by_step = by_step + v[:, t]
    np.testing.assert_array_equal(trace.raw_outputs, by_step)


def test_layers_that_are_not_the_groups_are_a_bug() -> None:
    program = compiled(network("dense"), INPUT_SHAPE, "constant")
    with pytest.raises(VerificationError, match=r"its cells have shapes .* please report this"):
        LayerExecutor(replace(program, layers=program.layers[:-1]))


def test_norse_itself_is_not_needed() -> None:
    """It brings seconds of imports."""
    code = (
        "import sys, numpy as np, sne_deploy as sne\n"
        "model = sne.load('examples/digits/model.pt')\n"
        "with sne.compile(model, 'norse') as compiled:\n"
        "    compiled.run(np.zeros((2, *model.input_shape)))\n"
        "assert 'sne_norse.layer_executor' in sys.modules\n"
        "print(*sorted({'norse', 'matplotlib'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
