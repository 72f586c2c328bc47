"""trained.json: each stage's time is that of its epochs, wherever and however often a run was cut off."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sne_deploy.distill.training.epochs import Epoch
from sne_deploy.distill.training.origin import UNKNOWN, TrainedFile, machine_name, read_trained
from sne_deploy.errors import InputError


def epoch(seconds: float) -> Epoch:
    return Epoch({"loss": 1.0}, 0.1, seconds)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trained")


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3), st.booleans()), min_size=1, max_size=5),
)
def test_every_epoch_counts_once_where_it_was_trained(
    folder: Path, attempts: list[tuple[str, int, bool]]
) -> None:
    """Each attempt: its machine, its epochs, whether a kill keeps the last one out of the file."""
    path = folder / "trained.json"
    path.unlink(missing_ok=True)
    done: list[Epoch] = []
    wanted: dict[str, float] = {}
    for machine, epochs, killed in attempts:
        file = TrainedFile(path, machine)
        file.started("teacher", list(done))
        for k in range(epochs):
            done.append(epoch(1.0 + len(done)))
            wanted[machine] = wanted.get(machine, 0.0) + done[-1].seconds
            if not (killed and k == epochs - 1):
                file.epoch("teacher", len(done), done[-1])
    TrainedFile(path, "d").started("teacher", list(done))
    found = read_trained(path)["teacher"]
    assert found.epochs == len(done)
    assert found.seconds == pytest.approx(sum(one.seconds for one in done))
    assert found.machines == pytest.approx({**wanted, "d": 0.0})


def test_stages_of_other_runs_stay_and_one_trained_anew_starts_from_nothing(tmp_path: Path) -> None:
    path = tmp_path / "trained.json"
    first = TrainedFile(path, "a")
    for stage in ("teacher", "student0"):
        first.started(stage, [])
        first.epoch(stage, 1, epoch(2.0))
    second = TrainedFile(path, "b")
    second.started("student0", [])
    second.epoch("student0", 1, epoch(3.0))
    second.finish()
    found = read_trained(path)
    assert found["teacher"].machines == {"a": 2.0}
    assert found["student0"].machines == {"b": 3.0}
    assert found["student0"].seconds == 3.0


def test_a_state_without_its_file_has_an_unknown_machine(tmp_path: Path) -> None:
    path = tmp_path / "trained.json"
    TrainedFile(path, "a").started("teacher", [epoch(2.0)])
    assert read_trained(path)["teacher"].machines == {UNKNOWN: 2.0, "a": 0.0}
    path.unlink()
    TrainedFile(path, "a", "a").started("teacher", [epoch(2.0)])
    assert read_trained(path)["teacher"].machines == {"a": 2.0}


@pytest.mark.parametrize("content", ["", "[]", '{"teacher": {"epochs": 1}}', '{"teacher": 3}'])
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "trained.json"
    path.write_text(content)
    with pytest.raises(
        InputError, match=r"trained\.json: is no record of a training \(.*\); delete it"
    ) as error:
        TrainedFile(path, "a")
    assert "\n" not in str(error.value)
    path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        read_trained(path)


def test_a_machine_is_named_by_its_sort() -> None:
    name = machine_name("cpu", 1)
    assert name.startswith("1 thread of a")
    assert name.split(" with ")[0].endswith("CPU")
    assert json.loads(json.dumps(name)) == name
    assert machine_name("meta", 4) == "a device 'meta'"
