"""One TOML file describes a training run; this is its schema.

Every key is checked before anything is computed; all wrong ones are named with their places. Times are in
seconds, temperatures and weights of losses are plain numbers.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from sne_deploy.distill.losses import MAX_GATED
from sne_deploy.distill.mistakes import did_you_mean, experiment_error
from sne_deploy.distill.schema.answers import AnswersModel
from sne_deploy.distill.schema.base import LATER, Above0, Model, NotNegative, Positive
from sne_deploy.distill.schema.corruptions import CorruptionsModel
from sne_deploy.distill.schema.members import WithMembers, member_model
from sne_deploy.distill.schema.noise import NoiseModel
from sne_deploy.distill.schema.pruning import PruningModel
from sne_deploy.distill.schema.surrogate import WithSurrogate
from sne_deploy.distill.schema.warm_start import MoreSteps, WarmStart
from sne_deploy.distill.students.dropout import DropoutName
from sne_deploy.errors import InputError
from sne_deploy.files import read_regular
from sne_deploy.model.ensemble import Encoder, Readout
from sne_deploy.model.layers.registry import LAYER_KINDS
from sne_deploy.model.layers.skips import SKIPS
from sne_deploy.model.policy import MAX_HIDDEN, Measure, PolicyKind
from sne_deploy.toml import parse_toml

MAX_BYTES = 2**20
PATHS = (("data", "folder"), ("data", "file"), ("teacher", "onnx"))
"""Of other files; relative to the experiment's own where it is one."""
OF_IMAGES = ("cnn", "resnet9", "airbench")
"""Architectures of teachers that take images."""
NOT_TRAINED = ("AvgPool1d", "MaxPool1d", "MaxPool2d", "AdaptiveAvgPool1d", "AdaptiveAvgPool2d")
"""Layers that are read from modules, and that a student of ``sne train`` does not get."""
Augmentation = Literal[
    "none", "shift", "crop-flip", "shift-contrast", "crop-flip-contrast", "crop-flip-cutout"
]
Option = bool | int | float | str | tuple[int, ...]


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


class Schedule(Model):
    """How long and how fast to train: a linear warm-up, then a cosine from ``learning_rate`` to 0.

    ``warmup``: the part of the steps that it takes. ``weight_decay``: of weights, not of biases and scales;
    keeps outliers from stretching the quantiser. ``clip_norm``: largest norm of the whole gradient; surrogate
    gradients through time can explode. ``precision`` bf16: matrix products and convolutions under autocast;
    parameters stay float32. ``sgd`` has Nesterov's momentum of 0.9, ``lookahead`` of
    0.85 and an average that grows longer, see :class:`sne_deploy.distill.training.optimizers.Lookahead`;
    ``muon`` orthogonal updates, see :class:`sne_deploy.distill.training.muon.Muon`.
    """

    epochs: Positive = 20
    batch_size: Positive = 128
    learning_rate: Above0 = 2e-3
    weight_decay: NotNegative = 1e-3
    clip_norm: Above0 = 1.0
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    precision: Literal["float32", "bf16"] = "float32"
    optimizer: Literal["adamw", "sgd", "lookahead", "muon"] = "adamw"


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


class GateModel(Model):
    """The network on the host that chooses students from the input, and its training.

    ``grid``: cells along each of the input's last two axes, or as many as these are long. ``hidden``:
    neurons.
    """

    grid: Annotated[int, Field(ge=1, le=64)] = 8
    hidden: Annotated[int, Field(ge=1, le=MAX_HIDDEN)] = 32
    epochs: Positive = 20
    learning_rate: Above0 = 1e-2


class PolicyModel(Model):
    """Which students run. What is free in the policy is fitted on validation data to a target.

    Free are the ``threshold`` of ``confidence``, a gate's weights and threshold, and how many students of
    ``static`` run where a target is given and ``students`` is not.

    ``accuracy_drop``: the cheapest setting that loses at most so much against all students running, as a
    fraction (0.005 is half a point; of ``confidence`` and ``gate`` the default). ``energy_j``: instead, the
    most accurate setting of at most that many joules per inference, on Loihi 1's constants.
    """

    kind: PolicyKind = "static"
    students: Positive | None = None
    measure: Measure = "max_probability"
    accuracy_drop: NotNegative | None = None
    energy_j: Above0 | None = None
    gate: GateModel | None = None

    @model_validator(mode="after")
    def _meaningful(self) -> PolicyModel:
        if self.accuracy_drop is not None and self.energy_j is not None:
            raise ValueError("give accuracy_drop or energy_j, not both")
        if self.students is not None and (self.kind != "static" or self.fitted):
            raise ValueError("students is of kind 'static' alone, without accuracy_drop and energy_j")
        if self.measure != "max_probability" and self.kind != "confidence":
            raise ValueError("measure is of kind 'confidence' alone")
        if self.gate is not None and self.kind != "gate":
            raise ValueError("gate is of kind 'gate' alone")
        return self

    @property
    def fitted(self) -> bool:
        """Whether something is fitted to a target."""
        return self.kind != "static" or self.accuracy_drop is not None or self.energy_j is not None


class Experiment(Model):
    """A whole training run.

    ``side_by_side``: students that are trained at a time, each in a process of its own with ``threads``
    threads, before any joint stage; the log hears of them when all are done. It changes no bit of them.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$")]
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    threads: Positive = 2
    device: str = "cpu"
    data: DataModel
    teacher: TeacherModel
    partition: PartitionModel = PartitionModel()
    students: EnsembleModel
    joint: JointModel | None = None
    quantisation: QuantisationModel = QuantisationModel()
    policy: PolicyModel = PolicyModel()
    noise: NoiseModel | None = None
    side_by_side: Annotated[int, Field(ge=1, le=64), LATER] = 1

    @model_validator(mode="after")
    def _activatable(self) -> Experiment:
        count, policy = self.students.count, self.policy
        if policy.students is not None and policy.students > count:
            raise ValueError(f"policy.students {policy.students} is more than students.count {count}")
        if policy.kind == "gate" and count > MAX_GATED:
            raise ValueError(f"policy.kind 'gate' takes at most {MAX_GATED} students, not {count}")
        return self

    @model_validator(mode="after")
    def _taught(self) -> Experiment:
        architecture, given = self.teacher.architecture, self.data.input
        if architecture in OF_IMAGES and given != "constant":
            raise ValueError(
                f"teacher.architecture {architecture!r} is for images: for data.input {given!r} take 'tcn'"
            )
        if architecture == "tcn" and given == "constant":
            raise ValueError(
                "teacher.architecture 'tcn' is for series: set data.input to 'current' or 'spikes', or take "
                "'mlp' or 'cnn'"
            )
        return self

    @model_validator(mode="after")
    def _trainable(self) -> Experiment:
        if self.teacher.onnx is not None and self.partition.decorrelate:
            raise ValueError("partition.decorrelate needs a teacher that can be trained, not an ONNX file")
        if self.teacher.weights != "float32" and self.partition.decorrelate:
            raise ValueError(
                "partition.decorrelate trains a teacher further, and its weights would not stay of 16 bits: "
                "set teacher.weights to 'float32'"
            )
        if self.students.outputs == "logits" and self.joint is not None:
            raise ValueError("joint trains a head over features; students.outputs 'logits' has none")
        each = [self.students.of(index) for index in range(self.students.count)]
        for key in ("warm_start", "more_steps"):
            if self.data.input != "constant" and any(getattr(own, key) is not None for own in each):
                raise ValueError(
                    f"students.{key} needs a constant input; data.input {self.data.input!r} has steps of its "
                    "own: leave it out"
                )
        return self

    @model_validator(mode="after")
    def _answered(self) -> Experiment:
        if self.students.answers is None:
            return self
        if self.data.augment == "none" and self.data.corruptions is None:
            raise ValueError(
                "students.answers is of augmented images: set data.augment, such as 'shift', or leave it out"
            )
        if self.joint_copies:
            raise ValueError(
                f"joint.copies {self.joint_copies}: the stage sees what students.answers says; leave it out"
            )
        return self

    @property
    def learns_features(self) -> bool:
        """Whether a loss of some stage is on the teacher's features."""
        each = (self.students.of(student).loss.feature for student in range(self.students.count))
        return any(each) or (self.joint is not None and self.joint.feature > 0)

    @property
    def copies(self) -> int:
        """Augmented versions of the training set that some stage uses."""
        return max(self.students.copies, self.joint_copies)

    @property
    def joint_copies(self) -> int:
        """Of them, those that the joint stage uses."""
        own = None if self.joint is None else self.joint.copies
        return self.students.copies if own is None else own

    @property
    def divided(self) -> bool:
        """Whether anything depends on how features are divided: a student's slice, a decorrelated teacher."""
        return self.students.outputs == "features" or self.decorrelated

    @property
    def decorrelated(self) -> bool:
        """Whether the teacher is trained further, so that the parts of its features separate."""
        return self.partition.decorrelate > 0 and self.students.count > 1

    def of(self, student: int) -> Experiment:
        """The experiment as it is for one student; see :meth:`WithMembers.of`."""
        return self.model_copy(update={"students": self.students.of(student)})

    def fingerprint(self, *sections: str, without: tuple[str, ...] = ()) -> str:
        """A digest of some sections and of what all depends on: equal where a stored result still fits.

        ``count`` is a section too: the students' number alone. Where features are not divided, neither the
        division nor their number is in the students' digest. ``without``: dotted keys that do not count.
        """
        chosen = {"seed", "device", "data", *sections}
        values = self.model_dump(mode="json", include=chosen)
        if "count" in sections:
            values["count"] = self.students.count
        if not self.divided and "students" in sections:
            values["students"].pop("count")
            values.pop("partition", None)
        for member in values.get("students", {}).get("member", ()):  # nor where a student lies
            member.pop("weights", None)
        for name in ("folder", "file"):  # where the data lies changes nothing
            values["data"].pop(name)
        if values.get("teacher", {}).get("onnx") is not None:
            values["teacher"]["onnx"] = ""  # nor where the teacher lies; what it is stands beside
        for key in without:
            *tables, last = key.split(".")
            place = values
            for name in tables:
                place = place.get(name) or {}
            place.pop(last, None)
        text = json.dumps(values, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def load_experiment(path: Path, changes: dict[str, Any] | None = None) -> Experiment:
    """Read an experiment file.

    Parameters
    ----------
    path : Path
        Paths in the file are relative to its own folder.
    changes : dict, optional
        Values that replace the file's, by dotted key, such as ``{"data.folder": "mnist"}``.

    Raises
    ------
    InputError
        The file cannot be read, is no TOML, or keys are unknown, missing or wrong: names all of them.
    """
    try:
        text = read_regular(path, MAX_BYTES)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; give a TOML file") from None
    try:
        document = parse_toml(text)
    except ValueError as error:
        raise InputError(f"{path}: is no TOML of an experiment: {error}; correct it") from None
    return _parsed(_beside(path, document), changes or {}, str(path))


def _beside(path: Path, document: dict[str, Any]) -> dict[str, Any]:
    """The document with its paths, which are relative to its own folder, as they are from here."""
    made = dict(document)
    for table, key in PATHS:
        given = document.get(table)
        if isinstance(given, dict) and isinstance(given.get(key), str):
            made[table] = {**given, key: str(path.parent / given[key])}
    students = made.get("students")
    if isinstance(students, dict) and isinstance(students.get("member"), list):
        made["students"] = {**students, "member": [_member_beside(path, one) for one in students["member"]]}
    return made


def _member_beside(path: Path, member: Any) -> Any:
    if isinstance(member, dict) and isinstance(member.get("weights"), str):
        return {**member, "weights": str(path.parent / member["weights"])}
    return member


def parse_experiment(document: dict[str, Any], where: str = "experiment") -> Experiment:
    """Check an experiment given as a dictionary; see :func:`load_experiment`."""
    try:
        return Experiment.model_validate(document)
    except ValidationError as error:
        raise experiment_error(where, Experiment, error) from None


def as_experiment(
    described: Experiment | Mapping[str, Any] | str | os.PathLike[str], changes: dict[str, Any] | None = None
) -> Experiment:
    """Take an experiment, a dictionary of what its file holds, or a file; see :func:`load_experiment`."""
    if isinstance(described, (str, os.PathLike)):
        return load_experiment(Path(described), changes)
    if isinstance(described, Experiment):
        document = described.model_dump()
    elif isinstance(described, Mapping):
        document = copy.deepcopy(dict(described))
    else:
        raise InputError(
            f"experiment: give a TOML file, a dict or an Experiment, not {type(described).__name__}"
        )
    return _parsed(document, changes or {}, "experiment")


def _parsed(document: dict[str, Any], changes: Mapping[str, Any], where: str) -> Experiment:
    for key, value in changes.items():
        *tables, last = key.split(".")
        place = document
        for name in tables:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise InputError(f"{where}: {name}: must be a table")
        place[last] = value
    return parse_experiment(document, where)
