"""What the commands print where, and which status they give."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sne_deploy as sne
from sne_deploy import compiled as compiled_module
from sne_deploy.cli import SHORT_OF_MEMORY
from sne_deploy.errors import RunError, VerificationError
from sne_deploy.progress import ProgressBars
from sne_deploy.report.file import Report
from sne_deploy.runtime import compile_size, sizes
from sne_deploy.runtime.compile_size import bytes_of, values_of, weights_of
from sne_netx.format.file import write_net
from tests.command_line import command, on_a_terminal
from tests.net_programs import chain
from tests.networks import lif_box

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small students on the digits."""
    torch.manual_seed(1)
    modules = [
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10), lif_box(v_th=0.1)) for _ in range(2)
    ]
    ensemble = sne.ensemble(
        modules,
        input_shape=(1, 8, 8),
        timesteps=4,
        encoder=sne.Encoder("constant"),
        names=["first", "second"],
    )
    path = tmp_path_factory.mktemp("model") / "model.pt"
    ensemble.save(path)
    return path


def test_the_table_goes_to_stdout_and_the_rest_to_stderr(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    found = command(model, "--target", "norse", "--samples", 7, "--out", out)
    assert found.status == 0
    assert found.stderr == f"Written: {out / 'report.json'} and report.html\n"
    lines = found.stdout.splitlines()
    title = " ".join(" ".join(lines[:2]).split())  # a long path wraps
    assert "model.pt on norse (float, loihi1): 7 samples of digits, 4 steps" in title
    names = [line.split()[0] for line in lines if line.startswith((" first", " second", " ensemble"))]
    assert names == ["first", "second", "ensemble"]
    assert all(line == line.rstrip() for line in lines)
    assert "\x1b" not in found.stdout
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()) == [
        "details.json", "predictions.npz", "report.html", "report.json",
        "students/first.nir", "students/second.nir",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        (
            "sne-compile",
            ("--target", "norse", "--save", "net.sne"),
            "--save net.sne is of the chip's integers",
        ),
        ("sne-compile", ("--target", "norse", "--verify", 2), "take target loihi, or leave it out"),
        (
            "sne-compile",
            ("--precision", "float", "--compare-onnx", "a.onnx"),
            "give --precision fixed, or leave",
        ),
        (
            "sne-compile",
            ("--precision", "float", "--compare", "all"),
            "--compare all is of the chip's integers",
        ),
        ("sne-compile", ("--target", "loihi", "--compare", "all"), "there is no network to compare with"),
        ("sne-compile", ("--target", "norse", "--precision", "fixed"), "has no precision 'fixed'"),
        ("sne-compile", ("--target", "loihi", "--timeout", 3), "--timeout 3 is for the workers of a"),
        ("sne-compile", ("--workers", 2, "--scheduler", "tcp://a:1"), "exclude each other"),
        (
            "sne-compile",
            ("--target", "norse", "--device", "cuda"),
            "--device cuda is for target 'loihi' alone",
        ),
        ("explore", ("--target", "norse", "--device", "cuda"), "--device cuda is for target 'loihi' alone"),
    ],
)
def test_options_that_do_not_go_together_are_refused_before_anything_is_read(
    name: str, options: tuple[Any, ...], said: str, tmp_path: Path
) -> None:
    before = (name,) if name == "explore" else ()
    found = command(*before, tmp_path / "absent.pt", *options, name="sne" if before else name)
    assert (found.status, found.stdout) == (2, "")
    assert said in found.stderr


@pytest.mark.parametrize("columns", [80, 110, 132])
def test_a_file_gets_a_table_of_the_width_asked_for(
    model: Path, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = command(model, "--target", "norse", "--samples", 3).stdout.splitlines()
    assert max(len(line) for line in lines) <= columns
    heads = [line for line in lines if line.startswith(" per sample")]
    assert len(heads) == (2 if columns == 80 else 1), "one table where it fits, two where not"
    assert not any("…" in line for line in lines)


def test_a_saved_report_prints_the_same_table(model: Path, tmp_path: Path) -> None:
    made = command(model, "--target", "norse", "--samples", 5, "--out", tmp_path)
    for place in (tmp_path, tmp_path / "report.json"):
        shown = command("report", place, name="sne")
        assert (shown.status, shown.stdout, shown.stderr) == (0, made.stdout, "")


def test_a_saved_report_gives_its_page_again(model: Path, tmp_path: Path) -> None:
    command(model, "--target", "norse", "--samples", 5, "--out", tmp_path)
    first = (tmp_path / "report.html").read_bytes()
    again = command("report", tmp_path, "--html", name="sne")
    assert (again.status, again.stderr) == (0, f"Written: {tmp_path / 'report.html'}\n")
    assert (tmp_path / "report.html").read_bytes() == first
    (tmp_path / "details.json").unlink()
    other = tmp_path / "other" / "page.html"
    found = command("report", tmp_path / "report.json", "--html", "--out", other, name="sne")
    assert (found.status, found.stderr.count("\n")) == (2, 1)
    assert str(other) in found.stderr
    other.parent.mkdir()
    assert command("report", tmp_path / "report.json", "--html", "--out", other, name="sne").status == 0
    assert "an older run did not write" in other.read_text(encoding="utf-8")
    assert command("report", tmp_path, "--out", other, name="sne").status == 2


def test_the_report_says_which_command_made_it(model: Path, tmp_path: Path) -> None:
    for name, first in (("sne-compile", []), ("sne", ["compile"])):
        given = [*first, str(model), "--target", "norse", "--samples", "2", "--out", str(tmp_path / "a b")]
        assert command(*given, name=name).status == 0
        report = Report.model_validate_json((tmp_path / "a b" / "report.json").read_bytes())
        assert report.provenance.command is not None
        assert shlex.split(report.provenance.command) == [name, *given]


def test_options_reach_the_run(model: Path, tmp_path: Path) -> None:
    arguments = [model, "--target", "norse", "--samples", 20, "--out", tmp_path]
    assert command(*arguments, "--policy", "confidence", "--threshold", "0.2", "--seed", 7).status == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["provenance"]["seed"] == 7
    assert report["data"] == {"name": "digits", "samples": 20, "timesteps": 4}
    assert report["ensemble"]["mean_active_students"] < 2


def test_the_lines_of_power_are_of_the_rate_and_the_processors_of_the_options(
    model: Path, tmp_path: Path
) -> None:
    arguments = [model, "--target", "loihi", "--samples", 5, "--out", tmp_path]
    asked = command(*arguments, "--rate", 20, "--x86", 3, "--powered", "used")
    assert asked.status == 0, asked.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    power, operation = report["ensemble"]["power"], report["operation"]
    assert (operation["rate_per_s"], operation["x86_processors"], operation["powered"]) == (20, 3, "used")
    assert operation["cores_powered"] == report["mapping"]["cores"]
    assert power["x86"]["power_w"] == pytest.approx(3 * 23.195e-3)
    assert power["x86"]["energy_j"] == pytest.approx(3 * 23.195e-3 / 20)
    assert "at 20.0 /s" in asked.stdout
    most = report["ensemble"]["throughput_per_s"]
    too_many = command(*arguments, "--rate", 1.01 * most)
    assert too_many.status == 2
    assert re.search(r"--rate .* a second at most; give that or less$", too_many.stderr.strip())
    assert command(*arguments, "--rate", 0.99 * most).status == 0


def test_the_policy_of_the_options_is_the_report_s(model: Path, tmp_path: Path) -> None:
    arguments = [model, "--target", "norse", "--samples", 10, "--out", tmp_path]
    alone = command(*arguments, "--students", 1)
    assert alone.status == 0, alone.stderr
    assert "static, the first 1 of" in alone.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["policy"]["kind"], report["policy"]["students"]) == ("static", 1)
    assert report["ensemble"]["mean_active_students"] == 1
    options = ("--policy", "confidence", "--measure", "margin", "--threshold", "0.2")
    assert command(*arguments, *options).status == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["policy"]["measure"] == "margin"
    assert report["policy"]["threshold"] == 0.2


def test_more_data_than_the_target_runs_by_default_is_said(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sne_norse import NorseBackend

    whole = NorseBackend().capabilities()
    monkeypatch.setattr(NorseBackend, "capabilities", lambda _: replace(whole, max_samples_default=10))
    found = command(model, "--target", "norse")
    assert found.stderr == "Running the first 10 of 460 samples; --samples N for more.\n"
    assert "10 samples of digits" in found.stdout
    assert command(model, "--target", "norse", "--samples", 12).stderr == ""


@pytest.mark.parametrize(
    ("raised", "status", "line"),
    [
        (RunError("the worker\nwas killed"), 1, "error: the worker was killed"),
        (VerificationError("the sum is wrong"), 1, "error: the sum is wrong"),
        (KeyError("a\nb"), 1, r"error: internal error: KeyError: 'a\nb'; --debug shows where"),
        (MemoryError(), 1, f"error: out of memory; {SHORT_OF_MEMORY}"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_what_goes_wrong_in_a_run_is_one_line_and_a_status(
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    raised: BaseException,
    status: int,
    line: str,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise raised

    monkeypatch.setattr(compiled_module.Compiled, "run", fail)
    arguments = [model, "--target", "norse", "--out", tmp_path / "out"]
    found = command(*arguments)
    assert (found.status, found.stdout, found.stderr) == (status, "", f"{line}\n")
    assert not (tmp_path / "out").exists()
    if status == 1:
        debugged = command(*arguments, "--debug")
        assert debugged.status == status
        assert "Traceback" in debugged.stderr
        assert debugged.stderr.endswith(f"{line}\n")


def test_a_reader_that_goes_away_is_no_error(model: Path, tmp_path: Path) -> None:
    command(model, "--target", "norse", "--samples", 2, "--out", tmp_path)
    read, write = os.pipe()
    os.close(read)
    try:
        found = subprocess.run([BIN / "sne", "report", tmp_path], stdout=write, stderr=subprocess.PIPE)
    finally:
        os.close(write)
    assert (found.returncode, found.stderr) == (1, b"")


def running() -> dict[int, int]:
    """Every process to its parent, from /proc."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            continue
        if state != "Z":
            found[int(stat.parent.name)] = int(parent)
    return found


def descendants(root: int) -> set[int]:
    """The processes that a process started, and those that they started."""
    parents = running()
    found: set[int] = set()
    while more := {pid for pid, parent in parents.items() if parent in {root, *found}} - found:
        found |= more
    return found


@pytest.mark.parametrize("everyone", [True, False], ids=["terminal", "kill"])
def test_ctrl_c_in_a_lava_run_ends_everything(tmp_path: Path, everyone: bool) -> None:
    """A terminal interrupts the whole process group, `kill -INT` the command alone."""
    model = Path(__file__).parents[2] / "examples" / "digits" / "model.pt"
    deadline = time.monotonic() + 120
    with subprocess.Popen(
        [BIN / "sne-compile", model, "--target", "lava", "--out", "out"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        while len(children := descendants(process.pid)) < 6:  # a worker, and its Lava processes
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        if everyone:
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout, stderr) == (130, b"", b"interrupted\n")
    assert list(tmp_path.iterdir()) == []
    while left := children & set(running()):
        assert time.monotonic() < deadline, f"still running: {left}"
        time.sleep(0.05)


def test_no_arguments_print_the_help() -> None:
    assert command().stdout == command("--help").stdout != ""
    assert "compile" in command(name="sne").stdout


def test_the_help_answers_within_half_a_second() -> None:
    """Of the processor's time, which other work on the machine does not change much: the best of three."""
    taken = []
    for _ in range(3):
        before = os.times()
        subprocess.run([BIN / "sne-compile", "--help"], capture_output=True, check=True)
        after = os.times()
        taken.append(
            after.children_user + after.children_system - before.children_user - before.children_system
        )
    assert min(taken) < 0.5


@pytest.mark.parametrize("name", ["sne-compile", "sne"])
def test_help_loads_nothing_heavy(name: str) -> None:
    script = f"""
import sys
from sne_deploy import cli
sys.argv = [{name!r}, "--help"]
status = cli.{"compile_main" if name == "sne-compile" else "main"}()
print("LOADED", status, *sorted({{"torch", "numpy", "norse", "lava", "scipy", "onnx"}} & set(sys.modules)))
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "LOADED 0"


def test_a_run_loads_no_library_that_it_does_not_need(model: Path) -> None:
    script = f"""
import sys
from sne_deploy import cli
sys.argv = ["sne-compile", {str(model)!r}, "--target", "loihi", "--samples", "2"]
status = cli.compile_main()
unneeded = {{"matplotlib", "norse", "onnx", "onnxruntime", "sklearn"}}
print("LOADED", status, *sorted(unneeded & set(sys.modules)))
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "LOADED 0"


# progress


REPORTING = """
import time
from sne_deploy.progress import ProgressBars
with ProgressBars(delay_s={delay_s}) as progress:
    for step in range(5):
        progress("conv [x]", step, 4)
        progress("dense", step, 8)
        time.sleep(0.05)
"""


def test_bars_on_a_terminal_for_what_takes_long() -> None:
    written = on_a_terminal(REPORTING.format(delay_s=0.1))
    assert "conv [x]" in written
    assert "dense" in written
    last = written.rpartition("\x1b[2K")[0].rpartition("\x1b[2K")[2]  # the last picture; then it is erased
    assert "dense" in last
    assert "50 %" in last
    assert "conv" not in last, "what is done disappears while something else goes on"
    assert "left:" in written


def test_a_bar_for_one_thing_that_takes_long() -> None:
    written = on_a_terminal(
        "import time\nfrom sne_deploy.progress import ProgressBars\n"
        "with ProgressBars(delay_s=0.1) as progress:\n"
        "    progress('compiling', 0, 1)\n"
        "    time.sleep(0.4)\n"
    )
    assert "compiling" in written
    assert "0 %" in written


def test_no_bar_for_what_is_done_soon() -> None:
    assert on_a_terminal(REPORTING.format(delay_s=30)) == ""


def test_no_bar_in_a_file(capfd: pytest.CaptureFixture[str]) -> None:
    with ProgressBars(delay_s=0) as progress:
        progress("conv", 1, 2)
    progress("conv", 2, 2)
    assert capfd.readouterr() == ("", "")


def test_the_default_delay_is_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes any file for a terminal
    error = io.StringIO()
    monkeypatch.setattr(sys, "stderr", error)
    now = time.monotonic()
    moments = iter([now, now + 1.9, now + 2.1])
    monkeypatch.setattr("sne_deploy.progress.time.monotonic", lambda: next(moments, now + 3))
    with ProgressBars() as progress:
        progress("conv", 1, 4)
        assert error.getvalue() == ""
        progress("conv", 2, 4)
        assert progress._bars is not None


def test_a_file_of_registers_keeps_its_own_steps(tmp_path: Path) -> None:
    """The second axis of images is no time axis."""
    program, x = chain("cd", "current", "count")
    write_net(tmp_path / "m.net", program)
    np.savez(tmp_path / "x.npz", x=np.clip(x, *program.input.range))
    found = command(tmp_path / "m.net", "--target", "loihi", "--data", tmp_path / "x.npz")
    assert found.status == 0, found.stderr
    said = " ".join(found.stdout.split())  # a long path wraps
    assert "4 samples of" in said
    assert ", 5 steps" in said


def test_a_missing_folder_of_save_is_refused_before_the_run(model: Path, tmp_path: Path) -> None:
    for target in (tmp_path / "missing" / "net.sne", tmp_path):
        done = command("compile", model, "--target", "loihi", "--samples", "1", "--save", target, name="sne")
        assert (done.status, done.stdout) == (2, "")
        assert f"cannot write {target}: " in done.stderr
        assert "choose a folder that exists" in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_remedy_that_a_refusal_for_memory_names_can_be_typed(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensemble = sne.load(model)
    left = bytes_of(weights_of(ensemble), values_of(ensemble), reference=False)
    monkeypatch.setattr(compile_size, "available_bytes", lambda: left)
    monkeypatch.setattr(sizes, "check_run", lambda _: None)
    run = (model, "--target", "loihi", "--samples", 3)
    found = command(*run)
    assert (found.status, found.stdout) == (2, "")
    assert "leave the reference out (sne compile --no-fidelity;" in found.stderr
    assert command(*run, "--no-fidelity").status == 0
