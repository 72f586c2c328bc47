"""Processors that a teacher could run on: energy of a multiply-accumulate, its kind, and who says so.

Two figures are only compared where they are of one kind. A *whole* processor, measured on its board or by
what is published of it, faces the whole chip: neurocores, x86 and static power. *Arithmetic alone* is a
multiplication and an addition, and faces what the neurocores spend on computing, alone.

The reader is as strict as that of chips: see :mod:`sne_deploy.chips.chip`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, TypeAdapter, ValidationError, model_validator
from typing_extensions import Self

from sne_deploy.chips import units
from sne_deploy.chips.chip import shown
from sne_deploy.chips.constants import Constant, EnergyConstant, PowerConstant, Table, Text
from sne_deploy.energy.figure import Figure, exact
from sne_deploy.errors import HardwareError
from sne_deploy.files import read_regular
from sne_deploy.toml import parse_toml

Kind = Literal["measured, whole board", "published, whole processor", "arithmetic alone"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ARITHMETIC: Kind = "arithmetic alone"
FAMILIES = ("boards", "published", "arithmetic")
"""The files in this package, one for each kind."""
MAX_FILE_BYTES = 256 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
_RESERVED = ("all", *FAMILIES)


class MeasuredNetwork(Constant):
    """Energy of one inference of a network that was measured, and its multiply-accumulates."""

    _units, _si_unit, _limit = units.ENERGY, "J", 1e3

    name: Text
    macs: Annotated[int, Field(ge=1, le=2**62)]

    @property
    def per_mac_j(self) -> float:
        """Joules of the whole board for each multiply-accumulate."""
        return self.si / self.macs


class Processor(Table):
    """One processor.

    Attributes
    ----------
    description : str
    kind : Kind
    mac : EnergyConstant or None
        Energy of a multiply-accumulate, for what was not measured.
    networks : tuple of MeasuredNetwork
        What was measured: the first gives the energy of a multiply-accumulate, all of them its interval.
    idle : PowerConstant or None
        Power that is drawn all the time and is not in the energy above; None is not known, and taken as 0, in
        this processor's favour.
    """

    _MEASURED: ClassVar[Kind] = "measured, whole board"

    description: Text
    kind: Kind
    mac: EnergyConstant | None = None
    networks: Annotated[tuple[MeasuredNetwork, ...], Field(max_length=64, strict=False)] = ()
    idle: PowerConstant | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind == self._MEASURED and (self.mac is not None or not self.networks):
            raise ValueError(
                "what was measured has networks = [...], with the energy of an inference, and no mac"
            )
        if self.kind != self._MEASURED and (self.mac is None or self.networks):
            raise ValueError(f"{self.kind!r} has mac = {{...}}, and no networks")
        if self.kind == ARITHMETIC and self.idle is not None:
            raise ValueError(
                "arithmetic alone draws nothing when idle; leave idle out, or say what kind it is"
            )
        return self

    @property
    def per_mac_j(self) -> Figure:
        """Joules of a multiply-accumulate; its interval holds all networks that were measured."""
        if self.mac is not None:
            return exact(self.mac.si)
        found = [network.per_mac_j for network in self.networks]
        return Figure(found[0], min(found), max(found))

    @property
    def idle_w(self) -> float:
        """Watts beside the energy of the inferences; 0 where nobody says."""
        return 0.0 if self.idle is None else self.idle.si

    @property
    def sources(self) -> tuple[str, ...]:
        """Where its figures come from, each once."""
        found = [
            constant.source for constant in (self.mac, *self.networks, self.idle) if constant is not None
        ]
        return tuple(dict.fromkeys(found))


_PROCESSORS = TypeAdapter(
    Annotated[dict[str, Processor], Field(min_length=1, max_length=256)], config={"strict": True}
)


@cache
def packaged() -> Mapping[str, Processor]:
    """The processors in this package by name, file by file."""
    folder = resources.files("sne_deploy.energy.processors")
    found: dict[str, Processor] = {}
    for family in FAMILIES:
        found |= _parse(folder.joinpath(f"{family}.toml").read_bytes(), f"{family}.toml")
    return found


def find_processors(names: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> dict[str, Processor]:
    """Processors by what a user asks for.

    Parameters
    ----------
    names : str, path or several
        Names of :func:`packaged` processors, separated by commas in one text; ``all`` of them; ``boards``,
        ``published`` or ``arithmetic``; or a TOML file of one's own: anything that ends in ``.toml`` or has a
        folder in it.

    Returns
    -------
    dict of str to Processor
        In the order asked for, each once.

    Raises
    ------
    HardwareError
        Unknown name; a file that is missing, too large, not TOML, incomplete or impossible.
    """
    several = (names,) if isinstance(names, (str, os.PathLike)) else tuple(names)
    asked = [part for text in several for part in _parts(os.fspath(text))]
    if not asked:
        raise HardwareError(f"no processor is named; give all, {_known()}")
    found: dict[str, Processor] = {}
    for text in asked:
        found |= _named(text)
    return found


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _named(text: str) -> dict[str, Processor]:
    known = packaged()
    if text == "all":
        return dict(known)
    if text in FAMILIES:
        kind = KINDS[FAMILIES.index(text)]
        return {name: processor for name, processor in known.items() if processor.kind == kind}
    if text in known:
        return {text: known[text]}
    if text.endswith(".toml") or os.sep in text:
        return _own(Path(text))
    raise HardwareError(
        f"unknown processor {shown(text)}; known: all, {_known()}; or give a FILE.toml of your own"
    )


def _known() -> str:
    return f"{', '.join(FAMILIES)}, {', '.join(packaged())}"


def _own(path: Path) -> dict[str, Processor]:
    try:
        data = read_regular(path, MAX_FILE_BYTES)
    except OSError as error:
        raise HardwareError(
            f"cannot read processor file {str(path)!r}: {error.strerror}; give a .toml file of processors, "
            f"or all, {', '.join(FAMILIES)}"
        ) from error
    found = _parse(data, str(path))
    taken = sorted(set(found) & {*packaged(), *_RESERVED})
    if taken:
        raise HardwareError(
            f"processor file {str(path)!r}: {taken[0]} is the name of another; call it {taken[0]}-own"
        )
    return found


def _parse(data: bytes, name: str) -> dict[str, Processor]:
    try:
        table = parse_toml(data)
    except ValueError as error:
        raise HardwareError(f"processor file {name!r} is not TOML: {error}; correct it") from error
    return processors_of_table(table, name)


def processors_of_table(table: dict[str, Any], name: str) -> dict[str, Processor]:
    """The processors that a file's content describes; ``name`` is what messages call it.

    Raises
    ------
    HardwareError
        Incomplete or impossible.
    """
    for key in table:
        if not _NAME.fullmatch(key):
            raise HardwareError(
                f"processor file {name!r}: {shown(key)} is no name; use up to 40 letters, digits, '-', '_' "
                "and '.'"
            )
    try:
        return _PROCESSORS.validate_python(table)
    except ValidationError as error:
        problems = [_problem(dict(detail)) for detail in error.errors()]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise HardwareError(f"processor file {name!r}: {problems[0]}{more}") from error


_EXAMPLE = "{ value = 4.6, unit = 'pJ', source = 'who says so' }"


def _problem(detail: dict[str, Any]) -> str:
    """One line from one of pydantic's errors: key, value, limit, remedy."""
    key = shown(".".join(str(part) for part in detail["loc"]), quote=False) or "the file"
    kind, value = detail["type"], shown(detail["input"])
    if kind == "missing":
        return f"{key} is missing; add it, as in {_EXAMPLE}"
    if kind == "extra_forbidden":
        return f"{key} is not a known key; remove it"
    if kind == "literal_error":
        return f"{key} = {value} is no kind; write one of {', '.join(map(repr, KINDS))}"
    if kind in ("model_type", "model_attributes_type"):
        return f"{key} = {value} is not a table; write {_EXAMPLE}"
    if kind == "too_short":
        return f"{key} is empty; name a processor as [NAME], with description, kind and mac = {_EXAMPLE}"
    reason = detail["msg"].removeprefix("Value error, ")
    given = "" if kind == "value_error" else f" = {value}"
    return f"{key}{given}: {reason[0].lower()}{reason[1:]}; correct it"
