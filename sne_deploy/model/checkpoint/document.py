"""The document inside a ``model.pt``: its schema, and the way from and to an Ensemble.

Every version up to ``VERSION`` is read. A model is written in the earliest version that can say all of it, so
that whoever has an earlier sne-deploy can read what that one could run. A key that is new belongs to a new
version, has a default for files of the earlier ones, and is refused in them.

Version 2 adds to ``policy``: ``students`` (of static), ``measure`` (of confidence), ``gate``. Version 4:
``students`` of confidence. Version 5: sparse tensors of a layer, see
:mod:`sne_deploy.model.checkpoint.sparse`. Version 6: ``temperature`` of the head.
Version 7: its ``student_weight``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag, ValidationError

from sne_deploy.errors import CheckpointError
from sne_deploy.ir.readout import Readout
from sne_deploy.model.checkpoint.archive import REMEDY
from sne_deploy.model.checkpoint.contents import MAX_DEPTH
from sne_deploy.model.checkpoint.sparse import SparseTensor, array_of, check_sizes, written
from sne_deploy.model.layers.layer import Layer, OptionValue
from sne_deploy.model.layers.layer_rules import subtracts
from sne_deploy.model.parts import MAX_STUDENTS, MAX_TIMESTEPS, Encoder, EncoderKind, Head, Student
from sne_deploy.model.policy import ActivationPolicy, Gate, Measure, PolicyKind

if TYPE_CHECKING:
    from sne_deploy.model.ensemble import Ensemble

FORMAT = "sne-deploy/model"
VERSION = 7
MAX_LAYERS = 1024

Array = npt.NDArray[Any]
Name = Annotated[str, StringConstraints(pattern=r"^\w[\w.+ \-]{0,99}$")]
"""A student's name is a file name too."""
_Tensor = Annotated[
    Annotated[np.ndarray[Any, Any], Tag("")] | Annotated[SparseTensor, Tag("sparse")],
    Discriminator(lambda value: "sparse" if isinstance(value, (dict, SparseTensor)) else ""),
]
_Option = bool | int | float | str | list[int] | None


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True)


class _Layer(_Strict):
    kind: str
    options: dict[str, _Option]
    tensors: dict[str, _Tensor]


class _Student(_Strict):
    name: Name
    readout: Readout
    features: np.ndarray[Any, Any] | None
    layers: Annotated[list[_Layer], Field(min_length=1, max_length=MAX_LAYERS)]


class _Head(_Strict):
    kind: Literal["linear", "mean"]
    weight: np.ndarray[Any, Any] | None
    bias: np.ndarray[Any, Any] | None
    mean: np.ndarray[Any, Any] | None
    subset_bias: np.ndarray[Any, Any] | None
    temperature: np.ndarray[Any, Any] | None = None
    student_weight: np.ndarray[Any, Any] | None = None


HEAD_SINCE = {"temperature": 6, "student_weight": 7}
"""Tensors of a head that earlier versions do not have."""


class _Gate(_Strict):
    grid: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1, max_length=4)]
    hidden_weight: np.ndarray[Any, Any]
    hidden_bias: np.ndarray[Any, Any]
    weight: np.ndarray[Any, Any]
    bias: np.ndarray[Any, Any]


class _Policy(_Strict):
    kind: PolicyKind
    order: list[int]
    threshold: float | None
    students: int | None = None
    measure: Measure = "max_probability"
    gate: _Gate | None = None


SINCE_2 = ("students", "measure", "gate")
"""Keys of a policy that version 1 does not have."""
KINDS_SINCE_3 = ("AvgPool1d", "MaxPool1d", "MaxPool2d", "AdaptiveAvgPool1d", "AdaptiveAvgPool2d")
"""Kinds of layers that come with version 3, as an encoder's scale and soft resets do."""


class _Encoder(_Strict):
    kind: EncoderKind
    input_range: Annotated[list[float], Field(min_length=2, max_length=2)]
    scale: float = 1.0


class _Document(_Strict):
    format: str
    version: int
    input_shape: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1, max_length=4)]
    timesteps: Annotated[int, Field(ge=1, le=MAX_TIMESTEPS)]
    encoder: _Encoder
    students: Annotated[list[_Student], Field(min_length=1, max_length=MAX_STUDENTS)]
    head: _Head
    policy: _Policy
    provenance: dict[str, Any]


def parse_document(where: object, plain: Any) -> _Document:
    """Check a document against the schema.

    Raises
    ------
    CheckpointError
        Not a document of this format, a newer version, or keys missing, unknown or of the wrong type.
    """
    if not isinstance(plain, dict) or "format" not in plain:
        kind = "a bare state dict" if _is_state_dict(plain) else "not a model"
        raise CheckpointError(f"{where}: {kind}: it does not say what its networks are; {REMEDY}")
    if plain["format"] != FORMAT:
        raise CheckpointError(f"{where}: format {plain['format']!r:.80} is not {FORMAT!r}; {REMEDY}")
    version = plain.get("version")
    if type(version) is int and version > VERSION:
        raise CheckpointError(
            f"{where}: format version {version} is newer than {VERSION}, the newest known; update sne-deploy"
        )
    if type(version) is not int or version < 1:
        raise CheckpointError(f"{where}: format version {version!r:.40} is not 1 to {VERSION}; {REMEDY}")
    try:
        document = _Document.model_validate(plain)
    except ValidationError as error:
        raise CheckpointError(f"{where}: {_problems(error)}") from error
    later = [key for key in SINCE_2 if key in document.policy.model_fields_set]
    if version < 2 and (later or document.policy.kind == "gate"):
        named = ", ".join(later) or "kind 'gate'"
        raise CheckpointError(f"{where}: policy: {named}: not in format version {version}; {REMEDY}")
    if version < 4 and document.policy.kind == "confidence" and document.policy.students is not None:
        raise CheckpointError(
            f"{where}: policy: students of kind 'confidence': not in format version {version}; {REMEDY}"
        )
    tensors = [tensor for s in document.students for layer in s.layers for tensor in layer.tensors.values()]
    sparse = [tensor for tensor in tensors if isinstance(tensor, SparseTensor)]
    if version < 5 and sparse:
        raise CheckpointError(f"{where}: sparse tensors: not in format version {version}; {REMEDY}")
    check_sizes(where, sparse)
    for name, since in HEAD_SINCE.items():
        if version < since and name in document.head.model_fields_set:
            raise CheckpointError(f"{where}: head: {name}: not in format version {version}; {REMEDY}")
    if version < 3 and "scale" in document.encoder.model_fields_set:
        raise CheckpointError(f"{where}: encoder: scale: not in format version {version}; {REMEDY}")
    return document


def _is_state_dict(plain: Any) -> bool:
    return isinstance(plain, dict) and any(isinstance(value, np.ndarray) for value in plain.values())


def _problems(error: ValidationError, most: int = 4) -> str:
    found = []
    for problem in error.errors(include_url=False, include_context=False):
        place = ".".join(str(part) for part in problem["loc"] if part != "")[:120]
        given = problem["input"]
        value = f" (got {given!r:.60})" if isinstance(given, (str, int, float, bool)) else ""
        found.append(f"{place}: {problem['msg']}{value}")
    rest = f"; and {len(found) - most} more problems" if len(found) > most else ""
    return "; ".join(found[:most]) + rest


def parts_of(document: _Document) -> dict[str, Any]:
    """The fields of the Ensemble of a document that fits the schema; InputError where they are wrong."""
    lo, hi = document.encoder.input_range
    head, policy = document.head, document.policy
    return {
        "students": tuple(
            Student(
                s.name,
                tuple(_layer(f"students.{k}.layers.{n}", layer) for n, layer in enumerate(s.layers)),
                s.readout,
                s.features,
            )
            for k, s in enumerate(document.students)
        ),
        "input_shape": tuple(document.input_shape),
        "timesteps": document.timesteps,
        "encoder": Encoder(document.encoder.kind, (lo, hi), document.encoder.scale),
        "head": Head(**dict(head)),
        "policy": ActivationPolicy(
            **{**dict(policy), "order": tuple(policy.order), "gate": policy.gate and _gate(policy.gate)}
        ),
        "provenance": document.provenance,
    }


def _gate(gate: _Gate) -> Gate:
    return Gate(**{**dict(gate), "grid": tuple(gate.grid)})


def _layer(place: str, layer: _Layer) -> Layer:
    options: dict[str, OptionValue] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in layer.options.items()
    }
    tensors = {name: array_of(f"{place}.{name:.80}", tensor) for name, tensor in layer.tensors.items()}
    return Layer(layer.kind, options, tensors)


def from_ensemble(ensemble: Ensemble) -> dict[str, Any]:
    """Make the document of an Ensemble: lists for tuples, every text interned, nothing shared.

    Interning makes equal texts one object, so that equal ensembles give equal bytes.

    Raises
    ------
    CheckpointError
        A student is a NIR graph, or a value is not plain.
    """
    encoder, head = ensemble.encoder, ensemble.head
    policy = _policy(ensemble.policy)
    students = [_student(student) for student in ensemble.students]
    layers = [layer for student in students for layer in student["layers"]]
    sparse = any(isinstance(tensor, dict) for layer in layers for tensor in layer["tensors"].values())
    document = {
        "format": FORMAT,
        "version": _version(ensemble, policy, sparse=sparse),
        "input_shape": ensemble.input_shape,
        "timesteps": ensemble.timesteps,
        "encoder": {
            "kind": encoder.kind,
            "input_range": [float(x) for x in encoder.input_range],
            **({} if encoder.scale == 1 else {"scale": float(encoder.scale)}),
        },
        "students": students,
        "head": {k: v for k, v in vars(head).items() if k not in HEAD_SINCE or v is not None},
        "policy": policy,
        "provenance": ensemble.provenance,
    }
    plain: dict[str, Any] = _plain("ensemble", document, 0)
    return plain


def _version(ensemble: Ensemble, policy: Mapping[str, Any], *, sparse: bool) -> int:
    """The earliest version that says all of it."""
    later = [since for name, since in HEAD_SINCE.items() if getattr(ensemble.head, name) is not None]
    if later or sparse:
        return max(later, default=5)
    if ensemble.policy.kind == "confidence" and ensemble.policy.students is not None:
        return 4
    layers = [layer for s in ensemble.students if isinstance(s.network, tuple) for layer in s.network]
    if ensemble.encoder.scale != 1 or any(
        layer.kind in KINDS_SINCE_3 or subtracts(layer) for layer in layers
    ):
        return 3
    return 2 if any(key in policy for key in SINCE_2) else 1


def _policy(policy: ActivationPolicy) -> dict[str, Any]:
    """The keys of version 1, and those of version 2 where one of them says something."""
    first = {
        "kind": policy.kind,
        "order": policy.order,
        "threshold": None if policy.threshold is None else float(policy.threshold),
    }
    gate = policy.gate
    second = {
        "students": policy.students,
        "measure": policy.measure,
        "gate": None if gate is None else vars(gate),
    }
    plain = ActivationPolicy()
    changed = any(value != getattr(plain, name) for name, value in second.items())
    return first | second if changed else first


def _student(student: Student) -> dict[str, Any]:
    if not isinstance(student.network, tuple):
        raise CheckpointError(
            f"student {student.name!r} is a NIR graph, which a model.pt cannot hold; save it as a .nir file"
        )
    return {
        "name": student.name,
        "readout": student.readout,
        "features": student.features,
        "layers": [
            {
                "kind": layer.kind,
                "options": layer.options,
                "tensors": {name: written(np.asarray(tensor)) for name, tensor in layer.tensors.items()},
            }
            for layer in student.network
        ],
    }


def _plain(path: str, value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise CheckpointError(f"cannot save {path:.120}: nested deeper than {MAX_DEPTH}")
    if isinstance(value, Mapping):
        if any(not isinstance(name, str) for name in value):
            raise CheckpointError(f"cannot save {path:.120}: a key is not text")
        return {
            sys.intern(str(name)): _plain(f"{path}.{name}", part, depth + 1) for name, part in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_plain(f"{path}.{index}", part, depth + 1) for index, part in enumerate(value)]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, np.ndarray)):
        return value
    for kind in (int, float):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, str):
        return sys.intern(str(value))
    raise CheckpointError(
        f"cannot save {path:.120}: {type(value).__name__} is not plain data; use text, numbers, lists"
    )
