"""Run Programs as networks of stock Lava processes, step by step: a script, for a process of its own.

``python stock_networks.py CASES RESULTS``: pickles of ``[(program, inputs), ...]`` and of one dictionary
per case, group name to ``(spikes, u, v)``, each of shape (steps, n) on Lava's own clock.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np

from sne_lava.compat import import_lava

import_lava()
from lava.magma.core.run_conditions import RunSteps  # noqa: E402  # Lava must be importable first
from lava.magma.core.run_configs import Loihi2SimCfg  # noqa: E402
from lava.proc.dense.process import Dense  # noqa: E402
from lava.proc.io.sink import RingBuffer as Sink  # noqa: E402
from lava.proc.io.source import RingBuffer as Source  # noqa: E402
from lava.proc.lif.process import LIFReset  # noqa: E402
from lava.proc.sparse.process import Sparse  # noqa: E402
from lava.utils.weightutils import SignMode  # noqa: E402

from sne_deploy.ir.program import ALWAYS_ON, NeuronGroup, Program, Synapse  # noqa: E402
from sne_deploy.ir.weights import DenseWeights  # noqa: E402


def run(program: Program, inputs: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Stream the samples through stock processes; states after every step of Lava's clock."""
    steps = len(inputs) * program.timesteps + program.max_depth
    groups = {group.name: _neurons(group, program.timesteps) for group in program.groups}
    data = np.zeros((program.input.size, steps), np.int32)
    data[:, : len(inputs) * program.timesteps] = inputs.reshape(-1, program.input.size).T
    sources = {program.input.name: Source(data=data), ALWAYS_ON: Source(data=np.ones((1, 1), np.int32))}
    outputs = {name: process.s_out for name, process in (sources | groups).items()}
    for synapse in program.synapses:
        process = _synapse(synapse)
        outputs[synapse.source].connect(process.s_in)
        process.a_out.connect(groups[synapse.target].a_in)
    sinks = {name: Sink(shape=process.s_out.shape, buffer=steps) for name, process in groups.items()}
    for name, sink in sinks.items():
        groups[name].s_out.connect(sink.a_in)
    tag = "fixed_pt" if program.precision == "fixed" else "floating_pt"
    first = sources[program.input.name]
    states: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in groups}
    for _ in range(steps):
        first.run(RunSteps(num_steps=1), run_cfg=Loihi2SimCfg(select_tag=tag))
        for name, process in groups.items():
            states[name].append((process.u.get(), process.v.get()))
    spikes = {name: sink.data.get().T for name, sink in sinks.items()}
    first.stop()
    return {
        name: (spikes[name], np.stack([u for u, _ in rows]), np.stack([v for _, v in rows]))
        for name, rows in states.items()
    }


def _neurons(group: NeuronGroup, timesteps: int) -> LIFReset:
    return LIFReset(
        shape=(group.size,),
        du=group.du,
        dv=group.dv,
        vth=group.vth_mant,
        bias_mant=group.bias_mant,
        bias_exp=group.bias_exp,
        reset_interval=timesteps,
        reset_offset=(group.depth + 1) % timesteps,
    )


def _synapse(synapse: Synapse) -> Dense | Sparse:
    options = {"weight_exp": synapse.weight_exp, "sign_mode": SignMode[synapse.sign_mode.upper()]}
    if isinstance(synapse.weights, DenseWeights):
        return Dense(weights=synapse.weights.array, **options)
    return Sparse(weights=synapse.weights.matrix(), **options)


if __name__ == "__main__":
    cases = pickle.loads(Path(sys.argv[1]).read_bytes())
    Path(sys.argv[2]).write_bytes(pickle.dumps([run(program, inputs) for program, inputs in cases]))
