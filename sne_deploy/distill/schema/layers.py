"""``students.layers``: what a student is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from sne_deploy.distill.mistakes import did_you_mean
from sne_deploy.distill.schema.base import LATER, Above0, Model, Positive
from sne_deploy.model.layers.registry import LAYER_KINDS
from sne_deploy.model.layers.skips import SKIPS

NOT_TRAINED = ("AvgPool1d", "MaxPool1d", "MaxPool2d", "AdaptiveAvgPool1d", "AdaptiveAvgPool2d")
"""Layers that are read from modules, and that a student of ``sne train`` does not get."""


def _known_layer(kind: str) -> str:
    known = [name for name in LAYER_KINDS if name not in NOT_TRAINED]
    if kind in known:
        return kind
    meant = did_you_mean(kind, known)
    raise ValueError(
        f"{kind[:100]!r} is unknown; known: {', '.join(known)}"
        + ("" if meant is None else f"; did you mean {meant!r}?")
    )


LayerName = Annotated[str, AfterValidator(_known_layer)]


class LayerModel(Model):
    """A layer of a student, by its kind in the registry; sizes that follow from the input are left out.

    ``out``: output features or channels; left out, the size of the student's slice. ``tau_mem_s``,
    ``tau_syn_s``, ``v_th``, ``v_reset``, ``v_leak``: of cells. ``over``: of ``SkipLinear`` and
    ``SkipConv2d``, how many cells they pass, see :mod:`sne_deploy.model.layers.skips`; their size is that of
    what they are added to, their ``kernel`` 1 unless it is given, and they have no bias.
    """

    kind: LayerName
    out: Positive | None = None
    kernel: Positive | None = None
    stride: Positive = 1
    padding: Annotated[int, Field(ge=0)] = 0
    groups: Positive = 1
    bias: bool = True
    p: Annotated[float, Field(ge=0, lt=1)] = 0.0
    tau_mem_s: Above0 = 2e-3
    tau_syn_s: Above0 = 2e-3
    v_th: float = 1.0
    v_reset: float = 0.0
    v_leak: float = 0.0
    over: Annotated[Positive | None, LATER] = None

    @model_validator(mode="after")
    def _skips(self) -> LayerModel:
        if self.kind not in SKIPS:
            if self.over is not None:
                raise ValueError(f"over is of {' and '.join(SKIPS)}, not of {self.kind}: leave it out")
        elif self.over is None:
            raise ValueError("over is missing: how many cells it passes, such as 1")
        elif self.out is not None:
            raise ValueError(f"out {self.out} is what it is added to: leave it out")
        return self
