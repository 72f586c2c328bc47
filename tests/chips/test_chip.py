"""Chip files: the packaged one against its sources, and every way in which one can be wrong."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sne_deploy.chips.chip import MAX_FILE_BYTES, chip_names, load_chip
from sne_deploy.chips.constants import EnergyConstant
from sne_deploy.chips.registers import Arithmetic
from sne_deploy.errors import HardwareError

LOIHI1 = resources.files("sne_deploy.chips").joinpath("loihi1.toml").read_text("utf-8")


@pytest.fixture
def written(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "own.toml"
        path.write_text(text, "utf-8")
        return path

    return write


def test_loihi1_is_what_davies_et_al_published() -> None:
    energy = load_chip("loihi1").energy
    assert [constant.si for _, constant in energy] == [23.6e-12, 81e-12, 52e-12, 1.7e-12, 3.0e-12, 4.0e-12]
    assert all("Davies et al. 2018" in constant.source for _, constant in energy)
    assert "minimum" in energy.synop.note


def test_loihi1_times_power_host_and_limits() -> None:
    loihi1 = load_chip("loihi1")
    davies = [3.5e-9, 8.4e-9, 5.3e-9, 2.1e-9, 4.1e-9, 6.5e-9, 113e-9, 465e-9]
    given = [constant.si for _, constant in loihi1.time if constant is not None]
    assert given == [*davies, 8.96e-6, 4.16e-3]
    assert (loihi1.power.leakage_per_chip.si, loihi1.power.x86_per_chip.si) == (0.104, 0.0667)
    assert loihi1.host.mac.si == 4.6e-12
    assert loihi1.teacher is None
    assert (loihi1.limits.neurons_per_core.value, loihi1.limits.synapse_memory_per_core.value) == (
        1024,
        16384 * 64,
    )
    assert all(limit is not None for _, limit in loihi1.limits)


def test_every_packaged_file_loads_and_is_named_after_its_chip() -> None:
    assert chip_names() == ("loihi1", "loihi2")
    assert [load_chip(name).name for name in chip_names()] == list(chip_names())


def test_constants_are_listed_by_dotted_name() -> None:
    found = load_chip("loihi1").constants("host", "teacher", "error")
    assert list(found) == ["host.mac", "error.neurocore"]


def test_a_file_of_ones_own_needs_only_what_is_modelled(written) -> None:
    constant = '{ value = 1, unit = "nJ", source = "measured" }'
    names = ("synop", "update_active", "update_idle", "spike_within_tile")
    lines = ['name = "mine"', 'description = "mine"', "[energy]", *(f"{name} = {constant}" for name in names)]
    mine = load_chip(written("\n".join([*lines, "[host]", f"mac = {constant}"])))
    assert mine.energy.synop.si == 1e-9
    assert mine.energy.hop_east_west is None
    assert mine.limits.neurons_per_core is None


SYNOP = 'synop = { value = 23.6, unit = "pJ", source = "Davies'
BAD = {
    "negative": ("value = 23.6", "value = -1", r"energy\.synop: value -1\.0 pJ is not in \[0, 0\.001 J\]"),
    "nan": ("value = 23.6", "value = nan", r"energy\.synop\.value = nan must be a finite number"),
    "infinite": ("value = 23.6", "value = inf", r"energy\.synop\.value = inf must be a finite number"),
    "text": ("value = 23.6", 'value = "23.6"', r"energy\.synop\.value = '23\.6' must be a finite number"),
    "boolean": ("value = 23.6", "value = true", r"energy\.synop\.value = True must be a finite number"),
    "huge": ("value = 23.6", "value = " + "9" * 400, "a whole number of more than 64 bits"),
    "in joules": (
        '23.6, unit = "pJ"', '23.6, unit = "J"', r"energy\.synop: value 23\.6 J is not in \[0, 0\.001 J\]",
    ),
    "wrong unit": (
        '23.6, unit = "pJ"', '23.6, unit = "ns"', r"unit 'ns' is not one of J, mJ, uJ, nJ, pJ, fJ",
    ),
    "no unit": ('23.6, unit = "pJ",', "23.6,", r"energy\.synop\.unit is missing; write energy\.synop = \{"),
    "unit is a number": ('23.6, unit = "pJ",', "23.6, unit = 3,", r"energy\.synop\.unit = 3 must be a text"),
    "no source": (SYNOP, SYNOP.replace("source", "sauce"), r"energy\.synop\.source is missing"),
    "empty source": ("value = 23.6", 'value = 23.6, source = ""', "not TOML"),
    "blank source": (
        'unit = "pJ", source = "Horowitz 2014, ISSCC"',
        'unit = "pJ", source = "  "',
        r"host\.mac\.source = '  ' must be a text of 1 to 2000 characters",
    ),
    "missing constant": (
        "update_idle = { value = 52.0", "note = { value = 52.0", r"energy\.update_idle is missing; add",
    ),
    "missing table": ("[host]", "[power.host]", r"host is missing; add a \[host\] table"),
    "unknown table": ("[limits]", "[limit]", "limit is not a known key; remove it"),
    "unknown constant": ("\nleakage_per_chip", "\nleakage", r"power\.leakage is not a known key"),
    "not a table": (
        "[host]\nmac = { value = 4.6", "[host]\nmac = 4.6 #{", r"host\.mac = 4\.6 is not a table",
    ),
    "fraction as a limit": (
        "value = 1024,", "value = 1024.5,", r"limits\.neurons_per_core\.value = 1024\.5 must be a whole",
    ),
    "negative limit": (
        "value = 1024,", "value = -3,", r"limits\.neurons_per_core\.value = -3: .* or equal to 0",
    ),
    "limit in joules": (
        'value = 1024, unit = "compartment"',
        'value = 1024, unit = "J"',
        r"limits\.neurons_per_core: unit 'J' is not one of 1, bit, step, compartment",
    ),
    "time in joules": (
        '3.5, unit = "ns"', '3.5, unit = "pJ"', r"time\.synop: unit 'pJ' is not one of s, ms, us, ns",
    ),
    "power in seconds": (
        '104.0, unit = "mW"', '104.0, unit = "s"', r"power\.leakage_per_chip: unit 's' is not one of W",
    ),
    "no width": (
        "threshold_bits = { value", "threshold_bits = { walue",
        r"registers\.threshold_bits\.value is missing; write registers\.threshold_bits = \{ value = 12, unit",
    ),
    "width of nothing": (
        "value = 17,", "value = 0,", r"registers\.threshold_bits\.value = 0: .* or equal to 1; correct it",
    ),
    "one register table of three": (
        "[resets]\n", "[other]\n", r"resets is missing; add a \[resets\] table, as in loihi1\.toml",
    ),
    "no range": (
        "mixed = {", "mixing = {", r"weights\.mixed is missing; add mixed = \{ min = -256, max = 254,",
    ),
    "more weights than bits": (
        "[weights]\nbits = { value = 8", "[weights]\nbits = { value = 4",
        r"weights: mixed has 256 weights, more than the 16 of 4 bits; correct it",
    ),
    "a range off its step": (
        "max = 254, step = 2", "max = 255, step = 2",
        r"weights\.mixed: min -256 and max 255 are not two multiples of step 2",
    ),
    "no reset": (
        "[resets]\nvalue = {", "[resets]\nwalue = {", r"resets\.walue is not a known key",
    ),
    "broken": ("[energy]", "[energy", "is not TOML: "),
    "deep": ('name = "loihi1"', "name = " + "[" * 100_000, "is not TOML: "),
    "thousands of digits": ("value = 23.6", "value = " + "9" * 5000, "is not TOML: |must be a finite number"),
    "line break in a key": ('name = "loihi1"', 'name = "loihi1"\n"a\\nb" = 1', r"a\\nb is not a known key"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), BAD.values(), ids=BAD)
def test_a_bad_file_is_one_clear_line(written, old: str, new: str, message: str) -> None:
    assert LOIHI1.count(old) >= 1
    path = written(LOIHI1.replace(old, new, 1))
    with pytest.raises(HardwareError, match=message) as caught:
        load_chip(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.exit_status == 2


@given(junk=st.binary(max_size=300))
def test_random_bytes_never_escape_as_another_error(
    junk: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "junk.toml"
    path.write_bytes(junk)
    with pytest.raises(HardwareError):
        load_chip(path)


def test_loihi2_has_loihi1s_energies_and_says_so() -> None:
    one, two = load_chip("loihi1"), load_chip("loihi2")
    for (name, ours), (_, theirs) in zip(two.energy, one.energy, strict=True):
        assert ours.si == theirs.si, name
        assert ours.source.startswith("Loihi 1: Davies et al. 2018")
        assert ours.source.endswith("none is published for Loihi 2")


def test_both_chips_have_lavas_registers() -> None:
    """What Lava's bit-accurate models and ``weightutils`` compute with."""
    for name in chip_names():
        registers = load_chip(name).registers
        assert registers.chip == name
        assert registers.arithmetic == Arithmetic(state_bits=23, state_shift=6, decay_bits=12)
        assert (registers.state_limit, registers.decay_max) == (2**23, 4095)
        assert (registers.vth_mant_max, registers.vth_max) == (131071, 8_388_544)
        assert (registers.bias_mant_min, registers.bias_mant_max) == (-4096, 4095)
        assert (registers.bias_exp_min, registers.bias_exp_max) == (0, 7)
        assert (registers.weight_bits, registers.weight_exp_min, registers.weight_exp_max) == (8, -7, 7)
        assert [(w.mode, w.low, w.high, w.step) for w in registers.weight_ranges] == [
            ("mixed", -256, 254, 2), ("excitatory", 0, 255, 1), ("inhibitory", -255, 0, 1),
        ]  # fmt: skip
        assert registers.delay_max == 62


def test_a_soft_reset_takes_a_second_compartment_on_loihi1() -> None:
    one, two = (load_chip(name) for name in chip_names())
    assert (one.registers.compartments("value"), one.registers.compartments("subtract")) == (1, 2)
    assert (two.registers.compartments("value"), two.registers.compartments("subtract")) == (1, 1)
    assert "NxTF" in one.resets.subtract.source
    assert "microcode" in two.resets.subtract.source


def test_delays_are_paid_in_compartments() -> None:
    limits = load_chip("loihi1").limits
    assert limits.compartments_per_core_by_delay.value == [[6, 1024], [14, 512], [30, 256], [62, 128]]


OLD_LIMITS = (
    "[limits]\n"
    'neurons_per_core = { value = 1024, unit = "1", source = "nengo/nengo-loihi" }\n'
    'compartment_configurations_per_core = { value = 32, unit = "1", source = "nengo/nengo-loihi" }\n'
)


def test_a_file_from_before_the_register_tables_has_loihi1s(written) -> None:
    text = LOIHI1[: LOIHI1.index("# What can be compiled")].replace("loihi1", "mine") + OLD_LIMITS
    mine = load_chip(written(text))
    registers = load_chip("loihi1").registers
    assert mine.registers == replace(registers, chip="mine", thresholds_per_core=None)
    assert mine.limits.groups_per_core.value == 32


def test_register_widths_among_the_limits_are_refused_with_what_to_add(written) -> None:
    text = LOIHI1[: LOIHI1.index("# What can be compiled")] + OLD_LIMITS
    old = 'delay_max = { value = 7, unit = "step", source = "nengo/nengo-loihi" }\n'
    with pytest.raises(
        HardwareError,
        match=r"limits\.delay_max is no longer in \[limits\]; remove it there, and add the tables "
        r"\[registers\], \[weights\] and \[resets\] of loihi1\.toml, or none of them",
    ):
        load_chip(written(text + old))


@pytest.mark.parametrize("name", ["tpu", "", "loihi1\n"])
def test_an_unknown_name_lists_the_known_ones(name: str) -> None:
    with pytest.raises(
        HardwareError, match=r"unknown hardware .*; known: loihi1, loihi2; or give a file"
    ) as caught:
        load_chip(name)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(HardwareError, match=r"No such file or directory; give a \.toml file"):
        load_chip(tmp_path / "none.toml")
    with pytest.raises(HardwareError, match="it is a folder, not a file"):
        load_chip(tmp_path)
    with pytest.raises(HardwareError, match="embedded null byte"):
        load_chip("a\0.toml")
    fifo = tmp_path / "fifo.toml"
    os.mkfifo(fifo)
    with pytest.raises(HardwareError, match="it is a pipe, not a file"):
        load_chip(fifo)


def test_a_file_that_is_too_large(written) -> None:
    with pytest.raises(HardwareError, match=f"more than the limit of {MAX_FILE_BYTES}"):
        load_chip(written("#" * (MAX_FILE_BYTES + 1)))


@given(
    digits=st.integers(0, 9999),
    unit=st.sampled_from([("mJ", -3), ("uJ", -6), ("nJ", -9), ("pJ", -12), ("fJ", -15)]),
)
def test_si_is_the_double_nearest_to_what_was_written(digits: int, unit: tuple[str, int]) -> None:
    name, exponent = unit
    constant = EnergyConstant(value=digits / 1e4, unit=name, source="x")
    assert constant.si == float(f"{digits}e{exponent - 4}")
