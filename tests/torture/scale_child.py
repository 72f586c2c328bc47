"""``python -m tests.torture.scale_child AXIS SIZE FOLDER [LIMIT]``: one line of JSON, what that size took.

A process of its own, whose largest memory is that of this size alone; ``LIMIT`` bounds its address space.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from sne_deploy.errors import SneError
from sne_deploy.model.ensemble import Encoder, Ensemble, Head, Layer, Student

INPUTS = 8


def ensemble(steps: int, inputs: int, hidden: int, students: int = 1) -> Ensemble:
    """Two dense layers of spiking neurons in each student."""
    rng = np.random.default_rng(0)

    def weights(outgoing: int, incoming: int) -> np.ndarray:
        values = rng.random((outgoing, incoming), dtype=np.float32)
        values -= np.float32(0.4)
        values *= np.float32(8 / incoming)
        return values

    cell = {name: np.asarray(value, np.float32) for name, value in CELL.items()}
    made = tuple(
        Student(
            f"student{index}",
            (
                Layer("Linear", {}, {"weight": weights(hidden, inputs)}),
                Layer("LIFCell", {"dt": 0.001}, cell),
                Layer("Linear", {}, {"weight": weights(3, hidden)}),
                Layer("LIFCell", {"dt": 0.001}, cell),
            ),
            "count",
        )
        for index in range(students)
    )
    return Ensemble(made, (inputs,), steps, Encoder("spikes"), Head("mean"))


CELL = {"tau_syn_inv": 200.0, "tau_mem_inv": 100.0, "v_leak": 0.0, "v_th": 1.0, "v_reset": 0.0}


def sized(axis: str, size: int) -> tuple[Ensemble, int, dict[str, Any]]:
    """A model and how many samples it runs, for this size along this axis."""
    if axis == "steps":
        return ensemble(size, INPUTS, 20), 2, {}
    if axis == "steps, wide":
        return ensemble(size, INPUTS, 2000), 2, {}
    if axis == "weights":
        hidden = max(1, round((size / 2) ** 0.5))
        return ensemble(2, size // hidden, hidden), 2, {}
    if axis == "students":
        return ensemble(4, INPUTS, 20, size), 10, {}
    return ensemble(2, INPUTS, 20), size, {"record": "all"} if axis == "samples, all" else {}


def samples(path: Path, count: int, steps: int, inputs: int) -> np.ndarray:
    """Spikes in a file that is mapped."""
    written = np.lib.format.open_memmap(path, "w+", np.uint8, (count, steps, inputs))
    rng, block = np.random.default_rng(1), max(1, 2**22 // (steps * inputs))
    for first in range(0, count, block):
        part = written[first : first + block]
        part[:] = rng.random(part.shape, dtype=np.float32) < 0.2
    written.flush()
    del written
    return np.load(path, mmap_mode="r")


def main(axis: str, size: int, folder: Path, limit: int) -> dict[str, Any]:
    """Seconds of processor time and largest memory; or the line of the refusal."""
    import sne_deploy as sne

    model, count, options = sized(axis, size)
    with sne.compile(ensemble(2, INPUTS, 4), "loihi") as warm:
        warm.run(np.zeros((2, 2, INPUTS), np.uint8))
    if limit:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    found: dict[str, Any] = {}
    start = time.process_time()
    try:
        with sne.compile(model, "loihi", fidelity=False) as compiled:
            found["compile_s"] = round(time.process_time() - start, 2)
            x = samples(folder / "x.npy", count, model.timesteps, model.input_shape[0])
            start = time.process_time()
            compiled.run(x, **options)
            found["run_s"] = round(time.process_time() - start, 2)
    except SneError as error:
        found["refused"] = "\n".join(error.lines)
    found["mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps(main(sys.argv[1], int(float(sys.argv[2])), Path(sys.argv[3]), int(float(sys.argv[4])))))
