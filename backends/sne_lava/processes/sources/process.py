"""Where samples and biases enter: spikes, constant currents, and the axon that is always on."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess

from sne_lava.models import ReportingModel, both

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
    """Sends the current of sample n at each of its target's T steps of it; otherwise zeros.

    Parameters
    ----------
    currents : int32 or float64 array of shape (N, *shape), or (N, T, *shape) with ``each_step``
        Shared with the model, not copied.
    clock : sne_lava.job.Clock
    depth : int
        Of the target: it takes in what is sent at the same Lava step.
    each_step : bool
        Whether every step of a sample has currents of its own.
    """

    def __init__(self, *, currents: Array, each_step: bool = False, **params: Any) -> None:
        super().__init__(currents=currents, each_step=each_step, **params)
        self.s_out = OutPort(shape=currents.shape[2:] if each_step else currents.shape[1:])


class AlwaysOn(AbstractProcess):  # type: ignore[misc]  # lava is untyped
    """One axon that spikes at every step."""

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self.s_out = OutPort(shape=(1,))


class _SpikeSourceModel(ReportingModel, PyLoihiProcessModel):  # type: ignore[misc]  # lava is untyped
    dtype: type[np.generic]

    def run_spk(self) -> None:
        bits, shape = self.proc_params["bits"], self.proc_params["shape"]
        samples, timesteps, _ = bits.shape
        sample, step = divmod(self.time_step - 1, timesteps)
        if sample < samples:
            spikes = np.unpackbits(bits[sample, step], count=int(np.prod(shape)))
            self.s_out.send(spikes.astype(self.dtype).reshape(shape))
        else:
            self.s_out.send(np.zeros(shape, self.dtype))


class _CurrentSourceModel(ReportingModel, PyLoihiProcessModel):  # type: ignore[misc]  # lava is untyped
    def run_spk(self) -> None:
        params = self.proc_params
        clock, currents, depth = params["clock"], params["currents"], params["depth"]
        sample = clock.sample_at(self.time_step, depth)
        step = (clock.step_at(self.time_step, depth),) if params["each_step"] else ()
        if clock.inside(sample):
            self.s_out.send(currents[(sample, *step)])
        else:
            self.s_out.send(np.zeros_like(currents[(0, *step)]))


class _AlwaysOnModel(ReportingModel, PyLoihiProcessModel):  # type: ignore[misc]  # lava is untyped
    dtype: type[np.generic]

    def run_spk(self) -> None:
        self.s_out.send(np.ones(1, self.dtype))


SpikeSourceFixed, SpikeSourceFloat = both(SpikeSource, _SpikeSourceModel, s_out=1)
CurrentSourceFixed, CurrentSourceFloat = both(CurrentSource, _CurrentSourceModel, s_out=16)
AlwaysOnFixed, AlwaysOnFloat = both(AlwaysOn, _AlwaysOnModel, s_out=1)
