"""The notebooks run from the first cell to the last, and are kept without what they printed."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "examples" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SECONDS = 300
"""For a cell, on a busy machine."""


def test_there_are_notebooks():
    assert [path.stem.partition("_")[0] for path in NOTEBOOKS] == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_what_it_printed(path: Path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None), cell.source
    assert path.read_text("utf-8") == nbformat.writes(notebook) + "\n"


def test_the_notebooks_run(monkeypatch: pytest.MonkeyPatch):
    """One after the other in one kernel, emptied between them: what they import is imported once."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    together = nbformat.v4.new_notebook()
    for path in NOTEBOOKS:
        together.cells.append(nbformat.v4.new_code_cell("%reset -f"))
        together.cells += [
            cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"
        ]
    client = NotebookClient(
        together,
        timeout=SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(FOLDER)}},
    )
    client.execute()
    drawn = [
        output.data
        for cell in together.cells
        for output in cell.outputs
        if output.output_type == "execute_result" and any("vegalite" in kind for kind in output.data)
    ]
    assert len(drawn) == sum(cell.source.count(".figure(") for cell in together.cells)
    assert all(len(output.get("text/html", "")) < 200_000 for output in drawn)
