"""``python -m tests.torture.matrix_child SETTINGS``: a line of JSON for each, a run's digest.

A process of its own, since it gets the seed of its hashes when it starts.
"""

from __future__ import annotations

import hashlib
import json
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sne_deploy.backend import RunOptions
from sne_deploy.ir.program import Program
from sne_deploy.result import Result

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "model.pt"


def run(setting: dict[str, Any]) -> tuple[Result, np.ndarray]:
    """The digits as the setting says, and where each of its samples stands."""
    import torch

    import sne_deploy as sne
    from sne_deploy.data import digits_split

    x, y = (array[: setting["samples"]] for array in digits_split()[2:])
    order = np.arange(len(x))
    if setting["order"] is not None:
        order = np.random.default_rng(setting["order"]).permutation(len(x))
    torch.set_num_threads(setting["threads"])
    chosen = {name: setting[name] for name in ("target", "policy", "workers")}
    with _loihi_with(setting["extra"]), sne.compile(DIGITS, **chosen) as compiled:
        return compiled.run(x[order], y[order], record=setting["record"]), np.argsort(order)


@contextmanager
def _loihi_with(extra: dict[str, Any]) -> Iterator[None]:
    """What only tests choose: working memory, and the way in which synapses are computed."""
    from sne_loihi import LoihiBackend

    plain = LoihiBackend.compile

    def chosen(self: LoihiBackend, program: Program, options: RunOptions) -> Any:
        return plain(self, program, replace(options, extra={**options.extra, **extra}))

    LoihiBackend.compile = chosen  # type: ignore[method-assign]
    try:
        yield
    finally:
        LoihiBackend.compile = plain  # type: ignore[method-assign]


def digest(setting: dict[str, Any]) -> str:
    """Of every sample's numbers, in the order of the data, and of the report."""
    result, back = run(setting)
    found = hashlib.sha256()
    for array in _arrays(result):
        found.update(np.ascontiguousarray(array[back]).tobytes())
    report = result.report.model_dump(mode="json")
    del report["provenance"]  # of this run: when, how long, by which command
    found.update(json.dumps(report, sort_keys=True).encode())
    return found.hexdigest()


def _arrays(result: Result) -> Iterator[np.ndarray]:
    yield from (result.run.predictions, result.run.logits, result.run.active)
    for student in result.run.students:
        yield student.outputs
        yield from student.synops_per_layer.values()
        yield from student.spikes.values()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for asked in json.loads(sys.argv[1]):
        try:
            said = digest(asked)
        except Exception as error:  # noqa: BLE001  any is a failure of this setting, not of the next
            said = f"{type(error).__name__}: {error}"
        print(json.dumps(said), flush=True)
