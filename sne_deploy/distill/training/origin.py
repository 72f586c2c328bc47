"""``trained.json``: on what sort of machine each stage was trained, and how long, written by the training.

Beside a model and not in it, so that the same experiment gives the same model wherever it is trained.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from sne_deploy.distill.training.epochs import Epoch
from sne_deploy.errors import InputError
from sne_deploy.files import read_regular, write_whole

NAME = "trained.json"
MAX_BYTES = 2**20
UNKNOWN = "an unknown machine"
"""Of epochs that a state knows and no file says the machine of."""
SERVERS = ("Xeon", "EPYC")
VECTORS = {"amx_bf16": "an AMX", "avx512f": "an AVX-512", "avx2": "an AVX2"}
"""By the flag of a processor; the first that it has."""


class StageRecord(BaseModel):
    """A stage: its epochs, their seconds in all, and of these those on each machine, the last one last."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    epochs: int
    seconds: float
    machines: dict[str, float]


Stages = dict[str, StageRecord]
_FILE: TypeAdapter[Stages] = TypeAdapter(Stages)


def read_trained(path: Path) -> Stages:
    """What a file says, by stage.

    Raises
    ------
    InputError
        It is no such file.
    """
    try:
        return _FILE.validate_json(read_regular(path, MAX_BYTES))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; give a {NAME}") from None
    except ValidationError as error:
        reason = error.errors(include_url=False)[0]["msg"]
        raise InputError(f"{path}: is no record of a training ({reason}); delete it") from None


class TrainedFile:
    """The file of one run; stages of earlier runs that this one does not train stay in it.

    Parameters
    ----------
    path : Path
    machine : str
        This one, see :func:`machine_name`.
    unnoted : str
        That of a stage of which nothing was noted, though epochs of it are done.
    """

    def __init__(self, path: Path, machine: str, unnoted: str = UNKNOWN) -> None:
        self._path, self._machine, self._unnoted = path, machine, unnoted
        self._stages = read_trained(path) if path.exists() else {}

    def started(self, stage: str, done: Sequence[Epoch]) -> None:
        """Note a stage whose first epochs are done already.

        One that a kill kept out of the file was done by the machine that had started the stage last.
        """
        seconds = sum(epoch.seconds for epoch in done)
        known = self._stages.get(stage)
        machines = dict(known.machines) if known is not None and known.epochs <= len(done) else {}
        rest = seconds - sum(machines.values())
        if done and rest > 0:
            last = next(reversed(machines), self._unnoted)
            machines[last] = machines.get(last, 0.0) + rest
        machines[self._machine] = machines.pop(self._machine, 0.0)
        self._stages[stage] = StageRecord(epochs=len(done), seconds=seconds, machines=machines)
        self._write()

    def epoch(self, stage: str, epoch: int, done: Epoch) -> None:
        """Note that an epoch of a stage, counted from 1, is done."""
        before = self._stages[stage]
        machines = {**before.machines, self._machine: before.machines[self._machine] + done.seconds}
        self._stages[stage] = StageRecord(
            epochs=epoch, seconds=before.seconds + done.seconds, machines=machines
        )
        self._write()

    def finish(self) -> None:
        """Nothing is left to be done."""

    def _write(self) -> None:
        plain: dict[str, Any] = {name: stage.model_dump() for name, stage in self._stages.items()}
        write_whole(self._path, (json.dumps(plain, indent=1) + "\n").encode())


def machine_name(device: str, threads: int) -> str:
    """The sort of machine that a device is of, such as ``1 thread of an AVX-512 server CPU``."""
    if device.startswith("cuda"):
        import torch

        return f"one {torch.cuda.get_device_name(torch.device(device))}"
    if device != "cpu":
        return f"a device {device!r}"
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    flags = next((set(line.split()) for line in lines if line.startswith("flags")), set())
    names = [line for line in lines if line.startswith("model name")]
    vectors = next((text for flag, text in VECTORS.items() if flag in flags), "a")
    server = " server" if any(name in line for line in names[:1] for name in SERVERS) else ""
    half = " with bf16" if "avx512_bf16" in flags else ""
    used = min(threads, len(os.sched_getaffinity(0)))
    return f"{used} {'thread' if used == 1 else 'threads'} of {vectors}{server} CPU{half}"
