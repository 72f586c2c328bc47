"""The gate in front of a recurrent synapse: no spike passes from one sample into the next."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from sne_lava.models import ReportingModel


class SampleGate(AbstractProcess):  # type: ignore[misc]  # lava is untyped
    """Passes spikes on in the same step, and drops those that would arrive in another sample.

    A spike sent at Lava step s arrives at s + 1 + delay: dropped where the source's sample at s is not the
    target's sample at s + 1 + delay. Resetting neurons does not empty a synapse; this does.

    Parameters
    ----------
    size : int
        Number of axons.
    clock : sne_lava.job.Clock
    delay : int
        Of the synapse behind the gate, beyond the one step of every synapse.
    source_depth, target_depth : int
    """

    def __init__(self, *, size: int, **params: Any) -> None:
        super().__init__(size=size, **params)
        self.s_in = InPort(shape=(size,))
        self.s_out = OutPort(shape=(size,))


class _SampleGateModel(ReportingModel, PyLoihiProcessModel):  # type: ignore[misc]  # lava is untyped
    def run_spk(self) -> None:
        params, spikes = self.proc_params, self.s_in.recv()
        sent = params["clock"].sample_at(self.time_step, params["source_depth"])
        arrival = self.time_step + 1 + params["delay"]
        received = params["clock"].sample_at(arrival, params["target_depth"])
        self.s_out.send(spikes if sent == received else np.zeros_like(spikes))


@implements(proc=SampleGate, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class SampleGateFixed(_SampleGateModel):
    """Spikes as integers."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=1)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=1)


@implements(proc=SampleGate, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class SampleGateFloat(_SampleGateModel):
    """Spikes as real numbers."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
