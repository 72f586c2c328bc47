"""TOML that a user gives: bounded before anything looks at it."""

from __future__ import annotations

import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_MOST_NESTED = 16
_MOST_BITS = 64


def parse_toml(data: bytes) -> dict[str, Any]:
    """Read TOML whose tables are nested no deeper, and whose numbers are no larger, than anything takes.

    Raises
    ------
    ValueError
        In one short line.
    """
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except (ValueError, OverflowError) as error:
        raise ValueError(" ".join(str(error).split())[:120]) from error
    except RecursionError as error:
        raise ValueError("its values are nested too deeply") from error
    waiting: list[tuple[Any, int]] = [(document, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > _MOST_NESTED:
            raise ValueError(f"its values are nested deeper than {_MOST_NESTED}")
        if isinstance(value, (dict, list)):
            waiting += [(one, depth + 1) for one in (value.values() if isinstance(value, dict) else value)]
        elif isinstance(value, int) and value.bit_length() > _MOST_BITS:
            raise ValueError(f"it has a whole number of more than {_MOST_BITS} bits")
    return document
