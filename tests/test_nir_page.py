"""docs/nir.md is what the script writes, and the script lets no primitive go."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import nir
import numpy as np
import pytest

from scripts.nir_semantics import DESCRIPTIONS
from sne_deploy.backend import RunOptions, load_backend
from sne_deploy.errors import UnsupportedError
from sne_deploy.frontend.graph_models import ensemble_of_graphs
from sne_deploy.frontend.options import ReadOptions
from sne_deploy.passes.pipeline import compile_student
from tests.chip_registers import LOIHI1

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "write_nir_table.py"
PAGE = (ROOT / "docs" / "nir.md").read_text("utf-8")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        spec = importlib.util.spec_from_file_location("write_nir_table", SCRIPT)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["write_nir_table"] = module  # dataclasses look there
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(SCRIPT.parent))


def test_the_page_is_what_the_script_writes() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_primitive_runs_on_every_target() -> None:
    table = [line for line in PAGE.splitlines() if line.startswith("| `") and line.count(" yes ") == 4]
    assert [re.findall(r"`(\w+)`", line)[0] for line in table] == list(DESCRIPTIONS)


def test_a_primitive_that_the_table_lacks_stops_the_script(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    class New(nir.ir.NIRNode):
        pass

    assert set(script.primitives()) == set(DESCRIPTIONS)
    monkeypatch.setattr(nir.ir, "New", New, raising=False)
    with pytest.raises(SystemExit, match="New"):
        script.primitives()


def test_no_is_said_with_the_reason(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        name = "loihi"

        def compile(self, program: object, options: object) -> object:
            raise UnsupportedError("target", ["this", "that"])

    real = script.load_backend
    monkeypatch.setattr(script, "load_backend", lambda name: Refusing() if name == "loihi" else real(name))
    outcome = script.try_out(script.PRIMITIVES["LIF"](), lava=False)
    assert list(script._cells(outcome)) == ["yes", "yes", "yes", "no: this; that"]


def test_every_file_it_names_exists() -> None:
    names = re.findall(r"`((?:sne_deploy|scripts)/[\w./]+\.\w+)`|\]\(([\w./]+)\)", PAGE)
    assert names
    for first, second in names:
        assert (ROOT / first if first else ROOT / "docs" / second).is_file(), first or second
    assert "{" not in PAGE.replace("dt_s", "")


def documented_step(name: str) -> list[tuple[str, str]]:
    """The assignments of a neuron's documented step as Python: ``a (v + r I)`` is ``a*(v + r*I)``."""
    words = DESCRIPTIONS[name].step.split("; ")
    pairs = [re.match(r"([Iv]) <- ([^,]*?)(?: with|, with|$)", part) for part in words]
    return [
        (pair[1], re.sub(r"(?<=[A-Za-z]) (?=[A-Za-z(])", "*", pair[2])) for pair in pairs if pair is not None
    ]


def documented_run(name: str, node: Any, x: Any) -> tuple[Any, Any]:
    """Spikes and membranes (T, n) of the documented step."""
    values = {field: getattr(node, field) for field in ("r", "v_leak", "w_in") if hasattr(node, field)}
    values["dt"] = 1e-3
    values["a"] = 1e-3 / getattr(node, "tau_mem", getattr(node, "tau", np.inf))
    values["b"] = 1e-3 / getattr(node, "tau_syn", np.inf)
    start = getattr(node, "v_leak", getattr(node, "v_reset", 0.0))  # as the step's text says
    state = {"I": np.zeros(4), "v": np.broadcast_to(start, 4)}
    spikes, membranes = [], []
    for now in x:
        for target, expression in documented_step(name):
            state[target] = eval(expression, {}, {**values, **state, "x": now})  # noqa: S307  our own text
        fired = state["v"] > getattr(node, "v_threshold", np.inf)
        state["v"] = np.where(fired, getattr(node, "v_reset", 0.0), state["v"])
        spikes.append(fired)
        membranes.append(state["v"])
    return np.array(spikes), np.array(membranes)


@pytest.mark.parametrize("name", ["I", "IF", "LI", "LIF", "CubaLI", "CubaLIF"])
def test_the_documented_step_is_what_runs(name: str, script: ModuleType) -> None:
    """Neurons with no parameter at its default, driven by spikes, against the floating-point target."""
    graph = script.PRIMITIVES[name]()
    node = graph.nodes[name.lower()]
    for field, value in {"v_leak": 0.125, "v_reset": -0.25, "v_threshold": 0.4375, "w_in": 3.0}.items():
        if hasattr(node, field):
            setattr(node, field, np.linspace(1.0, 1.2, 4) * value)
    T = 60 if hasattr(node, "v_threshold") else 7
    x = (np.random.default_rng(3).random((T, 4)) < 0.7).astype(np.float64)
    spikes, membranes = documented_run(name, node, x)
    given = ensemble_of_graphs([graph], ["net"], ReadOptions(timesteps=T))
    program = compile_student(
        given.students[0],
        input_shape=(4,),
        timesteps=T,
        encoder=given.encoder,
        precision="float",
        formats=LOIHI1,
    )
    with load_backend("norse").compile(program, RunOptions()) as executable:
        trace = executable.run(x[None], record="spikes")
    if hasattr(node, "v_threshold"):
        np.testing.assert_array_equal(trace.layers[0].recorded_spikes[0], spikes)
        assert 20 < spikes.sum() < 220
    else:
        np.testing.assert_allclose(trace.outputs[0], membranes[-1], rtol=1e-12)
