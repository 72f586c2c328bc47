"""A chip of one's own is a file: 4-bit weights, delays of at most 3 steps, and no line of Python."""

from __future__ import annotations

from importlib import resources
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np
import pytest

import sne_deploy as sne
from sne_deploy.backend import load_backend
from sne_deploy.chips.chip import load_chip
from sne_deploy.errors import InputError, UnsupportedError
from sne_deploy.report.file import load_report
from tests.command_line import command
from tests.net_programs import chain

pytestmark = pytest.mark.usefixtures("warm_lava")

DT_S = 1e-3
N, T = 6, 12
LOIHI1 = resources.files("sne_deploy.chips").joinpath("loihi1.toml").read_text("utf-8")
CHANGES = {
    'name = "loihi1"': 'name = "small"',
    "bits = { value = 8,": "bits = { value = 4,",
    "min = -256, max = 254, step = 2": "min = -16, max = 14, step = 2",
    "min = 0, max = 255": "min = 0, max = 15",
    "min = -255, max = 0": "min = -15, max = 0",
    "delay_max = { value = 62": "delay_max = { value = 3",
}


def chip_file(folder: Path, changes: dict[str, str]) -> Path:
    """loihi1's file with other numbers."""
    text = LOIHI1
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = folder / "small.toml"
    path.write_text(text, "utf-8")
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return chip_file(tmp_path, CHANGES)


def network(folder: Path, steps: int = 5, reset: str = "value") -> Path:
    """Neurons, a delay of so many steps, and neurons with a loop, as a ``.nir`` file."""
    rng = np.random.default_rng(7)
    ones = np.ones(N)

    def lif() -> nir.LIF:
        neurons = nir.LIF(tau=4e-3 * ones, r=4 * ones, v_leak=0 * ones, v_threshold=0.7 * ones)
        neurons.metadata = {"reset": reset}
        return neurons

    def linear() -> nir.Linear:
        return nir.Linear(rng.normal(size=(N, N)) + 0.2)

    names = ("in", "first", "a", "late", "second", "b", "out")
    graph = nir.NIRGraph(
        {
            "in": nir.Input(np.array([N])), "first": linear(), "a": lif(),
            "late": nir.Delay(steps * DT_S * ones), "second": linear(), "b": lif(),
            "loop": linear(), "out": nir.Output(np.array([N])),
        },
        [*pairwise(names), ("b", "loop"), ("loop", "b")],
        metadata={"dt_s": DT_S},
    )  # fmt: skip
    path = folder / "net.nir"
    nir.write(path, graph)
    return path


def spikes(samples: int = 5) -> np.ndarray:
    return (np.random.default_rng(3).random((samples, T, N)) < 0.4).astype(np.uint8)


def load(path: Path) -> sne.Ensemble:
    return sne.load(path, timesteps=T, dt_s=DT_S)


@pytest.mark.parametrize("reset", ["value", "subtract"])
def test_it_compiles_and_lava_agrees_in_every_bit(small: Path, tmp_path: Path, reset: str) -> None:
    x = spikes()
    with sne.compile(load(network(tmp_path, reset=reset)), "loihi", hardware=small) as compiled:
        program = compiled.programs[0]
        result = compiled.run(x, record="spikes", verify=len(x))
    assert result.report.hardware.name == "small"
    assert (result.report.verified.against, result.report.verified.differing_bits) == ("lava", 0)
    assert result.students[0].spikes["b"].any()
    assert program.formats == load_chip(small).registers
    for synapse in program.synapses:
        values = np.unique(synapse.weights.values)
        assert len(values) > 4
        low, high = {"mixed": (-16, 14), "excitatory": (0, 15), "inhibitory": (-15, 0)}[synapse.sign_mode]
        assert low <= values.min() <= values.max() <= high
    assert max(synapse.delay for synapse in program.synapses) == 3


def test_the_command_takes_the_file(small: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=spikes())
    arguments = (network(tmp_path), "--timesteps", T, "--dt-s", DT_S, "--data", tmp_path / "x.npz")
    done = command(*arguments, "--target", "loihi", "--hardware", small, "--out", tmp_path / "out")
    assert done.status == 0, done.stderr
    assert load_report(tmp_path / "out").hardware.name == "small"


def test_a_longer_delay_is_refused_with_the_remedy(small: Path, tmp_path: Path) -> None:
    model = load(network(tmp_path, steps=6))
    with pytest.raises(
        UnsupportedError,
        match=r"connection '.*late.*' from 'a' to 'b' needs a delay of 4 steps; small has at most 3; use "
        r"shorter delays, a longer dt, or another chip with --hardware",
    ):
        sne.compile(model, "loihi", hardware=small)
    sne.compile(model, "loihi", hardware="loihi2").__exit__(None, None, None)


@pytest.mark.parametrize("bits", [1, 5, 8, 16])
def test_more_bits_than_the_chip_has_are_refused(small: Path, tmp_path: Path, bits: int) -> None:
    message = f"--weight-bits {bits}: a weight has 2 to 4 bits, on chip small; .* another chip"
    with pytest.raises(InputError, match=message):
        sne.compile(load(network(tmp_path)), "loihi", hardware=small, weight_bits=bits)


def test_fewer_bits_are_the_upper_ones(small: Path) -> None:
    registers = load_chip(small).registers
    found = [registers.narrowed(bits).weight_range("mixed") for bits in (4, 3, 2)]
    assert [(each.low, each.high, each.step) for each in found] == [(-16, 14, 2), (-16, 12, 4), (-16, 8, 8)]


def test_a_kind_of_reset_that_the_chip_lacks_is_refused_with_the_remedy(tmp_path: Path) -> None:
    lines = [line for line in LOIHI1.splitlines() if line.startswith(("subtract = ", "value_delayed = "))]
    hard = chip_file(tmp_path, {**CHANGES, **{line + "\n": "" for line in lines}})
    with pytest.raises(
        UnsupportedError,
        match=r"group 'a' resets by 'subtract'; small by value: train with that, give --reset value for a "
        r".nir file, or another chip with --hardware; group 'b' resets by",
    ):
        sne.compile(load(network(tmp_path, reset="subtract")), "loihi", hardware=hard)
    sne.compile(load(network(tmp_path)), "loihi", hardware=hard).__exit__(None, None, None)


def test_registers_that_were_read_must_fit_the_chip(small: Path, tmp_path: Path) -> None:
    """A .net file has 8-bit weights, which no quantisation makes smaller."""
    program, _ = chain("dd", "spikes", "count")
    load_backend("netx").write(program, tmp_path)
    model = sne.load(tmp_path / f"{program.name}.net")
    with pytest.raises(
        UnsupportedError,
        match=r"cannot be expressed in the registers of small: synapse .*: weights outside -16\.\.14 in "
        r"steps of 2 \(mixed\); give another chip with --hardware",
    ):
        sne.compile(model, "loihi", hardware=small)


def test_a_small_threshold_register_bounds_the_scale(tmp_path: Path) -> None:
    """No threshold is cut off: the scale is smaller instead."""
    changed = {**CHANGES, "threshold_bits = { value = 17": "threshold_bits = { value = 6"}
    with sne.compile(load(network(tmp_path)), "loihi", hardware=chip_file(tmp_path, changed)) as compiled:
        for group in compiled.programs[0].groups:
            assert group.scale * 0.7 / 64 == pytest.approx(int(group.vth_mant), abs=0.5)
            assert int(group.vth_mant) <= 63
        assert compiled.run(spikes(), verify=3).report.verified.differing_bits == 0


def test_another_arithmetic_needs_another_target(tmp_path: Path) -> None:
    wide = chip_file(tmp_path, {"state_bits = { value = 23": "state_bits = { value = 24"})
    with pytest.raises(InputError, match=r"chip loihi1 has .*state_bits=24.*computes with .*state_bits=23"):
        sne.compile(load(network(tmp_path)), "loihi", hardware=wide)


def test_a_soft_reset_costs_a_second_compartments_updates_on_loihi1_alone(tmp_path: Path) -> None:
    model, x, traces = load(network(tmp_path, reset="subtract")), spikes(), {}
    for name in ("loihi1", "loihi2"):
        with sne.compile(model, "loihi", hardware=name, fidelity=False) as compiled:
            said = [text for text in compiled.programs[0].warnings if "compartments per neuron" in text]
            assert len(said) == (2 if name == "loihi1" else 0)
            traces[name] = compiled.run(x, verify=3).report.students[0]
    one, two = traces["loihi1"], traces["loihi2"]
    assert two.updates_active_per_sample + two.updates_idle_per_sample == 2 * N * T
    assert one.updates_active_per_sample == 2 * two.updates_active_per_sample
    assert one.updates_idle_per_sample == 2 * two.updates_idle_per_sample
    assert one.energy_per_sample_j.updates == pytest.approx(2 * two.energy_per_sample_j.updates)
    assert (one.synops_per_sample, one.spikes_per_sample) == (two.synops_per_sample, two.spikes_per_sample)
