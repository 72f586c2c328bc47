"""netx's own run of a student's file, against a walk through every synapse and against target loihi."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sne_deploy.backend import FileWriter, RunOptions
from sne_deploy.errors import DataError, InputError, RunError, UnsupportedError
from sne_deploy.ir.program import Program
from sne_deploy.runtime.trace import Trace
from sne_lava import pool
from sne_lava.child import WorkerError
from sne_loihi import LoihiBackend
from sne_netx import NetxBackend
from tests.effort import examples
from tests.net_programs import chain, net_programs
from tests.reference import Reference, simulate
from tests.strategies import inputs_for

pytestmark = pytest.mark.usefixtures("warm_lava")


def run(program: Program, inputs: np.ndarray, record: Any = "spikes", **options: Any) -> Trace:
    with NetxBackend().compile(program, RunOptions(**options)) as executable:
        return executable.run(inputs, record)


def assert_like(trace: Trace, expected: Reference, program: Program) -> None:
    """All that netx shows: spikes of every layer, outputs, and the SynOps that follow from them."""
    np.testing.assert_array_equal(trace.raw_outputs, expected.raw_outputs)
    assert trace.input_spikes.tolist() == expected.input_spikes
    for group, layer in zip(program.groups, trace.layers, strict=True):
        wanted = expected.layers[group.name]
        assert layer.name == group.name
        assert layer.synops.tolist() == wanted.synops
        assert layer.spikes.tolist() == wanted.spikes
        assert layer.updates_active is layer.updates_idle is None
        if group.spiking and layer.recorded_spikes is not None:
            full = (len(trace.raw_outputs), program.timesteps, *group.shape)
            np.testing.assert_array_equal(layer.recorded_spikes, np.reshape(wanted.raster, full))


# Each example starts Lava, which takes seconds; shrinking one would take minutes.
@settings(
    max_examples=examples(8),
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_random_programs(data: st.DataObject) -> None:
    program = data.draw(net_programs())
    inputs = data.draw(inputs_for(program, samples=3))
    assert_like(run(program, inputs), simulate(program, inputs), program)


@pytest.mark.parametrize(
    ("layers", "kind", "readout"),
    [
        ("ccd", "spikes", "count"),
        ("cc", "current", "count"),
        ("rdr", "spikes", "count"),
        ("crd", "current", "v_max"),
        ("rd", "spikes", "v_mean"),
        ("d", "spikes", "v_last"),
    ],
)
def test_chains_streamed_and_alone(layers: str, kind: str, readout: str) -> None:
    program, inputs = chain(layers, kind, readout)
    expected = simulate(program, inputs)
    streamed = run(program, inputs)
    assert_like(streamed, expected, program)
    assert_like(run(program, inputs, "counts", stream=3), expected, program)
    with LoihiBackend().compile(program, RunOptions()) as executable:
        fast = executable.run(inputs, "spikes")
    assert all(
        layer.spikes.sum() > 10 for layer, g in zip(fast.layers, program.groups, strict=True) if g.spiking
    )
    np.testing.assert_array_equal(streamed.raw_outputs, fast.raw_outputs)
    for ours, theirs in zip(streamed.layers, fast.layers, strict=True):
        np.testing.assert_array_equal(ours.synops, theirs.synops)
        if ours.recorded_spikes is not None:
            np.testing.assert_array_equal(ours.recorded_spikes, theirs.recorded_spikes)


def test_delays_end_with_the_sample() -> None:
    """Samples follow each other; what is delayed beyond one is not delivered in the next."""
    program, inputs = chain("dd", "spikes", "count")
    first = replace(program.synapses[0], delay=3, within_sample=True)
    late = replace(program, synapses=(first, *program.synapses[1:]))
    expected = simulate(late, inputs)
    assert expected.raw_outputs != simulate(program, inputs).raw_outputs
    assert_like(run(late, inputs), expected, late)


def test_maps_of_more_than_127_pixels() -> None:
    """Lava's convolution keeps sizes in 8 bits; netx then needs help."""
    program, inputs = chain("c", "spikes", "count", shape=(1, 3, 131))
    assert_like(run(program, inputs[:1]), simulate(program, inputs[:1]), program)


@pytest.fixture(scope="module")
def small() -> tuple[Program, np.ndarray]:
    return chain("d", "spikes", "count")


def test_progress_reaches_the_end(small: tuple[Program, np.ndarray]) -> None:
    program, inputs = small
    seen: list[tuple[str, int, int]] = []
    run(program, inputs, progress=lambda *call: seen.append(call), stream=2)
    steps = 2 * (2 * program.timesteps + program.max_depth)
    assert seen[-1] == (program.name, steps, steps)
    assert [call[1] for call in seen] == sorted(call[1] for call in seen)


def test_wrong_samples_are_refused(small: tuple[Program, np.ndarray]) -> None:
    program, inputs = small
    with NetxBackend().compile(program, RunOptions()) as executable:
        with pytest.raises(DataError, match="inputs have shape"):
            executable.run(inputs[:, :, None])
        with pytest.raises(DataError, match="no samples"):
            executable.run(inputs[:0])
        with pytest.raises(DataError, match="other values than 0 and 1"):
            executable.run(inputs * 2)


def test_wrong_options_are_refused(small: tuple[Program, np.ndarray]) -> None:
    for options, text in (
        (RunOptions(extra={"speed": 1}), "unknown option speed; it knows stall_s"),
        (RunOptions(extra={"stall_s": 0}), "stall_s 0.0 must be a positive number"),
        (RunOptions(stream=0), "stream 0 must be at least 1"),
    ):
        with pytest.raises(InputError, match=text):
            NetxBackend().compile(small[0], options)


def test_a_closed_executable_does_not_run(small: tuple[Program, np.ndarray]) -> None:
    executable = NetxBackend().compile(small[0], RunOptions())
    executable.close()
    with pytest.raises(RunError, match="closed already"):
        executable.run(small[1])


def test_a_failure_names_student_and_target(
    small: tuple[Program, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing:
        def __enter__(self) -> Failing:
            return self

        def __exit__(self, *_: object) -> None: ...

        def run(self, *_: object) -> None:
            raise WorkerError("the worker was killed by SIGKILL")

    monkeypatch.setattr(pool, "Worker", Failing)
    wanted = f"student {small[0].name!r} on target netx: the worker was killed by SIGKILL"
    with pytest.raises(RunError) as caught:
        run(*small)
    assert str(caught.value) == wanted


def test_what_lava_dl_raises_is_told(small: tuple[Program, np.ndarray]) -> None:
    executable = NetxBackend().compile(small[0], RunOptions())
    executable._student = replace(executable._student, net=b"no file")
    with pytest.raises(RunError, match=r"on target netx: OSError: .*file signature not found"):
        executable.run(small[1])


FAILING = """
import sys
from sne_lava.arrays import Board
from sne_netx.importing import import_netx_alone
from sne_netx.simulation import _report_failures

import_netx_alone()
assert "torch" not in sys.modules
from lava.magma.core.model.py.model import PyLoihiProcessModel

class Broken(PyLoihiProcessModel):
    def __init__(self):
        self.time_step = 0
    def run_spk(self):
        raise ValueError("too wide")

board = Board()
_report_failures(board)
try:
    Broken()._spike()
finally:
    print(board.failure)
"""


def test_what_fails_inside_lava_is_told() -> None:
    ended = subprocess.run([sys.executable, "-c", FAILING], capture_output=True, text=True)
    assert ended.stdout == "Broken: ValueError: too wide\n"
    assert "ValueError: too wide" in ended.stderr


def test_problems_are_listed_at_once(small: tuple[Program, np.ndarray]) -> None:
    program = small[0]
    groups = tuple(replace(group, v_init=np.asarray(5, np.int32)) for group in program.groups)
    late = replace(program.synapses[-1], delay=2, within_sample=True)
    broken = replace(program, groups=groups, synapses=(*program.synapses, replace(late, source="nobody")))
    with pytest.raises(UnsupportedError) as caught:
        NetxBackend().compile(broken, RunOptions())
    assert len(caught.value.problems) == len(groups) + 1
    assert "on target netx" in str(caught.value)


def test_it_writes_files() -> None:
    assert isinstance(NetxBackend(), FileWriter)
