"""Who takes less, and from which rate on: against the two energies themselves, on random figures."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.energy.comparison import ChipFigures, Comparison, Turn, compare, turn
from sne_deploy.energy.figure import Figure, exact
from sne_deploy.energy.processor import Processor, find_processors
from tests.effort import examples

SIZE = st.floats(1e-3, 1e3)
FACTOR = st.floats(0.5, 1.0)


@st.composite
def figures(draw: st.DrawFn, scale: float = 1.0) -> Figure:
    value = draw(SIZE) * scale
    return Figure(value, value * draw(FACTOR), value / draw(FACTOR))


@st.composite
def chips(draw: st.DrawFn) -> ChipFigures:
    """Joules about 1 uJ, watts about 1 mW, rates about 1000 per second: each may decide."""
    return ChipFigures(
        neurocore_j=draw(figures(1e-6)),
        host_j=draw(SIZE) * 1e-8,
        x86_w=draw(figures(1e-3)),
        static_w=draw(figures(1e-3)),
        throughput_per_s=draw(figures(1e3)),
    )


@st.composite
def processors(draw: st.DrawFn, kind: str = "any") -> Processor:
    """Energy for 1000 multiply-accumulates about 1 uJ; some draw power when idle."""
    of = draw(st.sampled_from(["whole", "measured", "arithmetic"])) if kind == "any" else kind
    pj = draw(SIZE) * 1e3
    mac = {"value": pj, "unit": "pJ", "source": "s"}
    if of == "arithmetic":
        return Processor.model_validate({"description": "d", "kind": "arithmetic alone", "mac": mac})
    found = {"description": "d", "kind": "published, whole processor", "mac": mac}
    if of == "measured":
        networks = [
            {"name": "n", "macs": 1000, "value": pj * share, "unit": "nJ", "source": "s"}
            for share in (1.0, draw(FACTOR), 1 / draw(FACTOR))
        ]
        found = {"description": "d", "kind": "measured, whole board", "networks": networks}
    if draw(st.booleans()):
        found["idle"] = {"value": draw(SIZE), "unit": "mW", "source": "s"}
    return Processor.model_validate(found)


def energies(chip: ChipFigures, processor: Processor, rate: float, end: str) -> tuple[float, float]:
    """Joules of the chip and of the processor for 1000 MACs, as stated or at an end of intervals."""
    mine, other = {"value": ("value", "value"), "best": ("low", "high"), "worst": ("high", "low")}[end]
    per_mac = getattr(processor.per_mac_j, other)
    if processor.kind == "arithmetic alone":
        return getattr(chip.neurocore_j, mine) + chip.host_j, 1000 * per_mac
    power = getattr(chip.x86_w, mine) + getattr(chip.static_w, mine)
    return getattr(chip.neurocore_j, mine) + power / rate, 1000 * per_mac + processor.idle_w / rate


@settings(max_examples=examples(50))
@given(chips(), processors(), st.floats(1e-4, 1.0))
def test_less_is_less_at_every_rate_and_end_of_the_intervals(
    chip: ChipFigures, processor: Processor, share: float
) -> None:
    rate = share * chip.throughput_per_s.high
    found = compare(1000, processor, chip, rate)
    for name, end in (("turn", "value"), ("best", "best"), ("worst", "worst")):
        ours, theirs = energies(chip, processor, rate, end)
        if not math.isclose(ours, theirs, rel_tol=1e-9):
            assert getattr(found, name).cheaper(rate) == (ours < theirs)
    assert math.isclose(found.ours_j.value, energies(chip, processor, rate, "value")[0], rel_tol=1e-12)
    assert math.isclose(found.theirs_j.value, energies(chip, processor, rate, "value")[1], rel_tol=1e-12)


@settings(max_examples=examples(50))
@given(chips(), processors())
def test_where_it_turns_the_two_energies_are_equal(chip: ChipFigures, processor: Processor) -> None:
    most = chip.throughput_per_s
    found = compare(1000, processor, chip, most.value)
    for name, end in (("turn", "value"), ("best", "best"), ("worst", "worst")):
        at = getattr(found, name)
        if at.rate_per_s is not None:
            assert at.rate_per_s <= most.high * (1 + 1e-9)
            ours, theirs = energies(chip, processor, at.rate_per_s, end)
            assert math.isclose(ours, theirs, rel_tol=1e-6)


@settings(max_examples=examples(50))
@given(chips(), processors(), st.floats(1e-4, 1.0))
def test_yes_and_no_hold_for_the_whole_interval(
    chip: ChipFigures, processor: Processor, share: float
) -> None:
    found = compare(1000, processor, chip, share * chip.throughput_per_s.high)
    if found.answer == "yes":
        assert found.ours_j.high <= found.theirs_j.low * (1 + 1e-9)
    elif found.answer == "no":
        assert found.ours_j.low >= found.theirs_j.high * (1 - 1e-9)
    else:
        assert found.ours_j.low <= found.theirs_j.high
        assert found.ours_j.high >= found.theirs_j.low


@settings(max_examples=examples(50))
@given(chips(), chips(), processors("arithmetic"), st.floats(1.0, 100.0))
def test_arithmetic_meets_computing_alone(
    chip: ChipFigures, other: ChipFigures, processor: Processor, rate: float
) -> None:
    """Power and rate are none of its business."""
    elsewhere = replace(
        other, neurocore_j=chip.neurocore_j, host_j=chip.host_j, throughput_per_s=other.throughput_per_s
    )
    a, b = compare(1000, processor, chip, rate), compare(1000, processor, elsewhere, 2 * rate)
    assert replace(a, rate_per_s=0.0) == replace(b, rate_per_s=0.0)
    assert a.turn.rate_per_s is None


@settings(max_examples=examples(50))
@given(chips(), processors("whole"), st.floats(1.0, 100.0))
def test_a_whole_processor_meets_the_whole_chip(chip: ChipFigures, processor: Processor, rate: float) -> None:
    """All three lines, and not the host's arithmetic, which the embedded processors do."""
    found = compare(1000, processor, chip, rate)
    assert found == compare(1000, processor, replace(chip, host_j=123.0), rate)
    for name in ("neurocore_j", "x86_w", "static_w"):
        more = getattr(chip, name) * 2.0
        assert compare(1000, processor, replace(chip, **{name: more}), rate).ours_j.value > found.ours_j.value


@settings(max_examples=examples(50))
@given(chips(), processors(), st.integers(1, 10**6))
def test_the_ratio_is_theirs_over_ours(chip: ChipFigures, processor: Processor, macs: int) -> None:
    found = compare(macs, processor, chip, 100.0)
    assert found.ratio is not None
    assert math.isclose(found.ratio.value * found.ours_j.value, found.theirs_j.value, rel_tol=1e-12)
    assert found.ratio.low <= found.ratio.value <= found.ratio.high


@settings(max_examples=examples(50))
@given(chips(), processors(), st.integers(1, 50))
def test_a_lower_bound_of_operations_never_gives_a_no(
    chip: ChipFigures, processor: Processor, times: int
) -> None:
    """What is sure with as many holds with more."""
    assert chip.throughput_per_s is not None
    rate = chip.throughput_per_s.value
    found = compare(1000, processor, chip, rate, at_least=True)
    assert found.answer in ("yes", "open")
    assert (found.answer == "yes") == (compare(1000, processor, chip, rate).answer == "yes")
    if found.answer == "yes":
        assert compare(1000 * times, processor, chip, rate).answer == "yes"


def test_without_the_whole_chip_there_is_arithmetic_alone() -> None:
    chip = ChipFigures(exact(1e-6), 0.0, exact(1e-3), None, exact(100.0))
    assert chip.power_w is None
    known = replace(chip, static_w=exact(1e-3))
    arithmetic, board = (find_processors(name)[name] for name in ("7nm-int8", "stm32u385"))
    assert compare(1000, arithmetic, chip, math.inf).turn == compare(1000, arithmetic, known, 10.0).turn
    with pytest.raises(ValueError, match="the whole chip is not known"):
        compare(1000, board, chip, 10.0)


def test_nothing_computed_has_no_ratio() -> None:
    chip = ChipFigures(exact(0.0), 0.0, exact(1e-3), exact(1e-3), exact(100.0))
    found = compare(1000, find_processors("7nm-int8")["7nm-int8"], chip, 100.0)
    assert (found.ratio, found.answer) == (None, "yes")


@pytest.mark.parametrize(
    ("energy_j", "power_w", "most", "expected"),
    [
        (0.0, 0.0, 10.0, Turn("never", None)),
        (-1.0, 0.0, 10.0, Turn("always", None)),
        (-1.0, 5.0, 10.0, Turn("above", 5.0)),
        (-1.0, 10.0, 10.0, Turn("never", None)),
        (-1.0, 50.0, 10.0, Turn("never", None)),
        (1.0, -5.0, 10.0, Turn("below", 5.0)),
        (1.0, -50.0, 10.0, Turn("always", None)),
        (1.0, 0.0, 10.0, Turn("never", None)),
    ],
)
def test_turns(energy_j: float, power_w: float, most: float, expected: Turn) -> None:
    assert turn(energy_j, power_w, most) == expected


def digits_on_loihi1(neurocore_uj: float) -> Comparison:
    """The committed ensemble's teacher has 337,536 multiply-accumulates."""
    value = neurocore_uj * 1e-6
    chip = ChipFigures(Figure(value, 0.8 * value, 1.25 * value), 0.0, exact(0.02), exact(0.1), exact(1e4))
    return compare(337_536, find_processors("45nm-fp32")["45nm-fp32"], chip, 1e4)


@pytest.mark.parametrize(
    ("uj", "answer"), [(3.25, "no"), (1.95, "no"), (1.9, "open"), (1.3, "open"), (1.2, "yes")]
)
def test_no_is_said_as_firmly_as_the_interval_allows(uj: float, answer: str) -> None:
    assert digits_on_loihi1(uj).answer == answer
    assert math.isclose(digits_on_loihi1(uj).theirs_j.value, 1.5526656e-6, rel_tol=1e-9)
