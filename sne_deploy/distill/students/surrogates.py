r"""The gradient that a spike has while training, instead of that of a step, which is 0.

With x = v - v_th, the membrane above its threshold, and d = v_th - v_leak, the way from rest to threshold:

``superspike``
    :math:`1 / (\alpha |x| + 1)^2` (Zenke and Ganguli 2018, Neural Computation 30, 1514-1541), as Norse does.
``rectangle``
    :math:`1 / (2 w d)` where :math:`|x| < w d`, else 0 (Wu et al. 2018, Frontiers in Neuroscience 12, 331).
``triangle``
    :math:`\max(0, 1 - |x| / (w d)) / (w d)` (Bellec et al. 2018, NeurIPS, without their damping).

``w`` is the half-width, relative to d, so that it means the same for every neuron: scaling a neuron's current
and thresholds together changes nothing. With w = 1 a rectangle reaches from rest to twice the threshold. The
area of both is 1, that of the step's own gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sne_deploy.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

SurrogateName = Literal["superspike", "rectangle", "triangle"]


class SuperSpike(NamedTuple):
    """1 / (alpha |x| + 1)^2."""

    alpha: Any

    def passed(self, above: Tensor, gradient: Tensor) -> Tensor:
        """What a spike's gradient becomes of x."""
        made: Tensor = gradient / (self.alpha * above.abs() + 1).square()
        return made


class Rectangle(NamedTuple):
    """``height`` where |x| < ``half``, in units of the membrane."""

    half: Any
    height: Any

    def passed(self, above: Tensor, gradient: Tensor) -> Tensor:
        """What a spike's gradient becomes of x."""
        made: Tensor = gradient * self.height * (above.abs() < self.half)
        return made


class Triangle(NamedTuple):
    """``height`` (1 - |x| / ``half``) where that is above 0."""

    half: Any
    height: Any

    def passed(self, above: Tensor, gradient: Tensor) -> Tensor:
        """What a spike's gradient becomes of x."""
        made: Tensor = gradient * self.height * (1 - above.abs() / self.half).clamp(min=0)
        return made


Slope = SuperSpike | Rectangle | Triangle
"""A gradient in units of a neuron's membrane."""


@dataclass(frozen=True)
class Surrogate:
    """A gradient as the module's own text defines it.

    Attributes
    ----------
    kind : SurrogateName
    alpha : float
        Steepness of ``superspike``, in units of the membrane. 1 is what Norse 1.1.0 computes, whatever a
        cell's own alpha says.
    width : float
        Half-width w of the others, relative to v_th - v_leak.
    """

    kind: SurrogateName = "superspike"
    alpha: float = 1.0
    width: float = 1.0

    @property
    def norses(self) -> bool:
        """Whether Norse computes it, of any cell."""
        return self == NORSES

    def __str__(self) -> str:
        if self.kind == "superspike":
            return f"{self.kind} with alpha {self.alpha:g}"
        return f"{self.kind} of width {self.width:g}"

    def slope(self, distance: Any) -> Slope:
        """Of neurons with this ``distance`` from rest to threshold, a number or a tensor.

        Raises
        ------
        InputError
            Neurons whose threshold is not above their rest have no such width.
        """
        if self.kind == "superspike":
            return SuperSpike(self.alpha)
        if not bool((distance > 0).all() if hasattr(distance, "all") else distance > 0):
            raise InputError(
                f"surrogate gradient {self}: is relative to v_th - v_leak, which must be above 0, not "
                f"{float(distance.min() if hasattr(distance, 'min') else distance):g}; use 'superspike'"
            )
        half = self.width * distance
        return Rectangle(half, 0.5 / half) if self.kind == "rectangle" else Triangle(half, 1.0 / half)


NORSES = Surrogate()
"""Norse's own."""
