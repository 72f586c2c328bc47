"""Points of gates are what a run with that gate reports; a higher price buys fewer students."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from experiments.study.operating_points import GATE_THRESHOLD, gate_points, priced_gates
from sne_deploy.distill.policy.gate import GateTraining
from sne_deploy.errors import InputError
from sne_deploy.model.ensemble import ActivationPolicy, Gate
from tests.experiments.study.test_operating_points import ORDER, digits, equal, full, with_policy

PRICES = (0.01, 0.3, 10.0)


@cache
def gates() -> list[Gate]:
    ensemble, x, y = digits("digits:train")
    return priced_gates(ensemble, x, y, PRICES, GateTraining(grid=4, hidden=8, epochs=10))


@pytest.mark.parametrize("which", range(len(PRICES)))
def test_a_gate_s_point_is_what_the_runtime_does_with_it(which: int) -> None:
    gate, (_, x, _) = gates()[which], digits()
    (point,) = gate_points(full(), [gate], x)
    result = with_policy(ActivationPolicy("gate", ORDER, GATE_THRESHOLD, gate=gate))
    equal(point, result)
    assert result.report.shared.total_host_macs_of["gate"] == 150 * (64 + 16 * 8 + 8 * 4)


def test_a_higher_price_buys_fewer_students() -> None:
    points = gate_points(full(), gates(), digits()[1])
    students = [point.mean_students for point in points]
    assert students == sorted(students, reverse=True)
    assert students[0] > 1.5 > 1.2 > students[-1] >= 1.0
    assert points[0].row()["kind"] == "gate"


@pytest.mark.parametrize("price", [0.0, -1.0, float("nan"), float("inf")])
def test_a_price_is_a_number_above_0(price: float) -> None:
    ensemble, x, y = digits()
    with pytest.raises(InputError, match=r"price of .* above 0"):
        priced_gates(ensemble, x, y, [price], GateTraining())


def test_the_samples_are_those_of_the_run() -> None:
    wrong: Any = digits()[1][:10]
    with pytest.raises(InputError, match="10 samples, the run has 150"):
        gate_points(full(), gates(), wrong)
