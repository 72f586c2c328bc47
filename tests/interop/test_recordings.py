"""The recordings against a plain NumPy integration of the same graphs: what each framework does in a step.

No compiler here. ``README.md`` says the same in equations.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.interop.simulation import Rules, simulate
from tests.interop.stored import DATA, Stored, load, names

MARGIN = 5e-6
"""No membrane comes closer to its threshold: float32, float64 and any order of sums give the same spikes."""
MEMBRANE = 1e-6
UNREADABLE = ["norse_fault_none"]
"""No graph in the file."""
TIES = "spikingjelly_fault_ties"
NO_REPAIR = {"snntorch_fault_rsynaptic_zero_delay", "snntorch_fault_synaptic_zero_delay", TIES}
"""What these do has no field in NIR: a step without membrane, or firing at the threshold itself."""
SHAPES_ALONE = {"norse_fault_batch_axis", "sinabs_fault_time_axis"}


def differing(stored: Stored, rules: Rules, repaired: bool = True) -> int:
    """Spikes, counts or membranes that differ from the framework's."""
    outputs = simulate(stored.repaired_graph if repaired else stored.graph, stored.inputs, rules)
    assert set(outputs.values) == set(stored.outputs)
    return sum(
        int((np.abs(outputs.values[node] - expected) > MEMBRANE).sum())
        if expected.dtype.kind == "f"
        else int((outputs.values[node] != expected).sum())
        for node, expected in stored.outputs.items()
    )


@pytest.mark.parametrize("name", [name for name in names() if name not in UNREADABLE])
def test_the_framework_steps_as_its_rules_say(name):
    stored = load(name)
    assert differing(stored, stored.rules) == 0


@pytest.mark.parametrize("name", names())
def test_layers_are_active_and_no_file_is_large(name):
    stored = load(name)
    for node, layer in stored.about["layers"].items():
        if layer["records"] != "membrane":
            assert 0.05 <= stored.outputs[node].mean() <= 0.30
    assert max(file.stat().st_size for file in stored.path.parent.glob(f"{name}.*")) <= 100_000


@pytest.mark.parametrize("name", [name for name in names() if name not in {*UNREADABLE, TIES}])
def test_no_membrane_is_at_its_threshold(name):
    stored = load(name)
    assert simulate(stored.repaired_graph, stored.inputs, stored.rules).margin > MARGIN


@pytest.mark.parametrize("name", names(fault=False))
def test_the_reset_shows_in_the_spikes(name):
    stored = load(name)
    for other in {"value", "subtract"} - {stored.about["reset"]}:
        assert differing(stored, replace(stored.rules, reset=other)) > 100


@pytest.mark.parametrize("name", [name for name in names(fault=True) if name not in UNREADABLE])
def test_a_fault_shows_in_the_spikes(name):
    stored = load(name)
    about = stored.about
    plain = [Rules(about["dt_s"], reset) for reset in ("value", "subtract")]
    with np.errstate(over="ignore", invalid="ignore"):
        fewest = min(differing(stored, rules, repaired=False) for rules in plain)
    assert (fewest == 0) == (name in SHAPES_ALONE)
    assert bool(about["repair"]) != (name in NO_REPAIR | SHAPES_ALONE)


def test_the_readme_lists_every_recording():
    readme = (DATA.parent / "README.md").read_text()
    rows = [
        line.split("`")[1]
        for line in readme.splitlines()
        if line.startswith("| `") and "_" in line.split("`")[1]
    ]
    assert sorted(row for row in rows if row in names()) == names()
