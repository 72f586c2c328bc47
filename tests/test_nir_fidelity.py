"""The page of figures on other frameworks' graphs is what its committed figures give."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.nir_fidelity import Row, page
from tests.interop.stored import names

DOCS = Path(__file__).parents[1] / "docs"
ROWS = [Row(**row) for row in json.loads((DOCS / "nir_fidelity.json").read_text())]


def test_the_page_is_made_of_the_figures() -> None:
    assert (DOCS / "nir_fidelity.md").read_text() == page(ROWS)


def test_every_recorded_graph_is_there_at_both_widths_and_reproduced_exactly() -> None:
    for name in names(fault=False):
        found = [row for row in ROWS if row.name == name]
        assert [row.weight_bits for row in found] == [8, 16]
        assert {row.float_differing for row in found} == {0}
