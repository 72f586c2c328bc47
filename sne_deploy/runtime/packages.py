"""Packages that the bits of a run depend on, and which versions of them are installed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata

from sne_deploy.backend import ENTRY_POINT_GROUP

PROJECT = "sne-deploy"
PACKAGES = (PROJECT, "numpy", "scipy", "numba", "llvmlite", "torch", "norse", "lava-nc", "lava-dl")
"""Beside the packages that targets are in."""


def that_decide(targets: Sequence[str]) -> list[str]:
    """Names of the packages that what is run on these targets depends on."""
    entries = metadata.entry_points(group=ENTRY_POINT_GROUP)
    homes = {entry.dist.name for entry in entries if entry.name in targets and entry.dist is not None}
    return sorted({*PACKAGES, *homes})


def installed(names: Sequence[str]) -> dict[str, str | None]:
    """The version of each; None of one that is not there."""
    found = {name: next(iter(metadata.distributions(name=name)), None) for name in names}
    return {name: None if each is None else each.version for name, each in found.items()}


def versions_that_decide(targets: Sequence[str]) -> dict[str, str]:
    """What kept work is made with: the packages that are there, as a fingerprint names them."""
    there = installed(that_decide(targets))
    return {f"version of {name}": version for name, version in there.items() if version is not None}
