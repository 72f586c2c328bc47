"""Where samples and biases enter: spikes, constant currents, and the axon that is always on."""

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


class SpikeSource(AbstractProcess):  # type: ignore[misc]  # lava is untyped
    """Sends step t of sample n at Lava step n T + t + 1; silent after the last sample.

    Parameters
    ----------
    bits : uint8 array of shape (N, T, ceil(n / 8))
        Spikes packed along the last axis; shared with the model, not copied.
    shape : tuple of int
        Of the n axons.
    """

    def __init__(self, *, bits: Any, shape: tuple[int, ...], **params: Any) -> None:
        super().__init__(bits=bits, shape=shape, **params)
        self.s_out = OutPort(shape=shape)


class CurrentSource(AbstractProcess):  # type: ignore[misc]  # lava is untyped
    """Sends the constant current of sample n at each of its target's T steps of it; otherwise zeros.

    Parameters
    ----------
    currents : int32 or float64 array of shape (N, *shape)
        Shared with the model, not copied.
    clock : sne_lava.job.Clock
    depth : int
        Of the target: it takes in what is sent at the same Lava step.
    """

    def __init__(self, *, currents: Array, **params: Any) -> None:
        super().__init__(currents=currents, **params)
        self.s_out = OutPort(shape=currents.shape[1:])


class AlwaysOn(AbstractProcess):  # type: ignore[misc]  # lava is untyped
    """One axon that spikes at every step."""

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self.s_out = OutPort(shape=(1,))


class _SpikeSourceModel(ReportingModel, PyLoihiProcessModel):  # type: ignore[misc]  # lava is untyped
    def run_spk(self) -> None:
        bits, shape = self.proc_params["bits"], self.proc_params["shape"]
        samples, timesteps, _ = bits.shape
        sample, step = divmod(self.time_step - 1, timesteps)
        if sample < samples:
            spikes = np.unpackbits(bits[sample, step], count=int(np.prod(shape)))
            self.s_out.send(spikes.astype(self.dtype).reshape(shape))
        else:
            self.s_out.send(np.zeros(shape, self.dtype))


@implements(proc=SpikeSource, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class SpikeSourceFixed(_SpikeSourceModel):
    """Spikes as integers."""

    dtype = np.int32
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=1)


@implements(proc=SpikeSource, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class SpikeSourceFloat(_SpikeSourceModel):
    """Spikes as real numbers."""

    dtype = np.float64
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)


class _CurrentSourceModel(ReportingModel, PyLoihiProcessModel):  # type: ignore[misc]  # lava is untyped
    def run_spk(self) -> None:
        params = self.proc_params
        clock, currents = params["clock"], params["currents"]
        sample = clock.sample_at(self.time_step, params["depth"])
        self.s_out.send(currents[sample] if clock.inside(sample) else np.zeros_like(currents[0]))


@implements(proc=CurrentSource, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class CurrentSourceFixed(_CurrentSourceModel):
    """Integers of the target's a_in register."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=16)


@implements(proc=CurrentSource, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class CurrentSourceFloat(_CurrentSourceModel):
    """Real currents."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)


class _AlwaysOnModel(ReportingModel, PyLoihiProcessModel):  # type: ignore[misc]  # lava is untyped
    def run_spk(self) -> None:
        self.s_out.send(np.ones(1, self.dtype))


@implements(proc=AlwaysOn, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class AlwaysOnFixed(_AlwaysOnModel):
    """The spike as an integer."""

    dtype = np.int32
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=1)


@implements(proc=AlwaysOn, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class AlwaysOnFloat(_AlwaysOnModel):
    """The spike as a real number."""

    dtype = np.float64
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
