"""What a run of one network counted, per sample: the one form in which counts go from targets to reports.

Traces of consecutive samples are joined by :func:`join`, whether chunks, workers or slices made them;
:meth:`Trace.spread` puts the samples that an activation policy chose in their places among all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from sne_deploy.backend import Record
from sne_deploy.brief import briefly
from sne_deploy.ir.program import NeuronGroup, Program
from sne_deploy.runtime.packed import Joined, Packed, join_field, packs

Array = npt.NDArray[Any]


@packs("synops", "spikes", "updates_active", "updates_idle", "u_wraps", "v_saturations")
@briefly
@dataclass(frozen=True, eq=False, repr=False)
class LayerTrace:
    """What happened in one neuron group and the synapses that end on it.

    Attributes
    ----------
    name : str
    synops : int64 array of shape (N,)
        Spikes that arrived at existing synapses into the group.
    spikes : int64 array of shape (N,)
        Spikes that the group sent.
    updates_active, updates_idle : int64 array of shape (N,)
        Neuron updates with input or non-zero u or v before the update; and the others.
        ``None`` where the backend does not model registers (float reference).
    u_wraps, v_saturations : int64 array of shape (N,), or None
        Neuron updates in which u left its register and was corrected, and in which v was clipped to its own.
        ``None`` where the backend does not count them.
    recorded_spikes : bool array of shape (N, T, *shape), or None
    recorded_u, recorded_v : array of shape (N, T, *shape), or None
        State after each step (after the reset by a spike), in registers or floats; ``record="all"``.
    """

    name: str
    synops: Array
    spikes: Array
    updates_active: Array | None
    updates_idle: Array | None
    u_wraps: Array | None = None
    v_saturations: Array | None = None
    recorded_spikes: Array | None = None
    recorded_u: Array | None = None
    recorded_v: Array | None = None


@packs("raw_outputs", "outputs", "input_spikes", "host_macs")
@briefly
@dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """The result of one network on N samples. Index n is sample n, whatever the streaming.

    Attributes
    ----------
    raw_outputs : array of shape (N, n_out)
        Counts; v at the last step or its maximum; or the exact *sum* of v over the sample for ``v_mean``.
    outputs : float64 array of shape (N, n_out)
        In the network's own units.
    layers : tuple of LayerTrace
        In the Program's order of groups.
    input_spikes : int64 array of shape (N,)
        Spikes (or per-step graded messages) that entered, the always-on axon's included.
    host_macs : int64 array of shape (N,)
    saturated_inputs : int
        Host constants clipped to their register.
    """

    raw_outputs: Array
    outputs: Array
    layers: tuple[LayerTrace, ...]
    input_spikes: Array
    host_macs: Array
    saturated_inputs: int = 0

    @property
    def synops(self) -> Array:
        """int64 array of shape (N,): SynOps of all layers."""
        return _sum([layer.synops for layer in self.layers])

    @property
    def spikes(self) -> Array:
        """int64 array of shape (N,): spikes that neurons of all layers sent."""
        return _sum([layer.spikes for layer in self.layers])

    @property
    def updates_active(self) -> Array | None:
        """int64 array of shape (N,); None where a layer's are None."""
        return _sum_or_none([layer.updates_active for layer in self.layers])

    @property
    def updates_idle(self) -> Array | None:
        """int64 array of shape (N,); None where a layer's are None."""
        return _sum_or_none([layer.updates_idle for layer in self.layers])

    def take(self, rows: Array | slice) -> Trace:
        """The trace of some of the samples; ``saturated_inputs`` stays that of all."""
        return _changed(self, lambda _, values: values[rows])

    def spread(self, ran: Array) -> Trace:
        """The trace over all samples, of which these are the ones for which ``ran`` holds, in order.

        Elsewhere ``outputs`` are NaN, everything else is 0.
        """
        if bool(ran.all()):
            return self

        def full(name: str, values: Array) -> Array:
            spread = np.full((len(ran), *values.shape[1:]), np.nan if name == "outputs" else 0, values.dtype)
            spread[ran] = values
            return spread

        return _changed(self, full)

    def without_recordings(self) -> Trace:
        """The counts and outputs alone."""
        layers = [
            replace(layer, recorded_spikes=None, recorded_u=None, recorded_v=None) for layer in self.layers
        ]
        return replace(self, layers=tuple(layers))


def _no_group(_: NeuronGroup) -> bool:
    return False


def not_run(
    program: Program,
    samples: int,
    record: Record = "counts",
    *,
    updates: bool = False,
    outside: Callable[[NeuronGroup], bool] = _no_group,
    states: npt.DTypeLike | None = None,
) -> Trace:
    """The trace of a network that ran on none of ``samples`` samples: 0 of what is counted, None of the rest.

    Parameters
    ----------
    program : Program
    samples : int
    record : {"counts", "spikes", "all"}
    updates : bool
        Whether the target counts the updates of neurons.
    outside : function (group) -> bool
        Whether it counts where u and v leave the registers.
    states : dtype or None
        In which it records u and v; None: it does not.
    """
    zeros = np.zeros(samples, np.int64)

    def layer(group: NeuronGroup) -> LayerTrace:
        full = (samples, program.timesteps, *group.shape)
        recorded = np.zeros(full, np.bool_) if record != "counts" and group.spiking else None
        state = np.zeros(full, states) if record == "all" and states is not None else None
        updated, left = zeros if updates else None, zeros if outside(group) else None
        return LayerTrace(group.name, zeros, zeros, updated, updated, left, left, recorded, state, state)

    size = (samples, program.output_size)
    layers = tuple(layer(group) for group in program.groups)
    return Trace(np.zeros(size, np.int64), np.full(size, np.nan), layers, zeros, zeros)


Part = TypeVar("Part", Trace, LayerTrace)


def join(parts: Sequence[Part]) -> Part:
    """Join traces of consecutive samples of one Program, in order; at least one.

    What is None in any part is None in all: a count of some samples is no count.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    changed: Part = replace(first, **{part.name: _joined(parts, part.name) for part in fields(first)})
    return changed


def _joined(parts: Sequence[Any], name: str) -> Any:
    if any(part.__dict__[name] is None for part in parts):
        return None
    if isinstance(parts[0].__dict__[name], np.ndarray | Packed | Joined):
        return join_field(parts, name)
    values = [getattr(part, name) for part in parts]
    if isinstance(values[0], tuple):
        return tuple(join(same) for same in zip(*values, strict=True))
    return sum(values) if isinstance(values[0], int) else values[0]


def _changed(record: Part, change: Callable[[str, Array], Array]) -> Part:
    """The same record with every array changed, by the name of its field."""
    found: dict[str, Any] = {}
    for part in fields(record):
        value = getattr(record, part.name)
        if isinstance(value, np.ndarray):
            found[part.name] = change(part.name, value)
        elif isinstance(value, tuple):
            found[part.name] = tuple(_changed(layer, change) for layer in value)
    changed: Part = replace(record, **found)
    return changed


def _sum(counts: Sequence[Array]) -> Array:
    return np.asarray(np.sum(counts, axis=0, dtype=np.int64))


def _sum_or_none(counts: Sequence[Array | None]) -> Array | None:
    known = [count for count in counts if count is not None]
    return _sum(known) if len(known) == len(counts) else None
