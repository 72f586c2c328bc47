"""Where the spikes of netx's layers are written down."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from sne_lava.models import ReportingModel

Array = npt.NDArray[Any]


class SpikeRecorder(AbstractProcess):  # type: ignore[misc]  # lava is untyped
    """Keeps every spike of a layer, by sample.

    Parameters
    ----------
    bits : uint8 array of shape (N, T, ceil(n / 8))
        Shared with the process that started Lava; filled along the last axis (``np.packbits``), in the order
        of ``shape``.
    shape : tuple of int
    depth : int
        Steps by which the layer runs behind the input.
    """

    def __init__(self, *, bits: Array, shape: tuple[int, ...], depth: int, **params: Any) -> None:
        super().__init__(bits=bits, shape=shape, depth=depth, **params)
        self.s_in = InPort(shape=shape)


@implements(proc=SpikeRecorder, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class SpikeRecorderModel(ReportingModel, PyLoihiProcessModel):  # type: ignore[misc]  # lava is untyped
    """Packs what arrives."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)

    def run_spk(self) -> None:
        """Take one step."""
        spikes = self.s_in.recv()
        bits = self.proc_params["bits"]
        sample, step = divmod(self.time_step - 1 - self.proc_params["depth"], bits.shape[1])
        if 0 <= sample < len(bits):
            bits[sample, step] = np.packbits(spikes.reshape(-1) != 0)
