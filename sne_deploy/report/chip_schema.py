"""What the parts of ``report.json`` are made of, and those that a placement on a chip adds."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sne_deploy.energy.accounting import Traffic
from sne_deploy.energy.lines import LineFigures, Powered


def _escaped(text: object) -> object:
    """Text that UTF-8 can hold: the names of files, and what is named after them, need not be."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8") if isinstance(text, str) else text


Text = Annotated[str, BeforeValidator(_escaped)]
Count = Annotated[int, Field(ge=0)]
Mean = Annotated[float, Field(ge=0.0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Floors = Annotated[dict[str, Mean], Field(min_length=1)]
"""Times by what a step takes at least: never none."""


class Model(BaseModel):
    """Strict, and never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class IntervalModel(Model):
    """Factors of a prediction between which silicon is expected."""

    low: Mean
    high: Mean
    source: Text
    note: Text | None


class TimeModel(Model):
    """Mean time of a sample: the neurocores', the host's and the reset, which are lines of their own.

    ``latency_s`` is from its first step to its last, ``period_s`` until the next is done where samples follow
    each other without a pause; both of the neurocores alone, by what a step takes beyond its slowest core or
    link: ``barrier``, ``step_floor``, as far as the hardware file has them, else ``busy``. ``bound_by``: in
    how many steps of the run each term was the longest; null for an ensemble. ``host_s`` is the injection of
    spikes, ``reset_s`` that of all registers between samples; null where not modelled.
    """

    steps: Mean
    latency_steps: Mean
    latency_s: Floors
    period_s: Floors
    bound_by: dict[str, Count] | None
    host_s: Mean | None
    reset_s: Mean | None


class PowerModel(Model):
    """Three lines, never one sum, at ``operation.rate_per_s`` inferences of the ensemble a second.

    ``neurocore``: the dynamic energy of a sample that it ran on; its power is that of all inferences.
    ``x86``: the processors serve all students: null for one alone. ``static``: leakage, of a student that of
    its own cores, of an ensemble that of all powered cores; by inference, waiting included. Students share
    no core.
    """

    neurocore: LineFigures | None
    x86: LineFigures | None
    static: LineFigures | None


class OnChipModel(Model):
    """What a placement adds: cores, messages, time and power; null without one, and ``unplaced`` says why.

    ``latency_s`` and ``throughput_per_s`` are the neurocores' with the longer of two floors of a step, and
    the throughput is the most that they reach; ``time`` has all. ``messages`` are those that neurons sent,
    one for each spike and core that it reaches; ``hops`` the links that messages cross.
    """

    cores: Count | None
    chips: Count | None
    latency_s: Mean | None
    throughput_per_s: Mean | None
    messages_per_sample: Mean | None
    hops_per_sample: Mean | None
    memory_words_per_sample: Mean | None
    traffic: Traffic | None
    time: TimeModel | None
    power: PowerModel | None


class TightestModel(Model):
    """The resource of which some core has the least left."""

    resource: Text
    used: Count
    limit: Count


class MappingModel(Model):
    """How the students lie on cores; inactive ones stay there."""

    strategy: Text
    cores: Count
    chips: Count
    tightest: TightestModel | None


class OperationModel(Model):
    """How the chip is operated.

    ``back_to_back``: no rate was chosen, so that it is what the neurocores, the host's injection and the
    reset together allow, as far as modelled. ``powered``: all cores of the chips in use leak, or those with
    neurons.
    """

    rate_per_s: Annotated[float, Field(gt=0.0)] | None
    back_to_back: bool
    x86_processors: Count | None
    powered: Powered
    cores_powered: Count | None
