"""``[students]``, ``[joint]`` and ``[quantisation]``: what is learned, alone, together, as integers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from sne_deploy.distill.schema.answers import AnswersModel
from sne_deploy.distill.schema.base import LATER, Above0, Model, NotNegative, Positive
from sne_deploy.distill.schema.layers import LayerModel
from sne_deploy.distill.schema.members import WithMembers, member_model
from sne_deploy.distill.schema.pruning import PruningModel
from sne_deploy.distill.schema.schedule import Schedule
from sne_deploy.distill.schema.surrogate import WithSurrogate
from sne_deploy.distill.schema.warm_start import MoreSteps, WarmStart
from sne_deploy.distill.students.dropout import DropoutName
from sne_deploy.model.ensemble import Readout


def _something_to_learn(loss: Any) -> Any:
    if not loss.feature + loss.cross_entropy + loss.logits > 0:
        raise ValueError("feature, cross_entropy or logits must be above 0: there is nothing to learn")
    return loss


class StudentLoss(Model):
    """Weights of a student's loss terms, each named as in :mod:`sne_deploy.distill.losses`; 0 leaves one out.

    ``feature`` is on the student's slice; ``cross_entropy`` and ``logits``, with its two temperatures, are
    through a linear classifier of the student's outputs, which is trained along and dropped afterwards, or of
    outputs that are logits themselves; ``spike_rate`` has its ``target_rate`` in spikes per neuron and step;
    ``hoyer`` is of ``LIFBoxCell`` neurons, and not while students are fine-tuned as integers; neither is
    ``inner``, on the activations of the ReLU twin that ``students.warm_start`` trains.
    """

    feature: NotNegative = 1.0
    cross_entropy: NotNegative = 0.0
    logits: NotNegative = 0.0
    tau_teacher: Above0 = 1.0
    tau_student: Above0 = 1.0
    spike_rate: NotNegative = 0.0
    hoyer: Annotated[NotNegative, LATER] = 0.0
    inner: Annotated[NotNegative, LATER] = 0.0
    target_rate: Annotated[float, Field(ge=0, le=1)] = 0.1
    synops: NotNegative = 0.0

    _learns = model_validator(mode="after")(_something_to_learn)

    @property
    def of_answers(self) -> StudentLoss:
        """The terms on what a student answers, without those on its neurons."""
        return self.model_copy(update=dict.fromkeys(("spike_rate", "hoyer", "inner", "synops"), 0.0))


class StudentsModel(WithSurrogate):
    """The students: alike, each with its slice; ``pruning`` makes weights 0 while they learn.

    ``outputs``: ``features`` of the slice, with a classifier and a head behind them; or the classes'
    ``logits`` themselves, of which an ensemble takes the mean; no student has a slice then.
    ``copies``: augmented versions of the training set that are added to it; their targets are the
    teacher's features of the very same images. ``answers``: a table, in their place: see
    :mod:`sne_deploy.distill.schema.answers`; an epoch is then as long as without copies, and the joint stage
    sees the same. ``surrogate``, ``surrogate_alpha``, ``surrogate_width``: see
    :class:`sne_deploy.distill.schema.surrogate.WithSurrogate`. ``warm_start``: each begins with the weights
    of its trained ReLU twin, see :class:`sne_deploy.distill.schema.warm_start.WarmStart`. ``more_steps``:
    each is trained with more time steps first, see :class:`sne_deploy.distill.schema.warm_start.MoreSteps`.
    ``storage``: with ``float16``, the maps of finished students are rounded to 16 bits, so that ``model.pt``
    is half as large; order, threshold and head are fitted to the rounded ones.
    """

    count: Positive
    timesteps: Positive
    dt_s: Above0 = 1e-3
    readout: Readout = "v_mean"
    layers: Annotated[tuple[LayerModel, ...], Field(min_length=1)]
    pruning: Annotated[PruningModel | None, LATER] = None
    warm_start: Annotated[WarmStart | None, LATER] = None
    more_steps: Annotated[MoreSteps | None, LATER] = None
    loss: StudentLoss = StudentLoss()
    copies: Annotated[int, Field(ge=0, le=20)] = 0
    answers: Annotated[AnswersModel | None, LATER] = None
    outputs: Literal["features", "logits"] = "features"
    storage: Annotated[Literal["float32", "float16"], LATER] = "float32"
    schedule: Schedule = Schedule()

    @model_validator(mode="after")
    def _more(self) -> StudentsModel:
        longer = self.more_steps
        if longer is not None and longer.timesteps <= self.timesteps:
            raise ValueError(
                f"more_steps.timesteps {longer.timesteps} must be above timesteps {self.timesteps}, with "
                "which the student is trained in the end"
            )
        return self

    @model_validator(mode="after")
    def _twin(self) -> StudentsModel:
        if self.loss.inner and self.warm_start is None:
            raise ValueError(
                f"loss.inner {self.loss.inner:g} is on the activations of a trained ReLU twin: give "
                "warm_start, such as {epochs = 5}, or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _no_features_of_logits(self) -> StudentsModel:
        if self.outputs == "logits" and self.loss.feature:
            raise ValueError(
                f"outputs 'logits' have no features to learn: set loss.feature {self.loss.feature} to 0"
            )
        return self

    @model_validator(mode="after")
    def _answers_or_copies(self) -> StudentsModel:
        if self.answers is not None and self.copies:
            raise ValueError(f"answers take the place of copies: leave out copies {self.copies}, or answers")
        return self


class EnsembleModel(StudentsModel, WithMembers):
    """The students, of which each may differ; see :class:`sne_deploy.distill.schema.members.WithMembers`."""

    if not TYPE_CHECKING:
        member: Annotated[tuple[member_model(StudentsModel), ...], LATER] = ()


class JointModel(Model):
    """Fine-tuning of all students through the head; ``dropout`` says who is left out of a batch.

    ``copies``: as ``students.copies``, which it is where it is left out; not beside ``students.answers``.
    """

    schedule: Schedule
    copies: Annotated[int, Field(ge=0, le=20)] | None = None
    dropout: DropoutName = "uniform"
    feature: NotNegative = 0.0
    cross_entropy: NotNegative = 1.0
    logits: NotNegative = 0.0
    tau_teacher: Above0 = 1.0
    tau_student: Above0 = 1.0
    synops: NotNegative = 0.0

    _learns = model_validator(mode="after")(_something_to_learn)

    @property
    def loss(self) -> StudentLoss:
        """The weights alone; ``cross_entropy`` and ``logits`` are of the head's logits."""
        return StudentLoss(**self.model_dump(include=set(StudentLoss.model_fields)))


class QuantisationModel(Model):
    """Weights on the chip; ``epochs`` of quantisation-aware fine-tuning, 0 for none."""

    weight_bits: Literal[2, 3, 4, 5, 6, 7, 8, 16] = 8
    epochs: Annotated[int, Field(ge=0)] = 0
