"""One trained ensemble as one row: accuracies, counts and energy per sample, teacher, verification.

Rows are plain JSON values; counts and energies are means per sample, energies in joules.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import sne_deploy as sne
from sne_deploy.chips.chip import Chip
from sne_deploy.energy.accounting import Counts, Traffic, energy_per_sample, mac_energy_j

if TYPE_CHECKING:
    from sne_deploy.data import DataSet
    from sne_deploy.distill.experiment import Experiment

Array = npt.NDArray[Any]
Row = dict[str, Any]
BITS = (8, 6, 4)
_RATIOS = ("ratio_ops", "ratio_ops_updates", "ratio_ops_all_updates", "teacher_energy_j", "ratio_energy")


def test_data(experiment: Experiment, ensemble: sne.Ensemble) -> DataSet:
    """The test split of an experiment's data, as the ensemble takes it."""
    from sne_deploy.data import load_data
    from sne_deploy.distill.data.splits import data_spec

    return load_data(
        data_spec(experiment.data, "test"),
        input_shape=ensemble.input_shape,
        timesteps=ensemble.timesteps,
        encoder=ensemble.encoder,
    )


def ratios(
    counts: Counts, teacher_macs: int, hardware: Chip, traffic: Traffic | None = None
) -> dict[str, float | None]:
    r"""Compare an ensemble's cost, its head included, with the teacher's MACs, leaving nothing out.

    .. math:: r = \frac{M_T}{S + M}, \quad r_u = \frac{M_T}{S + M + U_a}, \quad
              r_a = \frac{M_T}{S + M + U_a + U_i}, \quad r_E = \frac{E_T}{E}

    with M_T the teacher's MACs, S SynOps, M host MACs (students and head), U_a and U_i active and idle neuron
    updates, all per sample; E the energy as far as modelled, E_T that of the teacher's MACs: the same figures
    as in a report, with its messages and hops where ``traffic`` has them. ``ratio_ops`` is r, then r_u, r_a
    and r_E; None where the ensemble's side is 0 or not modelled.
    """
    costs: list[int | None] = [counts.synops + counts.host_macs]
    for updates in (counts.updates_active, counts.updates_idle):
        costs.append(None if costs[-1] is None or updates is None else costs[-1] + updates)
    r, r_u, r_a = (teacher_macs / (cost / counts.samples_run) if cost else None for cost in costs)
    energy_j, teacher_energy_j = (
        energy_per_sample(counts, hardware, traffic).total,
        mac_energy_j(teacher_macs, hardware),
    )
    return {
        "ratio_ops": r,
        "ratio_ops_updates": r_u,
        "ratio_ops_all_updates": r_a,
        "energy_j": energy_j,
        "teacher_energy_j": teacher_energy_j,
        "ratio_energy": None if not energy_j else teacher_energy_j / energy_j,
    }


def measure(
    ensemble: sne.Ensemble,
    x: Array,
    y: Array,
    bits: Sequence[int] = (8,),
    *,
    name: str = "ensemble",
    teacher: str | os.PathLike[str] | None = None,
    verify: int = 0,
) -> list[Row]:
    """Measure an ensemble with its own policy, in floating point and as deployed with each number of bits.

    Deployed: integers on target ``loihi``, whose counts are the same on ``lava``. Floating point: target
    ``norse``, which computes what was trained. Head, policy and weights are the same in all rows: nothing is
    fitted or trained anew.

    Parameters
    ----------
    ensemble : Ensemble
    x : array of shape (N, *input_shape), or (N, T, *input_shape) where the model takes spikes
    y : int64 array of shape (N,)
    bits : sequence of int
    name : str
    teacher : path or None
        ONNX file.
    verify : int
        Samples, from the first, that ``lava`` must compute bit for bit alike.
    """
    with sne.compile(ensemble, "norse") as compiled:
        floating = compiled.run(x, y)
    rows = []
    for weight_bits in bits:
        with sne.compile(ensemble, "loihi", weight_bits=weight_bits, fidelity=False) as compiled:
            result = compiled.run(x, y, model=name, teacher=teacher, verify=verify)
            rows.append(_row(result, floating, weight_bits, compiled.hardware))
    return rows


def _row(result: sne.Result, floating: sne.Result, weight_bits: int, hardware: Chip) -> Row:
    report, ours, done = result.report, result.report.ensemble, result.report.verified
    error = report.hardware.constants.get("error.neurocore")
    energy = ours.energy_per_sample_j
    theirs = report.teacher
    found: Row = dict.fromkeys(_RATIOS)
    if theirs is not None:
        found = ratios(ours.totals, theirs.macs, hardware, ours.traffic)
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
        "teacher_accuracy": None if theirs is None else theirs.accuracy,
        "teacher_macs": None if theirs is None else theirs.macs,
        **{key: found[key] for key in _RATIOS},
        "verified_against": None if done is None else done.against,
        "verified_samples": None if done is None else done.samples,
        "differing_bits": None if done is None else done.differing_bits,
    }


def weights(ensemble: sne.Ensemble) -> dict[str, int]:
    """Weights of all students' matrices and kernels, and those of them that are not 0."""
    tensors = [
        tensor
        for student in ensemble.students
        if isinstance(student.network, tuple)
        for layer in student.network
        for tensor in layer.tensors.values()
        if tensor.ndim > 1
    ]
    return {
        "weights": sum(tensor.size for tensor in tensors),
        "weights_kept": sum(int(np.count_nonzero(tensor)) for tensor in tensors),
    }
