"""Students that differ: ``[[students.member]]``, each with what it has of its own."""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Self, Union, cast, get_args, get_origin

from pydantic import (
    BaseModel,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    create_model,
    model_serializer,
    model_validator,
)

from sne_deploy.distill.schema.base import LATER, Model, Positive

SHARED = ("count", "timesteps", "dt_s", "readout", "copies", "answers", "outputs")
"""Keys of ``[students]`` that no member has of its own: head and data are common to all."""
FILES = ("weights", "start")
"""Keys of a member that name a file."""


class Partial(Model):
    """A table of which every key may be left out; what is left out is not written."""

    @model_serializer(mode="wrap")
    def _written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if value is not None}


class OfMember(Partial):
    """What only a member has.

    ``weights``: a ``model.pt`` with this student, trained: alone, or under its name, ``student0``,
    ``student1``, ... Such as ``students/student0.pt``, which ``sne train`` writes as soon as a student is
    finished. It is then neither trained nor fine-tuned by itself with quantised weights; ``[joint]`` trains
    it on with the others. Its layers are those of the file.

    ``start``: likewise, but the student is trained from there by its own schedule and losses, without
    ``warm_start`` and ``more_steps``, which are for students that begin at random. Weights that are 0 learn
    again until ``pruning`` begins, which takes as many in the end as of any student; without it they stay 0.

    ``mirror_of``: the number of a student before it, whose mirror image this one is: see
    :mod:`sne_deploy.model.layers.mirror`. It has no other key, and is not trained.
    """

    weights: str | None = None
    start: str | None = None
    mirror_of: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if self.weights is not None and self.start is not None:
            raise ValueError(
                f"weights {self.weights!r} are of a finished student, start {self.start!r} of one that is "
                "trained on: leave out one of them"
            )
        others = sorted(self.model_fields_set - {"mirror_of"})
        if self.mirror_of is not None and others:
            raise ValueError(
                f"a mirror image has nothing of its own: leave out {', '.join(others)}, or mirror_of"
            )
        return self


class WithMembers(Model):
    """The students, of which each may differ: a ``[[students.member]]`` for each, in their order.

    A member has keys of ``[students]`` of its own, but ``count``, ``timesteps``, ``dt_s``, ``readout``,
    ``copies``, ``answers`` and ``outputs``, which all share; of its tables, such as ``schedule``, only those
    keys that differ. It may be finished: see :class:`OfMember`. With members, ``count`` may be left out.
    Where outputs are ``logits``, a member that is added behind the others changes none of them.
    """

    count: Positive
    member: Annotated[tuple[OfMember, ...], LATER] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickle, what was given: the tables of members have classes that no module names."""
        return type(self).model_validate, (self.model_dump(exclude_unset=True),)

    @model_validator(mode="before")
    @classmethod
    def _counted(cls, given: Any) -> Any:
        members = given.get("member") if isinstance(given, Mapping) else None
        if isinstance(members, (list, tuple)) and members and "count" not in given:
            return {**given, "count": len(members)}
        return given

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.member and len(self.member) != self.count:
            raise ValueError(
                f"count {self.count} is not the number of [[students.member]], {len(self.member)}: "
                "leave it out"
            )
        for index in range(len(self.member)):
            try:
                self.of(index)
            except ValidationError as error:
                found = error.errors(include_url=False)[0]
                place = ".".join(map(str, ("member", index, *found["loc"])))
                reason = found["ctx"]["error"] if found["type"] == "value_error" else found["msg"]
                raise ValueError(f"{place}: {reason}") from None
            source = self.mirror_of(index)
            if source is not None and (source >= index or self.mirror_of(source) is not None):
                raise ValueError(
                    f"member.{index}.mirror_of {source}: give the number of a student before it that is no "
                    "mirror image itself, from 0"
                )
        return self

    def of(self, index: int) -> Self:
        """What one student is like: these keys with its own in their place, without members."""
        if not self.member:
            return self
        source = self.mirror_of(index)
        if source is not None and source < index:
            return self.of(source)
        own = self.member[index].model_dump(exclude=set(OfMember.model_fields))
        base = self.model_dump(exclude={"member"}, exclude_unset=True)
        return type(self).model_validate(_merged(base, own))

    def like(self, index: int) -> int:
        """The first student with the same keys that is trained too; one of a file is like itself alone.

        A mirror image is like what it is of.
        """
        source = self.mirror_of(index)
        if source is not None:
            return self.like(source)
        if self.file(index) is not None:
            return index
        own = self.of(index)
        alike = (first for first in range(index) if self.file(first) is None and self.of(first) == own)
        return next(alike, index)

    def place(self, index: int) -> str:
        """Where a student's own keys stand."""
        return f"students.member.{index}" if self.member else "students"

    def weights(self, index: int) -> str | None:
        """The file of a student that is finished."""
        return self.member[index].weights if self.member else None

    def start(self, index: int) -> str | None:
        """The file of a student that is trained on from there."""
        return self.member[index].start if self.member else None

    def file(self, index: int) -> str | None:
        """That of a student which is finished, or begins there."""
        return self.weights(index) or self.start(index)

    def mirror_of(self, index: int) -> int | None:
        """The student of which one is the mirror image."""
        return self.member[index].mirror_of if self.member else None

    @property
    def trained(self) -> tuple[int, ...]:
        """Those that are trained: neither finished nor mirror images."""
        every = range(self.count)
        return tuple(k for k in every if self.weights(k) is None and self.mirror_of(k) is None)


def member_model(students: type[Model]) -> type[OfMember]:
    """The table of a member: every key of ``students`` but the shared ones, all of them optional."""
    return cast("type[OfMember]", _optional(students, OfMember, SHARED))


def _optional(model: type[BaseModel], base: type[Partial], without: tuple[str, ...] = ()) -> type[Partial]:
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if name not in without:
            table = _table(field.annotation)
            kind: Any = field.annotation if table is None else _optional(table, Partial)
            limited = Annotated[(kind, *field.metadata)] if field.metadata else kind
            fields[name] = (limited | None, None)
    return create_model(f"Member{model.__name__}", __base__=base, __doc__=model.__doc__, **fields)


def _table(annotation: Any) -> type[BaseModel] | None:
    """The table that a key holds, or may hold; None for numbers, texts and lists."""
    if get_origin(annotation) in (Union, UnionType):
        return next((one for one in map(_table, get_args(annotation)) if one is not None), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Values with others in their place; tables key by key, lists as a whole."""
    made = dict(base)
    for key, value in own.items():
        before = made.get(key)
        tables = isinstance(before, dict) and isinstance(value, dict)
        made[key] = _merged(cast("dict[str, Any]", before), value) if tables else value
    return made
