"""Running Norse's cells step by step, and counting what their spikes would cost."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sne_deploy.backend import LayerTrace, Record, RunOptions, Trace
from sne_deploy.ensembles import Readout
from sne_deploy.frontend.export import layers_from_graph
from sne_deploy.frontend.norse import module_from_layers
from sne_deploy.ir.program import ALWAYS_ON, Program
from sne_deploy.runtime.traces import concatenate_traces

Array = npt.NDArray[Any]

CHUNK = 256
"""Samples run at a time; bounds memory."""
_READOUTS: dict[Readout, Callable[[Array], Array]] = {
    "count": lambda z: np.asarray(z.sum(axis=1)),
    "v_last": lambda v: v[:, -1],
    "v_mean": lambda v: np.asarray(v.sum(axis=1)),
    "v_max": lambda v: np.asarray(v.max(axis=1)),
}
"""From [N, T, n] to raw [N, n]; the mean is divided later."""


class NorseExecutable:
    """One student as Norse modules in float64."""

    def __init__(self, program: Program, options: RunOptions) -> None:
        self._program = program
        self._options = options
        self._module = module_from_layers(layers_from_graph(program.graph), dtype=torch.float64)
        self._fan_out = {
            synapse.name: np.bincount(synapse.weights.matrix().indices, minlength=synapse.weights.shape[1])
            for synapse in program.synapses
        }

    def __enter__(self) -> NorseExecutable:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def run(self, inputs: Array, record: Record = "counts") -> Trace:
        """Run all samples; see :class:`sne_deploy.backend.Executable`."""
        parts = []
        for start in range(0, max(len(inputs), 1), CHUNK):
            parts.append(self._run_chunk(inputs[start : start + CHUNK], record))
            if self._options.progress is not None:
                done = min(start + CHUNK, len(inputs))
                self._options.progress(self._program.student, done, len(inputs))
        return concatenate_traces(parts)

    def _run_chunk(self, inputs: Array, record: Record) -> Trace:
        program = self._program
        spikes, readout = self._simulate(inputs)
        layers = tuple(
            LayerTrace(
                name=group.name,
                synops=self._synops(group.name, spikes, inputs),
                spikes=spikes[group.name].reshape(len(inputs), -1).sum(axis=1, dtype=np.int64)
                if group.spiking
                else np.zeros(len(inputs), dtype=np.int64),
                updates_active=None,
                updates_idle=None,
                recorded_spikes=spikes[group.name] if record != "counts" and group.spiking else None,
            )
            for group in program.groups
        )
        return Trace(
            raw_outputs=readout,
            outputs=readout / program.timesteps if program.readout == "v_mean" else readout,
            layers=layers,
            input_spikes=self._input_spikes(inputs),
            host_macs=np.full(len(inputs), program.host.macs if program.host else 0, dtype=np.int64),
        )

    def _simulate(self, inputs: Array) -> tuple[dict[str, Array], Array]:
        """Spikes of every group, bool [N, T, *shape], and the readout (v_mean as a sum), float64 [N, n]."""
        program = self._program
        cells = [child for child in self._module.modules() if hasattr(child, "state_fallback")]
        steps: dict[str, list[Array]] = {group.name: [] for group in program.groups}
        names = [group.name for group in program.groups]
        hooks = [
            cell.register_forward_hook(_recorder(steps[name]))
            for cell, name in zip(cells, names, strict=True)
        ]
        try:
            with torch.no_grad():
                state = None
                for t in range(program.timesteps):
                    x = inputs if program.host is not None else inputs[:, t]
                    _, state = self._module(torch.as_tensor(np.asarray(x, dtype=np.float64)), state)
        finally:
            for hook in hooks:
                hook.remove()
        stacked = {name: np.stack(values, axis=1) for name, values in steps.items()}
        last = stacked[program.output].reshape(len(inputs), program.timesteps, -1)
        spikes = {group.name: stacked[group.name] != 0 for group in program.groups if group.spiking}
        return spikes, np.asarray(_READOUTS[program.readout](last), dtype=np.float64)

    def _synops(self, name: str, spikes: dict[str, Array], inputs: Array) -> Array:
        program = self._program
        total = np.zeros(len(inputs), dtype=np.int64)
        for synapse in program.synapses_into(name):
            fan_out = self._fan_out[synapse.name].astype(np.int64)
            if synapse.source == ALWAYS_ON:
                total += int(fan_out.sum()) * program.timesteps
                continue
            sent = inputs if synapse.source == program.input.name else spikes[synapse.source]
            sent = sent.reshape(len(inputs), program.timesteps, -1)
            arriving = sent[:, : program.timesteps - 1 - synapse.delay] if synapse.recurrent else sent
            total += arriving.sum(axis=1, dtype=np.int64) @ fan_out
        return total

    def _input_spikes(self, inputs: Array) -> Array:
        program = self._program
        has_axon = any(synapse.source == ALWAYS_ON for synapse in program.synapses)
        always = np.full(len(inputs), program.timesteps if has_axon else 0, dtype=np.int64)
        if program.host is None:
            return np.asarray(always + inputs.reshape(len(inputs), -1).sum(axis=1, dtype=np.int64))
        messages = program.group(program.host.target).size if program.host.per_step_messages else 0
        return np.asarray(always + messages * program.timesteps)


def _recorder(steps: list[Array]) -> Any:
    def hook(_module: torch.nn.Module, _arguments: Any, output: Any) -> None:
        steps.append(output[0].detach().numpy().copy())

    return hook
