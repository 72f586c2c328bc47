"""What lava-dl and Lava make of a dense layer's weights: a script, for a process of its own.

``python netx_weights.py ARRAYS RESULT``: ARRAYS is an ``.npz`` of ``I-weight`` and perhaps ``I-rec``. RESULT
gets ``I-weight`` and ``I-rec``, what a spike adds to a_in, in float64; NaN where netx raises an error.
"""

from __future__ import annotations

import sys

import numpy as np

from sne_netx.importing import import_netx_alone


def stored(weights: np.ndarray, bits: int, exponent: int) -> np.ndarray:
    """As ``PyDenseModelBitAcc`` stores them, with the exponent."""
    from lava.utils.weightutils import clip_weights, determine_sign_mode, truncate_weights

    mode = determine_sign_mode(weights)
    return truncate_weights(clip_weights(weights, mode, num_bits=8), mode, bits) * 2.0**exponent


def layer(parts: list[np.ndarray]) -> list[np.ndarray]:
    """As ``create_dense`` prepares them."""
    optimise = import_netx_alone().utils.optimize_weight_bits
    try:
        joined, bits, exponent, _ = optimise(np.hstack(parts))
    except (OverflowError, ValueError):
        return [np.full(part.shape, np.nan) for part in parts]
    split = np.split(joined, np.cumsum([part.shape[1] for part in parts])[:-1], axis=1)
    return [stored(part, bits, exponent) for part in split]


def main(arrays: str, result: str) -> None:
    results = {}
    with np.load(arrays) as given, np.errstate(all="ignore"):
        for name in given:
            if name.endswith("-weight"):
                names = (
                    [name, name.replace("weight", "rec")]
                    if name.replace("weight", "rec") in given
                    else [name]
                )
                results.update(zip(names, layer([given[n].astype(int) for n in names]), strict=True))
    np.savez(result, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
