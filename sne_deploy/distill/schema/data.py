"""``[data]``: the data set, how it is split and what spoils or moves its images."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sne_deploy.distill.schema.base import LATER, Above0, Model, Positive
from sne_deploy.distill.schema.corruptions import CorruptionsModel
from sne_deploy.model.ensemble import Encoder

Augmentation = Literal[
    "none", "shift", "crop-flip", "shift-contrast", "crop-flip-contrast", "crop-flip-cutout"
]


class DataModel(Model):
    """The data set: ``validation`` samples at the end of the training split are kept for choices.

    ``folder``: of ``mnist`` and ``cifar10``, with the files as published; of ``npz``, with ``train.npz`` and
    ``test.npz``, each with ``x`` and ``y``. ``file``: instead, a single FILE.npz, of which ``test`` samples
    are kept to measure on, the same for every seed. ``arrays``: given in Python, to ``sne_deploy.train``.
    ``stratified``: each class gives its share of them; by default with data of one's own, ``npz`` and
    ``arrays``, whose classes may differ in size. The others are split as they have been.
    ``input``: what a sample is. ``constant``: an image or a vector, given as a current that is the same at
    every step. ``current``: a series of shape (steps, ...) of real numbers, one current for each step.
    ``spikes``: the same, of 0 and 1, through the synapses of the first layer. Series may differ in length:
    ``lengths`` beside ``x``. ``input_range``: in which every value lies, of the others than ``spikes``.
    Recorded events, see :mod:`sne_deploy.data.events`, become series of the ``shape`` of one step, of
    ``bin_width`` in units of their times.
    ``augment``: ``shift`` moves images by up to two pixels; ``crop-flip`` pads by four, crops, and flips;
    with ``-contrast``, half of the images also get less contrast, with ``-cutout``, each loses a square:
    anew in every batch of the teacher; for the students, see ``students.copies``. ``corruptions``: what
    spoils a part of the augmented images, see :mod:`sne_deploy.distill.schema.corruptions`.
    """

    source: Literal["digits", "mnist", "cifar10", "npz", "arrays"]
    folder: str | None = None
    file: str | None = None
    test: Annotated[int, Field(ge=10)] | None = None
    validation: Annotated[int, Field(ge=10)] = 5000
    train_samples: Positive | None = None
    stratified: bool | None = None
    augment: Augmentation = "none"
    corruptions: Annotated[CorruptionsModel | None, LATER] = None
    input: Literal["constant", "current", "spikes"] = "constant"
    input_range: tuple[float, float] = (0.0, 1.0)
    bin_width: Above0 | None = None
    shape: Annotated[tuple[Positive, ...], Field(min_length=1, max_length=3)] | None = None

    @model_validator(mode="after")
    def _meaningful(self) -> DataModel:
        low, high = self.input_range
        if not low < high:
            raise ValueError(f"input_range [{low:g}, {high:g}] must be two numbers, low < high")
        if self.file is not None and (self.source != "npz" or self.folder is not None):
            raise ValueError("file is of source 'npz' alone, without folder")
        if (self.file is None) != (self.test is None):
            raise ValueError("file and test go together: test is how many of the file's samples are kept")
        if (self.bin_width is None) != (self.shape is None):
            raise ValueError("events need both bin_width and shape, of one step; give both or neither")
        if self.input == "constant":
            if self.bin_width is not None:
                raise ValueError("bin_width is of events: set input 'constant' to 'spikes' or 'current'")
            return self
        if self.source not in ("npz", "arrays"):
            raise ValueError(f"source {self.source!r} has images: set input {self.input!r} to 'constant'")
        if self.augment != "none":
            raise ValueError(
                f"augment {self.augment!r} is for images, not for input {self.input!r}: set it to 'none'"
            )
        if self.corruptions is not None:
            raise ValueError(f"corruptions are for images, not for input {self.input!r}: leave them out")
        if self.input == "spikes" and self.input_range != (0.0, 1.0):
            raise ValueError("input_range is not of input 'spikes', which are 0 and 1: leave it out")
        return self

    @property
    def encoder(self) -> Encoder:
        """What makes the students' input of a sample."""
        if self.input == "spikes":
            return Encoder("spikes")
        return Encoder("constant" if self.input == "constant" else "graded", self.input_range)
