"""A spike's gradient in an experiment file."""

from __future__ import annotations

from typing import Annotated

from pydantic import model_validator

from sne_deploy.distill.schema.base import LATER, Above0, Model
from sne_deploy.distill.students.surrogates import Surrogate, SurrogateName


class WithSurrogate(Model):
    """Keys of ``[students]``; equations and sources in :mod:`sne_deploy.distill.students.surrogates`.

    ``surrogate``: ``superspike``, whose steepness is ``surrogate_alpha``; ``rectangle`` or ``triangle``,
    whose half-width is ``surrogate_width``, relative to the way of the membrane from rest to threshold,
    v_th - v_leak. 1, the default, reaches from rest to twice the threshold.
    """

    surrogate: Annotated[SurrogateName, LATER] = "superspike"
    surrogate_alpha: Above0 = 1.0
    surrogate_width: Annotated[Above0 | None, LATER] = None

    @model_validator(mode="after")
    def _one_of_each(self) -> WithSurrogate:
        if self.surrogate == "superspike" and self.surrogate_width is not None:
            raise ValueError(
                f"surrogate_width {self.surrogate_width:g} is of surrogate 'rectangle' and 'triangle': set "
                "surrogate to one of them, or take surrogate_alpha"
            )
        if self.surrogate != "superspike" and self.surrogate_alpha != 1.0:
            raise ValueError(
                f"surrogate_alpha {self.surrogate_alpha:g} is of surrogate 'superspike', not of "
                f"{self.surrogate!r}: leave it out and take surrogate_width"
            )
        return self

    @property
    def gradient(self) -> Surrogate:
        """As training takes it."""
        return Surrogate(self.surrogate, self.surrogate_alpha, self.surrogate_width or 1.0)
