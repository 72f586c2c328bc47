"""Whatever happens, the message says what failed, and no process, shared memory or file is left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sne_deploy.backend import RunOptions
from sne_deploy.errors import DataError, InputError, RunError, UnsupportedError, VerificationError
from sne_deploy.ir.program import ALWAYS_ON, NeuronGroup, Program, ProgramInput, Synapse
from sne_deploy.ir.weights import DenseWeights
from sne_lava import LavaBackend
from sne_lava.child import Worker, WorkerError
from sne_lava.leftovers import folder_name, remove_files
from tests.backends.sne_lava.ending import Ends
from tests.chip_registers import LOIHI1

LONG = 4000
"""Samples of a run that would take minutes."""
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # where Linux keeps shared memory


def test_clearing_away_after_a_job_remembers_nothing_of_it(tmp_path: Path) -> None:
    def blocks(jobs: range) -> int:
        for job in jobs:
            remove_files(f"sne{job:012x}", str(tmp_path / "none"))
        return sys.getallocatedblocks()

    re.purge()  # what Python remembers, it remembers up to a number
    few = blocks(range(20))
    assert blocks(range(20, 60)) - few < 40


def program(n_in=4, weight=2, exponent=0, **changes):
    registers = {"du": 4095, "dv": 100, "vth_mant": 10, "bias_mant": 0, "v_init": 0}
    arrays = {key: np.asarray(value, np.int32) for key, value in registers.items()}
    group = NeuronGroup("a", "lif", (3,), bias_exp=0, depth=1, scale=1.0, v_reset=np.zeros(()), **arrays)
    weights = DenseWeights(np.full((3, n_in), weight, np.int32))
    synapse = Synapse("dense", "input", "a", weights, exponent, "excitatory")
    values = {
        "name": "victim",
        "precision": "fixed",
        "timesteps": 10,
        "input": ProgramInput("input", (n_in,), "spikes"),
        "groups": (group,),
        "synapses": (synapse,),
        "outputs": ("a",),
        "readout": "count",
        "hosts": (),
        "graph": None,
        "dt_s": 1e-3,
        "formats": LOIHI1,
    }
    return Program(**(values | changes))


def workers(caller):
    """Every process of the workers of a caller: pid, process group, and the worker's own description."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                arguments = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if len(arguments) > 3 and "sne_lava.worker" in arguments[2] and fields[0] not in "ZX":
                spec = json.loads(arguments[3])
                if spec["caller"] == caller:
                    found.append((int(entry.name), int(fields[2]), spec))
    return found


def members(processes):
    """The supervisor, the simulation, and Lava's own processes."""
    groups = {group for _, group, _ in processes}
    session = min(groups)
    supervisor = next(pid for pid, group, _ in processes if group == session)
    others = [(pid, group) for pid, group, _ in processes if group != session]
    simulation = next(pid for pid, group in others if pid == group)
    return supervisor, simulation, [pid for pid, _ in others if pid != simulation]


def wait_until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "timed out"
        time.sleep(0.02)
    return value


def assert_nothing_left(caller, specs):
    wait_until(lambda: not workers(caller), 10.0)
    for spec in specs:
        wait_until(lambda spec=spec: not Path(spec["folder"]).exists(), 10.0)
        wait_until(lambda spec=spec: not list(SHARED_MEMORY.glob(f"*{spec['token']}*")), 10.0)


def run_until_progress(action, **options):
    """Run a long job in a thread; once it simulates, act on its processes; the error it ended with."""
    simulating, errors = threading.Event(), []

    def progress(_student, done, _total):
        if done > 20:
            simulating.set()

    def work():
        try:
            compiled.run(np.ones((LONG, 10, 4), np.uint8))
        except RunError as error:
            errors.append(str(error))

    with LavaBackend().compile(program(), RunOptions(progress=progress, extra=options)) as compiled:
        thread = threading.Thread(target=work)
        thread.start()
        assert simulating.wait(30.0)
        processes = workers(os.getpid())
        assert len(processes) >= 5
        assert any(SHARED_MEMORY.glob(f"{processes[0][2]['token']}*"))
        action(processes, compiled)
        thread.join(30.0)
        assert not thread.is_alive()
    assert_nothing_left(os.getpid(), [spec for _, _, spec in processes])
    return errors


def test_normal_run_leaves_nothing():
    seen = []

    def progress(*_):
        seen.extend(workers(os.getpid()))

    with LavaBackend().compile(program(), RunOptions(progress=progress)) as compiled:
        compiled.run(np.ones((2, 10, 4), np.uint8))
    assert seen
    assert_nothing_left(os.getpid(), [spec for _, _, spec in seen])


def test_exception_inside_a_process_names_it():
    big = program(n_in=4200, weight=255, exponent=7)
    with (
        LavaBackend().compile(big, RunOptions()) as compiled,
        pytest.raises(
            RunError, match=r"student 'victim' on target lava: synapse 'dense': OverflowError: a weighted sum"
        ),
    ):
        compiled.run(np.ones((3, 10, 4200), np.uint8))
    assert_nothing_left(os.getpid(), [])


def test_current_that_leaves_32_bits_is_an_error_and_not_a_wrap():
    group = program().groups[0]
    big = program(n_in=800, weight=255, exponent=7, groups=(replace(group, du=np.zeros((), np.int32)),))
    inputs = np.ones((1, 10, 800), np.uint8)
    with (
        LavaBackend().compile(big, RunOptions()) as compiled,
        pytest.raises(RunError, match=r"group 'a': OverflowError: \|u\| \+ \|a_in << 6\| reaches"),
    ):
        compiled.run(inputs)


@pytest.mark.parametrize("which", [0, -1])
def test_killed_lava_process(which):
    def action(processes, _):
        os.kill(sorted(members(processes)[2])[which], signal.SIGKILL)

    [message] = run_until_progress(action)
    assert message == "student 'victim' on target lava: a Lava process was killed by SIGKILL"


@pytest.mark.parametrize("lost", [0, 3])
def test_process_that_ended_by_itself_is_told_with_what_it_printed(lost):
    with Worker() as worker, pytest.raises(WorkerError) as caught:
        worker.run(Ends("no such memory\n", 3, lost), print)
    text = "a Lava process ended early with exit status 3; its last output: no such memory"
    assert str(caught.value) == text


def test_killed_simulation():
    [message] = run_until_progress(lambda processes, _: os.kill(members(processes)[1], signal.SIGKILL))
    assert message.startswith("student 'victim' on target lava: the simulation ended: killed by SIGKILL")


def test_killed_supervisor():
    [message] = run_until_progress(lambda processes, _: os.kill(members(processes)[0], signal.SIGKILL))
    assert message.startswith("student 'victim' on target lava: the worker was killed by SIGKILL")


def test_stalled_process():
    def action(processes, _):
        for pid in members(processes)[2]:
            os.kill(pid, signal.SIGSTOP)

    [message] = run_until_progress(action, stall_s=1.0)
    assert "no progress for 1 s at step" in message


def test_closed_while_running():
    [message] = run_until_progress(lambda _, compiled: compiled.close())
    assert message == "student 'victim' on target lava: the simulation was closed while it ran"


CALLER = """
    import sys
    import numpy as np
    sys.path.insert(0, {folder!r})
    from test_robustness import LONG, LavaBackend, RunOptions, program

    def progress(_student, done, _total):
        if done > 20:
            print("simulating", flush=True)

    with LavaBackend().compile(program(), RunOptions(progress=progress)) as compiled:
        compiled.run(np.ones((LONG, 10, 4), np.uint8))
"""


def started_caller():
    script = textwrap.dedent(CALLER).format(folder=str(Path(__file__).parent))
    caller = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert caller.stdout is not None
    assert caller.stdout.readline() == "simulating\n"
    return caller, workers(caller.pid)


def test_ctrl_c_in_the_caller():
    caller, processes = started_caller()
    caller.send_signal(signal.SIGINT)
    _, errors = caller.communicate(timeout=30)
    assert caller.returncode == -signal.SIGINT
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert_nothing_left(caller.pid, [spec for _, _, spec in processes])


def test_killed_caller():
    caller, processes = started_caller()
    caller.kill()
    caller.communicate(timeout=30)
    assert_nothing_left(caller.pid, [spec for _, _, spec in processes])


def test_caller_and_supervisor_killed_at_once():
    caller, processes = started_caller()
    os.kill(members(processes)[0], signal.SIGKILL)
    caller.kill()
    caller.communicate(timeout=30)
    assert_nothing_left(caller.pid, [spec for _, _, spec in processes])


def test_caller_and_everything_told_to_stop_at_once():
    """As a service manager tells the processes of a service."""
    caller, processes = started_caller()
    for pid in (*(pid for pid, _, _ in processes), caller.pid):
        with suppress(ProcessLookupError):  # it ended with those that were told before it
            os.kill(pid, signal.SIGTERM)
    caller.communicate(timeout=30)
    assert_nothing_left(caller.pid, [spec for _, _, spec in processes])


def test_what_was_killed_at_once_is_removed_by_the_next_supervisor():
    caller, processes = started_caller()
    specs = [spec for _, _, spec in processes]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for group in {group for _, group, _ in processes}:  # multiprocessing's resource tracker, too
            os.killpg(group, number)
        caller.send_signal(number)
    caller.communicate(timeout=30)
    wait_until(lambda: not workers(caller.pid), 10.0)
    assert any(SHARED_MEMORY.glob(f"{specs[0]['token']}*"))
    (Path(specs[0]["folder"]).parent / folder_name("sne*")).mkdir()  # nobody's: it would be all of ours
    try:
        with LavaBackend().compile(program(), RunOptions()) as compiled:
            compiled.run(np.ones((1, 10, 4), np.uint8))
    finally:
        (Path(specs[0]["folder"]).parent / folder_name("sne*")).rmdir()
    assert_nothing_left(caller.pid, specs)


def test_worker_that_cannot_start(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with (
        LavaBackend().compile(program(), RunOptions()) as compiled,
        pytest.raises(RunError, match="student 'victim' on target lava: the worker ended with status 1"),
    ):
        compiled.run(np.ones((1, 10, 4), np.uint8))


def test_closed_executable_runs_no_more():
    compiled = LavaBackend().compile(program(), RunOptions())
    compiled.close()
    with pytest.raises(RunError, match="student 'victim': closed already; compile it again"):
        compiled.run(np.ones((1, 10, 4), np.uint8))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (np.ones((2, 9, 4)), r"inputs have shape \(2, 9, 4\), it takes \(N, 10, 4\)"),
        (np.ones(()), r"inputs have shape \(\), it takes"),
        (np.ones((0, 10, 4)), "no samples; give at least one"),
        (np.full((1, 10, 4), 2), "spike inputs hold other values than 0 and 1"),
        (np.full((1, 10, 4), np.nan), "spike inputs hold other values than 0 and 1"),
    ],
)
def test_wrong_inputs(inputs, message):
    with LavaBackend().compile(program(), RunOptions()) as compiled, pytest.raises(DataError, match=message):
        compiled.run(inputs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (RunOptions(stream=0), "stream 0 must be at least 1 sample"),
        (RunOptions(extra={"stall_s": 0}), r"stall_s 0.0 must be a positive number of seconds"),
        (RunOptions(extra={"speed": 1}), "unknown option speed; it knows stall_s"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(InputError, match=message):
        LavaBackend().compile(program(), options)


def test_everything_unsupported_is_listed():
    base = program().groups[0]
    odd = [NeuronGroup(**(vars(base) | {"name": name, "kind": "izhikevich"})) for name in ("x", "y")]
    with pytest.raises(UnsupportedError, match=r"group 'x': neuron kind 'izhikevich'.*group 'y'"):
        LavaBackend().compile(program(groups=tuple(odd)), RunOptions())


def test_late_bias_is_refused():
    base = program()
    bias = Synapse("bias", ALWAYS_ON, "a", DenseWeights(np.full((3, 1), 2, np.int32)), delay=1)
    with pytest.raises(VerificationError, match=r"synapse 'bias': the always-on axon reaches depth 2"):
        LavaBackend().compile(program(synapses=(*base.synapses, bias)), RunOptions())


def test_inconsistent_program_is_refused():
    with pytest.raises(VerificationError, match="after compilation for lava"):
        LavaBackend().compile(program(outputs=("nobody",)), RunOptions())
