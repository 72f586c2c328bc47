"""What an ensemble is made of: students, the encoder before them and the head that joins them.

Everything here is frozen, and holds NumPy arrays only: no torch, no module, no code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from sne_deploy import arguments as argument
from sne_deploy.brief import briefly
from sne_deploy.errors import InputError
from sne_deploy.ir.readout import READOUTS, Readout
from sne_deploy.model.layers.layer import Layer

if TYPE_CHECKING:
    import nir

    from sne_deploy.ir.program import Program

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.integer[Any]]

MAX_STUDENTS = 1024
MAX_TIMESTEPS = 1_000_000
"""Of an ensemble that is read from a file."""

EncoderKind = Literal["constant", "bernoulli", "spikes", "graded"]
"""``constant``: x is a current, the same at every step. ``bernoulli``: x is a probability of a spike
per step. ``spikes``: x already has a time axis and holds 0 and 1. ``graded``: x has a time axis and holds
real numbers, such as counts of events or a signal."""
ENCODERS: tuple[EncoderKind, ...] = get_args(EncoderKind)


@briefly
@dataclass(frozen=True, eq=False, repr=False)
class Student:
    """One spiking network.

    Attributes
    ----------
    name : str
        Unique in the ensemble; names its files and its row in the report.
    network : tuple of Layer, nir.NIRGraph, or Program
        Layers where it came from Norse (a checkpoint or live modules); a graph where it came from NIR; a
        Program where it came from a file of registers.
    readout : Readout
        How its last group becomes its output vector.
    features : int array of shape (n_out,), or None
        The teacher features that it was distilled to predict.
    notes : tuple of str
        What reading it found and changed or could not be sure of; they become the Program's warnings.
    """

    name: str
    network: tuple[Layer, ...] | nir.NIRGraph | Program
    readout: Readout
    features: IntArray | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.readout not in READOUTS:
            raise InputError(
                f"student {self.name!r}: readout {self.readout!r} is not one of {', '.join(READOUTS)}"
            )


@dataclass(frozen=True)
class Encoder:
    """How a sample becomes the network's input.

    Attributes
    ----------
    kind : EncoderKind
    input_range : (float, float)
        The range in which every value of a sample lies, after ``scale`` has been applied; the
        compiler's bounds on the input current rest on it, and data outside it is refused.
    scale : float
        Of ``bernoulli``: a value times this is the probability of a spike (where that is above 1, there is
        always one). Norse's PoissonEncoder has f_max dt.
    """

    kind: EncoderKind = "spikes"
    input_range: tuple[float, float] = (0.0, 1.0)
    scale: float = 1.0

    def __post_init__(self) -> None:
        argument.choice("encoder", self.kind, ENCODERS)
        lo, hi = argument.numbers("encoder: input_range", self.input_range, 2)
        if not (np.isfinite(lo) and np.isfinite(hi) and lo < hi):
            raise InputError(
                f"encoder: input_range {self.input_range} must be two finite numbers, low < high"
            )
        if not (np.isfinite(self.scale) and self.scale > 0) or (self.scale != 1 and self.kind != "bernoulli"):
            raise InputError(
                f"encoder: scale {self.scale} must be above 0, and 1 for others than bernoulli; scale weights"
            )
        object.__setattr__(self, "input_range", (lo, hi))

    @property
    def timed(self) -> bool:
        """Whether samples have a time axis of their own."""
        return self.kind in ("spikes", "graded")


HeadKind = Literal["linear", "mean"]
HEAD_AXES = {"weight": 2, "bias": 1, "mean": 1, "subset_bias": 2, "temperature": 1, "student_weight": 1}
"""Axes of a head's tensors."""
ONE_FOR_EACH = {"temperature": "number of students", "student_weight": "student"}
"""Of them, those with as many entries as there are students."""


@briefly
@dataclass(frozen=True, eq=False, repr=False)
class Head:
    """Turns the students' outputs into logits; it runs on the host.

    ``linear``: logits = weight @ concat(outputs) + bias, where the slice of a student that did not run
    is its training mean. ``mean``: logits = the mean of the outputs of the students that ran, each times its
    student's weight (every student then has one output per class, and there are no tensors but
    temperatures and these weights).

    Attributes
    ----------
    kind : {"linear", "mean"}
    weight : float64 array of shape (classes, sum of n_out), or None
    bias : float64 array of shape (classes,), or None
    mean : float64 array of shape (sum of n_out,), or None
        Training mean of every output, in the students' units.
    subset_bias : float64 array of shape (students, classes), or None
        Added to the logits when k students have run: row k - 1.
    temperature : float64 array of shape (students,), or None
        By which the logits are divided when k students have run: entry k - 1, above 0. It changes no
        predicted class, but how sure the head is after each number of students.
    student_weight : float64 array of shape (students,), or None
        Of ``mean``: what each student's outputs are multiplied by, above 0; None: 1.
    """

    kind: HeadKind
    weight: FloatArray | None = None
    bias: FloatArray | None = None
    mean: FloatArray | None = None
    subset_bias: FloatArray | None = None
    temperature: FloatArray | None = None
    student_weight: FloatArray | None = None

    def __post_init__(self) -> None:
        argument.choice("head", self.kind, get_args(HeadKind))
        for name, axes in HEAD_AXES.items():
            value = getattr(self, name)
            if value is None:
                continue
            if not (isinstance(value, np.ndarray) and value.dtype.kind in "iuf" and value.ndim == axes):
                raise InputError(f"head: {name} must be a NumPy array of numbers with {axes} axes")
        if self.temperature is not None and not (self.temperature > 0).all():
            raise InputError(
                f"head: temperature {self.temperature.min():g} must be above 0; 1 changes nothing"
            )
        if self.student_weight is not None and not (self.student_weight > 0).all():
            raise InputError(
                f"head: student_weight {self.student_weight.min():g} must be above 0; leave out a student "
                "that is to say nothing"
            )
