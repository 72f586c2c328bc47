"""docs/adding_a_neuron.md: the model that it adds, taken from the page and run everywhere."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch

import sne_deploy as sne
from sne_deploy.backend import RunOptions, load_backend
from sne_deploy.chips.chip import load_chip
from sne_deploy.errors import UnsupportedError
from sne_deploy.frontend.norse.export import export_student
from sne_deploy.inspect.collect import inspect_ensemble
from sne_deploy.ir.bounds import state_bounds
from sne_deploy.ir.program import Program
from sne_deploy.model.ensemble import Ensemble
from sne_deploy.neurons.table import MODELS
from sne_deploy.passes.pipeline import compile_student
from sne_loihi.neurons import KERNELS
from tests import reference

PAGE = (Path(__file__).parents[2] / "docs" / "adding_a_neuron.md").read_text("utf-8")
NAME, STEPS, N_IN = "constant_leak", 24, 12
FILE = re.compile(r"^`([\w/]+\.py)`:\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^Its row in `([\w/]+\.py)`:\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's files as modules, and its rows in the tables."""
    for path, code in FILE.findall(PAGE):
        name = path.removesuffix(".py").removeprefix("backends/").replace("/", ".")
        file = tmp_path / path.replace("/", "_")
        file.write_text(code, "utf-8")
        spec = spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        monkeypatch.setitem(sys.modules, name, module_from_spec(spec))
        spec.loader.exec_module(sys.modules[name])
    rows = {path: code.strip() for path, code in ROW.findall(PAGE)}
    module = import_module("sne_deploy.neurons.constant_leak")
    table = "sne_deploy/neurons/table.py"
    monkeypatch.setitem(MODELS, NAME, eval(rows.pop(table), {"constant_leak": module}))  # noqa: S307  our page
    (kernel,) = rows.values()
    for key, value in eval(f"{{{kernel}}}").items():  # noqa: S307  our page
        monkeypatch.setitem(KERNELS, key, value)
    test = import_module("tests.neurons.test_constant_leak")
    monkeypatch.setitem(reference.STATES, NAME, test.ConstantLeakState)


def test_the_page_counts_its_files() -> None:
    listed = re.findall(r"^\| `([\w/]+\.py)` \|", PAGE, re.MULTILINE)
    assert len(listed) <= 6
    assert set(listed) == {path for path, _ in FILE.findall(PAGE) + ROW.findall(PAGE)}


def network(seed: int = 0) -> torch.nn.Module:
    """Two layers of the model, with weights on a grid that no sum of theirs leaves."""
    import norse.torch as norse

    cells = import_module("sne_deploy.frontend.norse.constant_leak")
    torch.manual_seed(seed)
    maps = [torch.nn.Linear(N_IN, 10), torch.nn.Linear(10, 6)]
    for linear in maps:
        linear.requires_grad_(False)
        linear.weight.copy_(torch.round(torch.randn(linear.weight.shape) * 26) / 64)
        linear.bias.copy_(torch.round(torch.randn(linear.bias.shape) * 3) / 64)
    leak = (torch.arange(10) * 8 / 64 * 1000, torch.tensor(125.0))
    made = [cells.ConstantLeakCell(cells.ConstantLeakParameters(leak=each)) for each in leak]
    return norse.SequentialState(maps[0], made[0], maps[1], made[1])


def ensemble() -> Ensemble:
    return sne.ensemble([network()], input_shape=(N_IN,), timesteps=STEPS)


def program(precision: str, of: Ensemble | None = None) -> Program:
    of = of or ensemble()
    return compile_student(
        of.students[0],
        input_shape=(N_IN,),
        timesteps=STEPS,
        encoder=of.encoder,
        precision=precision,
        formats=load_chip("loihi1").registers,
    )


def samples(count: int = 9) -> np.ndarray:
    return (np.random.default_rng(3).random((count, STEPS, N_IN)) < 0.4).astype(np.uint8)


def run(target: str, compiled: Program, record: Any = "all") -> Any:
    with load_backend(target).compile(compiled, RunOptions()) as executable:
        return executable.run(samples(), record)


def test_the_pages_own_test_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    import_module("tests.neurons.test_constant_leak").test_loihi_is_the_reference(monkeypatch)


def test_loihi_is_the_reference_bit_for_bit() -> None:
    compiled = program("fixed")
    assert {group.kind for group in compiled.groups} == {NAME}
    assert np.ptp(compiled.groups[0].own["leak"]) > 1000
    expected = reference.simulate(compiled, samples())
    reference.assert_equal(run("loihi", compiled), expected, compiled)
    assert min(sum(layer.spikes) for layer in expected.layers.values()) > 50
    assert any(v < 0 for step in expected.layers[compiled.groups[0].name].v[0] for v in step)


@pytest.mark.parametrize("precision", ["fixed", "float"])
def test_the_step_is_the_references_and_stays_within_the_bounds(precision: str) -> None:
    compiled = program(precision)
    group = compiled.groups[0]
    oracle = reference.STATES[NAME](group, fixed=precision == "fixed")
    model = MODELS[NAME].dynamics(group, compiled.formats)
    a_in = np.random.default_rng(0).integers(-90, 120, (STEPS, group.size))
    a_in = a_in if compiled.formats else a_in / 64
    bounds = state_bounds(group, a_in.min(axis=0), a_in.max(axis=0), STEPS, compiled.formats)
    u, v = model.start()
    for a in a_in:
        u, v, spikes = model.step(u, v, a)
        assert np.flatnonzero(spikes).tolist() == oracle.update(a.tolist())
        assert (u.tolist(), v.tolist()) == (oracle.u, oracle.v)
        assert bounds.v_min <= v.min() <= v.max() <= bounds.v_max


def test_norse_is_the_reference_in_real_numbers() -> None:
    compiled = program("float")
    trace, expected = run("norse", compiled, "spikes"), reference.simulate(compiled, samples())
    for layer, group in zip(trace.layers, compiled.groups, strict=True):
        np.testing.assert_array_equal(layer.recorded_spikes, expected.layers[group.name].raster)
        np.testing.assert_array_equal(layer.synops, expected.layers[group.name].synops)


def test_a_model_and_a_nir_file_keep_it(tmp_path: Path) -> None:
    model = ensemble()
    model.save(tmp_path / "model.pt")
    from sne_deploy.frontend.nir.file import read_nir, write_nir

    graph = export_student(model.students[0], (N_IN,))
    assert [type(node).__name__ for node in graph.nodes.values()].count("ConstantLeakLIF") == 2
    assert not hasattr(nir, "ConstantLeakLIF")
    write_nir(tmp_path / "model.nir", graph)
    assert set(read_nir(tmp_path / "model.nir").nodes) == set(graph.nodes)
    expected = program("fixed")
    for name in ("model.pt", "model.nir"):
        again = program("fixed", sne.load(tmp_path / name, timesteps=None if name == "model.pt" else STEPS))
        for group, wanted in zip(again.groups, expected.groups, strict=True):
            np.testing.assert_array_equal(group.own["leak"], wanted.own["leak"])
            np.testing.assert_array_equal(group.vth_mant, wanted.vth_mant)


def test_runs_and_views_know_it() -> None:
    with sne.compile(ensemble(), target="loihi") as compiled:
        result = compiled.run(samples())
    trace = run("loihi", program("fixed"))
    np.testing.assert_array_equal(result.logits, trace.outputs)
    (student,) = inspect_ensemble(ensemble(), "a network").students
    details = [node.detail for node in student.nodes if node.type == "ConstantLeakLIF"]
    assert all(detail.startswith("leak ") for detail in details)
    assert len(details) == 2
    assert {row.target for row in student.support if row.supported} == {"loihi", "norse"}


def test_targets_without_a_kernel_refuse_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for precision in ("fixed", "float"):
        with pytest.raises(UnsupportedError, match=r"neuron kind 'constant_leak' is not one of lif"):
            load_backend("lava").compile(program(precision), RunOptions())
    monkeypatch.delitem(KERNELS, NAME)
    with pytest.raises(UnsupportedError, match=r"on target loihi.*'constant_leak'"):
        load_backend("loihi").compile(program("fixed"), RunOptions())
    assert NAME not in load_backend("netx").capabilities().neuron_kinds
