"""The package's metadata, the pinned versions and the set-up agree with each other and with the tree."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from setuptools import find_packages

from sne_lava import installed

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pins() -> list[Requirement]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def pinned_on(pins: list[Requirement], python: str) -> dict[str, str]:
    """Return name and version of every pin that holds on one Python; each name at most once."""
    environment = {**default_environment(), "python_version": python, "python_full_version": f"{python}.0"}
    versions: dict[str, str] = {}
    for pin in pins:
        if pin.marker is None or pin.marker.evaluate(environment):
            name = canonicalize_name(pin.name)
            assert name not in versions, f"{name} is pinned twice on Python {python}"
            (specifier,) = pin.specifier
            assert specifier.operator == "==", f"{pin} is not pinned"
            versions[name] = specifier.version
    return versions


def all_requirements(project: dict[str, Any]) -> list[Requirement]:
    groups = [project["project"]["dependencies"], *project["project"]["optional-dependencies"].values()]
    requirements = [Requirement(line) for group in groups for line in group]
    return [one for one in requirements if one.name != project["project"]["name"]]


@pytest.mark.parametrize("python", PYTHONS)
def test_every_requirement_is_pinned_within_its_range(
    project: dict[str, Any], pins: list[Requirement], python: str
) -> None:
    versions = pinned_on(pins, python)
    for one in all_requirements(project):
        if one.marker is not None and not one.marker.evaluate(
            {**default_environment(), "python_version": python}
        ):
            continue
        version = versions.get(canonicalize_name(one.name))
        assert version is not None, f"{one.name} is not in constraints.txt for Python {python}"
        assert one.specifier.contains(version), f"{one} excludes the pinned version {version}"


@pytest.mark.parametrize("python", PYTHONS)
def test_torch_reads_checkpoints_safely(pins: list[Requirement], python: str) -> None:
    major, minor = pinned_on(pins, python)["torch"].split(".")[:2]
    assert (int(major), int(minor)) >= (2, 10)


def test_the_remedies_name_the_pinned_versions(pins: list[Requirement]) -> None:
    versions = pinned_on(pins, "3.13")
    assert installed.LAVA_REMEDY.endswith(f"lava-nc=={versions['lava-nc']}")
    assert installed.NETX_REMEDY.endswith(f"lava-dl=={versions['lava-dl']}")


def test_every_python_that_is_claimed_is_pinned(project: dict[str, Any]) -> None:
    claimed = [
        match.group(1)
        for line in project["project"]["classifiers"]
        if (match := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line))
    ]
    assert tuple(claimed) == PYTHONS


def test_no_machine_or_index_is_named() -> None:
    for name in (
        "pyproject.toml",
        "constraints.txt",
        "Makefile",
        ".ci/run",
        *(str(path) for path in (ROOT / "scripts").glob("*") if path.is_file()),
    ):
        text = (ROOT / name).read_text(encoding="utf-8").replace("https://download.pytorch.org/whl/cpu", "")
        assert not re.search(r"https?://|file://|/(home|root|opt|mnt|Users)/", text), name


def test_entry_points_name_modules_that_exist(project: dict[str, Any]) -> None:
    entries = {
        **project["project"]["scripts"],
        **project["project"]["entry-points"]["sne_deploy.backends"],
    }
    for name, target in entries.items():
        path = Path(*target.partition(":")[0].split("."))
        places = [root / path for root in (ROOT, ROOT / "backends")]
        assert any(
            place.with_suffix(".py").is_file() or (place / "__init__.py").is_file() for place in places
        ), name


def test_every_package_and_data_file_is_packaged(project: dict[str, Any]) -> None:
    setuptools = project["tool"]["setuptools"]
    include = setuptools["packages"]["find"]["include"]
    patterns = setuptools["package-data"]["*"]
    for root in setuptools["packages"]["find"]["where"]:
        for package in (path.parent for path in (ROOT / root).glob("sne_*/__init__.py")):
            assert any(fnmatch(package.name, name) for name in include), f"{package.name} is left out"
            for file in package.rglob("*"):
                if file.is_file() and file.suffix != ".py" and file.parent.name != "__pycache__":
                    assert any(fnmatch(file.name, name) for name in patterns), f"{file} is left out"


def test_the_wheel_holds_the_compiler_and_its_targets_and_nothing_else(project: dict[str, Any]) -> None:
    find = project["tool"]["setuptools"]["packages"]["find"]
    packages = {
        name for root in find["where"] for name in find_packages(str(ROOT / root), include=find["include"])
    }
    entries = project["project"]["entry-points"]["sne_deploy.backends"].values()
    wanted = {"sne_deploy", *(entry.partition(":")[0] for entry in entries)}
    assert {name.partition(".")[0] for name in packages} == wanted
    for outside in ("experiments", "benchmarks", "examples", "tests", "scripts"):
        assert list((ROOT / outside).rglob("*.py")), f"{outside} is gone: change this test"


def test_sanafe_is_a_distribution_of_its_own(project: dict[str, Any]) -> None:
    folder = ROOT / "backends" / "sne_sanafe"
    its = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    names = {Requirement(line).name for line in its["project"]["dependencies"]}
    assert names == {"sne-deploy", "sanafe"}
    assert not {one.name for one in all_requirements(project)} & {"sanafe", "sne-sanafe"}
    assert its["tool"]["setuptools"]["packages"] == ["sne_sanafe"]
    assert (folder / "sne_sanafe" / "__init__.py").is_file()


def test_every_folder_with_modules_is_a_package() -> None:
    for root in (ROOT, ROOT / "backends"):
        own = [path.parent for path in root.glob("sne_*/pyproject.toml")]  # distributions of their own
        for module in root.glob("sne_*/**/*.py"):
            if any(module.is_relative_to(folder) for folder in own):
                continue
            assert (module.parent / "__init__.py").is_file(), (
                f"{module.parent} has no __init__.py: not packaged"
            )


@pytest.mark.parametrize("version", ["3.9", "3.14", "2.7"])
def test_the_set_up_refuses_an_unsupported_python(tmp_path: Path, version: str) -> None:
    python = tmp_path / "python-of-the-machine"
    python.write_text(f"#!/bin/sh\necho {version}\n")
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    done = set_up(tmp_path / "env", str(python))
    assert done.returncode == 2
    assert done.stderr == (
        f"setup: {python} is Python {version}, supported are 3.10 to 3.13; "
        "choose one with PYTHON=python3.11\n"
    )
    assert not (tmp_path / "env").exists()


def test_the_set_up_says_when_there_is_no_python(tmp_path: Path) -> None:
    done = set_up(tmp_path / "env", "no-such-python")
    assert done.returncode == 2
    assert done.stderr == "setup: no-such-python does not run; choose an interpreter with PYTHON=python3.11\n"
    assert not (tmp_path / "env").exists()


def set_up(env: Path, python: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(ROOT / "scripts" / "setup_env.sh"), str(env), python],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "LC_ALL": "C"},
    )
