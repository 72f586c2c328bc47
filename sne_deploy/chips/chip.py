"""A chip and its file: every number with its unit and its source.

The reader is strict: an unknown key, a missing constant, a value that is no finite number in range, a
unit of another quantity or a missing source is refused in one line.
"""

from __future__ import annotations

import hashlib
import os
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from pydantic import Field, ValidationError

from sne_deploy.chips.constants import (
    Constant,
    EnergyTable,
    ErrorTable,
    IntervalTable,
    LimitTable,
    MacTable,
    PowerTable,
    RegisterTable,
    ResetTable,
    SynapseMemoryTable,
    Table,
    Text,
    TimeTable,
    WeightTable,
)
from sne_deploy.chips.registers import RegisterFormats, ResetKind, SignMode, WeightRange
from sne_deploy.errors import HardwareError
from sne_deploy.files import read_regular
from sne_deploy.toml import parse_toml

DEFAULT_CHIP = "loihi1"
MAX_FILE_BYTES = 256 * 1024
"""A hardware file is text written by hand; the one in this package is 8 kB."""

REGISTER_TABLES = ("registers", "weights", "resets")
"""A file without any of these has loihi1's: so it was before a file could say anything else."""
_MOVED = {
    "weight_bits_max", "weight_exponent_min", "weight_exponent_max", "delay_max", "decay_bits",
    "threshold_bits", "bias_bits", "bias_exponent_max", "state_bits",
}  # fmt: skip
"""What stood in ``[limits]`` before there were register tables."""

_EXAMPLE = "{ value = 23.6, unit = 'pJ', source = 'where it was measured' }"
_EXAMPLES = {
    "registers": "{ value = 12, unit = 'bit', source = 'where it is said' }",
    "weights": "{ value = 8, unit = 'bit', source = 'where it is said' }",
    "resets": "{ value = 1, unit = 'compartment', source = 'where it is said' }",
}
_EXAMPLE_RANGE = "{ min = -256, max = 254, step = 2, unit = '1', source = 'where it is said' }"
_SHOWN = 60


class Chip(Table):
    """A chip: what can be compiled for it, and what its operations cost.

    Attributes
    ----------
    name, description : str
    register_table : RegisterTable
        ``[registers]`` of the file.
    weights : WeightTable
    resets : ResetTable
    energy : EnergyTable
        Joules per operation of the neurocores.
    host : MacTable
        Joules per multiply-accumulate of the host.
    teacher : MacTable or None
        The same for the processor that runs the teacher; the host where None.
    time, power, limits
        What a step lasts, what stands still costs, and what fits on a core and a chip.
    synapse_memory : SynapseMemoryTable or None
        How a core stores weights; None: what they take is not known.
    error : ErrorTable
        Error to expect against silicon.
    interval : IntervalTable
        Factors between which silicon is expected, for each line of power.
    """

    name: Text
    description: Text
    register_table: RegisterTable = Field(alias="registers")
    weights: WeightTable
    resets: ResetTable
    energy: EnergyTable
    host: MacTable
    teacher: MacTable | None = None
    time: TimeTable = TimeTable()
    power: PowerTable = PowerTable()
    limits: LimitTable = LimitTable()
    synapse_memory: SynapseMemoryTable | None = None
    error: ErrorTable = ErrorTable()
    interval: IntervalTable = IntervalTable()

    def __repr__(self) -> str:
        """Its name alone."""
        return f"Chip({self.name!r})"

    __str__ = __repr__

    @property
    def registers(self) -> RegisterFormats:
        """The chip's register formats, as plain numbers."""
        weights = self.weights
        limits = [(mode, getattr(weights, mode)) for mode in get_args(SignMode)]
        resets = [(kind, getattr(self.resets, kind)) for kind in get_args(ResetKind)]
        return RegisterFormats(
            chip=self.name,
            **{name: limit.value for name, limit in self.register_table if name != "bias_exponent_max"},
            bias_exp_min=0,
            bias_exp_max=self.register_table.bias_exponent_max.value,
            weight_bits=weights.bits.value,
            weight_ranges=tuple(WeightRange(m, w.min, w.max, w.step) for m, w in limits if w is not None),
            weight_exp_min=weights.exponent_min.value,
            weight_exp_max=weights.exponent_max.value,
            resets=tuple((kind, each.value) for kind, each in resets if each is not None),
            used_weight_bits=weights.bits.value,
            thresholds_per_core=most.value if (most := self.limits.thresholds_per_core) else None,
        )

    def constants(self, *tables: str) -> dict[str, Constant]:
        """Every constant that the file gives in the named tables.

        Parameters
        ----------
        *tables : str
            Such as ``"energy"``.

        Returns
        -------
        dict of str to Constant
            By names such as ``energy.synop``.
        """
        found: dict[str, Constant] = {}
        for table in tables:
            model = getattr(self, table)
            if model is not None:
                found |= {f"{table}.{key}": constant for key, constant in model if constant is not None}
        return found


def chip_names() -> tuple[str, ...]:
    """Chips whose constants are in this package, sorted."""
    folder = resources.files("sne_deploy.chips")
    return tuple(sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".toml")))


def chip_sha256(name: str) -> str:
    """SHA-256 of a packaged chip's file: which constants a figure was computed from."""
    return hashlib.sha256(_packaged(name)).hexdigest()


def load_chip(name_or_path: str | os.PathLike[str]) -> Chip:
    """Read a chip, by name or from a TOML file.

    Parameters
    ----------
    name_or_path : str or path
        A built-in one such as ``loihi1``, or a file: anything that ends in ``.toml`` or has a folder in it.

    Returns
    -------
    Chip

    Raises
    ------
    HardwareError
        Unknown name; a file that is missing, too large, not TOML, incomplete or impossible.
    """
    text = os.fspath(name_or_path)
    if text in chip_names():
        return _parse(_packaged(text), f"{text}.toml")
    if text.endswith(".toml") or os.sep in text:
        return _parse(_read(Path(text)), text)
    raise HardwareError(
        f"unknown hardware {shown(text)}; known: {', '.join(chip_names())}; or give a file with "
        f"--hardware FILE.toml"
    )


def _read(path: Path) -> bytes:
    try:
        return read_regular(path, MAX_FILE_BYTES)
    except OSError as error:
        raise HardwareError(
            f"cannot read hardware file {str(path)!r}: {error.strerror}; give a .toml file of constants, or "
            f"one of {', '.join(chip_names())}"
        ) from error


def _tables_of(name: str) -> dict[str, Any]:
    """The register tables of a packaged file."""
    table = parse_toml(_packaged(name))
    return {key: table[key] for key in REGISTER_TABLES}


def _packaged(name: str) -> bytes:
    return resources.files("sne_deploy.chips").joinpath(f"{name}.toml").read_bytes()


def _parse(data: bytes, name: str) -> Chip:
    try:
        table = parse_toml(data)
    except ValueError as error:
        raise HardwareError(f"hardware file {name!r} is not TOML: {error}; correct it") from error
    return chip_of_table(table, name)


def chip_of_table(table: dict[str, Any], name: str) -> Chip:
    """The chip that a hardware file's content describes; ``name`` is what messages call it.

    Raises
    ------
    HardwareError
        Incomplete or impossible.
    """
    if not any(key in table for key in REGISTER_TABLES):
        table = {**_tables_of("loihi1"), **table}
    try:
        return Chip.model_validate(table)
    except ValidationError as error:
        problems = [_problem(dict(detail)) for detail in error.errors()]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise HardwareError(f"hardware file {name!r}: {problems[0]}{more}") from error


def _problem(detail: dict[str, Any]) -> str:
    """One line from one of pydantic's errors: key, value, limit, remedy."""
    location = [str(part) for part in detail["loc"]]
    key = shown(".".join(location), quote=False)
    kind, value = detail["type"], shown(detail["input"])
    if kind == "missing":
        return f"{key} is missing; {_remedy(location)}"
    if kind == "extra_forbidden" and location[0] == "limits" and location[-1] in _MOVED:
        return (
            f"{key} is no longer in [limits]; remove it there, and add the tables [registers], [weights] and "
            "[resets] of loihi1.toml, or none of them for its registers"
        )
    if kind == "extra_forbidden":
        return f"{key} is not a known key; remove it, or see loihi1.toml for the names"
    if kind in ("model_type", "model_attributes_type"):
        return f"{key} = {value} is not a table; write {_EXAMPLES.get(location[0], _EXAMPLE)}"
    if kind in ("string_too_short", "string_pattern_mismatch", "string_too_long", "string_type"):
        return f"{key} = {value} must be a text of 1 to 2000 characters; say where the number comes from"
    if kind in ("greater_than_equal", "less_than_equal"):
        return f"{key} = {value}: {detail['msg'][0].lower()}{detail['msg'][1:]}; correct it"
    if kind.startswith(("float", "finite", "int")):
        whole = "a whole" if kind.startswith("int") else "a finite"
        return f"{key} = {value} must be {whole} number, at least 0; correct it"
    reason = detail["msg"].removeprefix("Value error, ")
    return f"{key}: {reason}; correct it"


def _remedy(location: list[str]) -> str:
    if len(location) == 1:
        tables = ("energy", "host", *REGISTER_TABLES)
        return f"add a [{location[0]}] table, as in loihi1.toml" if location[0] in tables else "add it"
    example = _EXAMPLES.get(location[0], _EXAMPLE)
    if location[0] == "weights" and location[1] in ("mixed", "excitatory", "inhibitory"):
        example = _EXAMPLE_RANGE
    if len(location) > 2:
        return f"write {'.'.join(location[:-1])} = {example}"
    return f"add {location[-1]} = {example} under [{location[0]}]"


def shown(value: object, quote: bool = True) -> str:
    """A value of any size or content as a short printable text without line breaks."""
    try:
        text = repr(value)
    except ValueError:  # an integer with more digits than Python converts
        text = "a number with thousands of digits"
    if not quote:
        text = text[1:-1]
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
