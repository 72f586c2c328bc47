"""docs/results.md and its plots are what the committed rows give, and show them as they are."""

from __future__ import annotations

import itertools
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.reproduction.rows import Document, read_documents, write_document
from experiments.results import companions, divisions, trainings
from experiments.results.__main__ import main, stale
from experiments.results.models import operations
from experiments.results.page import DOCS, EARLIER, make_page
from experiments.results.plots import CREATOR, svg
from experiments.results.text import Spread, energy, percentage, points, spread
from sne_deploy.errors import InputError
from tests.experiments import made_documents as made


def cells(lines: str, start: str) -> list[str]:
    """The cells of the first row of a table that starts with something."""
    row = next(line for line in lines.splitlines() if line.startswith(f"| {start} |"))
    return [cell.strip() for cell in row.strip("|").split("|")]


def part(text: str, chapter: str, title: str) -> str:
    """One section of the page."""
    (inside,) = re.findall(rf"^## {chapter}\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL)
    (found,) = re.findall(rf"^### {title}\n(.*?)(?=^### |\Z)", inside, flags=re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.fixture(scope="module")
def page() -> str:
    return make_page(made.everything()).text


def test_the_committed_page_is_what_the_committed_rows_give() -> None:
    assert stale(DOCS) == []


def test_committed_rows_are_of_the_full_setting_and_no_machine_shows() -> None:
    for document in read_documents(DOCS / "results"):
        assert document.setting == "full", document.name
        text = document.model_dump_json()
        assert not re.search(r"[\"' ](/[a-z]+){2}", text), document.name


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_a_spread_is_mean_and_sample_deviation(values: list[float]) -> None:
    found = spread(values)
    assert found.n == len(values)
    assert found.mean == pytest.approx(math.fsum(values) / len(values), abs=1e-12)
    pairs = itertools.combinations(values, 2)
    squares = math.fsum((a - b) ** 2 for a, b in pairs) / (len(values) * (len(values) - 1))
    assert found.std == pytest.approx(math.sqrt(squares), abs=1e-9)


def test_numbers_are_rounded_as_people_read_them() -> None:
    assert percentage(Spread(0.98765, 0.00123, 3)) == "98.77 ± 0.12 %"
    assert percentage(spread([0.98765])) == "98.77 %"
    assert points(Spread(-0.0123, 0.0049, 3)) == "-1.23 ± 0.49"
    assert energy(Spread(2.5e-6, 5e-8, 3)) == "2.50 uJ ± 2.0 %"


def test_variants_show_the_rows(page: str) -> None:
    text = part(page, "MNIST", "Losses and spikes")
    # accuracies of the three seeds: 98.52, 98.59, 98.66 %; spikes 600, 610, 620 against 1200, 1210, 1220
    assert cells(text, "two temperatures") == [
        "two temperatures",
        "98.69 ± 0.07 %",
        "98.59 ± 0.07 %",
        "+0.10 ± 0.00",
        "610 ± 10",
        "50.4 ± 0.4 %",
        "61,000 ± 1,000",
        "1.22 uJ ± 1.6 %",
    ]
    assert "two temperatures 49.6 ± 0.4 % fewer spikes at -0.03 ± 0.00 points of accuracy" in text
    assert "as well 74.4 ± 0.6 % fewer spikes at -0.09 ± 0.00 points" in text
    assert "| temperature | tau2 | 99.00 % | 1,100 | chosen |" in text
    assert "No candidate kept that rule" in text


def test_relative_spikes_are_taken_seed_by_seed() -> None:
    document = made.variants()
    ours = [row.figures["test"]["spikes"] for row in document.variant("combination")]
    theirs = [row.figures["test"]["spikes"] for row in document.variant("conventional")]
    found = trainings.relative_spikes(document, "combination")
    assert found.mean == pytest.approx(np.mean([a / b for a, b in zip(ours, theirs, strict=True)]))


def test_every_section_says_how_its_figures_came_about(page: str) -> None:
    for document in made.everything():
        section = next(
            text
            for text in re.split(r"^### ", page, flags=re.MULTILINE)
            if f"Made by `{document.command}`" in text
        )
        assert "two cores of a made-up CPU" in section
        assert "with `students.count` = 1" in section
        assert "- Left out: " in section
        if len(document.seeds) == 1:
            assert "Seed 0 alone: no spread is known." in section
        else:
            assert "Seeds 0, 1, 2; ± is the standard deviation over 3 seeds." in section
    assert page.count("in each row 20 of them run on `lava` too, equal in every bit") == 11
    # 15 runs of 100 s and two candidates of 60 s
    assert "in 27 min on two cores" in part(page, "MNIST", "Losses and spikes")


def test_what_was_not_compared_with_lava_is_not_said_to_be() -> None:
    document = made.variants()
    rows = [row.model_copy(deep=True) for row in document.rows]
    for row in rows:
        row.figures["test"] |= {"verified_samples": None, "verified_against": None}
    text = make_page([document.model_copy(update={"rows": tuple(rows)})]).text
    assert "none of them compared with `lava`" in text
    assert "equal in every bit" not in text


def test_a_note_on_the_data_stands_where_it_was_given(page: str) -> None:
    assert "- Data: a note on the data." in part(page, "CIFAR-10", "Dividing the features")
    assert page.count("- Data: ") == 3


def test_operating_points_show_the_rows(page: str) -> None:
    text = part(page, "CIFAR-10", "The model")
    assert cells(text, "first 2") == [
        "first 2", "2.00", "97.50 %", "1.81", "80,000", "42,000", "32.8 x", "30.3 x", "3.00 uJ", "6.13 x",
    ]  # fmt: skip
    assert "| 1 point: not reached on validation data | - |" in text
    assert cells(text, "2 points")[1:3] == ["2.00", "98.00 %"]
    assert "up to 20 x fewer operations at a drop of 2 points" in text
    assert "20 x fewer" not in part(page, "MNIST", "The model")


def test_partition_shows_half_of_the_students_and_gains_within_a_seed(page: str) -> None:
    text = part(page, "CIFAR-10", "Dividing the features")
    # all four: 0.725 + 0.015 - 0.06 / 16; half: - 0.06 / 4; gains over contiguous 2.5 and random 2.1 points
    assert cells(text, "attribution") == [
        "attribution", "72.50 ± 0.40 %", "+2.50 ± 0.00", "+2.10 ± 0.00", "73.62 ± 0.40 %",
        "99.31 ± 0.00 %",
    ]  # fmt: skip
    assert cells(text, "contiguous")[2:4] == ["", "-0.40 ± 0.00"]
    assert "Best informed division: attribution: +2.50 ± 0.00 points" in text
    exact = text.split("without error")[1]
    assert cells(exact, "random")[1:3] == ["90.00 ± 0.00 %", "+0.50 ± 0.00"]
    assert "A random half of the features holds all but 1.00 ± 0.00 points of what" in text
    assert "trained students with attribution lose 18.00 ± 0.40 points by their own errors" in text
    assert "It was picked among 4 on these very figures" in text
    three = ("contiguous", "random", "attribution")
    rows = tuple(row for row in made.partition().rows if row.variant in three)
    alone = make_page([made.partition().model_copy(update={"rows": rows})]).text
    assert "over random. It was chosen before, by other figures." in alone
    separated = part(page, "CIFAR-10", "Dividing the features of a teacher that separates them")
    assert "without error" not in separated  # older rows
    assert cells(separated, "attribution")[1] == "73.00 ± 0.40 %"
    assert "Published: up to 2.4 points" in text
    assert divisions.half(made.partition()) == 2


def test_bits_show_the_rows(page: str) -> None:
    text = part(page, "MNIST", "Fewer bits")
    assert "| the model | 6 | 98.20 % | 98.10 % |" in text
    text = part(page, "MNIST", "Training for fewer bits")
    assert "| after training | 4 | 95.10 ± 0.10 % | 95.00 ± 0.10 % |" in text
    assert "| trained for them | 4 | 97.20 ± 0.10 % | 97.10 ± 0.10 % |" in text
    assert "4 to 8-bit weights" in text


def test_the_ablation_shows_gains_within_a_seed(page: str) -> None:
    text = part(page, "CIFAR-10", "What every option is worth")
    assert cells(text, "recipe")[3:] == ["61.00 ± 1.00 %", "", "103,333 ± 5,774", "", "10 ± 0 %"]
    # 1, 2 and 3 points; four times the SynOps with each seed
    assert cells(text, "dense")[1:] == [
        "about dense", "63.10 ± 1.73 %", "63.00 ± 1.73 %", "+2.00 ± 1.00", "413,333 ± 23,094",
        "4.00 ± 0.00 x", "100 ± 0 %",
    ]  # fmt: skip
    assert cells(text, "two-steps")[4] == "+3.00"  # against the recipe's first seed alone
    assert "- Setting: `experiments/settings/ablation.toml` with `students.count` = 1." in text
    assert "5,000 validation samples; in each row 20 of them run on `lava` too" in text


def test_noise_shows_the_rows(page: str) -> None:
    text = part(page, "CIFAR-10", "Noise")
    assert "| clean |  | 99.30 % | 98.50 % |  |  | 1.70 | 43,210 |" in text
    assert "| occluded square, part of a side | 0.4 | 89.30 ± 0.00 % | 90.50 ± 0.00 % |" in text
    assert (
        "| Gaussian noise, sigma | 0.1 | 94.30 ± 0.00 % | 94.50 ± 1.00 % | 5.0 ± 0.0 % | 4.1 ± 1.0 % |"
        in text
    )
    assert "| contrast, factor | 0.5 | 89.30 % | 90.50 % |" in text
    assert "| all | 10.0 ± 0.0 % | 8.0 ± 1.0 % |" in text
    assert "3 draws of the noise" in text


def test_noise_says_who_loses_less() -> None:
    """In every sort, in some, in none: as the rows say."""
    better = "is smaller than its teacher's in each sort: Gaussian noise (by 2.0 ± 1.0 points), "
    assert better in make_page([made.noise("cifar10")]).text
    mixed = make_page([made.noise("cifar10", worst=0.13)]).text
    assert "occluded square (by 6.0 ± 1.0 points), but not smaller for contrast (by 2.0 points): it" in mixed
    document = made.noise("cifar10")
    drops = [{**one, "ensemble_drop": 0.2} for one in document.rows[0].figures["mean_drops"]]
    row = document.rows[0].model_copy(update={"figures": {**document.rows[0].figures, "mean_drops": drops}})
    worse = make_page([document.model_copy(update={"rows": (row,)})]).text
    assert "mean relative loss is not smaller for Gaussian noise (by 10.0 ± 0.0 points), salt" in worse
    once = [{**one, "seed": 0} for one in drops[:5]]
    row = document.rows[0].model_copy(update={"figures": {**document.rows[0].figures, "mean_drops": once}})
    assert "one draw of the noise" in make_page([document.model_copy(update={"rows": (row,)})]).text


def test_noise_that_leaves_neurons_silent_is_named() -> None:
    document = made.noise("cifar10")
    assert "come to their thresholds" not in make_page([document]).text
    rows = [{**row, "mean_students": 2.0, "synops": 1000.0} for row in document.rows[0].figures["noise"]]
    for row in rows:
        if row["strength"] == 0.3:
            row["synops"] = {"contrast": 800.0, "gaussian": 1200.0}[row["family"]]
    figures = {**document.rows[0].figures, "noise": rows}
    text = make_page(
        [document.model_copy(update={"rows": (document.rows[0].model_copy(update={"figures": figures}),)})]
    ).text
    assert (
        "SynOps of each student that ran: 500 on clean images, 400 with contrast at its strongest: with"
        in text
    )


def test_a_budget_is_chosen_on_validation_data_and_an_ensemble_must_pay(page: str) -> None:
    text = part(page, "CIFAR-10", "The model")
    assert cells(text, "20 x fewer")[1:3] == ["1.00", "97.00 %"]
    assert "| 60 x fewer: not reached on validation data | - |" in text
    assert cells(text, "student 1")[1:3] == ["1.50", "94.00 %"]
    assert (
        "The best student alone on validation data is student 1: 94.00 % at 91,500 operations. The cascade "
        "that costs no more on validation data: 95.50 % at 85,400, +1.50 points."
    ) in text
    assert "brings, in points: +2.00 from 1 to 2." in text


def test_a_model_says_where_it_was_trained_and_how_sparse_it_is(page: str) -> None:
    text = part(page, "CIFAR-10", "The model")
    assert "Weights of all students: 2,000; not zero: 300, 15.0 %." in text
    assert cells(text, "teacher") == ["teacher", "16", "60 min", "60 min on a made-up GPU"]
    assert cells(text, "student0")[3] == "30 s on a made-up GPU; 60 s on a made-up CPU"


def test_one_student_alone_has_no_ensemble_to_pay() -> None:
    document = made.model("cifar10")
    row = document.rows[0].model_copy(deep=True)
    for name in ("first", "validation_first", "alone"):
        row.figures[name] = row.figures[name][:1]
    row.figures["gates"] = []
    page = make_page([document.model_copy(update={"rows": (row,)})])
    text = part(page.text, "CIFAR-10", "The model")
    assert "Does the ensemble pay" not in text
    assert "Gates" not in text
    assert cells(text, "20 x fewer")[2] == "97.00 %"
    assert "gates, by price" not in drawn(document.model_copy(update={"rows": (row,)}))


def test_hardening_compares_both_trainings_under_the_same_noise(page: str) -> None:
    text = part(page, "CIFAR-10", "Training with corruptions")
    losses = "98.50 % | 8.0 ± 1.0 % | 7.0 ± 1.0 % | 4.0 ± 1.0 % |"
    assert f"| ensemble, without corruptions | {losses} 12.0 % | 8.0 ± 1.0 % |" in text
    assert f"| ensemble, with corruptions | {losses} 1.0 % | 8.0 ± 1.0 % |" in text
    assert "Trained without corruptions: The ensemble's mean relative loss is smaller than" in text
    assert "but not smaller for contrast (by 2.0 points)" in text
    assert (
        "Trained with corruptions: The ensemble's mean relative loss is smaller than its teacher's in each"
        in text
    )


def test_companions_show_the_rows(page: str) -> None:
    # 18.4 uJ for the teacher's 4 million MACs: 4.6 pJ each
    text = part(page, "CIFAR-10", "The same with ReLUs")
    assert "| 2 | 96.50 % | 122,000 | 3.00 uJ | 98.00 % | 201,280 | 926 nJ |" in text
    assert "lose 1.69 points to the teacher with spikes, 0.51 with ReLUs: the other 1.18 are" in text
    text = part(page, "CIFAR-10", "Smaller networks without spikes")
    assert "| 8 | 95.25 % | 480,000 | 2.21 uJ | 9 |" in text
    assert "10,000 test samples" in text
    none = "None of the narrower networks of the teacher's family is as accurate as all students."
    assert none in part(page, "CIFAR-10", "The model")


def test_the_smallest_network_is_by_macs_and_not_interpolated() -> None:
    """All four students: 61,000 operations and 1.5 uJ each."""
    family = made.family().rows[0].figures["family"]
    (*_, ensemble) = made.first(0.98)
    more = [{**family[2], "accuracy": right, "width": width, "macs": 1000 * width, "energy_j": 4.6e-9 * width}
            for right, width in ((0.95, 10), (ensemble["accuracy"] + 0.01, 40), (ensemble["accuracy"], 20),
                                 (0.99, 80))]  # fmt: skip
    text = companions.smallest(more, ensemble)
    assert text.endswith("width 20, 20,000 MACs, 92.0 nJ; they: 244,000 operations, 6.00 uJ.")
    assert "width 40" in companions.smallest(more, {**ensemble, "accuracy": ensemble["accuracy"] + 0.005})


def test_figures_of_an_earlier_model_are_told_from_the_models_own() -> None:
    """They are not beside its own, neither in the text nor in the plot."""
    model, others = made.model("cifar10"), [made.twins(), made.noise("cifar10")]
    assert EARLIER not in make_page([model, *others]).text
    earlier = [other.model_copy(update={"subject": "another"}) for other in others]
    text = make_page([model, *earlier, made.partition()]).text
    assert text.count(EARLIER) == 2
    for title in ("The same with ReLUs", "Noise"):
        assert EARLIER in part(text, "CIFAR-10", title)
    own = part(text, "CIFAR-10", "The model")
    assert own == part(make_page([model]).text, "CIFAR-10", "The model")


def test_what_has_no_rows_is_said_not_to_be_measured() -> None:
    text = make_page([made.variants()]).text
    assert text.count("Not measured yet: ") == 15
    assert "Not measured yet: `python -m experiments.cifar10 --only partition`." in text
    assert "Not measured yet" not in make_page(made.everything()).text


def test_rows_without_a_section_or_in_another_form_are_refused() -> None:
    with pytest.raises(InputError, match=r"no section of docs/results\.md shows mnist-twins; delete"):
        make_page([made.twins().model_copy(update={"example": "mnist"})])
    document = made.noise("mnist")
    row = document.rows[0].model_copy(update={"figures": {}})
    with pytest.raises(InputError, match=r"mnist-noise\.json lacks 'noise'") as error:
        make_page([document.model_copy(update={"rows": (row,)})])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("content", "reason"), [("{}", "is no document"), ("nothing", "is no document")])
def test_a_file_that_holds_no_rows_is_named(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "mnist-noise.json").write_text(content)
    with pytest.raises(InputError, match=rf"mnist-noise\.json: {reason}") as error:
        read_documents(tmp_path)
    assert "\n" not in str(error.value)


def test_a_document_reads_as_it_was_written(tmp_path: Path) -> None:
    for document in made.everything():
        write_document(document, tmp_path)
    assert {one.name: one for one in read_documents(tmp_path)} == {one.name: one for one in made.everything()}
    (tmp_path / "mnist-noise.json").rename(tmp_path / "mnist-other.json")
    with pytest.raises(InputError, match=r"mnist-other\.json: holds mnist-noise; rename"):
        read_documents(tmp_path)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    (tmp_path / "results").mkdir()
    for document in (made.variants(), made.noise("mnist")):
        write_document(document, tmp_path / "results")
    assert main([], tmp_path) == 0
    return tmp_path


def test_check_finds_every_file_that_would_change(docs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"], docs) == 0
    assert capsys.readouterr().out.endswith("up to date\n")
    path = docs / "results" / "mnist-variants.json"
    rows = json.loads(path.read_text())
    rows["rows"][0]["figures"]["test"]["accuracy"] += 0.01
    path.write_text(json.dumps(rows))
    (docs / "results" / "old.svg").write_text("<svg/>")
    assert main(["--check"], docs) == 1
    out = capsys.readouterr().out
    assert out.splitlines() == [
        "results.md differs; run python -m experiments.results",
        "results/mnist-variants.svg differs; run python -m experiments.results",
        "results/old.svg is shown nowhere",
    ]
    assert main([], docs) == 0
    assert not (docs / "results" / "old.svg").exists()
    assert main(["--check"], docs) == 0


def test_plots_of_another_matplotlib_are_not_compared(docs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = docs / "results" / "mnist-noise.svg"
    path.write_text(path.read_text().replace(CREATOR, "matplotlib 0.1"))
    assert main(["--check"], docs) == 0
    assert f"mnist-noise.svg: not compared: not drawn by {CREATOR}" in capsys.readouterr().out
    path.unlink()
    assert main(["--check"], docs) == 1


def test_an_unknown_option_is_refused(docs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (docs / "results.md").read_bytes()
    assert main(["--chek"], docs) == 2
    assert "usage: python -m experiments.results" in capsys.readouterr().out
    assert (docs / "results.md").read_bytes() == before


def drawn(document: Document, others: list[Document] | None = None) -> dict[str, Any]:
    """Points of each labelled line of a document's plot, all panels together."""
    figure = make_page([document, *(others or [])]).plots[f"{document.name}.svg"]()
    found: dict[str, list[tuple[float, float]]] = {}
    for axes in figure.axes:
        legend: Any = axes.get_legend_handles_labels()
        for handle, label in zip(*legend, strict=True):
            line = handle if hasattr(handle, "get_xydata") else handle[0]
            found.setdefault(label, []).extend(map(tuple, line.get_xydata()))
    return found


def test_plots_show_the_rows() -> None:
    document = made.model("cifar10")
    figures = document.rows[0].figures
    lines = drawn(document, [made.twins(), made.family()])
    assert lines["first 1, 2, ... students"] == [
        *((operations(point), point["accuracy"]) for point in figures["first"]),
        *((1e6 * point["energy_j"], point["accuracy"]) for point in figures["first"]),
    ]
    assert lines["teacher"] == [(4000000, 0.9931), (1e6 * 1.84e-5, 0.9931)]
    with_relu = lines["the same students with ReLU"]
    assert with_relu[0] == (100640, 0.95)
    assert with_relu[4] == (pytest.approx(100640 * 4.6e-6), 0.95)
    spikes = drawn(made.variants())
    assert spikes["two temperatures"] == [(pytest.approx(610), pytest.approx(0.9859))]
    bits = drawn(made.quantisation("mnist"))
    assert bits["trained for them"] == [
        (8, pytest.approx(0.98)), (6, pytest.approx(0.9788)), (4, pytest.approx(0.971)),
    ]  # fmt: skip
    noise = drawn(made.noise("mnist"))
    assert noise["teacher"][:2] == [(0.0, 0.993), (0.1, pytest.approx(0.943))]
    assert (1.0, 0.985) in noise["ensemble"]  # clean images, in the panel of contrasts
    lines = drawn(made.partition())
    assert set(lines) == set(made.partition().variants)
    assert [right for _, right in lines["random"][:2]] == [pytest.approx(0.659), pytest.approx(0.704)]


def test_a_plot_is_the_same_each_time_and_has_no_date() -> None:
    draw = make_page([made.partition()]).plots["cifar10-partition.svg"]
    first, second = svg(draw()), svg(draw())
    assert first == second
    assert "<dc:date>" not in first
    assert "deployed (%)" in first
