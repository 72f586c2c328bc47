"""Figures with a row for each layer: their numbers are the report's, and what is null is left out."""

from __future__ import annotations

import pytest

import sne_deploy as sne
from sne_deploy.data import digits_split
from sne_deploy.page.figure import Absent
from sne_deploy.page.figures.activity import activity
from sne_deploy.page.figures.fidelity import fidelity


@pytest.fixture(scope="module")
def result():
    _, _, x, y = digits_split()
    with sne.compile(sne.load("examples/digits/model.pt"), target="loihi") as compiled:
        return compiled.run(x[:20], y[:20])


def changed(report, **fields):
    """The report with fields of every layer changed."""
    students = tuple(
        student.model_copy(
            update={"layers": tuple(layer.model_copy(update=fields) for layer in student.layers)}
        )
        for student in report.students
    )
    return report.model_copy(update={"students": students})


def rows(figure, layer: int) -> dict[tuple[str, ...], dict]:
    keys = ("student", "layer", "how", "of")
    return {
        tuple(row[key] for key in keys if key in row): row
        for row in figure.spec["layer"][layer]["data"]["values"]
    }


def layers(report):
    return [(student, layer) for student in report.students for layer in student.layers]


def test_bars_and_points_are_the_reports(result) -> None:
    figure = activity(result.report, result.details)
    bars, points, expected = rows(figure, 0), rows(figure, 1), 0
    for student, layer in layers(result.report):
        assert bars[student.name, layer.name]["synops"] == layer.synops_per_sample
        readout = layer is student.layers[-1]
        for how, rate in (("as run", layer.rate), ("in floating point", layer.rate_float)):
            row = points.get((student.name, layer.name, how))
            assert (row is None) == readout
            if row is not None:
                expected += 1
                assert row["rate"] == rate
                if how == "as run":
                    assert row["spikes"] == pytest.approx(layer.spikes_per_sample)
    assert len(points) == expected
    assert "4 of 11 layers are read out" in figure.caption
    student, most = max(layers(result.report), key=lambda each: each[1].synops_per_sample)
    told = f"{most.synops_per_sample:,.0f} of the {student.synops_per_sample:,.0f} that {student.name} takes"
    assert told in figure.description
    order = figure.spec["encoding"]["y"]["sort"]
    assert order == [f"{student.name} / {layer.name}" for student, layer in layers(result.report)]


def test_what_is_not_known_is_no_zero(result) -> None:
    figure = activity(changed(result.report, rate_float=None), result.details)
    assert {row["how"] for row in figure.spec["layer"][1]["data"]["values"]} == {"as run"}
    assert "no reference in floating point" in figure.caption
    one = result.report.students[0]
    idle = changed(result.report, synops_per_sample=None, rate=None, rate_float=None).students[0]
    figure = activity(
        result.report.model_copy(update={"students": (idle, *result.report.students[1:])}), result.details
    )
    drawn = [row["student"] for k in (0, 1) for row in figure.spec["layer"][k]["data"]["values"]]
    assert one.name not in drawn
    assert f"{len(one.layers)} belong to students that ran on no sample" in figure.caption
    nothing = changed(result.report, synops_per_sample=None, rate=None, rate_float=None)
    assert isinstance(activity(nothing, result.details), Absent)


def test_agreement_and_the_worst_neuron_are_the_reports(result) -> None:
    figure = fidelity(result.report, result.details)
    points, drawn = rows(figure, 1), 0
    for student, layer in layers(result.report):
        for of, value in (
            ("layer", layer.spike_agreement),
            ("its worst neuron", layer.worst_neuron and layer.worst_neuron.spike_agreement),
        ):
            row = points.get((student.name, layer.name, of))
            assert (row is None) == (value is None)
            if row is not None:
                drawn += 1
                assert row["at"] == value
                assert float(row["rate_float"]) == pytest.approx(layer.rate_float, abs=5e-5)
                assert row["worst_neuron"].startswith(f"{layer.worst_neuron.index}: ")
                if layer.quantisation_snr_db is None:
                    assert row["snr"] == "exact, or nothing to quantise"
                else:
                    assert row["snr"] == f"{layer.quantisation_snr_db:.1f} dB"
    assert drawn == len(points) > 0
    assert "4 layers that send no spikes" in figure.caption
    least = min(
        layer.spike_agreement for _, layer in layers(result.report) if layer.spike_agreement is not None
    )
    assert f"{least:.1%}" in figure.description


def test_without_a_reference_there_is_no_fidelity(result) -> None:
    alone = changed(result.report, spike_agreement=None, worst_neuron=None)
    assert "compared with no floating point" in fidelity(alone, result.details).reason
    real = alone.model_copy(update={"precision": "float"})
    assert "in floating point" in fidelity(real, result.details).reason


def test_a_layer_without_a_worst_neuron_has_one_point(result) -> None:
    figure = fidelity(changed(result.report, worst_neuron=None), result.details)
    assert figure.spec["layer"][0]["data"]["values"] == []
    assert {row["of"] for row in figure.spec["layer"][1]["data"]["values"]} == {"layer"}
    assert {row["worst_neuron"] for row in figure.spec["layer"][1]["data"]["values"]} == {
        "none has spikes enough"
    }


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("draw", [activity, fidelity])
def test_tooltips_name_fields_that_every_row_has(result, draw, layer) -> None:
    part = draw(result.report, result.details).spec["layer"][layer]
    for shown in part["encoding"].get("tooltip", []):
        for row in part["data"]["values"]:
            assert row[shown["field"]] is not None
            assert isinstance(row[shown["field"]], str) != ("format" in shown)
