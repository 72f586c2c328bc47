"""``comparison`` of a report: the teacher, and other networks, on other processors beside the ensemble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import inf, isclose
from typing import Annotated, Any

from pydantic import Field

from sne_deploy.energy.comparison import Answer, ChipFigures, Comparison, Turn, compare
from sne_deploy.energy.figure import Figure
from sne_deploy.energy.processor import ARITHMETIC, Kind, Processor
from sne_deploy.errors import InputError, VerificationError
from sne_deploy.report.chip_schema import Model, Text
from sne_deploy.report.verdict import verdict

_REL_TOL = 1e-9


@dataclass(frozen=True)
class Network:
    """What runs on the processors.

    Attributes
    ----------
    name : str
    macs : int
        Multiply-accumulates of one inference.
    uncounted : tuple of str
        Operators whose multiply-accumulates are unknown: where there are any, ``macs`` is a lower bound.
    """

    name: str
    macs: int
    uncounted: tuple[str, ...] = ()


class ProcessorModel(Model):
    """A processor: joules of a multiply-accumulate, watts beside them (0 where unknown), who says so."""

    name: Text
    description: Text
    kind: Kind
    per_mac_j: Figure
    idle_w: Annotated[float, Field(ge=0.0)]
    sources: tuple[Text, ...]


class RowModel(Model):
    """One network on one processor, by inference at the comparison's rate.

    ``ours_j`` is the whole chip where the kind is a whole processor, and computing alone where it is
    arithmetic. ``ratio`` is theirs over ours; above 1 the chip takes less; null where ours may be 0.
    ``answer``: whether the chip takes less at this rate; ``open`` where the intervals do not say. ``turn``:
    at which rates it does, with the figures as they are, ``best`` and ``worst`` with all intervals in its
    favour and against it. Of a network with uncounted operators, which may take any amount more, no is never
    told.
    """

    processor: Text
    theirs_j: Figure
    ours_j: Figure
    ratio: Figure | None
    answer: Answer
    turn: Turn
    best: Turn
    worst: Turn


class NetworkModel(Model):
    """One network on every processor, and the sentence that answers whether the chip is worth it."""

    name: Text
    macs: Annotated[int, Field(ge=0)]
    uncounted: tuple[Text, ...]
    rows: tuple[RowModel, ...]
    verdict: Text


class ComparisonModel(Model):
    """Networks on processors against the ensemble on the chip, at a rate of inferences.

    ``left_out`` says why whole processors are in no rows: the whole chip is not known, and no rate either.
    """

    rate_per_s: Annotated[float, Field(gt=0.0)] | None
    chip: ChipFigures
    left_out: Text | None
    processors: Annotated[tuple[ProcessorModel, ...], Field(min_length=1)]
    networks: Annotated[tuple[NetworkModel, ...], Field(min_length=1)]


def comparison_model(
    networks: Sequence[Network],
    processors: Mapping[str, Processor],
    chip: ChipFigures,
    rate_per_s: float | None = None,
    left_out: str | None = None,
) -> ComparisonModel:
    """Compare every network on every processor with the ensemble on the chip.

    Parameters
    ----------
    networks : sequence of Network
    processors : mapping of str to Processor
        As :func:`sne_deploy.energy.processor.find_processors` finds them.
    chip : ChipFigures
    rate_per_s : float or None
        Inferences per second; as many as the chip makes where None, which is the best for it.
    left_out : str or None
        Why the whole chip is not known, where it is not.

    Raises
    ------
    InputError
        More inferences than the chip makes, or none.
    """
    most = chip.throughput_per_s
    whole = chip.power_w is not None and most is not None
    rate = rate_per_s if rate_per_s is not None or most is None else most.value
    if whole and most is not None and not 0.0 < (rate or 0.0) <= most.high:
        raise InputError(
            f"the chip makes at most {most.high:,.6g} inferences/s, not {rate:,.6g}; give a rate up to that"
        )
    several = tuple(
        ProcessorModel(
            name=name,
            description=each.description,
            kind=each.kind,
            per_mac_j=each.per_mac_j,
            idle_w=each.idle_w,
            sources=each.sources,
        )
        for name, each in processors.items()
    )
    unknown = left_out or "the chip's power or throughput is not known"
    reason = None if whole or all(each.kind == ARITHMETIC for each in several) else unknown
    return ComparisonModel(
        rate_per_s=rate if whole else None,
        chip=chip,
        left_out=reason,
        processors=several,
        networks=tuple(_network(each, several, chip, rate if whole else None, reason) for each in networks),
    )


def _network(
    network: Network,
    processors: Sequence[ProcessorModel],
    chip: ChipFigures,
    rate: float | None,
    left_out: str | None,
) -> NetworkModel:
    found = _compared(network, processors, chip, rate)
    return NetworkModel(
        name=network.name,
        macs=network.macs,
        uncounted=network.uncounted,
        rows=tuple(
            RowModel(
                processor=name,
                theirs_j=each.theirs_j,
                ours_j=each.ours_j,
                ratio=each.ratio,
                answer=each.answer,
                turn=each.turn,
                best=each.best,
                worst=each.worst,
            )
            for name, each in found
        ),
        verdict=verdict(network.name, found, chip, rate, left_out),
    )


def _compared(
    network: Network | NetworkModel,
    processors: Sequence[ProcessorModel],
    chip: ChipFigures,
    rate: float | None,
) -> list[tuple[str, Comparison]]:
    """All that can be: arithmetic always, whole processors at a rate of the whole chip."""
    at, at_least = inf if rate is None else rate, bool(network.uncounted)
    return [
        (each.name, compare(network.macs, each, chip, at, at_least=at_least))
        for each in processors
        if rate is not None or each.kind == ARITHMETIC
    ]


def comparisons(model: ComparisonModel, network: NetworkModel) -> list[tuple[str, Comparison]]:
    """What the figures of a report say, computed anew."""
    return _compared(network, model.processors, model.chip, model.rate_per_s)


def check_comparison(model: ComparisonModel) -> None:
    """Verify that every row and every sentence follows from the processors, the chip and the rate.

    Raises
    ------
    VerificationError
        Naming what does not.
    """
    whole = model.chip.power_w is not None
    _require((model.rate_per_s is not None) == whole, "every network", "every processor", "rate_per_s")
    for network in model.networks:
        given = Network(network.name, network.macs, network.uncounted)
        expected = _network(given, model.processors, model.chip, model.rate_per_s, model.left_out)
        for stored, row in zip(network.rows, expected.rows, strict=False):
            _require(stored.processor == row.processor, network.name, stored.processor, "processor")
            for name in ("theirs_j", "ours_j", "ratio", "turn", "best", "worst"):
                same = _same(getattr(stored, name), getattr(row, name))
                _require(same, network.name, row.processor, name)
            _require(stored.answer == row.answer, network.name, row.processor, "answer")
        _require(len(network.rows) == len(expected.rows), network.name, "every processor", "row")
        _require(network.verdict == expected.verdict, network.name, "every processor", "verdict")


def _require(condition: bool, network: str, processor: str, what: str) -> None:
    if not condition:
        raise VerificationError(
            f"the report does not add up: comparison of {network!r} with {processor}: {what} is not what the "
            "figures say"
        )


def _same(stored: Figure | Turn | None, expected: Figure | Turn | None) -> bool:
    if stored is None or expected is None:
        return stored is expected
    pairs: list[tuple[Any, Any]] = list(zip(asdict(stored).values(), asdict(expected).values(), strict=True))
    return all(
        a == b or (isinstance(a, float) and isinstance(b, float) and isclose(a, b, rel_tol=_REL_TOL))
        for a, b in pairs
    )
