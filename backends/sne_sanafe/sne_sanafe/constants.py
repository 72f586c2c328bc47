"""What SANA-FE's Loihi charges for one operation of each kind, found by running it: no figure is copied."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sne_sanafe.chip import ROWS, Network

_TILE = 4
_FIRST, _EAST, _SOUTH = 0, ROWS * _TILE, _TILE


@dataclass(frozen=True)
class Charges:
    """Joules.

    Attributes
    ----------
    access_j : float
        Of a neuron that is read and not updated.
    update_j : float
        Of one that is updated.
    spike_j : float
        What a spike adds to it.
    synapse_j : float
        Of a synapse of a dense layer that is read.
    message_j : float
        Of a message within a tile.
    east_west_j, north_south_j : float
        What a hop adds to it.
    """

    access_j: float
    update_j: float
    spike_j: float
    synapse_j: float
    message_j: float
    east_west_j: float
    north_south_j: float


def charges() -> Charges:
    """Three neurons that spike in turn: into their own core, one tile to the east, one to the south.

    And one that is updated only when it spikes, in the first step.
    """
    network = Network()
    network.add("source", [_FIRST] * 3)
    network.add("target", [_FIRST, _EAST, _SOUTH])
    network.add("sleeper", [_FIRST], forced=False)
    network.join("source", "target", [(0, 0), (1, 1), (2, 2)])
    turns = np.eye(5, dtype=bool)
    quiet, awake, here, east, south = network.run({"sleeper": turns[:, 1:2], "source": turns[:, 2:]}, 5)
    spike, update_only = here.soma_j - quiet.soma_j, awake.soma_j - here.soma_j
    update = (quiet.soma_j + update_only) / 7
    return Charges(
        access_j=update - update_only,
        update_j=update,
        spike_j=spike,
        synapse_j=here.synapse_j,
        message_j=here.network_j,
        east_west_j=east.network_j - here.network_j,
        north_south_j=south.network_j - here.network_j,
    )
