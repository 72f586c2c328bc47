"""Several reports side by side: metrics as rows, runs as columns, and what may not be compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sne_deploy.energy.accounting import Energy
from sne_deploy.report.file import Report
from sne_deploy.report.units import ABSENT, count, joules, percent, seconds, three_digits


@dataclass(frozen=True)
class Run:
    """A report, and what it is called among others."""

    name: str
    report: Report


@dataclass(frozen=True)
class Row:
    """One metric.

    Attributes
    ----------
    metric : str
    cells : tuple of str
        One for each run.
    changes : tuple of str
        How far each run is from the first, such as ``+12.3 %``; empty where it is not, and for the first.
    values : tuple of float or None
        What the cells show, where that is a number.
    """

    metric: str
    cells: tuple[str, ...]
    changes: tuple[str, ...]
    values: tuple[float | None, ...]

    @property
    def differs(self) -> bool:
        """Whether any run is not as the first."""
        return any(cell != self.cells[0] for cell in self.cells) or any(self.changes)


@dataclass(frozen=True)
class SideBySide:
    """What several runs report.

    Attributes
    ----------
    runs : tuple of Run
    rows : tuple of Row
    remarks : tuple of str
        What keeps figures from being compared, one sentence each.
    """

    runs: tuple[Run, ...]
    rows: tuple[Row, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class _Metric:
    name: str
    value: Callable[[Report], float | None]
    text: Callable[[float | None], str]
    in_points: bool = False


def _policy(report: Report) -> str:
    policy = report.policy
    if policy is None:
        return ABSENT
    if policy.kind == "static":
        return f"static, {policy.students} of {len(report.students)}"
    most = "" if policy.students is None else f", at most {policy.students}"
    measure = "" if policy.measure is None else f" {policy.measure}"
    return f"{policy.kind}{measure} {policy.threshold}{most}"


_WORDS: tuple[tuple[str, Callable[[Report], str]], ...] = (
    ("model", lambda report: report.model),
    ("data", lambda report: f"{report.data.samples:,} of {report.data.name}"),
    ("steps", lambda report: f"{report.data.timesteps:,}"),
    ("target", lambda report: f"{report.target}, {report.precision}"),
    ("hardware", lambda report: report.hardware.name),
    ("policy", _policy),
)


def _mean_students(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.3f}".rstrip("0").rstrip(".")


def _times(value: float | None) -> str:
    return ABSENT if value is None else f"{three_digits(value)} x"


_METRICS = (
    _Metric("accuracy", lambda report: report.ensemble.accuracy, percent, in_points=True),
    _Metric("balanced accuracy", lambda report: report.ensemble.balanced_accuracy, percent, in_points=True),
    _Metric("energy an inference", lambda report: report.ensemble.energy_per_sample_j.total, joules),
    _Metric("neurocores, at least", lambda report: _end(report.ensemble.energy_per_sample_j, 0), joules),
    _Metric("neurocores, at most", lambda report: _end(report.ensemble.energy_per_sample_j, 1), joules),
    _Metric("SynOps", lambda report: report.ensemble.synops_per_sample, count),
    _Metric("spikes", lambda report: report.ensemble.spikes_per_sample, count),
    _Metric("mean active students", lambda report: report.ensemble.mean_active_students, _mean_students),
    _Metric("students", lambda report: len(report.students), count),
    _Metric("cores", lambda report: report.ensemble.cores, count),
    _Metric("chips", lambda report: report.ensemble.chips, count),
    _Metric("latency", lambda report: report.ensemble.latency_s, seconds),
    _Metric(
        "float accuracy",
        lambda report: None if report.fidelity is None else report.fidelity.float_accuracy,
        percent,
        in_points=True,
    ),
    _Metric(
        "teacher's accuracy",
        lambda report: None if report.teacher is None else report.teacher.accuracy,
        percent,
        in_points=True,
    ),
    _Metric(
        "teacher's energy over ours",
        lambda report: None if report.teacher is None else report.teacher.ratio_energy,
        _times,
    ),
)


def side_by_side(runs: Sequence[Run]) -> SideBySide:
    """Compare with the first.

    Parameters
    ----------
    runs : sequence of Run
        At least one.
    """
    rows = [
        Row(name, tuple(text(run.report) for run in runs), ("",) * len(runs), (None,) * len(runs))
        for name, text in _WORDS
    ]
    rows += [_row(metric, runs) for metric in _METRICS]
    known = tuple(row for row in rows if set(row.cells) != {ABSENT})
    return SideBySide(tuple(runs), known, tuple(_remarks(runs)))


def _row(metric: _Metric, runs: Sequence[Run]) -> Row:
    values = tuple(metric.value(run.report) for run in runs)
    cells = tuple(metric.text(value) for value in values)
    return Row(metric.name, cells, tuple(_change(value, values[0], metric) for value in values), values)


def _change(value: float | None, first: float | None, metric: _Metric) -> str:
    if value is None or first is None or value == first:
        return ""
    if metric.in_points:
        return f"{100 * (value - first):+.2f} points"
    return "" if first == 0 else f"{100 * (value / first - 1):+.1f} %"


def _end(energy: Energy, which: int) -> float | None:
    return None if energy.interval is None else energy.interval[which]


def _remarks(runs: Sequence[Run]) -> list[str]:
    """What sets a run apart from the first so that figures are not alike."""
    found, first = [], runs[0]
    for run in runs[1:]:
        ours, theirs = first.report, run.report
        both = f"{first.name} and {run.name}"
        if ours.data.name != theirs.data.name:
            found.append(
                f"not comparable: {both} ran on other data, {ours.data.name} and {theirs.data.name}; no "
                "difference in accuracy, counts, energy or time says which is better"
            )
        elif ours.data.samples != theirs.data.samples:
            found.append(
                f"not comparable: {both} ran on {ours.data.samples:,} and {theirs.data.samples:,} samples of "
                f"{ours.data.name}; run both on as many with --samples"
            )
        if ours.hardware != theirs.hardware:
            found.append(
                f"other constants: {both} are predicted for other hardware or by other constants "
                f"({ours.hardware.name}, {theirs.hardware.name}): energies and times differ by these too"
            )
        parts = [each.ensemble.energy_per_sample_j.total_excludes for each in (ours, theirs)]
        if parts[0] != parts[1]:
            found.append(f"other parts: the energies of {both} are not sums of the same parts")
        if ours.converted_from != theirs.converted_from:
            found.append(f"other versions: {both} were not counted in the same way")
    return found
