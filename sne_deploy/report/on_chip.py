"""What a placement adds to a report: cores, messages, time, and the three lines of power."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.chips.chip import Chip
from sne_deploy.energy.accounting import Counts, Energy, Traffic, add_traffic, neurocore_j
from sne_deploy.energy.lines import (
    Operation,
    cores_powered,
    figures,
    interval,
    processors,
    static_power,
    x86_power,
)
from sne_deploy.energy.time import sample_time, step_floors
from sne_deploy.errors import InputError
from sne_deploy.mapping.placement import Placement, tightest
from sne_deploy.report.adding_up import mean
from sne_deploy.report.chip_schema import (
    MappingModel,
    OperationModel,
    PowerModel,
    TightestModel,
    TimeModel,
)
from sne_deploy.runtime.placed import PlacedCounts, PlacedTime
from sne_deploy.runtime.result import RunResult, StudentResult

Array = npt.NDArray[Any]
_PER_SAMPLE = (
    "within_core", "within_tile", "within_chip", "across_chips", "from_host", "hops_east_west",
    "hops_north_south",
)  # fmt: skip


@dataclass(frozen=True)
class OnChip:
    """A run on a placement, as the chip is operated.

    Attributes
    ----------
    result : RunResult
    chip : Chip
    placement : Placement or None
    asked : Operation
    in_turn : bool
        A cascade, whose students run one after another.
    """

    result: RunResult
    chip: Chip
    placement: Placement | None
    asked: Operation
    in_turn: bool

    @property
    def traffic(self) -> Traffic | None:
        """The students' together."""
        found = [traffic_of(student) for student in self.result.students]
        known = [each for each in found if each is not None]
        return add_traffic(known) if len(known) == len(found) else None

    @property
    def shared_traffic(self) -> Traffic | None:
        """Of what belongs to no student: none, where the students' is known."""
        return None if self.traffic is None else Traffic(0, 0, 0, 0, 0, 0, 0, 0)

    def mapping(self) -> MappingModel | None:
        """How the students lie on cores."""
        placement = self.placement
        if placement is None:
            return None
        return MappingModel(
            strategy=placement.strategy,
            cores=len(placement.cores),
            chips=placement.chips,
            tightest=_tightest(placement),
        )

    def operation(self) -> OperationModel:
        """Rate, processors and powered cores.

        Raises
        ------
        InputError
            More inferences a second than the neurocores reach, or more processors than there are.
        """
        placement, rate = self.placement, self.asked.rate_per_s
        time = self._ensemble_time()
        if rate is None and time is not None:
            rate = _with_host_per_s(time)
        elif rate is not None and time is not None and rate * _longest(time.period_s) > 1.0:
            raise InputError(
                f"--rate {rate:g}: the neurocores take {_longest(time.period_s):.3g} s for an inference, "
                f"which is {_floor(1 / _longest(time.period_s)):.4g} a second at most; give that or less"
            )
        in_use = self.asked.x86_processors
        if placement is not None:
            in_use = processors(self.asked, placement, self.chip)
        leaking = None
        if placement is not None and (self.asked.powered == "used" or self.chip.limits.cores_per_chip):
            leaking = cores_powered(placement, self.chip, self.asked.powered)
        return OperationModel(
            rate_per_s=rate,
            back_to_back=self.asked.rate_per_s is None,
            x86_processors=in_use,
            powered=self.asked.powered,
            cores_powered=leaking,
        )

    def remarks(self, energy: Energy) -> tuple[str, ...]:
        """What a chosen rate takes for granted, or that it is not used."""
        asked, time = self.asked.rate_per_s, self._ensemble_time()
        if asked is None:
            return ()
        text = f"--rate {asked:g} is "
        if self.placement is None and neurocore_j(energy) is None:
            text += "not used: without registers there are no lines of power; --target loihi has them"
            return (text,)
        most = None if time is None else _with_host_per_s(time)
        if most is None or asked <= most * (1 + 1e-9):
            return ()
        text += "faster than host injection and reset as published allow "
        return (f"{text}({_floor(most):.4g} /s): takes the host to be replaced",)

    def student(
        self, student: StudentResult, counts: Counts, energy: Energy, operation: OperationModel
    ) -> dict[str, Any]:
        """The fields of an OnChipModel for a student."""
        cores = chips = None
        if self.placement is not None:
            own = self.placement.cores_of(student.name)
            cores, chips = len(own), len({self.placement.cores[core].site.chip for core in own})
        samples = len(self.result.predictions)
        return _fields(
            traffic_of(student),
            counts.samples_run,
            time=self._student_time(student, counts.samples_run),
            power=PowerModel(
                neurocore=_neurocore(energy, self.chip, operation, counts.samples_run / samples),
                x86=None,
                static=_static(cores, self.chip, operation),
            ),
            cores=cores,
            chips=chips,
        )

    def ensemble(self, energy: Energy, operation: OperationModel) -> dict[str, Any]:
        """The fields of an OnChipModel for all students together."""
        placement = self.placement
        return _fields(
            self.traffic,
            len(self.result.predictions),
            time=self._ensemble_time(),
            power=PowerModel(
                neurocore=_neurocore(energy, self.chip, operation, 1.0),
                x86=_x86(self.chip, operation, placed=placement is not None),
                static=_static(operation.cores_powered, self.chip, operation),
            ),
            cores=None if placement is None else len(placement.cores),
            chips=None if placement is None else placement.chips,
        )

    def _student_time(self, student: StudentResult, ran: int) -> TimeModel | None:
        placed = student.placed
        if placed is None or not ran or self.placement is None:
            return None
        sites = [self.placement.cores[core].site for core in self.placement.cores_of(student.name)]
        floors = step_floors(self.chip, sites)
        return self._time(placed, floors, ran, int(placed.host_steps.sum()), dict(placed.bound_by))

    def _ensemble_time(self) -> TimeModel | None:
        placed = self.result.placed
        if placed is None or self.placement is None:
            return None
        hosts = (student.placed.host_steps for student in self.result.students if student.placed is not None)
        host = reduce(np.add if self.in_turn else np.maximum, hosts)
        floors = step_floors(self.chip, [core.site for core in self.placement.cores])
        return self._time(placed, floors, len(self.result.predictions), int(host.sum()), None)

    def _time(
        self,
        placed: PlacedCounts | PlacedTime,
        floors: dict[str, float],
        samples: int,
        host_steps: int,
        bound_by: dict[str, int] | None,
    ) -> TimeModel | None:
        """Means over the samples; None where the chip's file has no rates."""
        if placed.busy_s is None or placed.latency_busy_s is None:
            return None
        steps, latency_steps = (int(each.sum()) / samples for each in (placed.steps, placed.latency_steps))
        # Rounded once, so that the order of the samples is no matter.
        busy_s, latency_s = (math.fsum(each) / samples for each in (placed.busy_s, placed.latency_busy_s))
        period = sample_time(self.chip, floors, busy_s, steps, host_steps=host_steps / samples)
        latency = sample_time(self.chip, floors, latency_s, latency_steps, host_steps=0)
        return TimeModel(
            steps=steps,
            latency_steps=latency_steps,
            latency_s=latency.neurocores_s or {"busy": latency_s},
            period_s=period.neurocores_s or {"busy": busy_s},
            bound_by=bound_by,
            host_s=period.host_s,
            reset_s=period.reset_s,
        )


def traffic_of(student: StudentResult) -> Traffic | None:
    """Totals of a student's messages over the samples that it ran on; None where not counted."""
    placed = student.placed
    if placed is None:
        return None
    totals = {name: int(getattr(placed, name).sum()) for name in _PER_SAMPLE}
    return Traffic(**totals, memory_words=int(placed.memory_words.sum()))


def _fields(
    traffic: Traffic | None, samples: int, *, time: TimeModel | None, **others: Any
) -> dict[str, Any]:
    hops = None if traffic is None else traffic.hops_east_west + traffic.hops_north_south
    longest = None if time is None else _longest(time.period_s)
    return {
        "latency_s": None if time is None else _longest(time.latency_s),
        "throughput_per_s": None if not longest else 1.0 / longest,
        "messages_per_sample": mean(None if traffic is None else traffic.messages, samples),
        "hops_per_sample": mean(hops, samples),
        "memory_words_per_sample": mean(None if traffic is None else traffic.memory_words, samples),
        "traffic": traffic,
        "time": time,
        **others,
    }


def _neurocore(energy: Energy, chip: Chip, operation: OperationModel, asked: float) -> Any:
    joules, rate = neurocore_j(energy), operation.rate_per_s
    if joules is None:
        return None
    watts = None if rate is None else joules * asked * rate
    return figures(joules, watts, interval("neurocore", chip))


def _x86(chip: Chip, operation: OperationModel, *, placed: bool) -> Any:
    processors = operation.x86_processors
    if processors is None or not placed or chip.power.x86_per_processor is None:
        return None
    return _steady(x86_power(processors, chip), operation, interval("x86", chip))


def _static(cores: int | None, chip: Chip, operation: OperationModel) -> Any:
    if cores is None or chip.power.static_per_core is None:
        return None
    return _steady(static_power(cores, chip), operation, interval("static", chip))


def _steady(watts: float, operation: OperationModel, factors: tuple[float, float] | None) -> Any:
    """Power that does not depend on the rate, which its energy by inference does."""
    rate = operation.rate_per_s
    return figures(None if rate is None else watts / rate, watts, factors)


def _tightest(placement: Placement) -> TightestModel | None:
    found = tightest(placement.cores)
    return None if found is None else TightestModel(**asdict(found))


def _with_host_per_s(time: TimeModel) -> float | None:
    """Inferences a second with the host's injection and reset, as far as modelled; None: no student ran."""
    whole_s = _longest(time.period_s) + (time.host_s or 0.0) + (time.reset_s or 0.0)
    return 1.0 / whole_s if whole_s else None


def _longest(by_floor: dict[str, float]) -> float:
    return max(by_floor.values())


def _floor(value: float) -> float:
    """Four digits of a number above 0, rounded down."""
    unit: float = 10.0 ** (math.floor(math.log10(value)) - 3)
    return math.floor(value / unit) * unit
