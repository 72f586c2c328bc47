"""What the checks of a report share."""

from __future__ import annotations

from sne_deploy.errors import VerificationError


def require(condition: bool, message: str) -> None:
    """Raise VerificationError unless the condition holds."""
    if not condition:
        raise VerificationError(f"the report does not add up: {message}")


def mean(total: int | None, samples: int) -> float | None:
    """Of a total over samples; None where there is no total or no sample."""
    return None if total is None or samples == 0 else total / samples
