"""One layer of a student, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from sne_deploy.brief import briefly

OptionValue = bool | int | float | str | tuple[int, ...] | None


@briefly
@dataclass(frozen=True, eq=False, repr=False)
class Layer:
    """One layer of a student: a kind from the closed registry, its options, all of its tensors.

    Attributes
    ----------
    kind : str
        A name of torch's or Norse's, such as ``"Conv2d"``; ``sne inspect --layers`` lists them.
    options : mapping
        Everything that is not a tensor, by its torch or norse argument name (``stride``, ``dt``,
        ``method``, ``reset_method``).
    tensors : mapping of str to array
        Every tensor, by name: ``weight``, ``bias``, ``tau_mem_inv``, ``v_th``, ...
    """

    kind: str
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    tensors: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
