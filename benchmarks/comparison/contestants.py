"""Who is measured: each contestant runs a number of samples of a case and says how long that took."""

from __future__ import annotations

import os
import pickle
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from benchmarks.comparison.child import run_script
from benchmarks.comparison.networks import Case
from sne_deploy.backend import RunOptions, load_backend
from sne_deploy.errors import TargetError

Array = npt.NDArray[Any]
NENGO_SCRIPT = Path(__file__).parents[1] / "nengo_emulator.py"
"""Beside the package in a checkout; not in a wheel."""
NENGO_PYTHON = "SNE_BENCH_NENGO_PYTHON"
"""Names the interpreter of the environment that benchmarks/setup_nengo.sh made."""


class UnavailableError(Exception):
    """A contestant cannot be measured here; the text says why."""


@dataclass(frozen=True, eq=False)
class Timing:
    """One measurement.

    Attributes
    ----------
    seconds : float
        For all samples.
    counts : int array of shape (N, n_out), or None
        Spikes of the output group.
    startup_s : float or None
        What came before and is not counted.
    """

    seconds: float
    counts: Array | None = None
    startup_s: float | None = None


Measure = Callable[[int], Timing]
"""Runs so many samples."""


class Contestant(Protocol):
    """Somebody who runs a case.

    Attributes
    ----------
    key, label : str
    integers : bool
        Computes integers: its counts are compared with those of ``loihi``.
    batched : bool
        Takes all batch sizes; else the number of samples follows from a time budget.
    """

    @property
    def key(self) -> str: ...  # noqa: D102
    @property
    def label(self) -> str: ...  # noqa: D102
    @property
    def integers(self) -> bool: ...  # noqa: D102
    @property
    def batched(self) -> bool: ...  # noqa: D102

    def ready(self, case: Case, seed: int) -> Measure:
        """Prepare for a case; raises UnavailableError."""
        ...


@dataclass(frozen=True)
class Loihi:
    """Target ``loihi``."""

    key: str = "loihi"
    label: str = "loihi (ours)"
    integers: bool = True
    batched: bool = True

    def ready(self, case: Case, seed: int) -> Measure:
        """Compile; the inputs are bytes, the results counts of every kind."""
        executable = load_backend("loihi").compile(case.program, RunOptions())
        inputs = _Inputs(case, seed, lambda x: x)

        def measure(samples: int) -> Timing:
            x = inputs.get(samples)
            start = time.perf_counter()
            trace = executable.run(x)
            return Timing(time.perf_counter() - start, trace.raw_outputs)

        return measure


@dataclass(frozen=True)
class Forward:
    """A floating-point forward; ``kind`` is "float32", "bfloat16" or "norse"."""

    key: str
    label: str
    kind: str
    integers: bool = False
    batched: bool = True

    def ready(self, case: Case, seed: int) -> Measure:
        """Build the layers."""
        from benchmarks.comparison.forward import norse_forward, plain_forward

        if self.kind == "norse":
            prepare, forward = norse_forward(case.program)
        else:
            prepare, forward = plain_forward(case.program, self.kind)
        inputs = _Inputs(case, seed, prepare)

        def measure(samples: int) -> Timing:
            x = inputs.get(samples)
            start = time.perf_counter()
            forward(x)
            return Timing(time.perf_counter() - start)

        return measure


@dataclass(frozen=True)
class Lava:
    """A variant of :mod:`benchmarks.comparison.stock`, in a process of its own for every measurement."""

    key: str
    label: str
    variant: str
    integers: bool = True
    batched: bool = False

    def ready(self, case: Case, seed: int) -> Measure:
        """Check that Lava is there, and that stock Lava can run the case to the same integers."""
        self._require()
        loops = any(synapse.within_sample for synapse in case.program.synapses)
        if loops and self.variant in ("paused", "streamed", "netx"):
            raise UnavailableError(
                "stock Lava carries the spikes of a recurrent layer into the next sample: other results"
            )

        def measure(samples: int) -> Timing:
            job = pickle.dumps((self.variant, case.program, case.inputs(samples, seed)))
            return _timing([sys.executable, "-m", "benchmarks.comparison.stock"], job)

        return measure

    def _require(self) -> None:
        from sne_lava.installed import require_lava, require_netx

        try:
            require_lava()
            if self.variant == "netx":
                require_netx()
        except TargetError as error:
            raise UnavailableError(str(error)) from None


@dataclass(frozen=True)
class Nengo:
    """nengo-loihi's emulator, in its own environment: its pins conflict with ours."""

    key: str = "nengo"
    label: str = "nengo-loihi emulator"
    integers: bool = True
    batched: bool = False

    def ready(self, case: Case, seed: int) -> Measure:
        """Find the environment and the script."""
        python = os.environ.get(NENGO_PYTHON, "")
        if not NENGO_SCRIPT.is_file():
            raise UnavailableError("benchmarks/nengo_emulator.py is part of a checkout, not of a wheel")
        if not Path(python).is_file():
            raise UnavailableError(
                f"{NENGO_PYTHON} names no interpreter; benchmarks/setup_nengo.sh makes its environment"
            )

        def measure(samples: int) -> Timing:
            return _timing([python, str(NENGO_SCRIPT)], _arrays(case, case.inputs(samples, seed)))

        return measure


CONTESTANTS: tuple[Contestant, ...] = (
    Loihi(),
    Forward("plain", "PyTorch layers, float32", "float32"),
    Forward("plain-bf16", "PyTorch layers, bfloat16", "bfloat16"),
    Forward("norse", "Norse", "norse"),
    Lava("lava", "lava (ours), streamed", "ours"),
    Lava("stock-streamed", "stock Lava, streamed", "streamed"),
    Lava("stock-paused", "stock Lava, a run per sample", "paused"),
    Lava("stock-built", "stock Lava, built per sample", "built"),
    Lava("netx", "lava-dl netx, streamed", "netx"),
    Nengo(),
)


class _Inputs:
    """The inputs of the last number of samples, prepared."""

    def __init__(self, case: Case, seed: int, prepare: Callable[[Array], Any]) -> None:
        self._case, self._seed, self._prepare = case, seed, prepare
        self._samples, self._prepared = -1, None

    def get(self, samples: int) -> Any:
        """The first N samples."""
        if samples != self._samples:
            self._prepared = None  # free it first
            self._prepared = self._prepare(self._case.inputs(samples, self._seed))
            self._samples = samples
        return self._prepared


def _timing(command: list[str], job: bytes) -> Timing:
    found = run_script(command, job)
    counts = None if found["counts"] is None else np.asarray(found["counts"])
    return Timing(found["seconds"], counts, found["startup_s"])


def _arrays(case: Case, inputs: Array) -> bytes:
    """A case in plain types, for an interpreter that has neither this project nor NumPy 2."""
    program = case.program
    return pickle.dumps(
        {
            "timesteps": program.timesteps,
            "inputs": inputs.tobytes(),
            "inputs_shape": (len(inputs), program.timesteps, program.input.size),
            "groups": [
                {
                    "name": group.name,
                    "size": group.size,
                    "du": int(group.du),
                    "dv": int(group.dv),
                    "vth": int(group.vth_mant),
                }
                for group in program.groups
            ],
            "synapses": [
                {"source": s.source, "target": s.target, "weights": _plain(s.weights.matrix())}
                for s in program.synapses
            ],
            "input": program.input.name,
            "output": program.outputs[0],
        },
        protocol=4,
    )


def _plain(matrix: Any) -> dict[str, Any]:
    """A CSR matrix as lists and bytes: array pickles of NumPy 2 do not load in NumPy 1."""
    return {
        "shape": matrix.shape,
        "data": matrix.data.astype(np.int16).tobytes(),
        "indices": matrix.indices.astype(np.int32).tobytes(),
        "indptr": matrix.indptr.astype(np.int64).tobytes(),
    }
