"""Where a current from the host may be clipped to its register without another spike.

A neuron that gets the same current at every step of a sample, and nothing else, from v = 0: a current above
the threshold makes it spike at every step, one below 0 at none, however large it is. So it is enough that
the register holds more than the threshold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sne_deploy.ir.program import InputKind, NeuronGroup, Synapse


def clips_harmlessly(group: NeuronGroup, synapses: Sequence[Synapse], kind: InputKind) -> bool:
    """Whether clipping above the threshold leaves every spike of a group as it is.

    Parameters
    ----------
    group : NeuronGroup
        In registers, or in real numbers.
    synapses : sequence of Synapse
        All that end on it.
    kind : InputKind
        Of the Program's input.
    """
    alone = kind == "current" and not synapses and not group.has_current
    rests = not np.any(group.v_init) and not np.any(group.bias_mant) and not group.reset_delayed
    subtracts = group.vsub_mant is not None and bool(np.any(group.vsub_mant > group.vth_mant))
    return group.spiking and alone and rests and not subtracts
