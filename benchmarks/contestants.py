"""Who is measured: each contestant runs N samples of a case and says how long that took."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.children import call, run_child
from benchmarks.networks import Case
from sne_deploy.backend import RunOptions, load_backend
from sne_deploy.errors import TargetError

Array = npt.NDArray[Any]
NENGO_SCRIPT = Path(__file__).with_name("nengo_emulator.py")
NENGO_PYTHON = "SNE_BENCH_NENGO_PYTHON"
"""Names the interpreter of the environment that benchmarks/setup_nengo.sh made."""


class UnavailableError(Exception):
    """A contestant cannot be measured here; the text says why."""


@dataclass(frozen=True, eq=False)
class Timing:
    """Seconds of all samples, the output's counts (N, n_out), and seconds before, which are not counted."""

    seconds: float
    counts: Array | None = None
    startup_s: float | None = None


Measure = Callable[[int], Timing]
"""Runs N samples."""


@dataclass(frozen=True)
class Contestant:
    """Somebody who runs a case.

    Attributes
    ----------
    ready : callable
        Prepares for a case and a seed of its inputs; raises UnavailableError.
    integers : bool
        Computes integers: its counts are compared with those of ``loihi``.
    batched : bool
        Takes all batch sizes; else the number of samples follows from a time budget.
    """

    key: str
    label: str
    ready: Callable[[Case, int], Measure]
    integers: bool = True
    batched: bool = False


def _loihi(case: Case, seed: int) -> Measure:
    """The inputs are bytes, the results counts of every kind."""
    executable = load_backend("loihi").compile(case.program, RunOptions())
    return _in_process(case, seed, lambda x: x, lambda x: executable.run(x).raw_outputs)


def _forward(number: str, case: Case, seed: int) -> Measure:
    from benchmarks.forward import norse_forward, plain_forward

    if number == "norse":
        return _in_process(case, seed, *norse_forward(case.program))
    return _in_process(case, seed, *plain_forward(case.program, number))


def _in_process(
    case: Case, seed: int, prepare: Callable[[Array], Any], run: Callable[[Any], Array | None]
) -> Measure:
    """Time ``run`` alone; inputs are prepared once for a number of samples."""
    kept: dict[int, Any] = {}

    def measure(samples: int) -> Timing:
        if samples not in kept:
            kept.clear()  # free it first
            kept[samples] = prepare(case.inputs(samples, seed))
        start = time.perf_counter()
        counts = run(kept[samples])
        return Timing(time.perf_counter() - start, counts)

    return measure


def _lava(variant: str, case: Case, seed: int) -> Measure:
    """A variant of :mod:`benchmarks.stock`, in a process of its own for every measurement."""
    from sne_lava.installed import require_lava, require_netx

    try:
        require_lava()
        if variant == "netx":
            require_netx()
    except TargetError as error:
        raise UnavailableError(str(error)) from None
    if variant in ("paused", "streamed", "netx") and any(s.within_sample for s in case.program.synapses):
        raise UnavailableError(
            "stock Lava carries the spikes of a recurrent layer into the next sample: other results"
        )
    return lambda samples: _timing(
        call("benchmarks.stock", variant, case.program, case.inputs(samples, seed))
    )


def _nengo(case: Case, seed: int) -> Measure:
    """nengo-loihi's emulator, in its own environment: its pins conflict with ours."""
    python = os.environ.get(NENGO_PYTHON, "")
    if not Path(python).is_file():
        raise UnavailableError(
            f"{NENGO_PYTHON} names no interpreter; benchmarks/setup_nengo.sh makes its environment"
        )
    return lambda samples: _timing(
        run_child([python, str(NENGO_SCRIPT)], _plain_case(case, case.inputs(samples, seed)))
    )


def _timing(found: dict[str, Any]) -> Timing:
    return Timing(found["seconds"], np.asarray(found["counts"]), found["startup_s"])


CONTESTANTS = (
    Contestant("loihi", "loihi (ours)", _loihi, batched=True),
    Contestant("plain", "PyTorch layers, float32", partial(_forward, "float32"), False, True),
    Contestant("plain-bf16", "PyTorch layers, bfloat16", partial(_forward, "bfloat16"), False, True),
    Contestant("norse", "Norse", partial(_forward, "norse"), False, True),
    Contestant("lava", "lava (ours), streamed", partial(_lava, "ours")),
    Contestant("stock-streamed", "stock Lava, streamed", partial(_lava, "streamed")),
    Contestant("stock-paused", "stock Lava, a run per sample", partial(_lava, "paused")),
    Contestant("stock-built", "stock Lava, built per sample", partial(_lava, "built")),
    Contestant("netx", "lava-dl netx, streamed", partial(_lava, "netx")),
    Contestant("nengo", "nengo-loihi emulator", _nengo),
)


def _plain_case(case: Case, inputs: Array) -> bytes:
    """A case in plain types: array pickles of NumPy 2 do not load in nengo-loihi's NumPy 1."""
    program = case.program
    groups = [
        {"name": g.name, "size": g.size, "du": int(g.du), "dv": int(g.dv), "vth": int(g.vth_mant)}
        for g in program.groups
    ]
    synapses = [
        {"source": s.source, "target": s.target, "weights": _plain_matrix(s.weights.matrix())}
        for s in program.synapses
    ]
    job = {
        "inputs": inputs.tobytes(),
        "inputs_shape": (len(inputs), program.timesteps, program.input.size),
        "groups": groups,
        "synapses": synapses,
        "input": program.input.name,
        "output": program.outputs[0],
    }
    return pickle.dumps(job, protocol=4)


def _plain_matrix(matrix: Any) -> dict[str, Any]:
    types = {"data": np.int16, "indices": np.int32, "indptr": np.int64}
    arrays = {name: getattr(matrix, name).astype(kind).tobytes() for name, kind in types.items()}
    return {"shape": matrix.shape, **arrays}
