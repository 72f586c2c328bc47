"""A figure on its own: in a notebook and as a file."""

from __future__ import annotations

import json

import pytest

from sne_deploy.errors import OutputError
from sne_deploy.page.figure import SCHEMA, Figure


def figure(spec):
    return Figure("some", "Some figure", "All of it.", "Three bars.", {"$schema": SCHEMA, **spec})


def test_a_notebook_gets_the_specification_and_the_words():
    made = figure({"mark": "bar"})
    bundle = made._repr_mimebundle_(include=None, exclude=None)
    assert bundle["text/plain"] == "Some figure. Three bars."
    assert bundle["application/vnd.vegalite.v6+json"] == made.standalone()
    assert made.standalone()["mark"] == "bar"
    assert made.standalone()["width"] > 300


def test_each_view_has_a_width():
    row = {"hconcat": [{"mark": "bar"}, {"vconcat": [{"mark": "rule"}, {"mark": "point", "width": 40}]}]}
    left, right = figure(row).standalone()["hconcat"]
    assert left["width"] == 310
    assert [each["width"] for each in right["vconcat"]] == [310, 40]
    facets = figure({"facet": {"field": "a"}, "columns": 2, "spec": {"mark": "bar"}}).standalone()
    assert facets["spec"]["width"] == 310


def test_a_saved_figure_is_its_specification(tmp_path):
    made = figure({"mark": "bar", "data": {"values": [{"name": "</script>"}]}})
    assert json.loads(made.save(tmp_path / "bars.json").read_text("utf-8")) == made.standalone()
    with pytest.raises(OutputError):
        made.save(tmp_path / "no" / "folder" / "bars.json")
