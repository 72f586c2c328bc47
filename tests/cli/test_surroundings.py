"""Commands whose streams are closed or full, with odd widths, warnings that are errors, no working folder."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sne_deploy.cli import surroundings

SNE = f"{sys.executable} -c 'import sys; from sne_deploy.start import main; sys.exit(main())'"
WRONG = "report nowhere"
NO_STDOUT = "error: stdout is closed; give it somewhere to go, such as > /dev/null"
FULL = "error: stdout cannot be printed to: No space left on device; free some space"


@pytest.mark.parametrize(
    ("shell", "status", "out", "err"),
    [
        (f"{SNE} --version >&-", 2, [], [NO_STDOUT]),
        (f"{SNE} --version <&- >&- 2>&-", 2, [], []),
        (f"{SNE} --version >/dev/full", 2, [], [FULL]),
        (f"{SNE} {WRONG} 2>&-", 2, [], []),
        (f"{SNE} {WRONG} 2>/dev/full", 2, [], []),
        (
            f"mkdir gone && cd gone && rmdir ../gone && {SNE} --version",
            2,
            [],
            ["error: the working folder has been deleted; change to one that exists"],
        ),
    ],
    ids=["no stdout", "no streams", "full stdout", "no stderr", "full stderr", "no folder"],
)
def test_one_line_where_it_can_be_read_and_a_status(
    tmp_path: Path, shell: str, status: int, out: list[str], err: list[str]
) -> None:
    done = subprocess.run(["bash", "-c", shell], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.splitlines(), done.stderr.splitlines()) == (status, out, err)


def test_libraries_warnings_and_a_locale_are_no_errors(tmp_path: Path) -> None:
    strict = {**os.environ, "PYTHONWARNINGS": "error", "PYTHONIOENCODING": "ascii:strict", "TERM": "dumb"}
    code = (
        "import subprocess, sys, warnings; from sne_deploy.cli import surroundings;"
        "assert surroundings.prepare() is None; warnings.warn('old'); print('5 ± 1 µJ'); sys.stdout.flush();"
        "assert not sys.warnoptions;"
        "subprocess.run([sys.executable, '-c', 'import warnings; warnings.warn(\"old\")'], check=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=strict, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "5 ? 1 ?J\n")
    assert "Traceback" not in done.stderr


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.integers().map(str))
def test_columns_are_a_number_that_a_table_fits_into_or_none(asked: str) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("COLUMNS", asked)
        surroundings._bound_columns()
        found = os.environ.get("COLUMNS")
    if asked.isascii() and asked.isdigit() and int(asked) > 0:
        assert found == str(min(max(int(asked), surroundings.LEAST_COLUMNS), surroundings.MOST_COLUMNS))
    else:
        assert found is None


def test_what_the_system_refuses_is_told_with_a_remedy_and_no_other_error_is_its() -> None:
    many = OSError(errno.EMFILE, "Too many open files", "/a/file")
    said = "/a/file: Too many open files; raise the limit of open files (ulimit -n)"
    assert surroundings.of_the_system(many) == said
    threads = surroundings.of_the_system(RuntimeError("can't start new thread"))
    assert threads == "can't start new thread; raise the limit of processes (ulimit -u), use fewer --workers"
    for ours in (RuntimeError("wrong"), ValueError("wrong"), KeyError("wrong")):
        assert surroundings.of_the_system(ours) is None
