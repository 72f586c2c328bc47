"""Joining Traces of consecutive samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.backend import LayerTrace, Trace

Array = npt.NDArray[Any]


def concatenate_traces(parts: Sequence[Trace]) -> Trace:
    """Join along the samples, in order.

    Parameters
    ----------
    parts : sequence of Trace
        At least one; of the same Program and record.
    """
    if len(parts) == 1:
        return parts[0]
    layers = tuple(_join_layers(same) for same in zip(*(part.layers for part in parts), strict=True))
    return Trace(
        raw_outputs=np.concatenate([part.raw_outputs for part in parts]),
        outputs=np.concatenate([part.outputs for part in parts]),
        layers=layers,
        input_spikes=np.concatenate([part.input_spikes for part in parts]),
        host_macs=np.concatenate([part.host_macs for part in parts]),
        saturated_inputs=sum(part.saturated_inputs for part in parts),
    )


def _join_layers(same: Sequence[LayerTrace]) -> LayerTrace:
    return LayerTrace(
        name=same[0].name,
        synops=np.concatenate([layer.synops for layer in same]),
        spikes=np.concatenate([layer.spikes for layer in same]),
        updates_active=_join([layer.updates_active for layer in same]),
        updates_idle=_join([layer.updates_idle for layer in same]),
        recorded_spikes=_join([layer.recorded_spikes for layer in same]),
        recorded_u=_join([layer.recorded_u for layer in same]),
        recorded_v=_join([layer.recorded_v for layer in same]),
    )


def _join(values: Sequence[Array | None]) -> Array | None:
    """None where any part lacks it: a count of some samples is no count."""
    present = [value for value in values if value is not None]
    return np.concatenate(present) if len(present) == len(values) else None
