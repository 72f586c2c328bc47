"""``sne.explore(...)``: every student is recorded once; policies are judged without simulating again."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import numpy.typing as npt

from sne_deploy import arguments as argument
from sne_deploy.api import chosen_precision, compile  # noqa: A004  its name
from sne_deploy.backend import load_backend
from sne_deploy.chips.chip import Chip
from sne_deploy.energy.accounting import Part
from sne_deploy.errors import InputError
from sne_deploy.exploration.figures import Columns, energy_excludes, figures
from sne_deploy.exploration.leave_one_out import LeftOut, leave_one_out
from sne_deploy.exploration.points import Points
from sne_deploy.exploration.recording import record
from sne_deploy.exploration.result import Exploration
from sne_deploy.exploration.search import Search, candidates, orders_to_try
from sne_deploy.exploration.standing import Standing, most_power
from sne_deploy.frontend.given import as_ensemble, chip_and_seed
from sne_deploy.model.ensemble import ActivationPolicy, Ensemble, Measure
from sne_deploy.model.policy import MEASURES
from sne_deploy.passes.pipeline import check_read_bits
from sne_deploy.policies.outcome import Outcome, Places, Subsets, outcome
from sne_deploy.policies.recorded import Recorded
from sne_deploy.runtime.work import part_of

if TYPE_CHECKING:
    from pathlib import Path

    from sne_deploy.backend import Progress
    from sne_deploy.data.dataset import DataSet

Array = npt.NDArray[Any]
HALF, ALL = "half", "all"
"""Of the samples, by which points are chosen."""
MAX_THRESHOLDS = 10_000
MAX_RATE = 1e12


@dataclass(frozen=True, eq=False)
class _Halves:
    """One recording: the samples that choose, those that judge, all; the first two may be the third."""

    chosen_on: Subsets
    measured: Subsets
    whole: Subsets


def explore(
    model: Any,
    x: Any,
    y: Any,
    *,
    lengths: Any = None,
    select_on: Any = HALF,
    bits: Sequence[int] = (),
    measures: Sequence[Measure] = MEASURES,
    thresholds: int = 100,
    target: str = "loihi",
    hardware: str | os.PathLike[str] | Chip | None = None,
    rate: float | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
    workers: int | None = None,
    device: str | None = None,
    model_name: str = "ensemble",
    data_name: str = "arrays",
    work: str | os.PathLike[str] | None = None,
    resume: bool = True,
    **options: Any,
) -> Exploration:
    """Find which students, in which order and until which confidence, are worth their energy.

    All students run once on all samples for each number of weight bits. Every policy's result follows from
    that, and equals a run with that policy: predictions, who ran, counts and energy.

    Parameters
    ----------
    model : Ensemble, path, nir.NIRGraph, torch.nn.Module, or a sequence of one of the last three
    x, y, lengths
        As for :meth:`sne_deploy.Compiled.run`; there must be labels.
    select_on : "half", "all", or a pair (x, y)
        The samples that points are chosen on. ``half``: a random half, the same every time; figures are then
        measured on the other half. ``all``: both on all samples, which flatters what was chosen. A pair:
        samples of its own, such as a validation set; figures are then measured on all of x.
    bits : sequence of int
        Weight bits, each simulated once. Empty: the chip's.
    measures : sequence of {"max_probability", "margin", "entropy"}
        Of confidence.
    thresholds : int
        About how many of each measure, and of the model's gate.
    rate : float or None
        Inferences a second, for what embedded processors and leakage take of each.
    target, hardware, seed, progress, workers, device, **options
        As for :func:`sne_deploy.compile`.
    model_name, data_name : str
        For the document.
    work : path or None
        A folder in which what is done is kept, where that takes long: the same call goes on there after an
        interruption, and gives the same result. It stays there.
    resume : bool
        Whether it goes on there; else what is kept is thrown away, once nothing refuses the run any more.

    Returns
    -------
    Exploration

    Raises
    ------
    InputError
        An argument does not fit, or there are no labels.
    UnsupportedError
        ``bits`` of students whose registers were read, and have more.
    """
    started = time.perf_counter()
    ensemble = as_ensemble(model, options)
    chip, seed = chip_and_seed(ensemble, hardware, seed)
    search = Search(
        tuple(argument.choice("measure", each, get_args(Measure)) for each in measures),  # type: ignore[misc]
        argument.whole("thresholds", thresholds, 1, MAX_THRESHOLDS),
    )
    rate = None if rate is None else argument.number("rate", rate)
    if rate is not None and not 0.0 < rate < MAX_RATE:
        raise InputError(f"rate {rate:g} must be inferences a second, above 0; leave it out for power alone")
    several = tuple(dict.fromkeys(argument.whole("bits", each, 1) for each in bits)) or (None,)
    _check_bits(ensemble, several, target, chip)
    data = _data(ensemble, data_name, x, y, lengths)
    other = _select_data(ensemble, select_on)
    folder = None if work is None else argument.file_path("work", work)
    anew = None if resume else folder
    parts: list[_Part] = []
    left_out: tuple[tuple[ActivationPolicy, tuple[LeftOut, ...]], ...] = ()
    standing: list[Standing] = []
    for weight_bits in several:
        with compile(
            ensemble,
            target,
            hardware=chip,
            policy=ActivationPolicy(),
            seed=seed,
            weight_bits=weight_bits,
            fidelity=False,
            progress=progress,
            workers=workers,
            device=device,
        ) as compiled:
            found = []
            for name, each in (("measured", data), ("chosen", other)):
                if each:
                    place = _kept(folder, weight_bits, name)
                    found.append(record(compiled, ensemble, each, weight_bits, seed, place, anew))
                    anew = None
        halves = _halves([one for one, _ in found], select_on)
        parts.append(_searched(halves, ensemble.policy, search, chip))
        if found[0][1] is not None:
            standing.append(replace(found[0][1], weight_bits=weight_bits, rate_per_s=rate))
        if weight_bits == several[0]:
            left_out = _leave_one_out(halves.whole, ensemble.policy, chip)
    return Exploration(
        ensemble=ensemble,
        model=argument.text("model_name", model_name),
        data=data.name,
        chosen_on=_chosen_on(select_on, other, data),
        target=target,
        hardware=chip.name,
        search=search,
        orders=len(parts[0].orders),
        all_orders=parts[0].all_orders,
        points=_joined(parts),
        energy_excludes=parts[0].energy_excludes,
        leave_one_out=left_out,
        standing=most_power(standing),
        wall_s=time.perf_counter() - started,
    )


def _check_bits(ensemble: Ensemble, several: Sequence[int | None], target: str, chip: Chip) -> None:
    """Refuse before anything runs what compiling with one of these would refuse of registers."""
    capabilities = load_backend(argument.text("target", target)).capabilities()
    if chosen_precision(None, target, capabilities.precisions) == "fixed":
        for weight_bits in several:
            formats = capabilities.formats(chip.registers, weight_bits)
            for student in ensemble.students:
                check_read_bits(student, formats)


def _kept(folder: Path | None, weight_bits: int | None, name: str) -> Path | None:
    """Where one recording keeps its work."""
    return None if folder is None else part_of(folder, f"{weight_bits or 'all'}-bits-{name}")


@dataclass(frozen=True, eq=False)
class _Part:
    """What was found with one number of weight bits."""

    points: Points
    orders: tuple[Places, ...]
    all_orders: bool
    energy_excludes: tuple[Part, ...]


def _data(ensemble: Ensemble, name: str, x: Any, y: Any, lengths: Any) -> DataSet:
    from sne_deploy.data.arrays import as_array, as_samples
    from sne_deploy.data.dataset import ModelInput, fit_to_model
    from sne_deploy.data.ragged import joined

    takes = ModelInput(ensemble.input_shape, ensemble.timesteps, ensemble.encoder)
    x, own = joined(x)
    steps = own if lengths is None else as_array("lengths", lengths)
    return fit_to_model(argument.text("data_name", name), *as_samples(x, y), takes, lengths=steps)


def _select_data(ensemble: Ensemble, select_on: Any) -> DataSet | None:
    """Samples of their own that choose; None where they are among the others."""
    if isinstance(select_on, str):
        argument.choice("select_on", select_on, (HALF, ALL))
        return None
    several = argument.entries(select_on)
    if several is None or len(several) not in (2, 3):
        raise InputError(f"select_on (a {type(select_on).__name__}) must be 'half', 'all' or a pair (x, y)")
    return _data(ensemble, "select_on", several[0], several[1], several[2] if len(several) == 3 else None)


def _halves(runs: Sequence[Recorded], select_on: Any) -> _Halves:
    whole = Subsets(runs[0])
    if len(runs) == 2:
        return _Halves(Subsets(runs[1]), whole, whole)
    if select_on == ALL:
        return _Halves(whole, whole, whole)
    if len(runs[0]) < 2:
        raise InputError("half of one sample chooses nothing; give more samples, or --select-on all")
    order = np.random.default_rng(0).permutation(len(runs[0]))
    half = len(order) // 2
    first, second = (runs[0].taken(np.sort(rows)) for rows in (order[:half], order[half:]))
    return _Halves(Subsets(first), Subsets(second), whole)


def _searched(halves: _Halves, own: ActivationPolicy, search: Search, chip: Chip) -> _Part:
    chooser = halves.chosen_on
    students = chooser.recorded.students
    alone = [
        ActivationPolicy("static", (k, *(i for i in range(students) if i != k)), students=1)
        for k in range(students)
    ]
    orders, complete = orders_to_try(chooser, figures(outcome(chooser, alone), chip).energy_j, own)
    policies = candidates(chooser, orders, search, own)
    found: dict[int, Outcome] = {}
    for subsets in (halves.chosen_on, halves.measured):
        if id(subsets) not in found:
            found[id(subsets)] = outcome(subsets, policies)
    chosen_on, measured = found[id(halves.chosen_on)], found[id(halves.measured)]
    whole = measured if halves.whole is halves.measured else chosen_on + measured
    points = Points(
        policies,
        (chooser.recorded.weight_bits,) * len(policies),
        (True,) + (False,) * (len(policies) - 1),
        *(figures(each, chip) for each in (chosen_on, measured, whole)),
    )
    return _Part(points, orders, complete, energy_excludes(whole, chip))


def _leave_one_out(
    subsets: Subsets, own: ActivationPolicy, chip: Chip
) -> tuple[tuple[ActivationPolicy, tuple[LeftOut, ...]], ...]:
    """Of everyone, and of the model's own policy where that is another one."""
    everyone = ActivationPolicy()
    cascade = own.kind == "confidence" or own.students not in (None, subsets.recorded.students)
    policies = (everyone, own) if cascade else (everyone,)
    return tuple((policy, leave_one_out(subsets, policy, chip)) for policy in policies)


def _chosen_on(select_on: Any, other: DataSet | None, data: DataSet) -> str:
    if other is not None:
        return f"{len(other)} samples of their own"
    return f"{len(data) // 2} of {len(data)} samples, at random" if select_on == HALF else "all samples"


def _joined(parts: Sequence[_Part]) -> Points:
    """The points of all weight bits."""
    several = [part.points for part in parts]
    return Points(
        policies=tuple(one for each in several for one in each.policies),
        weight_bits=tuple(one for each in several for one in each.weight_bits),
        own=tuple(one for each in several for one in each.own),
        chosen_on=_columns([each.chosen_on for each in several]),
        measured=_columns([each.measured for each in several]),
        whole=_columns([each.whole for each in several]),
    )


def _columns(several: Sequence[Columns]) -> Columns:
    values = {each.name: [getattr(one, each.name) for one in several] for each in fields(Columns)[1:]}
    arrays: dict[str, Any] = {
        name: None if any(one is None for one in found) else np.concatenate(found)
        for name, found in values.items()
    }
    return replace(several[0], **arrays)
