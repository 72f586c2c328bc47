"""Running a ``.net`` file with netx, in the process that runs Lava.

All samples are streamed back to back. netx resets u and v of every layer between samples, each layer a step
after the one before it (``reset_interval``). What it does not reset are the spikes that wait in the synapses
of a layer to itself, or in delays: there the run pauses before each sample, and they are removed. It also
pauses where v is read.

The caller imports this module for its jobs alone, which are plain data; unpickling one imports it in the
worker.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sne_deploy.model.ensemble import Readout
from sne_lava.arrays import Board, shared_zeros
from sne_lava.job import Clock
from sne_lava.simulation import STOP_S, Parent, deadline, no_child_may_end, simulate, wait_for_step

if TYPE_CHECKING:
    from lava.magma.core.process.process import AbstractProcess

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class LayerJob:
    """A layer of neurons, in the file's order.

    Attributes
    ----------
    name : str
        Of its group.
    depth : int
    spiking : bool
        False: it is read, and never spikes.
    recurrent : bool
        It has synapses to itself, in which spikes wait for a step.
    delayed : bool
        Its synapses delay spikes.
    """

    name: str
    depth: int
    spiking: bool
    recurrent: bool
    delayed: bool = False


@dataclass(frozen=True, eq=False)
class NetJob:
    """One student on N samples.

    Attributes
    ----------
    net : bytes
        The ``.net`` file.
    layers : tuple of LayerJob
    spike_bits : uint8 array of shape (N, T, ceil(n / 8)), or None
        Spike input, in netx's order, packed along the last axis.
    currents : int32 array of shape (N, n), or None
        Constant input, in netx's order.
    readout : Readout
        Of the last layer; "count" where it spikes.
    """

    net: bytes
    layers: tuple[LayerJob, ...]
    timesteps: int
    samples: int
    spike_bits: Array | None
    currents: Array | None
    readout: Readout
    stall_s: float

    @property
    def steps(self) -> int:
        """Lava steps: all samples, and the pipeline's depth to empty it."""
        return self.samples * self.timesteps + self.layers[-1].depth

    def forgotten(self) -> dict[int, list[tuple[int, str, int]]]:
        """Lava step after which spikes are removed, to layers' positions, synapses, and steps that are kept.

        A layer's own spikes go as it begins a new sample. Delayed ones go a step earlier, when the layer
        before has sent its last: what arrives at the next step belongs to the old sample still.
        """
        found: dict[int, list[tuple[int, str, int]]] = {}
        for position, layer in enumerate(self.layers):
            for sample in range(self.samples):
                step = sample * self.timesteps + layer.depth
                if layer.recurrent:
                    found.setdefault(step, []).append((position, "synapse_rec", 0))
                if layer.delayed and sample:
                    found.setdefault(step - 1, []).append((position, "synapse", 1))
        return found

    def readings(self) -> dict[int, int]:
        """Lava step after which the last layer's v is read, to the sample."""
        if self.readout == "count":
            return {}
        depth, every = self.layers[-1].depth, range(1, self.timesteps + 1)
        steps = (self.timesteps,) if self.readout == "v_last" else every
        return {n * self.timesteps + depth + t: n for n in range(self.samples) for t in steps}


@dataclass(frozen=True, eq=False)
class NetResult:
    """What netx did.

    Attributes
    ----------
    spike_bits : dict of group name to uint8 array of shape (N, T, ceil(n / 8))
        In netx's order.
    shapes : dict of group name to tuple of int
        netx's.
    rows : int64 array of shape (N, n_out), or None
        What was read of v.
    seconds : float
        Of all steps, pauses included; without loading the file and starting Lava.
    """

    spike_bits: dict[str, Array]
    shapes: dict[str, Shape]
    rows: Array | None
    seconds: float


def fold(readout: Readout, row: Array, v: Array, *, first: bool) -> Array:
    """A sample's row after one more reading of v."""
    if first or readout == "v_last":
        return v
    return row + v if readout == "v_mean" else np.maximum(row, v)


@dataclass(frozen=True, eq=False)
class Network:
    """netx's layers, a source and recorders; ``lead`` is the source, which is run and reports the steps."""

    lead: AbstractProcess
    board: Board
    layers: tuple[Any, ...]
    spike_bits: dict[str, Array]


@simulate.register(NetJob)
def _simulate_net(job: NetJob, progress: Callable[[int], None], parent: Parent) -> NetResult:
    """Load the file with netx, and run it."""
    from sne_netx.importing import import_netx_alone

    netx = import_netx_alone()
    path = Path(gettempdir(), "student.net")
    path.write_bytes(job.net)
    network = _build(job, _load(netx, path, job))
    rows, seconds = _run(job, network, progress, parent)
    shapes = {layer.name: _shape(block) for layer, block in zip(job.layers, network.layers, strict=True)}
    spike_bits = {name: bits.copy() for name, bits in network.spike_bits.items()}
    return NetResult(spike_bits, shapes, rows, seconds)


def _load(netx: Any, path: Path, job: NetJob) -> Any:
    return netx.hdf5.Network(
        net_config=str(path), reset_interval=job.timesteps, reset_offset=job.layers[0].depth
    )


def _shape(block: Any) -> tuple[int, ...]:
    return tuple(int(size) for size in block.shape)


def _build(job: NetJob, net: Any) -> Network:
    """Connect a source with netx's first layer, and a recorder with every layer that spikes."""
    from sne_lava.processes.sources.process import CurrentSource, SpikeSource
    from sne_netx.processes.recorders.process import SpikeRecorder

    board = Board()
    _report_failures(board)
    common = {"shared": {}, "board": board}
    entry = net.in_layer
    if job.currents is not None:
        currents = job.currents.reshape(job.samples, *_shape(entry))
        clock = Clock(job.timesteps, job.samples)
        source = CurrentSource(
            currents=currents, each_step=False, clock=clock, depth=0, label="input", **common
        )
        source.s_out.connect(entry.neuron.a_in)
    else:
        source = SpikeSource(bits=job.spike_bits, shape=_shape(net.inp), label="input", **common)
        source.s_out.connect(net.inp)
    source.proc_params["leads"] = True
    spike_bits = {}
    for layer, block in zip(job.layers, net.layers, strict=True):
        if layer.spiking:
            size = int(np.prod(_shape(block)))
            bits = shared_zeros((job.samples, job.timesteps, -(-size // 8)), np.uint8)
            label = f"recorder of {layer.name!r}"
            recorder = SpikeRecorder(bits=bits, shape=_shape(block), depth=layer.depth, label=label, **common)
            block.neuron.s_out.connect(recorder.s_in)
            spike_bits[layer.name] = bits
    return Network(source, board, tuple(net.layers), spike_bits)


def _report_failures(board: Board) -> None:
    """Let Lava's own processes say why they end; otherwise they do so without a word."""
    from lava.magma.core.model.py.model import PyLoihiProcessModel

    spike = PyLoihiProcessModel._spike  # noqa: SLF001  Lava has no hook for this

    def reporting(model: Any) -> None:
        try:
            spike(model)
        except Exception as error:
            board.report(f"{type(model).__name__}: {type(error).__name__}: {error}")
            raise

    PyLoihiProcessModel._spike = reporting  # noqa: SLF001


def _run(
    job: NetJob, network: Network, progress: Callable[[int], None], parent: Parent
) -> tuple[Array | None, float]:
    """Run to the end, with the pauses that the job needs; what was read of v, and the seconds."""
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg

    forgotten, readings = job.forgotten(), job.readings()
    size = int(np.prod(_shape(network.layers[-1])))
    rows = np.zeros((job.samples, size), np.int64) if readings else None
    read: set[int] = set()
    done = 0
    with no_child_may_end(network):
        network.lead.create_runtime(run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
        started = time.perf_counter()
        for step in sorted({*forgotten, *readings, job.steps} - {0}):
            network.lead.run(RunSteps(num_steps=step - done, blocking=False))
            wait_for_step(step, network, progress, parent, job.stall_s)
            network.lead.wait()
            done = step
            for position, stored, kept in forgotten.get(step, ()):
                buffer = getattr(network.layers[position], stored).a_buff
                waiting = np.array(buffer.get())
                waiting[..., kept:] = 0
                buffer.set(waiting)
            if rows is not None and step in readings:
                sample = readings[step]
                v = np.asarray(network.layers[-1].neuron.v.get()).astype(np.int64)
                rows[sample] = fold(job.readout, rows[sample], v, first=sample not in read)
                read.add(sample)
    seconds = time.perf_counter() - started
    with deadline("Lava did not stop", STOP_S):
        network.lead.stop()
    return rows, seconds
