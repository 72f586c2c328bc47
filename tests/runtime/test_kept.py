"""A run that is interrupted anywhere, and however often, gives the report of one that was not."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sne_deploy as sne
from sne_deploy import stopping
from sne_deploy.cli.resuming import kept_in
from sne_deploy.errors import InputError, OutputError
from sne_deploy.result import Result
from sne_deploy.runtime import kept, slices
from sne_deploy.runtime.kept import Keeper
from sne_deploy.runtime.result import RunResult
from sne_deploy.runtime.slices import Part
from sne_deploy.runtime.work import MADE_WITH, Work, empty, forget, kept_files
from tests.effort import examples
from tests.networks import INPUT_SHAPE, network

STEPS, SAMPLES = 5, 12
LENGTHS = np.array([4, 5, 1, 4, 5, 5, 3, 1, 2, 5, 4, 4])


class InterruptedHere(BaseException):
    """As a kill, which nothing catches."""


def model(policy: str = "confidence") -> sne.Ensemble:
    modules = [network("recurrent", 1), network("dense", 2)]
    given = sne.ensemble(modules, input_shape=INPUT_SHAPE, timesteps=STEPS, encoder=sne.Encoder("spikes"))
    chosen = sne.ActivationPolicy(policy, threshold=0.3) if policy == "confidence" else sne.ActivationPolicy()
    return sne.Ensemble(given.students, INPUT_SHAPE, STEPS, given.encoder, given.head, chosen)


def data(seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    x = (rng.random((SAMPLES, STEPS, *INPUT_SHAPE)) < 0.5).astype(np.uint8)
    return x, np.arange(SAMPLES) % 2


def text(result: Result) -> str:
    """The report without its time, as it is written."""
    document = json.loads(result.report.model_dump_json())
    document["provenance"]["wall_s"] = None
    return json.dumps(document)


@pytest.fixture
def kept_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "KEEP_S", 0.0)


def interrupted_after(monkeypatch: pytest.MonkeyPatch, parts: int, bytes_of_slice: int) -> None:
    """Let so many parts be kept, and no more."""
    left, write = [parts], kept.write_container

    def written(*given: Any, **named: Any) -> None:
        if not left[0]:
            raise InterruptedHere
        left[0] -= 1
        write(*given, **named)

    monkeypatch.setattr(kept, "write_container", written)
    monkeypatch.setattr(slices, "SLICE_BYTES", bytes_of_slice)


@pytest.mark.usefixtures("kept_at_once")
@pytest.mark.parametrize("seed", range(examples(3)))
def test_the_report_is_the_same(seed: int, tmp_path: Path) -> None:
    choose = random.Random(seed)
    target = choose.choice(["loihi", "loihi", "norse"])
    x, y = data(seed)
    options: dict[str, Any] = {
        "lengths": choose.choice([None, LENGTHS]),
        "record": choose.choice(["counts", "spikes", "all"]),
    }
    made = model(choose.choice(["confidence", "static"]))
    with sne.compile(made, target) as compiled:
        whole = compiled.run(x, y, **options)
        parts = 0
        for _ in range(choose.randint(1, 3)):
            with pytest.MonkeyPatch.context() as patch:
                interrupted_after(patch, choose.randint(0, 2), choose.choice([1, 3000, 10_000]))
                try:
                    compiled.run(x, y, work=tmp_path / "work", **options)
                except InterruptedHere:
                    parts = len([*(tmp_path / "work").glob("samples-*")])
        again = compiled.run(x, y, work=tmp_path / "work", **options)
    assert parts > 0 or not (tmp_path / "work").exists() or seed
    assert text(again) == text(whole)
    for name in ("logits", "predictions", "active"):
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name))
    for here, there in zip(again.students, whole.students, strict=True):
        assert here.program is there.program
        assert {*here.spikes} == {*there.spikes}
        for layer, spikes in there.spikes.items():
            np.testing.assert_array_equal(here.spikes[layer], spikes)
    again.save(tmp_path / "out")
    assert not (tmp_path / "work").exists()


def watched(monkeypatch: pytest.MonkeyPatch) -> list[slice]:
    """The slices that are run from now on."""
    ran: list[slice] = []
    run = sne.Compiled._run_slice

    def noted(self: sne.Compiled, given: Any, part: slice, *more: Any) -> RunResult:
        ran.append(part)
        return run(self, given, part, *more)

    monkeypatch.setattr(sne.Compiled, "_run_slice", noted)
    return ran


@pytest.mark.usefixtures("kept_at_once")
def test_an_exploration_goes_on_with_its_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = data()

    def explored(work: Path | None) -> str:
        found = sne.explore(model(), x, y, bits=[4, 8], thresholds=3, work=work).document()
        return found.model_copy(update={"wall_s": 0.0}).model_dump_json()

    whole = explored(None)
    with monkeypatch.context() as patch:
        interrupted_after(patch, 1, slices.SLICE_BYTES)
        with pytest.raises(InterruptedHere):
            explored(tmp_path / "work")
    runs = watched(monkeypatch)
    assert explored(tmp_path / "work") == whole
    assert runs == [slice(0, SAMPLES)]  # of eight bits
    forget(tmp_path / "work")
    assert not (tmp_path / "work").exists()


@pytest.fixture
def half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept_at_once: None) -> Path:
    """A work folder of a run on loihi that was interrupted in the middle."""
    x, y = data()
    with monkeypatch.context() as patch, sne.compile(model(), "loihi", fidelity=False) as compiled:
        interrupted_after(patch, 3, 1)
        with pytest.raises(InterruptedHere):
            compiled.run(x, y, work=tmp_path / "work")
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == [
        MADE_WITH, "samples-0-1.npz", "samples-1-2.npz", "samples-2-3.npz",
    ]  # fmt: skip
    return tmp_path / "work"


def test_what_is_kept_is_not_run_again(
    half_done: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ran = watched(monkeypatch)
    x, y = data()
    with sne.compile(model(), "loihi", fidelity=False) as compiled:
        compiled.run(x, y, work=half_done)
    assert ran == [slice(3, SAMPLES)]
    assert caplog.messages == [f"going on with 3 samples kept in {half_done}"]


@pytest.mark.parametrize("harm", ["cut", "bit", "changed", "other run", "renamed", "pickle"])
def test_a_damaged_part_is_run_again(harm: str, half_done: Path) -> None:
    path = half_done / "samples-1-2.npz"
    content = bytearray(path.read_bytes())
    if harm == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif harm == "bit":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif harm in ("changed", "other run"):
        name = "part/run/predictions" if harm == "changed" else "seal"
        with np.load(path) as archive:
            arrays = dict(archive)
        arrays[name] = arrays[name] ^ 1
        np.savez(path, **arrays)  # with checksums that fit
    elif harm == "renamed":
        path.rename(half_done / "samples-5-6.npz")
    else:
        with path.open("wb") as stream:
            np.savez(stream, document=np.array([{}], object))
    x, y = data()
    with sne.compile(model(), "loihi", fidelity=False) as compiled:
        assert text(compiled.run(x, y, work=half_done)) == text(compiled.run(x, y))


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"policy": "static"}, "another policy"),
        ({"seed": 1}, "seed 0, not 1"),
        ({"weight_bits": 4}, "weight bits 8, not 4"),
        ({"hardware": "loihi2"}, "another chip"),
        ({"target": "norse"}, "precision fixed, not float"),
        ({"data": 1}, "another data"),
        ({"record": "spikes"}, "recording counts, not spikes"),
        ({"version": "numba"}, "version of numba 0, not "),
        ({"version": "llvmlite"}, "version of llvmlite 0, not "),
    ],
)
def test_a_run_that_was_made_with_something_else_is_refused(
    changed: dict[str, Any], named: str, half_done: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if "version" in changed:
        document = json.loads((half_done / MADE_WITH).read_text())
        document["made_with"][f"version of {changed.pop('version')}"] = "0"
        (half_done / MADE_WITH).write_text(json.dumps(document))
    x, y = data(changed.pop("data", 0))
    record, target = changed.pop("record", "counts"), changed.pop("target", "loihi")
    with sne.compile(model(), target, fidelity=False, **changed) as compiled:
        with pytest.raises(InputError) as refused:
            compiled.run(x, y, record, work=half_done)
        assert named in str(refused.value)
        assert "model" not in str(refused.value).partition("with ")[2].partition(";")[0]
        assert len(refused.value.lines) == 1
        assert not caplog.messages  # nothing goes on
        forget(half_done)  # as the message says
        compiled.run(x, y, record, work=half_done)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"made_with": 1}', '{"made_with": {}, "version": 2}'])
def test_a_damaged_folder_is_refused_by_name(content: str, half_done: Path) -> None:
    (half_done / MADE_WITH).write_text(content)
    x, y = data()
    with (
        sne.compile(model(), "loihi", fidelity=False) as compiled,
        pytest.raises(InputError, match="work"),
    ):
        compiled.run(x, y, work=half_done)


def test_one_thread_at_a_time(half_done: Path) -> None:
    x, y = data()
    made_with = json.loads((half_done / MADE_WITH).read_text())["made_with"]

    def refused() -> None:
        with pytest.raises(OutputError, match=f"work is in use by process {os.getpid()} "):
            compiled.run(x, y, work=half_done, resume=False)
        forget(half_done)

    with sne.compile(model(), "loihi", fidelity=False) as compiled, ThreadPoolExecutor(1) as other:
        with Work(half_done, lambda: made_with):
            other.submit(refused).result()
            assert (half_done / MADE_WITH).exists()
        compiled.run(x, y, work=half_done)


def test_what_is_kept_is_thrown_away_once_nothing_refuses_the_run(
    half_done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = data()
    ran, files = watched(monkeypatch), kept_files(half_done)
    with sne.compile(model(), "loihi", fidelity=False) as compiled:
        for wrong in ({"teacher": "none.onnx"}, {"compare_onnx": ["none.onnx"]}, {"lengths": [1]}):
            with pytest.raises(InputError):
                compiled.run(x, y, work=half_done, resume=False, **wrong)  # type: ignore[arg-type]
        assert (ran, kept_files(half_done)) == ([], files)
        again = compiled.run(x, y, work=half_done, resume=False)
        assert ran == [slice(0, SAMPLES)]
        assert text(again) == text(compiled.run(x, y))


def test_an_exploration_throws_all_away_once_it_begins(tmp_path: Path, kept_at_once: None) -> None:
    x, y = data()
    sne.explore(model(), x, y, bits=[4, 8], thresholds=3, work=tmp_path)
    files = kept_files(tmp_path)
    assert len(files) == 2
    with pytest.raises(InputError):
        sne.explore(model(), x, y, target="none", work=tmp_path, resume=False)
    assert kept_files(tmp_path) == files
    sne.explore(model(), x, y, bits=[8], thresholds=3, work=tmp_path, resume=False)
    assert [path.parent.name for path in kept_files(tmp_path)] == ["part-8-bits-measured"]


def test_what_is_quick_never_touches_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sne_deploy.runtime.work.made_with", None)  # not even what it is made with is found
    x, y = data()
    with sne.compile(model(), "loihi", fidelity=False) as compiled:
        compiled.run(x, y, work=tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_a_stopped_command_says_that_it_goes_on_where_something_is_kept(half_done: Path) -> None:
    with kept_in(half_done.with_name("other"), resume=True):
        assert stopping.word() == "interrupted"
    with kept_in(half_done, resume=True) as folder:
        assert folder == half_done
        assert stopping.word() == "interrupted: the same command goes on with what is kept"
    with kept_in(half_done, resume=False):
        assert "the same command without --no-resume goes on" in stopping.word()
        empty(half_done)
        assert stopping.word() == "interrupted"
    assert not half_done.exists()
    assert stopping.word() == "interrupted"


def test_other_files_stay(half_done: Path) -> None:
    (half_done / "mine.txt").write_text("mine")
    forget(half_done)
    assert [path.name for path in half_done.iterdir()] == ["mine.txt"]


def test_slices_of_a_slow_target_take_about_as_long_as_they_should(tmp_path: Path) -> None:
    """Seconds of a target that starts in eight, and takes half of one for a sample."""
    with sne.compile(model(), "loihi", fidelity=False) as compiled:
        keeper = Keeper(Work(tmp_path / "work", dict), compiled.programs, slow=True)

    def run(part: slice) -> Part:
        seconds = 8 + 0.5 * (part.stop - part.start)
        return Part(part.start, part.stop, None, None, {}, seconds)  # type: ignore[arg-type]  # not looked at

    parts = [*keeper.through([slice(0, 700), slice(700, 5000)], run)]
    assert [part.first for part in parts[1:]] == [part.last for part in parts[:-1]]
    assert (parts[0].first, parts[-1].last) == (0, 5000)
    assert max(part.seconds for part in parts) < 2 * kept.GOAL_S
    assert sum(8 for _ in parts) < 0.1 * sum(part.seconds for part in parts)


def test_what_a_run_is_made_with_is_the_same_in_another_process(half_done: Path, tmp_path: Path) -> None:
    script = (
        "import sne_deploy as sne, sys; from tests.runtime.test_kept import data, model; x, y = data()\n"
        "with sne.compile(model(), 'loihi', fidelity=False) as compiled:\n"
        "    compiled.run(x, y, work=sys.argv[1]).save(sys.argv[2])"
    )
    subprocess.run(
        [sys.executable, "-c", script, half_done, tmp_path / "out"],
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    assert not half_done.exists()
