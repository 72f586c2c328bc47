"""A report's comparison: every figure follows from its own, it is read again, and it is shown whole."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from sne_deploy.energy.comparison import ChipFigures
from sne_deploy.energy.figure import Figure, exact
from sne_deploy.energy.processor import Processor, find_processors
from sne_deploy.errors import InputError, VerificationError
from sne_deploy.report.comparison import ComparisonModel, Network, check_comparison, comparison_model
from sne_deploy.report.comparison_table import comparison_rows
from sne_deploy.report.file import Report
from sne_deploy.report.notes import report_notes
from sne_deploy.report.table import report_view
from tests.effort import examples
from tests.energy.test_comparison import chips, processors

CHIP = ChipFigures(Figure(3.4e-6, 2.7e-6, 4.3e-6), 7e-8, exact(0.0232), exact(0.104), exact(2e4))
NETWORKS = (Network("its teacher", 337_536), Network("other.onnx", 10_000, ("LSTM x2",)))


@pytest.fixture(scope="module")
def model() -> ComparisonModel:
    return comparison_model(NETWORKS, find_processors("all"), CHIP)


@pytest.fixture(scope="module")
def report(make_student: Any, make_result: Any, make_report: Any, model: ComparisonModel) -> Report:
    result = make_result([make_student("only", [1] * 4, np.random.default_rng(3))])
    made: Report = make_report(result).model_copy(update={"comparison": model})
    return made


@settings(max_examples=examples(50))
@given(chips(), st.lists(processors(), min_size=1, max_size=4), st.floats(1e-3, 1.0))
def test_what_is_made_checks_and_survives_json(
    chip: ChipFigures, several: list[Processor], share: float
) -> None:
    named = {f"p{index}": each for index, each in enumerate(several)}
    made = comparison_model(NETWORKS, named, chip, share * chip.throughput_per_s.low)
    check_comparison(made)
    assert ComparisonModel.model_validate_json(made.model_dump_json()) == made


def _numbers(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [found for key, each in value.items() for found in _numbers(each, (*path, key))]
    if isinstance(value, list):
        return [found for key, each in enumerate(value) for found in _numbers(each, (*path, key))]
    return [path] if isinstance(value, float) and value else []


@settings(max_examples=examples(50))
@given(data=st.data(), factor=st.sampled_from([0.5, 0.999, 1.001, 3.0]))
def test_no_figure_can_be_changed_alone(model: ComparisonModel, data: Any, factor: float) -> None:
    changed = json.loads(model.model_dump_json())
    path = data.draw(st.sampled_from(_numbers(changed)))
    at = changed
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] *= factor
    if path[:2] == ("chip", "throughput_per_s"):
        return  # an upper bound, which decides nothing where it is far away
    with pytest.raises((VerificationError, ValueError)):
        check_comparison(ComparisonModel.model_validate_json(json.dumps(changed)))


@pytest.mark.parametrize(
    ("old", "new"), [('"no"', '"yes"'), ("? that depends", "? yes"), ('"never"', '"always"')]
)
def test_no_answer_can_be_changed_alone(model: ComparisonModel, old: str, new: str) -> None:
    text = model.model_dump_json()
    assert old in text
    with pytest.raises(VerificationError, match="comparison of"):
        check_comparison(ComparisonModel.model_validate_json(text.replace(old, new, 1)))


def test_of_a_network_with_uncounted_operators_no_is_never_told(model: ComparisonModel) -> None:
    teacher, other = model.networks
    assert {row.answer for row in teacher.rows} > {"no"}
    assert "no" not in {row.answer for row in other.rows}
    assert "? no: " not in other.verdict


def test_where_the_whole_chip_is_not_known_arithmetic_is_left(model: ComparisonModel) -> None:
    chip = replace(CHIP, static_w=None)
    left = comparison_model(NETWORKS, find_processors("all"), chip, 5.0, "it does not fit")
    check_comparison(left)
    assert (left.left_out, left.rate_per_s) == ("it does not fit", None)
    for network, whole in zip(left.networks, model.networks, strict=True):
        assert network.rows == whole.rows[-4:]
        assert "against whole processors that cannot be told: it does not fit" in network.verdict
    boards = comparison_model(NETWORKS, find_processors("boards"), chip)
    check_comparison(boards)
    assert "? that cannot be told: against whole processors" in boards.networks[0].verdict
    assert comparison_model(NETWORKS, find_processors("arithmetic"), chip).left_out is None


@pytest.mark.parametrize("rate", [0.0, -1.0, 2.1e4])
def test_a_rate_that_the_chip_does_not_reach_is_refused(rate: float) -> None:
    with pytest.raises(InputError, match=r"the chip makes at most 20,000 inferences/s, not"):
        comparison_model(NETWORKS, find_processors("7nm-int8"), CHIP, rate)


@pytest.mark.parametrize("width", [20, 60, 110, 200])
def test_every_cell_is_whole_at_every_width(report: Report, width: int) -> None:
    console = Console(width=width, record=True, color_system=None, quiet=False, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    with console.file:
        console.print(report_view(report))
        text = console.export_text()
    assert max(len(line) for line in text.splitlines()) <= width
    squeezed = " ".join(text.split())
    assert report.comparison is not None
    for network in report.comparison.networks:
        for row in comparison_rows(report.comparison, network):
            assert all(cell in squeezed for cell in row)


def test_the_notes_have_every_sentence_and_what_the_figures_are(report: Report) -> None:
    texts = [text for label, text in report_notes(report) if label == "compare"]
    assert report.comparison is not None
    assert texts[:2] == [network.verdict for network in report.comparison.networks]
    assert texts[2].startswith("the multiply-accumulates of other.onnx are a lower bound: no count is known")
    assert [text.split(":")[0] for text in texts[3:]] == ["boards", "published", "arithmetic"]
