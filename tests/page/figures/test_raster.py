"""The figure of spikes has those of the details, and names what it leaves out."""

from __future__ import annotations

from sne_deploy.page.details.raster import RasterLayerModel
from sne_deploy.page.figure import Absent
from sne_deploy.page.figures.raster import raster
from tests.page.runs import digits


def drawn_of(**changes):
    result = digits()
    found = result.details.raster.model_copy(update=changes)
    return raster(result.report, result.details.model_copy(update={"raster": found}))


def test_every_spike_is_drawn_once_in_its_layer():
    found = digits().details.raster
    rows = drawn_of().spec["data"]["values"]
    layers = [(student.name, layer) for student in found.students for layer in student.layers]
    assert [(row["name"], row["layer"]) for row in rows] == [(name, layer.name) for name, layer in layers]
    for row, (_, layer) in zip(rows, layers, strict=True):
        assert list(zip(row["step"], row["neuron"], strict=True)) == list(layer.spikes)


def test_a_student_is_chosen_by_its_number():
    found = digits().details.raster
    figure = drawn_of()
    (choice,) = figure.spec["params"]
    assert choice["bind"]["labels"] == [student.name for student in found.students]
    assert {row["student"] for row in figure.spec["data"]["values"]} == set(choice["bind"]["options"])
    assert figure.spec["height"] / 110 == max(len(student.layers) for student in found.students)


def test_one_student_needs_no_choice():
    figure = drawn_of(students=digits().details.raster.students[:1])
    assert not figure.spec["params"]
    assert not figure.spec["transform"]
    assert "1 student runs" in figure.caption


def test_no_name_becomes_an_expression():
    name = "'];alert(1)//"
    first = digits().details.raster.students[0]
    layer = RasterLayerModel(name=name, neurons=3, every=2, spikes=((0, 2),))
    hostile = first.model_copy(update={"name": name, "layers": (layer,)})
    figure = drawn_of(students=(hostile, first))
    spec = {key: part for key, part in figure.spec.items() if key not in ("data", "params")}
    assert name not in str(spec)
    assert name in str(figure.spec["data"])
    assert "at even distances" in figure.caption


def test_what_is_left_out_is_named():
    caption = drawn_of(steps=4, left_out=3).caption
    assert "The first 4 of 16 steps" in caption
    assert "3 more layers are left out" in caption


def test_without_spiking_layers_there_is_none():
    students = tuple(
        student.model_copy(update={"layers": ()}) for student in digits().details.raster.students
    )
    absent = drawn_of(students=students)
    assert isinstance(absent, Absent)
    assert "no layer" in absent.reason
