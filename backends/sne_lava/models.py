"""What every process model of this backend shares: its failure is reported, its Vars are shared arrays."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


def fixed(process: type) -> Callable[[Any], Any]:
    """Decorate the model that computes a process in Loihi's integers."""
    return _model(process, "bit_accurate_loihi", "fixed_pt")


def floating(process: type) -> Callable[[Any], Any]:
    """Decorate the model that computes a process in real numbers."""
    return _model(process, "floating_pt")


def _model(process: type, *tags: str) -> Callable[[Any], Any]:
    def decorate(model: Any) -> Any:
        return implements(proc=process, protocol=LoihiProtocol)(requires(CPU)(tag(*tags)(model)))

    return decorate


def both(process: type, model: Any, **ports: int | None) -> tuple[Any, Any]:
    """Make both models of a process that only passes values on.

    Parameters
    ----------
    process : type
    model : type
        What it does, with values of ``self.dtype``.
    ports
        For each port, the bits of its integers; None: 32.
    """
    made = []
    for decorate, dtype, suffix in ((fixed, np.int32, "Fixed"), (floating, np.float64, "Float")):
        members: dict[str, Any] = {"dtype": dtype, "__module__": process.__module__}
        for name, bits in ports.items():
            kind = (PyInPort if name == "s_in" else PyOutPort).VEC_DENSE
            precise = {"precision": bits} if bits and dtype is np.int32 else {}
            members[name] = LavaPyType(kind, np.int32 if dtype is np.int32 else float, **precise)
        made.append(decorate(process)(type(f"{process.__name__}{suffix}", (model,), members)))
    return made[0], made[1]


class ReportingModel:
    """Mix-in for a ``PyLoihiProcessModel``; put it first among the bases.

    ``proc_params`` holds ``board`` (:class:`sne_lava.arrays.Board`), ``label`` (how a failure names the
    process) and ``shared``: Var name to the shared array that becomes that Var's storage. The one process
    with ``leads`` also reports the steps.
    """

    proc_params: Any
    time_step: int

    def start(self) -> None:
        """Put the Vars into shared memory, then start as stock."""
        for name, array in self.proc_params["shared"].items():
            setattr(self, name, array)
        super().start()  # type: ignore[misc]  # the stock model follows in the class order

    def _spike(self) -> None:
        if self.proc_params.get("leads", False):
            self.proc_params["board"].step[0] = self.time_step
        try:
            super()._spike()  # type: ignore[misc]  # the stock model follows in the class order
        except Exception as error:
            where = traceback.format_exc(limit=-3)
            self.proc_params["board"].report(
                f"{self.proc_params['label']}: {type(error).__name__}: {error}\n{where}"
            )
            raise
