"""Where samples enter netx's network: spikes, or constant currents, in the shape of its first layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from sne_lava.models import ReportingModel

Array = npt.NDArray[Any]


class ShapedSpikes(AbstractProcess):  # type: ignore[misc]  # lava is untyped
    """Sends step t of sample n at Lava step n T + t + 1; silent after the last sample.

    Parameters
    ----------
    bits : uint8 array of shape (N, T, ceil(n / 8))
        Spikes packed along the last axis, in the order of ``shape``; shared with the model, not copied.
    shape : tuple of int
    """

    def __init__(self, *, bits: Array, shape: tuple[int, ...], **params: Any) -> None:
        super().__init__(bits=bits, shape=shape, **params)
        self.s_out = OutPort(shape=shape)


class ShapedCurrents(AbstractProcess):  # type: ignore[misc]  # lava is untyped
    """Sends the constant current of sample n at each of its T steps; zeros after the last sample.

    Parameters
    ----------
    currents : int32 array of shape (N, n)
        In the order of ``shape``; shared with the model, not copied.
    timesteps : int
    shape : tuple of int
    """

    def __init__(self, *, currents: Array, timesteps: int, shape: tuple[int, ...], **params: Any) -> None:
        super().__init__(currents=currents, timesteps=timesteps, shape=shape, **params)
        self.s_out = OutPort(shape=shape)


@implements(proc=ShapedSpikes, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class ShapedSpikesModel(ReportingModel, PyLoihiProcessModel):  # type: ignore[misc]  # lava is untyped
    """Spikes as integers."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=1)

    def run_spk(self) -> None:
        """Send one step."""
        bits, shape = self.proc_params["bits"], self.proc_params["shape"]
        sample, step = divmod(self.time_step - 1, bits.shape[1])
        if sample < len(bits):
            spikes = np.unpackbits(bits[sample, step], count=int(np.prod(shape)))
            self.s_out.send(spikes.astype(np.int32).reshape(shape))
        else:
            self.s_out.send(np.zeros(shape, np.int32))


@implements(proc=ShapedCurrents, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class ShapedCurrentsModel(ReportingModel, PyLoihiProcessModel):  # type: ignore[misc]  # lava is untyped
    """Currents as integers of the a_in register."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=16)

    def run_spk(self) -> None:
        """Send one step."""
        params = self.proc_params
        sample = (self.time_step - 1) // params["timesteps"]
        currents = params["currents"]
        current = currents[sample] if sample < len(currents) else np.zeros_like(currents[0])
        self.s_out.send(current.reshape(params["shape"]))
