"""Details of a run: what is found, and its file."""

from __future__ import annotations

import copy
import json
from functools import reduce
from operator import getitem

import numpy as np
import pytest

import sne_deploy as sne
from sne_deploy.data import digits_split
from sne_deploy.errors import InputError
from sne_deploy.page.details.model import Details, find_details, load_details
from sne_deploy.page.html.report import report_html


@pytest.fixture(scope="module")
def result():
    _, _, x, y = digits_split()
    with sne.compile(sne.load("examples/digits/model.pt"), target="loihi", fidelity=False) as compiled:
        return compiled.run(x[:40], y[:40])


def test_a_saved_run_keeps_its_details(result, tmp_path):
    result.save(tmp_path)
    assert load_details(tmp_path) == result.details


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": "1.0"}', '{"schema_version": "9"}'])
def test_what_is_no_details_is_refused(text, tmp_path):
    (tmp_path / "details.json").write_text(text)
    with pytest.raises(InputError, match="run the model again with --out"):
        load_details(tmp_path)


def test_details_of_another_run_are_refused(result, tmp_path):
    """Whatever a page would draw from both files is of one run."""
    result.save(tmp_path)
    assert find_details(tmp_path / "report.json", result.report) == result.details
    _, _, x, y = digits_split()
    with sne.compile("examples/digits/model.pt", target="loihi", fidelity=False) as compiled:
        others = compiled.run(x[:39], y[:39]), compiled.run(x[40:80], y[40:80])
    for other in others:
        with pytest.raises(InputError, match=r"of another run than report\.json .* move this file away"):
            find_details(tmp_path, other.report)
    (tmp_path / "details.json").unlink()
    assert find_details(tmp_path, others[0].report) is None


def test_samples_in_a_file_mapped_to_be_read_are_not_read_again(tmp_path):
    _, _, x, _ = digits_split()
    np.save(tmp_path / "x.npy", x[:8])
    with sne.compile("examples/digits/model.pt", target="loihi", fidelity=False) as compiled:
        run = [
            compiled.run(np.load(tmp_path / "x.npy", mmap_mode=mode)).source.checksum for mode in ("r", "r+")
        ]
        view = x[:8].copy()
        view.flags.writeable = False
        run.append(compiled.run(view[:]).source.checksum)
    assert run[0] == 0
    assert run[1] == run[2] != 0


def test_samples_that_were_changed_after_the_run_are_refused():
    _, _, x, y = digits_split()
    x, y = x[:8].copy(), y[:8].copy()
    with sne.compile("examples/digits/model.pt", target="loihi", fidelity=False) as compiled:
        early, late = (compiled.run(x, y) for _ in range(2))
    known = early.details
    x[7, 0, 0] += 0.25
    with pytest.raises(InputError, match=r"changed after the run.* x\.copy\(\)"):
        late.figure("raster")
    assert early.details is known
    x[7, 0, 0] -= 0.25
    assert late.details == known


def test_samples_that_run_again_give_the_same(result):
    samples = np.array([3, 4, 5, 17, 39])
    again = result.source.again(samples)
    np.testing.assert_array_equal(again.predictions, result.predictions[samples])
    for ours, theirs in zip(again.students, result.students, strict=True):
        np.testing.assert_array_equal(ours.synops, theirs.synops[samples])


def test_an_unknown_figure_is_refused(result):
    with pytest.raises(InputError, match="is not one of"):
        result.figure("nonsense")
    assert result.figure("confusion").name == "confusion"
    assert isinstance(result.details, Details)


def places(value, key=(), path=()):
    """Every value of a document: where its like stands, whatever the index in a list; where it does."""
    if path:
        yield (key, type(value)), path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield from places(inner, (*key, name if isinstance(value, dict) else "*"), (*path, name))


def odd_values(document):
    """The document with a value of each sort put out of place, one at a time, and where."""
    for (key, kind), path in dict(places(document)).items():
        before = reduce(getitem, path, document)
        lists = [before * 2, before[: len(before) // 2]] if kind is list else []
        for odd in (None, 0, -1, 10**9, 1e300, "", [], *lists):
            changed = copy.deepcopy(document)
            reduce(getitem, path[:-1], changed)[path[-1]] = odd
            yield changed, (key, odd)


def test_odd_values_are_refused_or_drawn(result, tmp_path):
    """Nothing else may come of them."""
    result.save(tmp_path)
    file = tmp_path / "details.json"
    refused, other = 0, []
    for changed, where in odd_values(json.loads(file.read_text())):
        file.write_text(json.dumps(changed))
        try:
            report_html(result.report, find_details(tmp_path, result.report))
        except InputError:
            refused += 1
        except Exception as error:  # noqa: BLE001  each is a finding
            other.append((where, repr(error)))
    assert not other
    assert refused > 300
