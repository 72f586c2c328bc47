"""``[teacher]`` and ``[partition]``: whose features are learned, and which student learns which."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sne_deploy.distill.schema.base import Model, NotNegative, Positive
from sne_deploy.distill.schema.schedule import Schedule


class TeacherModel(Model):
    """A teacher of ours, trained, or another's: an ONNX file, or a ``module`` given in Python.

    ``width``: channels of the first convolution, or neurons of the hidden layers. ``features``: size of the
    penultimate layer. ``label_smoothing``: the part of a label's weight that all classes share.
    ``normalise``: a batch norm before all else brings values of different scales to one; of ``mlp``.
    ``weights``: how matrices and kernels are stored. ``float16``: once the teacher is trained, batch norms
    are folded and weights rounded to 16 bits, so that students learn from the very network that
    ``teacher.onnx`` holds, at half its size; of a teacher that is trained here.
    """

    architecture: Literal["mlp", "cnn", "resnet9", "airbench", "tcn", "module"] | None = None
    onnx: str | None = None
    width: Positive = 32
    features: Positive = 128
    normalise: bool = False
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    weights: Literal["float32", "float16"] = "float32"
    schedule: Schedule = Schedule()

    @model_validator(mode="after")
    def _one_of_both(self) -> TeacherModel:
        if (self.architecture is None) == (self.onnx is None):
            raise ValueError("give either architecture or onnx")
        if self.normalise and self.architecture != "mlp":
            raise ValueError("normalise is of architecture 'mlp' alone")
        if self.weights != "float32" and self.architecture in (None, "module"):
            raise ValueError(
                f"weights {self.weights!r} is of a teacher that is trained here, not of one that is given: "
                "leave it out"
            )
        return self


class PartitionModel(Model):
    """Which features each student learns; ``decorrelate`` fine-tunes the teacher so that parts separate."""

    strategy: Literal["contiguous", "random", "correlation", "attribution", "coverage", "selection"] = (
        "attribution"
    )
    decorrelate: NotNegative = 0.0
    decorrelate_epochs: Positive = 5
