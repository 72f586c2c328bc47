"""What is known of an epoch once it is done: losses, and what the module then does on validation samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Seen:
    """What a module does on validation samples; None: not measured, or not of this kind of module.

    Attributes
    ----------
    accuracy : float or None
        Of the module alone, as a fraction.
    ensemble_accuracy : float or None
        Of all students together that were trained until then, this one included.
    spikes, synops : float or None
        Per sample: spikes of all neurons, and the synapses that they reach.
    """

    accuracy: float | None = None
    ensemble_accuracy: float | None = None
    spikes: float | None = None
    synops: float | None = None


Watch = Callable[["nn.Module"], Seen]
"""Looks at a module between two epochs; it changes nothing of it."""


@dataclass(frozen=True)
class Epoch:
    """A finished epoch.

    Attributes
    ----------
    terms : mapping
        Mean of every loss term.
    learning_rate : float
        Of its last step.
    seconds : float
        That it took, with the look at the validation samples.
    seen : Seen
    """

    terms: Mapping[str, float]
    learning_rate: float
    seconds: float
    seen: Seen = Seen()

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for :meth:`of`."""
        return asdict(self) | {"terms": dict(self.terms)}

    @staticmethod
    def of(values: Mapping[str, Any]) -> Epoch:
        """From what :meth:`as_dict` gave.

        Raises
        ------
        TypeError
            The values are something else.
        """
        return Epoch(**{**values, "seen": Seen(**values["seen"])})
