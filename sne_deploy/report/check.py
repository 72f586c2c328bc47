"""Does a report add up? Exactly on its integer totals, and to float rounding on its energies."""

from __future__ import annotations

import math
from collections.abc import Iterable

from sne_deploy.energy.accounting import COUNTED, PARTS, Energy, Prices, Traffic, mean_energy
from sne_deploy.report.adding_up import mean, require
from sne_deploy.report.check_chip import check_chip
from sne_deploy.report.chip_figures import chip_figures
from sne_deploy.report.comparison import check_comparison
from sne_deploy.report.schema import CostModel, EnsembleModel, ReportModel, StudentModel

_REL_TOL = 1e-9
_ABS_TOL = 1e-27  # far below one operation of any machine, in joules


def check_report(report: ReportModel) -> None:
    """Verify every sum in a report.

    * the ensemble's integer totals, and its messages, hops and memory words, are the shared ones plus the
      students', exactly;
    * the shared host MACs are the head's and the gate's, exactly, and the gate's the same on every sample;
    * every ``*_per_sample`` is its total over the samples run, exactly, and null where there were none;
    * a student's layers sum to the student;
    * every energy is its counts at the report's own constants, its total the sum of its parts;
    * the ensemble's energies are ``shared + sum(active_fraction x student)``;
    * the classes' samples and predictions sum to all samples, and give the ensemble's accuracies;
    * cores and chips of the students are those of the ensemble and of the mapping;
    * the lines of power are their energies at the report's rate, and the intervals those of the constants;
    * a comparison's rows and sentences follow from its own figures, which are the report's;
    * the warnings begin with what is dead.

    What an older report did not have is not checked.

    Raises
    ------
    VerificationError
        Naming what does not add up.
    """
    samples = report.data.samples
    ran = [student for student in report.students if student.totals.samples_run]
    _check_totals(report, ran, samples)
    _check_shared(report, samples)
    price = Prices(report.hardware.constants)
    for name, cost in _costs(report):
        _check_means(name, cost)
        _check_energy(name, cost, _expected(report, cost, price))
    for student in report.students:
        _check_student(student, samples)
    _check_ensemble_energy(report, ran)
    _check_classes(report, samples)
    check_chip(report)
    _check_comparison(report)
    dead = report.dead or ()
    require(report.warnings[: len(dead)] == dead, "the warnings do not begin with what is dead")
    active = sum(student.totals.samples_run for student in report.students)
    require(
        report.ensemble.mean_active_students == active / samples, "ensemble: mean_active_students is wrong"
    )


def _costs(report: ReportModel) -> Iterable[tuple[str, CostModel]]:
    yield from ((f"student {student.name!r}", student) for student in report.students)
    yield "shared", report.shared
    yield "ensemble", report.ensemble


def _check_totals(report: ReportModel, ran: list[StudentModel], samples: int) -> None:
    for name in COUNTED:
        parts = [getattr(cost.totals, name) for cost in (report.shared, *ran)]
        expected = None if None in parts else sum(parts)
        stored = getattr(report.ensemble.totals, name)
        require(stored == expected, f"ensemble: {name} is {stored}, shared and students sum to {expected}")
    for label, totals in (("shared", report.shared.totals), ("ensemble", report.ensemble.totals)):
        require(totals.samples_run == samples, f"{label}: samples_run is {totals.samples_run}, not {samples}")


def _check_comparison(report: ReportModel) -> None:
    found, teacher = report.comparison, report.teacher
    if found is None:
        return
    require(found.chip == chip_figures(report), "comparison: the chip's figures are not the report's")
    counted = teacher is None or found.networks[0].macs == teacher.macs
    require(counted, "comparison: the teacher's multiply-accumulates are not the report's")
    check_comparison(found)


def _check_shared(report: ReportModel, samples: int) -> None:
    if report.shared.total_host_macs_of is None or report.policy is None:
        return  # an older report
    parts, gate = report.shared.total_host_macs_of, report.policy.gate
    total = report.shared.totals.host_macs
    require(sum(parts.values()) == total, f"shared: host_macs is {total}, its parts are {parts}")
    most = 0 if gate is None else gate.macs_per_sample * samples
    found = parts.get("gate", 0)  # of shorter samples fewer
    require(min(most, 1) <= found <= most, f"shared: the gate's MACs are {found}, not {most}")


def _check_means(name: str, cost: CostModel) -> None:
    for count in COUNTED:
        expected = mean(getattr(cost.totals, count), cost.totals.samples_run)
        stored = getattr(cost, f"{count}_per_sample")
        require(stored == expected, f"{name}: {count}_per_sample is {stored}, its total says {expected}")


def _check_student(student: StudentModel, samples: int) -> None:
    name, ran = f"student {student.name!r}", student.totals.samples_run
    require(student.active_fraction == ran / samples, f"{name}: active_fraction is not {ran}/{samples}")
    for count in ("synops_per_sample", "spikes_per_sample"):
        parts = [getattr(layer, count) for layer in student.layers]
        stored = getattr(student, count)
        if ran == 0:
            require(set(parts) <= {None}, f"{name}: a layer has {count} though it never ran")
        else:
            require(
                None not in parts and _close(math.fsum(parts), stored),
                f"{name}: {count} is {stored}, its layers sum to {parts}",
            )


def _check_classes(report: ReportModel, samples: int) -> None:
    ensemble, classes = report.ensemble, report.ensemble.classes
    if classes is None or ensemble.tied_fraction is None:
        return  # an older report
    require(sum(each.predicted for each in classes) == samples, "classes: not one prediction per sample")
    ties = sum(each.tied for each in classes)
    require(_close(ensemble.tied_fraction, ties / samples), f"classes: {ties} ties against tied_fraction")
    for each in classes:
        labelled, right = each.samples or 0, each.correct or 0
        require(right <= min(labelled, each.predicted), f"class {each.index}: {right} correct is impossible")
        accuracy = right / labelled if labelled else None
        require(each.accuracy == accuracy, f"class {each.index}: accuracy is not {right}/{labelled}")
    if ensemble.accuracy is not None:
        labelled, right = (sum(getattr(each, key) or 0 for each in classes) for key in ("samples", "correct"))
        require(labelled == samples, f"classes: {labelled} labels for {samples} samples")
        require(_close(ensemble.accuracy, right / samples), f"classes: {right} correct against accuracy")


def _expected(report: ReportModel, cost: CostModel, price: Prices) -> Energy:
    """What the counts say; in an older report, neurons without input cost less."""
    if report.converted_from is not None:
        return mean_energy(cost.totals, price, idle="energy.update_idle")
    bounds = report.hardware.intervals.get("neurocore")
    factors = None if bounds is None else (bounds.low, bounds.high)
    if isinstance(cost, StudentModel | EnsembleModel):
        return mean_energy(cost.totals, price, cost.traffic, factors)
    traffic = None if report.ensemble.traffic is None else Traffic(0, 0, 0, 0, 0, 0, 0, 0)
    return mean_energy(cost.totals, price, traffic, factors)


def _check_energy(name: str, cost: CostModel, expected: Energy) -> None:
    energy = cost.energy_per_sample_j
    require(energy.static is None, f"{name}: static energy is a line of its own")
    for part in PARTS:
        stored, counted = getattr(energy, part), getattr(expected, part)
        require(same(stored, counted), f"{name}: {part} energy is {stored} J, its counts say {counted} J")
    missing, total = expected.total_excludes, expected.total
    require(
        energy.total_excludes == missing, f"{name}: total_excludes is {energy.total_excludes}, not {missing}"
    )
    require(same(energy.total, total), f"{name}: total is {energy.total} J, its parts sum to {total} J")
    bounds = energy.interval or (None, None), expected.interval or (None, None)
    require(
        all(same(stored, counted) for stored, counted in zip(*bounds, strict=True)),
        f"{name}: interval is {energy.interval}, its parts and factors say {expected.interval}",
    )


def _check_ensemble_energy(report: ReportModel, ran: list[StudentModel]) -> None:
    for part in PARTS:
        if part == "static":
            continue  # chips are shared: not a sum over students
        weighted = [(1.0, report.shared), *((student.active_fraction, student) for student in ran)]
        terms = [(weight, getattr(cost.energy_per_sample_j, part)) for weight, cost in weighted]
        known = [weight * value for weight, value in terms if value is not None]
        expected = math.fsum(known) if len(known) == len(terms) else None
        stored = getattr(report.ensemble.energy_per_sample_j, part)
        require(
            same(stored, expected), f"ensemble: {part} energy is {stored} J, the parts sum to {expected} J"
        )


def same(a: float | None, b: float | None) -> bool:
    """Equal to float rounding, or both None."""
    return a is b if a is None or b is None else _close(a, b)


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=_REL_TOL, abs_tol=_ABS_TOL)
