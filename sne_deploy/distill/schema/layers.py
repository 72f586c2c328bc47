"""``students.layers``: what a student is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from sne_deploy.distill.mistakes import did_you_mean
from sne_deploy.distill.schema.base import LATER, Above0, Model, Positive
from sne_deploy.model.layers.registry import LAYER_KINDS
from sne_deploy.model.layers.skips import SKIPS
from sne_deploy.neurons.table import CELLS

NOT_TRAINED = ("AvgPool1d", "MaxPool1d", "MaxPool2d", "AdaptiveAvgPool1d", "AdaptiveAvgPool2d")
"""Layers that are read from modules, and that a student of ``sne train`` does not get."""
POOL_KERNEL = 2
"""Of ``AvgPool2d`` where it is left out."""
_CONV = ("out", "kernel", "stride", "padding", "groups", "bias")
_USED = {
    "Linear": ("out", "bias"),
    "Conv1d": _CONV,
    "Conv2d": _CONV,
    "AvgPool2d": ("kernel", "stride", "padding"),
    "Dropout": ("p",),
    "SkipLinear": ("out", "over"),
    "SkipConv2d": ("out", "over", "kernel", "stride", "padding", "groups"),
}
"""The keys of layers that are no cells; who is not here has none. ``out`` of a skip has its own message."""
_OF_CELLS = {
    "tau_mem_s": "tau_mem_inv",
    "tau_syn_s": "tau_syn_inv",
    "v_th": "v_th",
    "v_reset": "v_reset",
    "v_leak": "v_leak",
    "out": "input_weights",
}
"""The keys of cells, each with the tensor that a cell must have for it."""


def _used(kind: str) -> tuple[str, ...]:
    """The keys that say something of a layer of this kind; ``over`` has a message of its own."""
    if kind not in CELLS:
        return ("over", *_USED.get(kind, ()))
    tensors = LAYER_KINDS[kind].tensors
    return ("over", *(key for key, tensor in _OF_CELLS.items() if tensor in tensors))


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
    what they are added to, their ``kernel`` 1 unless it is given, and they have no bias. ``stride``: of
    ``AvgPool2d``, its kernel where it is left out. A key that a kind has no use for is refused where it is
    not at its default.
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

    @model_validator(mode="before")
    @classmethod
    def _stride_of_pool(cls, given: Any) -> Any:
        """As in torch, windows that are left alone lie side by side."""
        if not isinstance(given, Mapping) or given.get("kind") != "AvgPool2d" or "stride" in given:
            return given
        kernel = given.get("kernel")
        right = isinstance(kernel, int) and kernel > 0
        return {**given, "stride": kernel if right else POOL_KERNEL}

    @model_validator(mode="after")
    def _no_use(self) -> LayerModel:
        used = ("kind", *_used(self.kind))
        for key, field in type(self).model_fields.items():
            if key not in used and getattr(self, key) != field.default:
                raise ValueError(f"{key} has no use in {self.kind}: leave it out")
        return self

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
