"""How a network's last neuron group becomes a vector."""

from __future__ import annotations

from typing import Literal, get_args

Readout = Literal["count", "v_last", "v_mean", "v_max"]
"""How a student's last neuron group becomes a vector, in the student's own units.

``count``: spikes per sample of a spiking group. ``v_last``, ``v_mean``, ``v_max``: the membrane of a
leaky integrator at the last step, its mean over the sample's steps, its maximum over them.
"""
READOUTS: tuple[Readout, ...] = get_args(Readout)
