"""What must be installed before Lava can be imported, and the line that installs it."""

from __future__ import annotations

from importlib import util

from sne_deploy.errors import TargetError

LAVA_REMEDY = "pip install --no-deps --ignore-requires-python lava-nc==0.10.0"
"""How to install Lava without its metadata, which forbids Python above 3.10 and NumPy 2."""

NETX_REMEDY = "pip install --no-deps --ignore-requires-python lava-dl==0.6.0"
"""The same for lava-dl, which contains netx."""

_INSTEAD = "; or use --target loihi, the same integers without Lava"
_LAVA_NEEDS = {"numpy": "numpy", "scipy": "scipy", "networkx": "'networkx<3'", "asteval": "asteval"}
_NETX_NEEDS = {"torch": "torch", "h5py": "h5py", "matplotlib": "matplotlib"}


def require_lava() -> None:
    """Check, importing nothing, that Lava and the packages that it needs are installed.

    Raises
    ------
    TargetError
        If lava-nc or something that it needs is missing.
    """
    _require("lava.magma", "lava-nc", LAVA_REMEDY, _LAVA_NEEDS, _INSTEAD)


def require_netx() -> None:
    """Check, importing nothing, that lava-dl's netx and the packages that it needs are installed.

    Raises
    ------
    TargetError
        As `require_lava`, and if lava-dl or something that netx needs is missing.
    """
    require_lava()
    _require("lava.lib.dl.netx", "lava-dl", NETX_REMEDY, _NETX_NEEDS, "")


def _require(module: str, distribution: str, remedy: str, needs: dict[str, str], instead: str) -> None:
    if not _found(module):
        missing = [needs[name] for name in needs if not _found(name)]
        first = f"pip install {' '.join(missing)} && " if missing else ""
        raise TargetError(
            f"target lava: {distribution} is not installed; install it with: {first}{remedy}{instead}"
        )
    missing = [name for name in needs if not _found(name)]
    if missing:
        packages = " ".join(needs[name] for name in missing)
        raise TargetError(
            f"target lava: {distribution} needs {', '.join(missing)}, not installed here; "
            f"install with: pip install {packages}{instead}"
        )


def _found(module: str) -> bool:
    """Whether a module can be found, executing none but its parents (namespace packages here)."""
    try:
        return util.find_spec(module) is not None
    except ModuleNotFoundError:  # a parent is missing
        return False
