"""What a run of an ensemble returns, as exact integers per sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.ir.program import Program

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class LayerCounts:
    """Counts of one neuron group and the synapses that end on it; 0 where the student did not run.

    Attributes
    ----------
    name : str
    kind : str
        The forms of its synapses and the neuron kind, such as ``"conv+lif"``.
    shape : tuple of int
    synops, spikes : int64 array of shape (N,)
    updates_active, updates_idle : int64 array of shape (N,), or None
        None where the target does not model registers.
    saturated_weights : int
    quantisation_snr_db : float or None
        The worst of its synapses; None in floating point or where it has none.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    synops: Array
    spikes: Array
    updates_active: Array | None
    updates_idle: Array | None
    saturated_weights: int
    quantisation_snr_db: float | None


@dataclass(frozen=True, eq=False)
class StudentResult:
    """One student over all N samples of a run.

    Attributes
    ----------
    name : str
    program : Program
    active : bool array of shape (N,)
        Where it ran.
    outputs : float64 array of shape (N, n_out)
        In its own units; NaN where it did not run.
    alone : int64 array of shape (N,), or None
        Class predicted from this student alone, -1 where it did not run; None if it cannot classify.
    layers : tuple of LayerCounts
    input_spikes, host_macs : int64 array of shape (N,)
        0 where it did not run.
    spikes : mapping of layer name to bool array of shape (N, T, *shape)
        When recorded; False where it did not run.
    saturated_inputs : int
        Host constants clipped to their register, over all samples.
    """

    name: str
    program: Program
    active: Array
    outputs: Array
    alone: Array | None
    layers: tuple[LayerCounts, ...]
    input_spikes: Array
    host_macs: Array
    spikes: Mapping[str, Array] = field(default_factory=dict)
    saturated_inputs: int = 0

    @property
    def synops(self) -> Array:
        """int64 array of shape (N,)."""
        return np.asarray(np.sum([layer.synops for layer in self.layers], axis=0, dtype=np.int64))

    @property
    def synops_per_layer(self) -> dict[str, Array]:
        """Layer name to int64 array of shape (N,)."""
        return {layer.name: layer.synops for layer in self.layers}


@dataclass(frozen=True, eq=False)
class RunResult:
    """An ensemble over N samples.

    Attributes
    ----------
    students : tuple of StudentResult
    logits : float64 array of shape (N, classes)
    predictions : int64 array of shape (N,)
    active : bool array of shape (N, students)
    labels : int64 array of shape (N,), or None
    head_macs : int64 array of shape (N,)
        Host multiply-accumulates of the head. A cascade asks it several times: each student that ran is
        added once to what is there, so that its answers together cost as much as the last alone.
    gate_macs : int64 array of shape (N,)
        Those of the gate, on every sample; 0 without one.
    wall_s : float
    warnings : tuple of str
    """

    students: tuple[StudentResult, ...]
    logits: Array
    predictions: Array
    active: Array
    labels: Array | None
    head_macs: Array
    gate_macs: Array
    wall_s: float
    warnings: tuple[str, ...] = ()

    @property
    def accuracy(self) -> float | None:
        """Fraction of correct predictions; None without labels."""
        if self.labels is None:
            return None
        return float(np.mean(self.predictions == self.labels))
