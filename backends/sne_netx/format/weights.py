"""The integers that netx computes with, of the weights that a ``.net`` file holds.

netx shifts the weights of a dense layer as far left as its 8 bits allow and gives their synapse a negative
exponent; Lava then clips and truncates what it got, and shifts every sum of weights back. For most weights
in range that is the identity. Where it is not, other weights come out (-63 for -64, beside zeros), or
fractions of weights, whose sums are rounded: these are refused.
A convolution is computed with the weights as they are.

Sources: lava-dl 0.6.0, ``netx/utils.py`` and ``netx/hdf5.py``; Lava 0.10.0, ``utils/weightutils.py`` and
``proc/dense/models.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

LOW, HIGH = -256, 254
"""What netx clips weights of both signs to."""


def netx_dense(parts: Sequence[Array]) -> tuple[list[Array], int]:
    """What a dense layer computes with.

    Parameters
    ----------
    parts : sequence of int32 arrays of shape (n_out, n_in)
        The weights, and the recurrent ones of a ``dense_rec`` layer: their exponent is common.

    Returns
    -------
    effective : list of int32 arrays, as parts
        ``a_in = effective @ spikes``, exactly.
    changed : int
        Weights that it does not take as they are: it clips them, or they lose a bit.

    Raises
    ------
    ValueError
        netx cannot load such weights, or computes with fractions of them; says which and why.
    """
    low, high = _extent(parts)
    if low == high == 0:
        raise ValueError("every weight is 0, which netx cannot load; leave the layer out")
    given = parts
    if low < 0 < high and (low < LOW or high > HIGH):
        parts = [np.clip(part, LOW, HIGH) for part in parts]
        low, high = _extent(parts)
    shift, bits = _format(parts, low, high)
    if shift < 0:
        raise ValueError(f"weights reach {low if -low > high else high}, more than 8 bits hold")
    effective = [_stored(part << shift, bits) for part in parts]
    for part, stored in zip(parts, effective, strict=True):
        broken = np.flatnonzero(stored & ((1 << shift) - 1))
        if broken.size:
            first = int(part.flat[broken[0]])
            raise ValueError(
                f"weight {first} becomes {stored.flat[broken[0]] / 2**shift:g} in netx, whose sums are then "
                f"rounded; make it {first - int(np.sign(first))}"
            )
    effective = [stored >> shift for stored in effective]
    changed = sum(int(np.count_nonzero(a != b)) for a, b in zip(given, effective, strict=True))
    return effective, changed


def _extent(parts: Sequence[Array]) -> tuple[int, int]:
    return min(int(part.min()) for part in parts), max(int(part.max()) for part in parts)


def _format(parts: Sequence[Array], low: int, high: int) -> tuple[int, int]:
    """How far netx shifts the weights left, and how many bits it gives them."""
    mixed = high >= 0 > low
    if mixed:
        ratio = min(127 / high if high > 0 else np.inf, -128 / low)
    else:
        ratio = -256 / low if high < 0 else 255 / high
    shift = int(np.floor(np.log2(ratio))) + mixed
    common = int(np.bitwise_or.reduce([np.bitwise_or.reduce(np.abs(part), axis=None) for part in parts]))
    zeros = min((common & -common).bit_length() - 1, 8)
    return shift, 8 - shift - (zeros - mixed)


def _stored(weights: Array, bits: int) -> Array:
    """Lava's clipping to 8 bits and truncation to ``bits``, by the sign that the weights turn out to have."""
    inhibitory = int(weights.min()) < 0 and int(weights.max()) <= 0
    mixed = int(weights.min()) < 0 < int(weights.max())
    magnitudes = np.clip(-weights if inhibitory else weights, LOW if mixed else 0, 255)
    cut = 8 - bits + mixed
    if cut < 0:
        raise ValueError(
            "odd weights of one sign that need all 8 bits, and netx, which takes them for weights of both, "
            "computes with 0; make them even"
        )
    magnitudes = (magnitudes >> cut) << cut
    return -magnitudes if inhibitory else magnitudes
