"""From exact totals to what is compared: accuracy with its statistical error, energy, latency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.chips.chip import Chip
from sne_deploy.energy.accounting import COUNTED, Part, Traffic, energy_parts, prices_of
from sne_deploy.policies.outcome import Outcome
from sne_deploy.policies.recorded import MESSAGES

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Figures:
    """Means over some samples.

    Attributes
    ----------
    samples : int
    accuracy : float
    accuracy_error : float
        One standard error; see :func:`standard_error`.
    energy_j : float
        Per sample, as a report's ``energy_per_sample_j.total`` of the ensemble.
    latency_s : float or None
        Per sample, as a report's ``latency_s`` of the ensemble: of a cascade's students one after another, of
        others side by side. None where it is not known.
    synops, students : float
        SynOps, and how many students ran, per sample.
    """

    samples: int
    accuracy: float
    accuracy_error: float
    energy_j: float
    latency_s: float | None
    synops: float
    students: float


@dataclass(frozen=True, eq=False)
class Columns:
    """Figures of P policies on the same samples, an array for each."""

    samples: int
    accuracy: Array
    accuracy_error: Array
    energy_j: Array
    latency_s: Array | None
    synops: Array
    students: Array

    def __len__(self) -> int:
        """Number of policies."""
        return len(self.accuracy)

    def at(self, index: int) -> Figures:
        """Those of one policy."""
        named = ("accuracy", "accuracy_error", "energy_j", "synops", "students")
        values = {name: float(getattr(self, name)[index]) for name in named}
        latency_s = None if self.latency_s is None else float(self.latency_s[index])
        return Figures(samples=self.samples, latency_s=latency_s, **values)


def standard_error(right: Any, samples: int) -> Any:
    """Of an accuracy: sqrt(p (1 - p) / n + 1 / (4 n^2)) / (1 + 1 / n), p the fraction that is right.

    Half the width of Wilson's interval of one standard error around a binomial proportion (J. Am. Stat.
    Assoc. 22, 209, 1927): sqrt(p (1 - p) / n) where n is large, and not 0 where all are right.
    """
    p = right / samples
    return np.sqrt(p * (1 - p) / samples + 0.25 / samples**2) / (1 + 1 / samples)


def figures(found: Outcome, chip: Chip) -> Columns:
    """Divide totals by samples; the energies are those of a report, bit for bit."""
    return Columns(
        samples=found.samples,
        accuracy=found.right / found.samples,
        accuracy_error=standard_error(found.right, found.samples),
        energy_j=_energy_j(found, chip),
        latency_s=None if found.seconds is None else found.seconds / found.samples,
        synops=found.totals["synops"] / found.samples,
        students=found.ran / found.samples,
    )


def energy_excludes(found: Outcome, chip: Chip) -> tuple[Part, ...]:
    """The parts that the energies leave out: what the target or the chip's file does not have."""
    return tuple(name for name, part in _parts(found, chip).items() if part is None)


def _energy_j(found: Outcome, chip: Chip) -> Array:
    """Mean joules per sample, the parts added in a report's order."""
    parts = _parts(found, chip).values()
    return np.asarray(sum(part for part in parts if part is not None), np.float64)


def _parts(found: Outcome, chip: Chip) -> dict[Part, Any]:
    totals = _Totals(**{name: found.totals.get(name) for name in COUNTED})  # type: ignore[arg-type]  # as they are
    return energy_parts(totals, prices_of(chip), found.samples, _traffic(found))


def _traffic(found: Outcome) -> Traffic | None:
    """Arrays over policies, where messages were counted; the words of memory have no price."""
    if not set(MESSAGES) <= found.totals.keys():
        return None
    return Traffic(**{name: found.totals[name] for name in MESSAGES}, memory_words=0)  # type: ignore[arg-type]  # arrays


@dataclass(frozen=True, eq=False)
class _Totals:
    """As :class:`sne_deploy.energy.accounting.Counts`, an array over policies for each."""

    synops: Array
    spikes: Array
    input_spikes: Array
    updates_active: Array | None
    updates_idle: Array | None
    host_macs: Array
