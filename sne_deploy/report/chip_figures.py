"""What a report says that the ensemble takes on the chip, as comparisons need it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sne_deploy.energy.accounting import neurocore_j
from sne_deploy.energy.comparison import ChipFigures
from sne_deploy.energy.figure import Figure, exact
from sne_deploy.energy.lines import LineFigures
from sne_deploy.errors import InputError

if TYPE_CHECKING:
    from sne_deploy.report.schema import ReportModel

NO_UPDATES = (
    "--compare needs the neuron updates of the chip's integers, which floating point does not count; run "
    "with --target loihi or lava and --precision fixed"
)


def chip_figures(report: ReportModel) -> ChipFigures:
    """What the report says that the ensemble takes on the chip.

    The most inferences are those that neurocores, host and reset allow, as far as modelled; at best those of
    the neurocores alone.
    """
    ensemble = report.ensemble
    energy, power, time = ensemble.energy_per_sample_j, ensemble.power, ensemble.time
    computing = neurocore_j(energy)
    if computing is None:
        raise InputError(NO_UPDATES)
    most = None
    if time is not None and (longest := max(time.period_s.values())):
        slowest = longest + (time.host_s or 0.0) + (time.reset_s or 0.0)
        most = Figure(1.0 / slowest, 1.0 / slowest, 1.0 / longest)
    return ChipFigures(
        neurocore_j=exact(computing) if energy.interval is None else Figure(computing, *energy.interval),
        host_j=energy.host or 0.0,
        x86_w=None if power is None else _power(power.x86),
        static_w=None if power is None else _power(power.static),
        throughput_per_s=most,
    )


def _power(line: LineFigures | None) -> Figure | None:
    if line is None or line.power_w is None:
        return None
    between = line.power_interval_w
    return exact(line.power_w) if between is None else Figure(line.power_w, *between)
