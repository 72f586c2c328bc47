"""Which students run on which samples, as plain data; :mod:`sne_deploy.runtime.run` executes it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from sne_deploy import arguments as argument
from sne_deploy.brief import briefly
from sne_deploy.errors import InputError

Float32Array = npt.NDArray[np.float32]

PolicyKind = Literal["static", "confidence", "gate"]
POLICIES: tuple[PolicyKind, ...] = get_args(PolicyKind)

Measure = Literal["max_probability", "margin", "entropy"]
"""How sure the head is, in [0, 1], from its softmax probabilities p over C classes; more is surer.

``max_probability``: the largest p. ``margin``: the largest less the second largest. ``entropy``:
1 - H(p) / log C.
"""
MEASURES: tuple[Measure, ...] = get_args(Measure)

MAX_HIDDEN = 4096
"""Hidden neurons of a gate, at most: one with more would cost what the students save."""


@briefly
@dataclass(frozen=True, eq=False, repr=False)
class Gate:
    """A small network on the host that says from the input which students run.

    The input's mean in each cell of a grid, a hidden layer with ReLU, a logit per student. An axis of size s
    divided into g cells has in cell i the places from floor(i s / g) to floor((i + 1) s / g) - 1; spikes
    are averaged over time too.

    Attributes
    ----------
    grid : tuple of int
        Cells along each axis of a sample at one step.
    hidden_weight : float32 array of shape (hidden, cells)
    hidden_bias : float32 array of shape (hidden,)
    weight : float32 array of shape (students, hidden)
    bias : float32 array of shape (students,)
    """

    grid: tuple[int, ...]
    hidden_weight: Float32Array
    hidden_bias: Float32Array
    weight: Float32Array
    bias: Float32Array

    def __post_init__(self) -> None:
        if not self.grid or any(cells < 1 for cells in self.grid):
            raise InputError(f"gate: grid {self.grid} must have 1 cell or more along every axis of the input")
        for name in ("hidden_weight", "hidden_bias", "weight", "bias"):
            array = getattr(self, name)
            if array.dtype != np.float32 or not np.isfinite(array).all():
                problem = f"dtype {array.dtype}" if array.dtype != np.float32 else "holds NaN or infinity"
                raise InputError(f"gate: {name}: {problem}; it takes finite float32 numbers")
        hidden, students = self.hidden_bias.size, self.bias.size
        wanted = {
            "hidden_weight": (hidden, math.prod(self.grid)),
            "hidden_bias": (hidden,),
            "weight": (students, hidden),
            "bias": (students,),
        }
        for name, shape in wanted.items():
            if getattr(self, name).shape != shape:
                raise InputError(
                    f"gate: {name} has shape {getattr(self, name).shape}, not {shape}, for {hidden} hidden "
                    f"neurons, {students} students and a grid of {self.grid}"
                )
        if not 1 <= hidden <= MAX_HIDDEN or not students:
            raise InputError(
                f"gate: {hidden} hidden neurons and {students} students; it takes 1 to {MAX_HIDDEN} of the "
                "first and at least 1 of the second"
            )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Gate) and self._bits() == other._bits()

    def __hash__(self) -> int:
        return hash(self._bits())

    def _bits(self) -> tuple[object, ...]:
        arrays = [getattr(self, field.name) for field in fields(self)[1:]]
        return (self.grid, *((array.dtype.str, array.shape, array.tobytes()) for array in arrays))


@dataclass(frozen=True)
class ActivationPolicy:
    """Which students run on which samples.

    Attributes
    ----------
    kind : {"static", "confidence", "gate"}
        ``static``: the first ``students`` of ``order``. ``confidence``: in ``order``, until the head's
        confidence reaches ``threshold``. ``gate``: those to which the gate gives a probability, the
        sigmoid of its logit, above ``threshold``; at least the most probable one.
    order : tuple of int
        Student indices in the order in which they run; empty means the ensemble's own order.
    threshold : float or None
        In (0, 1]; required by ``confidence`` and ``gate``.
    students : int or None
        Of ``static``: how many run, of ``confidence``: at most, from the first of ``order``; None: all.
    measure : Measure
        Of ``confidence``.
    gate : Gate or None
        Of ``gate``, which requires it.
    """

    kind: PolicyKind = "static"
    order: tuple[int, ...] = ()
    threshold: float | None = None
    students: int | None = None
    measure: Measure = "max_probability"
    gate: Gate | None = None

    def __post_init__(self) -> None:
        argument.choice("policy", self.kind, POLICIES)
        argument.choice("policy: measure", self.measure, MEASURES)
        for index in argument.instance("policy: order", self.order, tuple, "such as (1, 0)"):
            argument.whole("policy: order", index, 0)
        if self.threshold is not None:
            argument.number("policy: threshold", self.threshold)
        if self.students is not None:
            argument.whole(f"policy {self.kind!r}: students", self.students, 1)
        if self.gate is not None:
            argument.instance("policy: gate", self.gate, Gate, "one that sne.train made")
        if self.kind == "gate" and self.gate is None:
            raise InputError("policy 'gate': there is no gate; train one with [policy] kind = 'gate'")
        if self.kind != "static" and not (self.threshold is not None and 0.0 < self.threshold <= 1.0):
            raise InputError(
                f"policy {self.kind!r}: threshold {self.threshold} is not in (0, 1]; "
                "give one with --threshold"
            )
        self._check_foreign()

    def _check_foreign(self) -> None:
        """Refuse what means nothing to this kind."""
        foreign: dict[str, tuple[bool, tuple[PolicyKind, ...]]] = {
            "students": (self.students is not None, ("static", "confidence")),
            "measure": (self.measure != "max_probability", ("confidence",)),
            "gate": (self.gate is not None, ("gate",)),
        }
        for name, (given, kinds) in foreign.items():
            if given and self.kind not in kinds:
                known = " and ".join(map(repr, kinds))
                raise InputError(
                    f"policy {self.kind!r}: {name} has a meaning for policy {known} alone; leave it out"
                )


def check_policy(policy: ActivationPolicy, students: int, input_shape: tuple[int, ...]) -> None:
    """Check a policy against the ensemble that it is for.

    Raises
    ------
    InputError
        The order is no permutation, there are fewer students, or the gate is for another input or
        another number of students.
    """
    if policy.order and sorted(policy.order) != list(range(students)):
        raise InputError(f"policy order {policy.order} is not a permutation of 0..{students - 1}")
    if policy.students is not None and policy.students > students:
        raise InputError(
            f"policy {policy.kind!r}: students {policy.students} is more than the ensemble's {students}"
        )
    gate = policy.gate
    if gate is None:
        return
    if gate.bias.size != students:
        raise InputError(
            f"gate: it decides on {gate.bias.size} students, the ensemble has {students}; train it anew"
        )
    fits = len(gate.grid) == len(input_shape)
    if not fits or any(cells > size for cells, size in zip(gate.grid, input_shape, strict=True)):
        raise InputError(
            f"gate: a grid of {gate.grid} does not fit an input of shape {input_shape}; train it anew"
        )


def changed_policy(
    own: ActivationPolicy,
    *,
    kind: str | None = None,
    threshold: float | None = None,
    students: int | None = None,
    measure: str | None = None,
) -> ActivationPolicy | None:
    """A model's own policy with what the command line's options change; None where they change nothing.

    Raises
    ------
    InputError
        An option that means nothing to the policy, or one that it needs is missing.
    """
    if kind is None and threshold is None and students is None and measure is None:
        return None
    chosen = kind or own.kind
    _check_options(chosen, threshold, students, measure)
    if chosen == "static":
        kept = own.students if own.kind == "static" else None
        return ActivationPolicy("static", own.order, students=kept if students is None else students)
    if chosen == "gate":
        return ActivationPolicy(
            "gate", own.order, own.threshold if threshold is None else threshold, gate=own.gate
        )
    if threshold is None and own.kind == "confidence" and measure not in (None, own.measure):
        raise InputError(
            f"--measure {measure}: the model's threshold {own.threshold} is of {own.measure}; give another "
            "with --threshold"
        )
    if threshold is None and own.kind != "gate":  # a gate's threshold says nothing of confidence
        threshold = own.threshold
    if students is None and own.kind == "confidence":
        students = own.students
    return ActivationPolicy(chosen, own.order, threshold, students, measure or own.measure)  # type: ignore[arg-type]  # it checks


def _check_options(kind: str, threshold: float | None, students: int | None, measure: str | None) -> None:
    """Refuse options that mean nothing to a kind of policy."""
    given = (
        ("threshold", threshold, kind != "static", "confidence"),
        ("students", students, kind != "gate", "static"),
        ("measure", measure, kind == "confidence", "confidence"),
    )
    for name, value, has_meaning, other in given:
        if value is not None and not has_meaning:
            raise InputError(f"--{name} {value} has no meaning for policy {kind!r}; add --policy {other}")


def policy_text(
    kind: str, order: Sequence[str], *, threshold: float | None, students: int | None, measure: str | None
) -> str:
    """A policy in a few words; ``order`` holds the students' names as they run."""
    names = " then ".join(order)
    if kind == "confidence":
        word = {"margin": "margin", "entropy": "certainty (1 - entropy)"}.get(measure or "", "confidence")
        return f"confidence until the {word} is {threshold}: {' then '.join(order[:students])}"
    if kind == "gate":
        return f"gate: students whose probability exceeds {threshold}, at least one"
    return "static" if students is None else f"static, the first {students} of: {names}"
