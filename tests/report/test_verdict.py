"""The sentence that says whether the chip is worth it agrees with the figures, and says no when it is no."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.energy.comparison import ChipFigures, compare
from sne_deploy.energy.figure import Figure, exact
from sne_deploy.energy.processor import ARITHMETIC, Processor, find_processors
from sne_deploy.report.verdict import hinge, verdict, when
from tests.effort import examples
from tests.energy.test_comparison import chips, energies, processors

SHARES = (1e-9, 1e-6, 1e-3, 0.03, 0.1, 0.3, 0.6, 0.9, 1.0)
"""Of the throughput: rates at which the energies are looked at."""


def answers(chip: ChipFigures, processor: Processor) -> set[bool]:
    """Whether the chip takes less, over rates and both ends of the intervals."""
    found = set()
    most = chip.throughput_per_s
    assert most is not None
    for share in SHARES:
        for end in ("best", "worst"):
            ours, theirs = energies(chip, processor, share * most.high, end)
            found.add(ours < theirs)
    return found


@settings(max_examples=examples(50))
@given(chips(), st.lists(processors(), min_size=1, max_size=6))
def test_the_sentence_agrees_with_the_figures(chip: ChipFigures, several: list[Processor]) -> None:
    rate = chip.throughput_per_s.value
    rows = [(f"p{index}", compare(1000, each, chip, rate)) for index, each in enumerate(several)]
    text = verdict("its teacher", rows, chip, rate)
    seen = [answers(chip, each) for each in several]
    said = text.removeprefix("is the chip worth it against its teacher? ").split(":")[0]
    if set().union(*seen) == {True, False}:
        assert said not in ("yes", "no")
    if said in ("yes", "no"):
        assert set().union(*seen) == {said == "yes"}
    for kind, against in (("measured, whole board", "boards"), ("arithmetic alone", "arithmetic")):
        assert (f"against whole {against}" in text or f"against {against}" in text) == any(
            each.kind == kind for each in several
        )
    assert "\n" not in text
    assert text.count("?") == 1


@settings(max_examples=examples(50))
@given(chips(), processors())
def test_of_one_processor_it_says_when(chip: ChipFigures, processor: Processor) -> None:
    rate = chip.throughput_per_s.value
    comparison = compare(1000, processor, chip, rate)
    text = verdict("its teacher", [("p", comparison)], chip, rate)
    seen = answers(chip, processor)
    if "? yes: yes against" in text:
        assert seen == {True}
    elif "? no: no against" in text:
        assert seen == {False}
    elif processor.kind == ARITHMETIC:
        assert "that cannot be told" in text
    else:
        assert when(comparison) in text
        assert ("that depends on the rate" in text) == (" at best, " not in when(comparison))


@settings(max_examples=examples(50))
@given(chips(), chips(), st.lists(processors("arithmetic"), min_size=1, max_size=3))
def test_power_has_no_say_against_arithmetic(
    chip: ChipFigures, other: ChipFigures, several: list[Processor]
) -> None:
    powered = replace(other, neurocore_j=chip.neurocore_j, host_j=chip.host_j)
    said = []
    for each in (chip, powered):
        rows = [(f"p{i}", compare(1000, one, each, 50.0)) for i, one in enumerate(several)]
        said.append(verdict("its teacher", rows, each, 50.0))
    assert said[0] == said[1]
    assert "inferences/s" not in said[0]


@settings(max_examples=examples(50))
@given(chips(), st.floats(0.1, 1e4))
def test_it_hinges_on_the_largest_line(chip: ChipFigures, rate: float) -> None:
    name, share = hinge(chip, rate)
    lines = {
        "neurocore": chip.neurocore_j.value * rate,
        "x86": chip.x86_w.value,
        "static": chip.static_w.value,
    }
    assert lines[name] == max(lines.values())
    assert abs(share - lines[name] / sum(lines.values())) < 1e-9


def digits(neurocore_uj: float) -> ChipFigures:
    value = neurocore_uj * 1e-6
    return ChipFigures(
        Figure(value, 0.8 * value, 1.25 * value), 72e-9, exact(0.0232), exact(0.104), exact(2e4)
    )


def said(chip: ChipFigures, names: str, rate: float = 2e4) -> str:
    rows = [(name, compare(337_536, each, chip, rate)) for name, each in find_processors(names).items()]
    return verdict("its teacher", rows, chip, rate)


START = "is the chip worth it against its teacher? "


def test_the_committed_digits_ensemble_is_no_match_for_arithmetic() -> None:
    assert said(digits(3.4), "arithmetic") == (
        f"{START}no: no against arithmetic alone: computing alone the chip takes 3.47 uJ "
        "(2.79 uJ to 4.32 uJ), 45nm-fp32 1.55 uJ, the most of 4; it hinges on the neurocores"
    )


def test_against_boards_it_turns_with_the_rate() -> None:
    assert said(digits(3.4), "stm32l4r5-tvm,stm32u385,syntiant-ndp9120-0v9", 1000.0) == (
        f"{START}that depends on the processor and on the rate: against whole boards, measured, it takes "
        "less above 234 inferences/s (226 to 235) than stm32l4r5-tvm, above 5,610 inferences/s (3,350 to "
        "5,830) than stm32u385, and never less than syntiant-ndp9120-0v9; at 1,000 inferences/s it "
        "hinges on static power, 79.6 % of what the whole chip takes"
    )


def test_rates_that_host_and_reset_do_not_allow_are_said_to_be_so() -> None:
    slow = replace(digits(3.4), throughput_per_s=Figure(222.0, 222.0, 4852.0))
    reached = "host and reset allow 222 inferences/s, the neurocores alone 4,850 inferences/s; at"
    assert reached in said(slow, "stm32l4r5-tvm", 222.0)
    assert reached in said(slow, "stm32u575", 222.0)
    assert "host and reset" not in said(slow, "i7-4960x", 222.0)
    assert said(slow, "syntiant-ndp9120-0v9", 222.0).startswith(
        f"{START}no: no against whole boards, measured"
    )


def test_what_is_not_known_is_not_answered() -> None:
    chip = replace(digits(3.4), static_w=None)
    reason = "neurons are on no cores"
    unsaid = f"against whole processors that cannot be told: {reason}"
    assert verdict("its teacher", [], chip, None, reason) == f"{START}that cannot be told: {unsaid}"
    rows = [(name, compare(337_536, each, chip, 1.0)) for name, each in find_processors("arithmetic").items()]
    text = verdict("its teacher", rows, chip, None, reason)
    assert text.startswith(f"{START}that depends on the processor: no against arithmetic alone")
    assert text.endswith(f"; {unsaid}; it hinges on the neurocores")


def test_a_figure_without_an_interval_is_said_to_have_none() -> None:
    chip = replace(digits(3.4), neurocore_j=exact(3.4e-6))
    assert "computing alone the chip takes 3.47 uJ (no interval is known), 45nm" in said(chip, "arithmetic")


def test_what_the_interval_spans_cannot_be_told() -> None:
    text = said(digits(1.5), "45nm-fp32")
    assert "? that cannot be told: against arithmetic alone, computing alone the chip takes 1.57 uJ" in text
    assert "and cannot be told from 45nm-fp32 (1.55 uJ)" in text
