"""Ratios against the teacher that leave nothing out: with neuron updates as operations, and in joules.

The report's own ratio compares the teacher's multiply-accumulates with SynOps and host MACs. A neuron update
is an operation as well, and neither an operation nor an update costs the same on both machines.
"""

from __future__ import annotations

from sne_deploy.chips.chip import Chip
from sne_deploy.energy.accounting import Counts, energy_per_sample, mac_energy_j


def ratios(counts: Counts, teacher_macs: int, hardware: Chip) -> dict[str, float | None]:
    r"""Compare a sample's cost with the teacher's.

    .. math:: r = \frac{M_T}{S + M}, \quad r_u = \frac{M_T}{S + M + U_a}, \quad
              r_a = \frac{M_T}{S + M + U_a + U_i}, \quad r_E = \frac{E_T}{E}

    with M_T the teacher's MACs, S SynOps, M host MACs (students and head), U_a and U_i active and idle neuron
    updates, all per sample; E the energy as far as modelled, E_T the teacher's MACs at the hardware file's
    ``[teacher]``, or else ``[host]``, energy: the same figures as in a report.

    Parameters
    ----------
    counts : Counts
        Totals of an ensemble, its head included, over ``counts.samples_run`` samples.
    teacher_macs : int
        Per sample.
    hardware : Chip

    Returns
    -------
    dict
        ``ratio_ops`` (r), ``ratio_ops_updates`` (r_u), ``ratio_ops_all_updates`` (r_a), ``energy_j``,
        ``teacher_energy_j``, ``ratio_energy``; None where the ensemble's side is 0 or not modelled.
    """
    operations = counts.synops + counts.host_macs
    active, idle = counts.updates_active, counts.updates_idle
    energy_j = energy_per_sample(counts, hardware).total
    teacher_energy_j = mac_energy_j(teacher_macs, hardware)
    samples = counts.samples_run
    return {
        "ratio_ops": _ratio(teacher_macs, operations, samples),
        "ratio_ops_updates": None if active is None else _ratio(teacher_macs, operations + active, samples),
        "ratio_ops_all_updates": (
            None
            if active is None or idle is None
            else _ratio(teacher_macs, operations + active + idle, samples)
        ),
        "energy_j": energy_j,
        "teacher_energy_j": teacher_energy_j,
        "ratio_energy": None if not energy_j else teacher_energy_j / energy_j,
    }


def _ratio(teacher_macs: int, total: int, samples: int) -> float | None:
    """Against the mean of a total over samples, divided as a report does."""
    return teacher_macs / (total / samples) if total else None
