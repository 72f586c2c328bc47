"""What made a report: versions, seed, command."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from sne_deploy.report.schema import ProvenanceModel

PACKAGES = ("sne-deploy", "torch", "numpy", "scipy", "norse", "nir", "lava-nc", "onnxruntime")


def provenance(*, seed: int | None, command: str | None, wall_s: float) -> ProvenanceModel:
    """Versions of what the figures depend on (packages that are not installed are left out).

    Parameters
    ----------
    seed : int or None
    command : str or None
    wall_s : float
        Seconds that the run took.
    """
    return ProvenanceModel(versions=_versions(), seed=seed, command=command, wall_s=wall_s)


@cache
def _versions() -> dict[str, str]:
    """Read from disk once per process."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
