"""Options that do not go with the target or with each other: refused before anything is read or compiled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sne_deploy.backend import Capabilities


def check_engine_options(
    target: str, workers: int | None, scheduler: str | None, timeout_s: float | None, device: str | None
) -> Capabilities:
    """Refuse engines and devices that the target cannot use; what the target can.

    Raises
    ------
    InputError
        Options that exclude each other, or a device for another target.
    TargetError
        Unknown target, or something it needs is not installed.
    """
    from sne_deploy.api import device_options
    from sne_deploy.backend import load_backend
    from sne_deploy.runtime.executors import check_engine

    capabilities = load_backend(target).capabilities()
    check_engine(workers, scheduler, timeout_s)
    device_options(device, target)
    return capabilities


def check_fixed(
    capabilities: Capabilities, target: str, precision: Any, needing: Mapping[str, object]
) -> None:
    """Refuse options that need a fixed-point run, where the run is to be in floating point.

    Raises
    ------
    InputError
        One of ``needing`` is given, which has each option's value; or the target has no such precision.
    """
    from sne_deploy.api import chosen_precision
    from sne_deploy.errors import InputError

    if chosen_precision(precision, target, capabilities.precisions) == "fixed":
        return
    remedy = "give --precision fixed" if "fixed" in capabilities.precisions else "take target loihi"
    for option, value in needing.items():
        if value:
            shown = " ".join(map(str, value)) if isinstance(value, list) else value
            raise InputError(
                f"{option} {shown} is of the chip's integers, and target {target!r} is to run in floating "
                f"point; {remedy}, or leave it out"
            )
