"""Between others: the barrier that keeps samples apart, and the link that keeps parts together."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess

from sne_lava.models import ReportingModel, both


class SampleBarrier(AbstractProcess):  # type: ignore[misc]  # lava is untyped
    """Passes spikes on in the same step, and drops those that would arrive in another sample.

    A spike that is sent at step t of a sample arrives at step t + lag: dropped where that is beyond the
    sample's last. Resetting neurons does not empty a synapse; this does.

    Parameters
    ----------
    size : int
        Number of axons.
    clock : sne_lava.job.Clock
    depth : int
        Of the source; 0 for the input.
    lag : int
    """

    def __init__(self, *, size: int, **params: Any) -> None:
        super().__init__(size=size, **params)
        self.s_in = InPort(shape=(size,))
        self.s_out = OutPort(shape=(size,))


class PartLink(AbstractProcess):  # type: ignore[misc]  # lava is untyped
    """Takes in whatever comes and sends zeros: Lava runs together only what is connected.

    Parameters
    ----------
    size_in, size_out : int
    """

    def __init__(self, *, size_in: int, size_out: int, **params: Any) -> None:
        super().__init__(size_in=size_in, size_out=size_out, **params)
        self.s_in = InPort(shape=(size_in,))
        self.a_out = OutPort(shape=(size_out,))


class _SampleBarrierModel(ReportingModel, PyLoihiProcessModel):  # type: ignore[misc]  # lava is untyped
    def run_spk(self) -> None:
        params, spikes = self.proc_params, self.s_in.recv()
        clock = params["clock"]
        arrival = clock.step_at(self.time_step, params["depth"]) + params["lag"]
        self.s_out.send(spikes if arrival < clock.timesteps else np.zeros_like(spikes))


class _PartLinkModel(ReportingModel, PyLoihiProcessModel):  # type: ignore[misc]  # lava is untyped
    dtype: type[np.generic]

    def run_spk(self) -> None:
        self.a_out.send(np.zeros(self.proc_params["size_out"], self.dtype))
        self.s_in.recv()


SampleBarrierFixed, SampleBarrierFloat = both(SampleBarrier, _SampleBarrierModel, s_in=1, s_out=1)
PartLinkFixed, PartLinkFloat = both(PartLink, _PartLinkModel, s_in=None, a_out=None)
