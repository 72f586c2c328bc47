"""Every case predicted and judged: what ``sne validate`` and ``docs/energy.md`` show."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sne_deploy.chips.chip import chip_names, chip_sha256, load_chip
from sne_deploy.energy.validation.case import Case, packaged_cases, read_case
from sne_deploy.energy.validation.predict import Prediction, Unpredicted, judged_by_others, labelled, predict
from sne_deploy.errors import DataError


@dataclass(frozen=True)
class Validation:
    """Cases, and what the constants make of them.

    Attributes
    ----------
    cases : tuple of Case
    rows : tuple of Prediction
        One for each quantity that is predicted, in the order of the cases.
    left : tuple of Unpredicted
        What was measured and is not judged.
    constants : mapping of str to str
        SHA-256 of each chip's file.
    """

    cases: tuple[Case, ...]
    rows: tuple[Prediction, ...]
    left: tuple[Unpredicted, ...]
    constants: Mapping[str, str]


def validate(files: Sequence[str | os.PathLike[str]] = ()) -> Validation:
    """Predict the packaged cases, or those in files of one's own.

    Parameters
    ----------
    files : sequence of path
        None: the packaged cases. Otherwise these alone; the packaged ones then only say what their residuals
        would allow.

    Raises
    ------
    DataError
        A file is no case; its chip is not in this package; two cases have one name.
    """
    packaged = packaged_cases()
    shown = tuple(read_case(path) for path in files) or packaged
    names = [case.name for case in shown]
    for index, case in enumerate(shown):
        if case.chip not in chip_names():
            known = ", ".join(chip_names())
            raise DataError(f"case {case.name!r}: chip {case.chip!r} is not known; write one of {known}")
        if case.name in names[:index]:
            raise DataError(f"two cases have the name {case.name!r}; give each a name of its own")
    everything = {case.name: case for case in (*packaged, *shown)}
    chips = {name: load_chip(name) for name in sorted({case.chip for case in everything.values()})}
    predicted = {name: predict(case, chips[case.chip]) for name, case in everything.items()}
    judged = judged_by_others(
        {name: rows for name, (rows, _) in predicted.items()},
        {name: case.chip for name, case in everything.items()},
    )
    return Validation(
        cases=shown,
        rows=tuple(labelled(row, chips[everything[name].chip]) for name in names for row in judged[name]),
        left=tuple(row for name in names for row in predicted[name][1]),
        constants={name: chip_sha256(name) for name in sorted({case.chip for case in shown})},
    )
