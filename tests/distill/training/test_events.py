"""TensorBoard's files have each epoch once, with the table's values; without the package there are none."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import pytest

from sne_deploy.distill.training.epochs import Epoch, Seen
from sne_deploy.distill.training.events import EventFiles
from sne_deploy.distill.training.journal import COLUMNS, Journal, csv_line
from sne_deploy.errors import OutputError
from tests.command_line import command, file_limit
from tests.distill.test_estimate import TINY

EPOCHS = [
    Epoch({"feature": 0.5 / k, "synops": 0.25}, 0.125 * k, 2.0, Seen(0.5, None, 12.0, 3.0)) for k in (1, 2, 3)
]


def scalars(folder: Path) -> list[tuple[str, int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder)).Reload()
    return [(tag, one.step, one.value) for tag in found.Tags()["scalars"] for one in found.Scalars(tag)]


def test_a_run_that_goes_on_has_each_epoch_once_as_the_table_has(tmp_path: Path) -> None:
    folder, table = tmp_path / "events", tmp_path / "training.csv"
    for done in (0, 1, 3):  # each run but the last is killed after an epoch, before the files are closed
        logs: list[Any] = [EventFiles(folder), Journal(table, csv_line, ",".join(COLUMNS))]
        for log in logs:
            log.started("student0", EPOCHS[:done])
            for number, epoch in enumerate(EPOCHS[done : done + 1], done + 1):
                log.epoch("student0", number, epoch)
    for log in logs:
        log.finish()
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    wanted = [
        (f"student0/{name}", int(row["epoch"]), float(row[name]))
        for row in rows
        for name in COLUMNS[3:]
        if row[name]
    ]
    found = scalars(folder)
    assert sorted(one[:2] for one in found) == sorted(one[:2] for one in wanted)
    assert {one[:2]: one[2] for one in found} == pytest.approx({one[:2]: one[2] for one in wanted})
    assert len(list(folder.iterdir())) == 1


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").write_text("a file")
    with pytest.raises(OutputError, match="tensorboard"):
        EventFiles(tmp_path / "tensorboard").started("teacher", [])


def test_without_the_package_there_are_none_and_it_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    path = tmp_path / "experiment.toml"
    path.write_text(TINY)
    done = command("train", str(path), "--out", str(tmp_path / "out"), name="sne")
    assert done.status == 0, done.stderr
    assert done.stderr.count("no TensorBoard events: pip install tensorboard") == 1
    assert not (tmp_path / "out" / "tensorboard").exists()
    assert (tmp_path / "out" / "training.csv").exists()


def test_on_a_full_disk_the_epochs_of_before_are_whole(tmp_path: Path) -> None:
    log = EventFiles(tmp_path)
    log.started("student0", EPOCHS[:1])
    (path,) = tmp_path.iterdir()
    before = path.read_bytes()
    with file_limit(len(before) + 100), pytest.raises(OutputError, match=r"cannot write .*File too large"):
        log.epoch("student0", 2, EPOCHS[1])
    assert path.read_bytes() == before
    log.epoch("student0", 2, EPOCHS[1])
    assert {step for _, step, _ in scalars(tmp_path)} == {1, 2}
