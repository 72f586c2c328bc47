"""The simulation of a cluster where its result is a closed form; its page is the one that is committed."""

from __future__ import annotations

import json
import math

import pytest

from benchmarks.cluster_simulation import LATENCY_S, Case, simulate
from scripts import write_cluster
from sne_deploy.runtime.execution import CHUNK_BYTES
from sne_deploy.runtime.slices import SLICE_BYTES


def costs(unit_ms: float = 0.0, mb_ms: float = 0.0, first_ms: float = 0.0) -> dict:
    """Of the scheduler alone, and of a student that is new to a worker; nothing else costs anything."""
    free = dict.fromkeys(("client", "scheduler", "worker"), 0.0)
    work = {"ms_per_unit": 0.0, "ms_first": first_ms, "bytes_program": 0, "bytes_per_sample": 64}
    messages = {"ms_per_unit": free | {"scheduler": unit_ms}, "ms_per_mb": free | {"scheduler": mb_ms}}
    return {"messages": messages, "work": work | {"bytes_per_result": 0}}


@pytest.mark.parametrize("workers", [1, 4, 100])
def test_messages_that_cost_nothing_leave_the_samples(workers):
    found = simulate(Case(samples=400, students=3, workers=workers, ms_per_sample=50.0), costs())
    assert found.seconds == pytest.approx(400 * 3 * 0.05 / workers, rel=0.01)
    assert found.efficiency == pytest.approx(1, abs=0.01)
    assert found.binds == "samples"


def test_a_scheduler_with_more_to_do_than_workers_is_what_binds():
    found = simulate(Case(samples=1000, students=2, workers=1000, ms_per_sample=0.01), costs(unit_ms=2.0))
    assert found.seconds == pytest.approx(2 * 1000 * 2e-3, rel=0.01)
    assert found.binds == "scheduler"


def test_each_worker_sets_each_student_up_once():
    case = Case(samples=100, students=1, workers=5, ms_per_sample=1.0)
    found = simulate(case, costs(first_ms=980.0))
    assert found.seconds == pytest.approx(1.0, abs=0.01)
    assert found.binds == "set-up"
    assert found.efficiency == pytest.approx(0.02, rel=0.02)


def test_stages_of_a_cascade_wait_for_each_other():
    case = Case(samples=10, students=3, workers=10, ms_per_sample=100.0, cascade=0.1)
    found = simulate(case, costs())
    assert found.seconds == pytest.approx(3 * 0.1, abs=20 * LATENCY_S)
    assert found.efficiency == pytest.approx((10 + 1 + 1) / 30, rel=0.05)


def test_slices_and_units_are_as_large_as_in_a_run():
    per_sample = costs()["work"]["bytes_per_sample"]
    samples = 2 * SLICE_BYTES // per_sample + 1
    units = 2 * (SLICE_BYTES // CHUNK_BYTES) + 1
    case = Case(samples=samples, students=1, workers=1, ms_per_sample=0.0)
    used = simulate(case, costs(unit_ms=10.0))
    assert used.busy["scheduler"] * used.seconds == pytest.approx(units * 10e-3)
    assert math.isclose(used.busy["samples"], 0)


def test_the_page_is_of_the_committed_costs():
    measured = json.loads((write_cluster.ROOT / "docs" / "cluster.json").read_text())
    text = write_cluster.page(measured, write_cluster.simulated(measured))
    assert write_cluster.PAGE.read_text("utf-8") == text
    assert "{" not in text
