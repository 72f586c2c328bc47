"""Lava as it comes: a script, for a process of its own in which torch has not run.

It gives ``seconds`` (measured), ``startup_s`` (before it, not counted) and ``counts`` (spikes of the output,
[N][n_out]) of a variant, a Program and its inputs.

Variants: ``built`` makes, runs and stops a network for every sample, all of it counted; ``paused`` makes one
network and calls ``run(RunSteps)`` for every sample; ``streamed`` runs all samples in one call; ``netx`` does
so with the network that lava-dl reads from a ``.net`` file; ``ours`` is target ``lava``, streamed.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.children import answer
from sne_deploy.ir.program import NeuronGroup, Program, Synapse
from sne_deploy.ir.weights import ConvWeights, DenseWeights
from sne_netx.format.file import write_net

Array = npt.NDArray[Any]
Measured = tuple[float, Array]
"""Seconds, and counts (N, n_out)."""


class Stock:
    """A Program with one output as stock Lava processes, on inputs uint8 (N, T, *shape).

    A sample begins every ``interval`` steps, at least T. ``reset``: ``LIFReset``, for several samples; else
    ``LIF``.
    """

    def __init__(self, program: Program, inputs: Array, interval: int, *, reset: bool) -> None:
        from lava.proc.io.sink import RingBuffer as Sink
        from lava.proc.io.source import RingBuffer as Source

        self.program, self.samples, self.interval = program, len(inputs), interval
        self.steps = interval * len(inputs) + (program.max_depth if reset else 0)
        spatial = spatial_names(program)
        groups = {g.name: _neurons(g, interval, reset, g.name in spatial) for g in program.groups}
        self.source = Source(data=_data(program, inputs, interval, self.steps, program.input.name in spatial))
        outputs = {name: process.s_out for name, process in groups.items()}
        outputs[program.input.name] = self.source.s_out
        for synapse in program.synapses:
            process = _synapse(synapse)
            flat = synapse.source in spatial and isinstance(synapse.weights, DenseWeights)
            output = outputs[synapse.source]
            (output.transpose((2, 0, 1)).flatten() if flat else output).connect(process.s_in)
            process.a_out.connect(groups[synapse.target].a_in)
        (output,) = program.outputs
        self.sink = Sink(shape=groups[output].s_out.shape, buffer=self.steps)
        groups[output].s_out.connect(self.sink.a_in)

    def counts(self) -> Array:
        """int64 (N, n_out)."""
        return _counts(self.sink.data.get(), self.program, self.samples, self.interval)


def _counts(data: Array, program: Program, samples: int, interval: int) -> Array:
    (output,) = program.output_groups
    first = output.depth
    starts = [first + n * interval for n in range(samples)]
    counts = [data[..., s : s + program.timesteps].sum(axis=-1).reshape(-1) for s in starts]
    return np.stack(counts).astype(int)


def spatial_names(program: Program) -> set[str]:
    """Groups and input whose maps a convolution touches: height, width, channels in Lava."""
    convs = [synapse for synapse in program.synapses if isinstance(synapse.weights, ConvWeights)]
    return {name for synapse in convs for name in (synapse.source, synapse.target)}


def _data(program: Program, inputs: Array, interval: int, steps: int, spatial: bool) -> Array:
    """int32 (*shape, steps): the samples, each padded to the interval with silence."""
    padded = np.zeros((len(inputs), interval, *program.input.shape), np.int32)
    padded[:, : program.timesteps] = inputs
    line = np.zeros((steps, *program.input.shape), np.int32)
    flat = padded.reshape(-1, *program.input.shape)
    line[: len(flat)] = flat[:steps]
    return line.transpose((2, 3, 1, 0)) if spatial else np.moveaxis(line, 0, -1)


def _neurons(group: NeuronGroup, interval: int, reset: bool, spatial: bool) -> Any:
    from lava.proc.lif.process import LIF, LIFReset

    c_first = group.shape
    shape = (c_first[1], c_first[2], c_first[0]) if spatial else (group.size,)
    registers = {name: int(getattr(group, name)) for name in ("du", "dv", "bias_mant", "bias_exp")}
    registers["vth"] = int(group.vth_mant)
    if not reset:
        return LIF(shape=shape, **registers)
    offset = (group.depth + 1) % interval
    return LIFReset(shape=shape, reset_interval=interval, reset_offset=offset, **registers)


def _synapse(synapse: Synapse) -> Any:
    from lava.proc.conv.process import Conv
    from lava.proc.dense.process import Dense

    weights = synapse.weights
    if isinstance(weights, ConvWeights):
        height_width = (weights.in_shape[1], weights.in_shape[2], weights.in_shape[0])
        return Conv(
            weight=weights.kernel[:, :, ::-1, ::-1].transpose(0, 2, 3, 1),  # Conv flips kernels
            input_shape=height_width,
            stride=weights.stride,
            padding=weights.padding,
        )
    return Dense(weights=weights.matrix().toarray())


# --- variants ---------------------------------------------------------------------------------------


def built(program: Program, inputs: Array) -> Measured:
    """One network and one run per sample."""
    seconds, counts = 0.0, []
    for n in range(len(inputs)):
        start = time.perf_counter()
        steps = program.timesteps + program.max_depth
        network = Stock(program, inputs[n : n + 1], steps, reset=False)
        _run(network.source, steps)
        seconds += time.perf_counter() - start
        counts.append(network.counts())
        start = time.perf_counter()
        network.source.stop()
        seconds += time.perf_counter() - start
    return seconds, np.concatenate(counts)


def paused(program: Program, inputs: Array) -> Measured:
    """One network, one run per sample; the network's start is not counted."""
    interval = program.timesteps + program.max_depth
    network = Stock(program, inputs, interval, reset=True)
    return _timed(network.source, [interval] * len(inputs), network.counts)


def streamed(program: Program, inputs: Array) -> Measured:
    """One network, one run; the network's start is not counted."""
    network = Stock(program, inputs, program.timesteps, reset=True)
    return _timed(network.source, [network.steps], network.counts)


def ours(program: Program, inputs: Array) -> Measured:
    """Target ``lava``: its processes, with the counting inside; starting them is not counted."""
    from sne_lava import network
    from sne_lava.lowering import lower, make_job

    job = make_job(lower(program), inputs, "counts", 600.0)[0]
    made = network.build(job)
    return _timed(made.lead, [job.steps], lambda: np.asarray(made.counts(job)[program.outputs[0]].output))


def netx(program: Program, inputs: Array) -> Measured:
    """lava-dl's network from a ``.net`` file, streamed; its start is not counted."""
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer as Source

    from sne_lava.compat import import_netx

    steps = len(inputs) * program.timesteps + program.max_depth
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "bench.net")
        write_net(path, program)
        network = import_netx().hdf5.Network(
            net_config=str(path), reset_interval=program.timesteps, reset_offset=1
        )
    spatial = program.input.name in spatial_names(program)
    data = _data(program, inputs, program.timesteps, steps, spatial)
    source = Source(data=data.transpose((1, 0, 2, 3)) if spatial else data)  # netx: width first
    sink = Sink(shape=network.out.shape, buffer=steps)
    source.s_out.connect(network.inp)
    network.out.connect(sink.a_in)
    return _timed(source, [steps], lambda: _counts(sink.data.get(), program, len(inputs), program.timesteps))


def _configuration() -> Any:
    from lava.magma.core.run_configs import Loihi2SimCfg

    return Loihi2SimCfg(select_tag="fixed_pt")


def _timed(process: Any, runs: Sequence[int], counts: Callable[[], Array]) -> Measured:
    """Start a process, not counted; run these numbers of steps; count; stop."""
    process.create_runtime(run_cfg=_configuration())
    start = time.perf_counter()
    for steps in runs:
        _run(process, steps)
    seconds = time.perf_counter() - start
    found = counts()
    process.stop()
    return seconds, found


def _run(process: Any, steps: int) -> None:
    from lava.magma.core.run_conditions import RunSteps

    process.run(RunSteps(num_steps=steps), run_cfg=_configuration())


VARIANTS: dict[str, Callable[[Program, Array], Measured]] = {
    function.__name__: function for function in (built, paused, streamed, netx, ours)
}


def measure(variant: str, program: Program, inputs: Array) -> dict[str, Any]:
    """Measure one variant."""
    from sne_lava.compat import import_lava
    from sne_netx.importing import make_reshape_work

    began = time.perf_counter()
    import_lava()
    make_reshape_work()
    seconds, counts = VARIANTS[variant](program, inputs)
    startup_s = time.perf_counter() - began - seconds
    return {"seconds": seconds, "startup_s": startup_s, "counts": np.asarray(counts).tolist()}


if __name__ == "__main__":
    answer(measure)
