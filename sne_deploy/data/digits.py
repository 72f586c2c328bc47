"""scikit-learn's digits: 1,797 real 8x8 images, embedded in the package.

``digits.npz`` holds what ``sklearn.datasets.load_digits`` gives, values 0 to 16. scikit-learn itself is not
needed: to import it takes longer than to compile a small model.

References
----------
E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998,
doi:10.24432/C50P49, CC BY 4.0; its test part.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sne_deploy.data.dataset import Array, Split

HELD_OUT_PER_CLASS = 46
"""Of 174 to 183 per class: 460 of 1,797 held out."""
SPLIT_SEED = 20240601
MAX_VALUE = 16.0


def digits_split() -> tuple[Array, Array, Array, Array]:
    """Split the digits: the same in every process, stratified by class.

    Which images of a class are held out comes from ``Philox(SPLIT_SEED)``; both parts keep the file's order.

    Returns
    -------
    x_train, y_train, x_test, y_test : float32 (N, 8, 8) in [0, 1] and int64 (N,)
        1,337 and 460 samples.
    """
    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as arrays:
        x = (arrays["images"] / MAX_VALUE).astype(np.float32)
        y = arrays["labels"].astype(np.int64)
    held_out = np.zeros(len(y), dtype=bool)
    generator = np.random.Generator(np.random.Philox(SPLIT_SEED))
    for label in range(10):
        order = generator.permutation(np.flatnonzero(y == label))
        held_out[order[:HELD_OUT_PER_CLASS]] = True
    return x[~held_out], y[~held_out], x[held_out], y[held_out]


def load_digits_source(split: Split, _path: Path | None) -> tuple[Array, Array]:
    """Read one part of :func:`digits_split`; there is no file."""
    x_train, y_train, x_test, y_test = digits_split()
    return (x_train, y_train) if split == "train" else (x_test, y_test)
