"""How long and how fast something is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sne_deploy.distill.schema.base import LATER, Above0, Model, NotNegative, Positive


class Schedule(Model):
    """How long and how fast to train: a linear warm-up, then a cosine from ``learning_rate`` to 0.

    ``warmup``: the part of the steps that it takes. ``weight_decay``: of weights, not of biases and scales;
    keeps outliers from stretching the quantiser. ``clip_norm``: largest norm of the whole gradient; surrogate
    gradients through time can explode. ``precision`` bf16: matrix products and convolutions under autocast;
    parameters stay float32. ``sgd`` has Nesterov's momentum of 0.9, ``lookahead`` of
    0.85 and an average that grows longer, see :class:`sne_deploy.distill.training.optimizers.Lookahead`;
    ``muon`` orthogonal updates, see :class:`sne_deploy.distill.training.muon.Muon`. ``averaging``: the last
    part of the steps whose weights are averaged in the end, see
    :func:`sne_deploy.distill.training.optimizers.average_weights`.
    """

    epochs: Positive = 20
    batch_size: Positive = 128
    learning_rate: Above0 = 2e-3
    weight_decay: NotNegative = 1e-3
    clip_norm: Above0 = 1.0
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    precision: Literal["float32", "bf16"] = "float32"
    optimizer: Literal["adamw", "sgd", "lookahead", "muon"] = "adamw"
    averaging: Annotated[float, Field(ge=0, lt=1), LATER] = 0.0
