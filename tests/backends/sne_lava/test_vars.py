"""The results are the Vars of the processes: Lava reads the same values as the shared arrays hold."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np

from sne_deploy.ir.program import NeuronGroup, Program, ProgramInput, Synapse
from sne_deploy.ir.weights import DenseWeights
from sne_lava.lowering import lower, make_job
from tests.chip_registers import LOIHI1


def test_vars_hold_the_results(tmp_path):
    registers = {"du": 4095, "dv": 100, "vth_mant": 5, "bias_mant": 0, "v_init": 7}
    arrays = {key: np.asarray(value, np.int32) for key, value in registers.items()}
    group = NeuronGroup("a", "lif", (3,), bias_exp=0, depth=1, scale=1.0, v_reset=np.zeros(()), **arrays)
    weights = DenseWeights(np.array([[2, 4], [0, 6], [8, 0]], np.int32))
    program = Program(
        "vars", "fixed", 4, ProgramInput("input", (2,), "spikes"), (group,),
        (Synapse("dense", "input", "a", weights),), ("a",), "count", (), None, 1e-3, formats=LOIHI1,
    )  # fmt: skip
    inputs = (np.random.default_rng(3).random((2, 4, 2)) < 0.7).astype(np.uint8)
    job, _ = make_job(lower(program), inputs, "all", 60.0)
    (tmp_path / "job").write_bytes(pickle.dumps(job))
    script = Path(__file__).with_name("read_vars.py")
    command = [sys.executable, str(script), str(tmp_path / "job"), str(tmp_path / "results")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    counts, read, synops = pickle.loads((tmp_path / "results").read_bytes())
    ours = counts["a"]
    assert ours.spikes.sum() > 0
    np.testing.assert_array_equal(synops["a"], ours.synops)
    for name, array in {
        "spikes": ours.spikes,
        "active": ours.active,
        "rows": ours.output,
        "spike_bits": ours.spike_bits,
        "u_rows": ours.u,
        "v_rows": ours.v,
    }.items():
        np.testing.assert_array_equal(read["a"][name], array)
