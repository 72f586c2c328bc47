"""What is wrong in an experiment, all at once: each mistake with its place, and what may have been meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from sne_deploy.errors import ExperimentError
from sne_deploy.text import middle_out, visible

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

MOST = 20
"""Mistakes that are listed."""
_SHOWN = 60
_TYPES = {"model_type": "must be a table", "tuple_type": "must be a list", "too_short": "must not be empty"}
"""What pydantic says of Python, in TOML's words."""
_CLOSE = 0.6
"""Of difflib's ratio: from there on, a word may be another one misspelt."""


def experiment_error(where: str, model: type[BaseModel], error: ValidationError) -> ExperimentError:
    """All that pydantic found wrong in what is to become ``model``.

    Parameters
    ----------
    where : str
        The file, for the message.
    model : type of BaseModel
    error : ValidationError
    """
    found = sorted(error.errors(include_url=False), key=lambda one: not _unknown(one))
    keys = {one["loc"]: _meant_key(model, one["loc"]) for one in found[:MOST] if _unknown(one)}
    taken = {(*loc[:-1], key) for loc, key in keys.items()}  # a key that is misspelt is not missing besides
    kept = [one for one in found if one["loc"] not in taken or one["type"] != "missing"]
    kept = [one for one in kept if one["type"] != "too_short" or not _inside(one, kept)]
    lines = [_line(model, one, keys.get(one["loc"])) for one in kept[:MOST]]
    return ExperimentError(where, lines, len(kept) - len(lines))


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """The known word that is closest to one which is none of them; None where none is close."""
    close = difflib.get_close_matches(word[:_SHOWN], list(known), n=1, cutoff=_CLOSE)
    return close[0] if close else None


def _unknown(one: ErrorDetails) -> bool:
    return one["type"] == "extra_forbidden"


def _inside(place: ErrorDetails, found: Sequence[ErrorDetails]) -> bool:
    """Whether a list is too short since what it holds is wrong."""
    size = len(place["loc"])
    return any(len(one["loc"]) > size and one["loc"][:size] == place["loc"] for one in found)


def _line(model: type[BaseModel], one: ErrorDetails, key: str | None) -> str:
    """One mistake."""
    place = ".".join(visible(middle_out(str(part), _SHOWN)) for part in one["loc"]) or "the file"
    if _unknown(one):
        return f"{place}: unknown key{_hint(key) or _elsewhere(model, one['loc'])}"
    if one["type"] == "missing":
        return f"{place}: is missing"
    if one["type"] == "value_error":
        return f"{place}: {one['ctx']['error']}"
    text, given = _TYPES.get(one["type"], one["msg"][:1].lower() + one["msg"][1:]), one["input"]
    if isinstance(given, (str, int, float)):
        text += f", not {visible(middle_out(repr(given), _SHOWN))}"
    if one["type"] == "literal_error" and isinstance(given, str):
        text += _hint(did_you_mean(given, re.findall("'([^']*)'", one["ctx"]["expected"])), "'")
    return f"{place}: {text}"


def _hint(meant: str | None, quote: str = "") -> str:
    return "" if meant is None else f"; did you mean {quote}{meant}{quote}?"


def _meant_key(model: type[BaseModel], loc: Sequence[str | int]) -> str | None:
    """The key of the same table that an unknown one may be, misspelt, unless it stands beside the list."""
    table = _table(model, loc[:-1])
    outer = _table(model, loc[:-3]) if len(loc) > 2 and isinstance(loc[-2], int) else None
    if outer is not None and loc[-1] in outer.model_fields:
        return None
    return None if table is None else did_you_mean(str(loc[-1]), table.model_fields)


def _elsewhere(model: type[BaseModel], loc: Sequence[str | int]) -> str:
    """The places where an unknown key would be known."""
    places = [".".join(path) for path in _paths(model) if path[-1] == loc[-1] and "member" not in path]
    if not places:
        table = _table(model, loc[:-1])
        return "" if table is None else f"; known: {', '.join(table.model_fields)}"
    return f"; did you mean {' or '.join(places)}?"


def _table(model: type[BaseModel], loc: Sequence[str | int]) -> type[BaseModel] | None:
    """The model of the table at a place."""
    found: type[BaseModel] | None = model
    for part in loc:
        if isinstance(part, int):  # of a list, whose tables are alike
            continue
        if found is None or part not in found.model_fields:
            return None
        found = _inner(found.model_fields[part].annotation)
    return found


def _inner(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds, or may hold, or holds a list of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((one for one in map(_inner, get_args(annotation)) if one is not None), None)


def _paths(model: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    """Every key, as its path; without those of lists."""
    for name, field in model.model_fields.items():
        yield (name,)
        inner = field.annotation
        for table in (inner, *get_args(inner)):
            if isinstance(table, type) and issubclass(table, BaseModel):
                yield from ((name, *rest) for rest in _paths(table))
