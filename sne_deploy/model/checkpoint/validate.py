"""Whether an Ensemble's parts fit each other: layers, shapes, head, finite numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sne_deploy.errors import CheckpointError, GraphError
from sne_deploy.model.layers.registry import LAYER_KINDS, stack_shapes
from sne_deploy.model.parts import HEAD_AXES, ONE_FOR_EACH

if TYPE_CHECKING:
    from sne_deploy.model.ensemble import Ensemble
    from sne_deploy.model.parts import Head, Student

MAX_VALUES = 2**27
"""Largest input or layer output of one sample at one step: more neurons than any Loihi system has."""


def validate(where: object, ensemble: Ensemble) -> None:
    """Check every student's layers and their shapes, and the head against the students' outputs.

    Raises
    ------
    CheckpointError
        It names the student, the layer, the tensor and the shapes.
    """
    outputs = [_check_student(where, ensemble, student) for student in ensemble.students]
    _check_head(where, ensemble.head, [s.name for s in ensemble.students], outputs)
    if not _finite_numbers(ensemble.provenance):
        raise CheckpointError(f"{where}: provenance holds NaN or infinity; leave such values out")


def _check_student(where: object, ensemble: Ensemble, student: Student) -> int:
    """Check one student; return the length of its output vector."""
    name = f"{where}: student {student.name!r}"
    if not isinstance(student.network, tuple):
        raise CheckpointError(f"{name} is a NIR graph; save it as a .nir file")
    layers, shape = student.network, ensemble.input_shape
    places = [f"{name}, layer {index} ({layer.kind:.40})" for index, layer in enumerate(layers)]
    _check_size(f"{name}: the input", shape)
    for place, layer in zip(places, layers, strict=True):
        for tensor, array in layer.tensors.items():
            _check_finite(f"{place}, tensor {tensor:.40}", array)
    try:
        for place, shape in zip(places, stack_shapes(layers, ensemble.input_shape), strict=True):
            _check_size(place, shape)
    except GraphError as error:
        raise CheckpointError(f"{name}, {error}") from error
    kinds = [LAYER_KINDS[layer.kind] for layer in layers]
    spiking = next((kind.spiking for kind in reversed(kinds) if kind.neuron), None)
    _check_readout(name, student, spiking)
    n_out = math.prod(shape)
    features = student.features
    if features is not None and (
        features.shape != (n_out,) or features.dtype.kind not in "iu" or (features < 0).any()
    ):
        raise CheckpointError(
            f"{name}: features {features.shape} of {features.dtype} must be {n_out} indices, one per output"
        )
    return n_out


def _check_readout(name: str, student: Student, spiking: bool | None) -> None:
    if spiking is None:
        raise CheckpointError(f"{name}: no layer has neurons; end it with a LIF or LI cell")
    if spiking != (student.readout == "count"):
        kind = "spiking" if spiking else "non-spiking"
        wanted = "count" if spiking else "v_last, v_mean or v_max"
        raise CheckpointError(
            f"{name}: readout {student.readout!r} of a {kind} last cell; its readout can be {wanted}"
        )


def _check_size(place: str, shape: tuple[int, ...]) -> None:
    if math.prod(shape) > MAX_VALUES:
        raise CheckpointError(f"{place} has shape {shape}, more than the limit of {MAX_VALUES} values")


def _check_finite(place: str, array: npt.NDArray[Any]) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        what = "NaN" if np.isnan(array).any() else "infinity"
        raise CheckpointError(f"{place}: holds {what}; train again or leave out the student")


def _check_head(where: object, head: Head, names: list[str], outputs: list[int]) -> None:
    tensors = {name: getattr(head, name) for name in HEAD_AXES}
    given = {name: array for name, array in tensors.items() if array is not None}
    for name, array in given.items():
        if array.dtype.kind != "f":
            raise CheckpointError(f"{where}: head, tensor {name}: dtype {array.dtype} is not a float")
        _check_finite(f"{where}: head, tensor {name}", array)
    for name, each in ONE_FOR_EACH.items():
        if name in given and given[name].shape != (len(outputs),):
            raise CheckpointError(
                f"{where}: head, tensor {name}: shape {given[name].shape} is not ({len(outputs)},), "
                f"one for each {each}"
            )
    sizes = ", ".join(f"{name} {size}" for name, size in zip(names, outputs, strict=True))
    if head.kind == "mean":
        others = [name for name in given if name not in ONE_FOR_EACH]
        if others:
            raise CheckpointError(f"{where}: head 'mean' has no tensors, got {', '.join(others)}")
        if len(set(outputs)) > 1:
            raise CheckpointError(f"{where}: head 'mean' needs students of one output size, got {sizes}")
        return
    if "student_weight" in given:
        raise CheckpointError(f"{where}: head 'linear' has no student_weight; its weight holds it")
    missing = [name for name in ("weight", "bias", "mean") if name not in given]
    if missing:
        raise CheckpointError(f"{where}: head 'linear' needs {', '.join(missing)}")
    total, classes = sum(outputs), len(given["bias"]) if given["bias"].ndim == 1 else 0
    shapes = {
        "weight": (classes, total),
        "bias": (classes,),
        "mean": (total,),
        "subset_bias": (len(outputs), classes),
    }
    for name, wanted in shapes.items():
        if name in given and (given[name].shape != wanted or not classes):
            raise CheckpointError(
                f"{where}: head, tensor {name}: shape {given[name].shape} is not {wanted} "
                f"for {classes} classes and outputs {sizes}"
            )


def _finite_numbers(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype.kind != "f" or bool(np.isfinite(value).all())
    if isinstance(value, dict):
        return all(_finite_numbers(part) for part in value.values())
    if isinstance(value, list):
        return all(_finite_numbers(part) for part in value)
    return not isinstance(value, float) or math.isfinite(value)
