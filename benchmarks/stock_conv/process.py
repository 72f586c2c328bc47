"""The stock ``Conv`` with flat, channels-first ports, so that it can stand where our synapse stands.

Lava's own virtual ports cannot do this with NumPy 2.4: they call ``numpy.reshape(newshape=...)``, which is
gone. The convolution, its weights and its buffer are the stock ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.conv import utils
from lava.proc.conv.models import PyConvModelFixed
from lava.proc.conv.process import Conv

from sne_lava.models import ReportingModel


class FlatConv(Conv):  # type: ignore[misc]  # lava is untyped
    """``Conv`` between flat groups; ``board``, ``label`` and ``shared`` as for our own processes."""

    def __init__(self, *, board: Any, label: str, **conv: Any) -> None:
        super().__init__(**conv)
        for name, value in {"board": board, "label": label, "shared": {}}.items():
            self.proc_params[name] = value
        self.s_in = InPort(shape=(int(np.prod(self.input_shape)),))
        self.a_out = OutPort(shape=(int(np.prod(self.output_shape)),))


@implements(proc=FlatConv, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class FlatConvFixed(ReportingModel, PyConvModelFixed):  # type: ignore[misc]  # lava is untyped
    """The stock step around two changes of layout."""

    implements_process = None  # lets @implements name our subclass of the stock process

    def run_spk(self) -> None:
        """Send what is due, convolve this step's spikes with the stock function."""
        self.a_out.send(self.a_buf.transpose(2, 0, 1).reshape(-1))
        height, width, channels = self.proc_params["input_shape"]
        spikes = self.s_in.recv().reshape(channels, height, width).transpose(1, 2, 0).astype(bool)
        convolved = utils.conv(
            spikes,
            self.weight,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.groups[0],
        )
        self.a_buf = self.clamp_precision(convolved)
