"""``sne inspect`` as a shell starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sne_deploy.frontend.nir.file import write_nir
from tests.command_line import command
from tests.inspect.test_collect import convolution

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
DIGITS = EXAMPLES / "digits" / "model.pt"
BIN = Path(sys.executable).parent


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "net.nir"
    write_nir(path, convolution())
    return path


def test_the_example_needs_no_data_and_shows_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = command("inspect", DIGITS, "--all", "--svg", tmp_path / "pictures", name="sne")
    assert (found.status, found.stderr.count("Written: ")) == (0, 4)
    assert max(map(len, found.stdout.splitlines())) <= 110
    for words in (
        "16 steps per sample", "teacher_accuracy", "versions.norse", "conv: 592 neurons", "tau_mem",
        "vth_mant", "bias_mant << 6", "scale of v", "18,288", "always_on", "3,872 MAC", "yes",
    ):  # fmt: skip
        assert words in found.stdout
    names = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert names == ["conv.svg", "current.svg", "dense.svg", "recurrent.svg"]


@pytest.mark.parametrize("columns", [None, 100])
@pytest.mark.parametrize("name", ["digits", "mnist", "cifar10"])
def test_the_committed_models_fit_on_one_screen(
    name: str, columns: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if columns is not None:
        monkeypatch.setenv("COLUMNS", str(columns))
    lines = command("inspect", EXAMPLES / name / "model.pt", name="sne").stdout.splitlines()
    assert 10 < len(lines) <= 42
    assert max(map(len, lines)) <= (columns or 110)
    assert any(line.startswith("more") and "--all" in line for line in lines)


def test_the_largest_model_takes_little_beside_a_small_one() -> None:
    """Of the processor's time, of which a slower machine takes more for both."""

    def used(name: str) -> float:
        before = os.times()
        subprocess.run(
            [BIN / "sne", "inspect", EXAMPLES / name / "model.pt"], capture_output=True, check=True
        )
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    assert used("cifar10") < 10 * used("digits")


def test_one_layer_in_full() -> None:
    found = command("inspect", DIGITS, "--layer", "lifboxcell_4", name="sne").stdout
    assert [line for line in found.splitlines() if line in ("conv", "dense", "current", "recurrent")] == [
        "conv", "dense",
    ]  # fmt: skip
    for words in ("9,742", "7,845", "16 x 2 x 2", "linear_6", "clipped"):
        assert words in found
    assert "lifboxcell_2   tau_mem" not in found
    one = command("inspect", DIGITS, "--layer", "conv/lifboxcell_4", name="sne").stdout
    assert "9,742" in one
    assert "7,845" not in one
    students = json.loads(command("inspect", DIGITS, "--layer", "licell_6", "--json", name="sne").stdout)[
        "students"
    ]
    assert [[node["name"] for node in student["nodes"]] for student in students] == [["licell_6"]]


def test_a_graph_without_time_is_shown_and_the_rest_is_asked_for(graph: Path) -> None:
    found = command("inspect", graph, name="sne")
    assert found.status == 0
    assert "--timesteps" in found.stdout
    whole = command("inspect", graph, "--all", name="sne").stdout
    assert "Conv2d (3x3, padding 1)" in " ".join(whole.split())
    assert "vth_mant" in command("inspect", graph, "--all", "--timesteps", 4, name="sne").stdout


def test_a_graph_that_an_option_contradicts_is_shown_with_the_reason(graph: Path) -> None:
    found = command("inspect", graph, "--timesteps", 4, "--dt-s", 0.5, name="sne")
    assert found.status == 0
    assert "not compiled" in found.stdout
    assert "the graph says 0.001" in " ".join(found.stdout.split())


def test_weights_of_few_bits_are_shown(graph: Path) -> None:
    def few(bits: int) -> dict[str, object]:
        out = command("inspect", graph, "--timesteps", 4, "--weight-bits", bits, "--json", name="sne").stdout
        connection: dict[str, object] = json.loads(out)["students"][0]["connections"][0]
        return connection

    assert few(3)["synapses"] != few(8)["synapses"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--input-shape", "0"], "--input-shape '0' is no shape"),
        (["--weight-bits", "9"], "--weight-bits 9"),
        (
            ["--layer", "lif_9"],
            "--layer 'lif_9': no student has such a layer; known: input, conv, lif, output",
        ),
    ],
)
def test_wrong_options_are_one_line(graph: Path, options: list[str], said: str) -> None:
    found = command("inspect", graph, "--timesteps", 4, *options, name="sne")
    assert (found.status, found.stdout, found.stderr.count("\n")) == (2, "", 1)
    assert said in found.stderr


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    found = command("inspect", tmp_path / "nothing.nir", name="sne")
    assert (found.status, found.stdout, found.stderr.count("\n")) == (2, "", 1)


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys; from sne_deploy import cli; sys.argv = ['sne', 'inspect', '--help']; cli.main();"
        "print([name for name in ('torch', 'nir', 'numba', 'rich.table') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
