"""What a part of the campaign is, and what it gives: plain data."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

Figure = float | int | str
"""A measured value; a number that several trials of a case give is kept as the largest of them."""


@dataclass(frozen=True)
class Trial:
    """One thing that was tried.

    Attributes
    ----------
    case : str
        The row of the part's table: a command, a kind of file, a size.
    index : int
        Makes the same trial again, with the seed: ``--only INDEX``.
    found : str
        What was not as promised, in one line; empty where the promise held.
    figures : dict
        What was measured, by name and unit (``"seconds"``, ``"mib"``).
    ended : str
        How it ended, where more than one end is as promised (``"result"``, ``"refused"``): counted.
    """

    case: str
    index: int
    found: str = ""
    figures: dict[str, Figure] = field(default_factory=dict)
    ended: str = ""


@dataclass(frozen=True)
class Part:
    """One kind of harm.

    Attributes
    ----------
    name : str
        As given to ``python -m tests.torture``; the name of its file.
    promise : str
        What holds whatever happens: a sentence for the page.
    how : str
        How that is tried: a sentence or a few.
    run : callable
        ``run(indices, seed)`` makes these trials, one after the other; a trial depends on the seed and its
        index alone. A part whose measure is not trials says so in ``unit``, and gets an index for each.
    short, full : int
        How many make a few seconds, for every change, and how many stand on the page.
    unit : str
    missing : callable
        Why this machine cannot do it (no root, no tmpfs); empty where it can.
    found : tuple of str
        What this part has found so far and what became of it: sentences for the page.
    """

    name: str
    promise: str
    how: str
    run: Callable[[Sequence[int], int], Iterable[Trial]]
    short: int
    full: int
    unit: str = "trials"
    missing: Callable[[], str] = lambda: ""
    found: tuple[str, ...] = ()


def parts() -> dict[str, Part]:
    """All parts by name."""
    from tests.torture import parts as folder

    names = sorted(module.name for module in pkgutil.iter_modules(folder.__path__))
    modules = (importlib.import_module(f"{folder.__name__}.{name}") for name in names if name[0] != "_")
    return {module.PART.name: module.PART for module in modules}
