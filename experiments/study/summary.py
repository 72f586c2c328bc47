"""One trained ensemble as one row: accuracies, counts and energy per sample, teacher, verification."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from experiments.study.companions import ratios
from sne_deploy.chips.chip import Chip
from sne_deploy.energy.accounting import Counts
from sne_deploy.errors import InputError

if TYPE_CHECKING:
    from sne_deploy.compiled import Compiled, Result
    from sne_deploy.data import DataSet
    from sne_deploy.distill.experiment import Experiment
    from sne_deploy.model.ensemble import Ensemble
    from sne_deploy.report.schema import Report

Array = npt.NDArray[Any]
Row = dict[str, Any]
"""Plain JSON values; counts and energies are means per sample, energies in joules."""
BITS = (8, 6, 4)
_RATIOS = ("ratio_ops", "ratio_ops_updates", "ratio_ops_all_updates", "teacher_energy_j", "ratio_energy")


def test_data(experiment: Experiment, ensemble: Ensemble) -> DataSet:
    """Load the test split of an experiment's data, as the ensemble takes it.

    Raises
    ------
    DataError
        The data is missing or damaged, or does not fit the ensemble.
    """
    from sne_deploy.data import load_data
    from sne_deploy.distill.data.splits import data_spec

    return load_data(
        data_spec(experiment.data, "test"),
        input_shape=ensemble.input_shape,
        timesteps=ensemble.timesteps,
        encoder=ensemble.encoder,
    )


def measure(
    ensemble: Ensemble,
    x: Array,
    y: Array,
    *,
    name: str = "ensemble",
    teacher: str | os.PathLike[str] | None = None,
    weight_bits: int = 8,
    hardware: str | os.PathLike[str] | Chip = "loihi1",
    verify: int = 0,
    device: str | None = None,
) -> Row:
    """Measure an ensemble with its own policy, in floating point and as deployed.

    Deployed: integers on target ``loihi``, whose counts are the same on ``lava``. Floating point: target
    ``norse``, which computes what was trained.

    Parameters
    ----------
    ensemble : Ensemble
    x : array of shape (N, *input_shape), or (N, T, *input_shape) where the model takes spikes
    y : int64 array of shape (N,)
    name : str
    teacher : path or None
        ONNX file.
    weight_bits : int
    hardware : str, path or Chip
    verify : int
        Samples, from the first, that ``lava`` must compute bit for bit alike.
    device : str or None
        See :func:`sne_deploy.compile`.

    Returns
    -------
    dict
        ``name``, ``weight_bits``, ``samples``, ``timesteps``, ``students``; ``float_accuracy``, ``accuracy``,
        ``agreement`` (the same class in both); ``mean_students``, ``synops``, ``spikes``, ``host_macs``,
        ``updates_active``, ``updates_idle``; ``energy_j``, ``energy_interval_j``, ``energy_excludes`` and
        ``energy_error_neurocore`` as the report gives them; of the teacher ``teacher_accuracy``,
        ``teacher_macs`` and what :func:`experiments.study.companions.ratios` says (None without one);
        ``verified_against``, ``verified_samples``, ``differing_bits`` (None without ``verify``).

    Raises
    ------
    VerificationError
        Lava differs: names student, sample, step, layer and neuron.
    SneError
        As :func:`sne_deploy.compile` and :meth:`sne_deploy.Compiled.run`.
    """
    floating = _floating(ensemble, x, y)
    with _deployed(ensemble, weight_bits, hardware, device) as compiled:
        result = compiled.run(x, y, model=name, teacher=teacher, verify=verify)
        return _row(result, floating, weight_bits, compiled.hardware)


def measure_model(
    model: str | os.PathLike[str],
    experiment: Experiment,
    *,
    teacher: str | os.PathLike[str] | None = None,
    weight_bits: int | None = None,
    hardware: str | os.PathLike[str] | Chip = "loihi1",
    verify: int = 0,
    samples: int | None = None,
    device: str | None = None,
) -> Row:
    """Measure a ``model.pt`` on the test split of its experiment; see :func:`measure`.

    Parameters
    ----------
    model : path
    experiment : Experiment
        Gives the data, the row's name and, where ``weight_bits`` is None, those.
    samples : int or None
        Of the test split, from the first; None: all of them.
    """
    import sne_deploy as sne
    from sne_deploy.data import select_samples

    ensemble = sne.load(model)
    data = select_samples(test_data(experiment, ensemble), samples)
    if data.y is None:
        raise InputError(f"{data.name}: accuracies need labels; give data that has them")
    return measure(
        ensemble,
        data.x,
        data.y,
        name=experiment.name,
        teacher=teacher,
        weight_bits=experiment.quantisation.weight_bits if weight_bits is None else weight_bits,
        hardware=hardware,
        verify=verify,
        device=device,
    )


def quantisation_rows(
    ensemble: Ensemble,
    x: Array,
    y: Array,
    bits: Sequence[int] = BITS,
    *,
    name: str = "ensemble",
    teacher: str | os.PathLike[str] | None = None,
    hardware: str | os.PathLike[str] | Chip = "loihi1",
    verify: int = 0,
    device: str | None = None,
) -> list[Row]:
    """Measure the same ensemble compiled to each number of bits per weight; see :func:`measure`.

    Head, policy and weights are the same in all rows: nothing is fitted or trained anew.
    """
    floating = _floating(ensemble, x, y)
    rows = []
    for weight_bits in bits:
        with _deployed(ensemble, weight_bits, hardware, device) as compiled:
            result = compiled.run(x, y, model=name, teacher=teacher, verify=verify)
            rows.append(_row(result, floating, weight_bits, compiled.hardware))
    return rows


def _floating(ensemble: Ensemble, x: Array, y: Array) -> Result:
    import sne_deploy as sne

    with sne.compile(ensemble, "norse") as compiled:
        return compiled.run(x, y)


def _deployed(
    ensemble: Ensemble,
    weight_bits: int,
    hardware: str | os.PathLike[str] | Chip,
    device: str | None,
) -> Compiled:
    import sne_deploy as sne

    return sne.compile(
        ensemble, "loihi", weight_bits=weight_bits, hardware=hardware, fidelity=False, device=device
    )


def _row(result: Result, floating: Result, weight_bits: int, hardware: Chip) -> Row:
    report = result.report
    ours = report.ensemble
    error = report.hardware.constants.get("error.neurocore")
    energy = ours.energy_per_sample_j
    return {
        "name": report.model,
        "weight_bits": weight_bits,
        "samples": report.data.samples,
        "timesteps": report.data.timesteps,
        "students": len(report.students),
        "float_accuracy": floating.accuracy,
        "accuracy": ours.accuracy,
        "agreement": float(np.mean(floating.predictions == result.predictions)),
        "mean_students": ours.mean_active_students,
        "synops": ours.synops_per_sample,
        "spikes": ours.spikes_per_sample,
        "host_macs": ours.host_macs_per_sample,
        "updates_active": ours.updates_active_per_sample,
        "updates_idle": ours.updates_idle_per_sample,
        "energy_j": energy.total,
        "energy_interval_j": None if energy.interval is None else list(energy.interval),
        "energy_excludes": list(energy.total_excludes),
        "energy_error_neurocore": None if error is None else error.value,
        **_teacher(report, hardware),
        **_verified(report),
    }


def _teacher(report: Report, hardware: Chip) -> Row:
    theirs = report.teacher
    if theirs is None:
        return dict.fromkeys(("teacher_accuracy", "teacher_macs", *_RATIOS))
    found = ratios(Counts(**report.ensemble.totals.model_dump()), theirs.macs, hardware)
    return {
        "teacher_accuracy": theirs.accuracy,
        "teacher_macs": theirs.macs,
        **{name: found[name] for name in _RATIOS},
    }


def _verified(report: Report) -> Row:
    done = report.verified
    return {
        "verified_against": None if done is None else done.against,
        "verified_samples": None if done is None else done.samples,
        "differing_bits": None if done is None else done.differing_bits,
    }
