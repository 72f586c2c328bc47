"""How large the composition of linear maps becomes, known before memory is taken for it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sne_deploy.errors import UnsupportedError
from sne_deploy.files import available_bytes
from sne_deploy.ir.weights import ConvWeights, DenseWeights, Weights

MAX_ENTRIES = 2**26
"""Of one composed map, or of a convolution written out to compose it: half of what a Loihi system holds."""
MAX_TOTAL = 2**26
"""Weights of all the composed maps of one student that are kept."""
MAX_PRODUCTS = 2**31
MAX_DENSE_PRODUCTS = 2**36
"""Products that a composition takes, between sparse maps and where one is dense."""
MAX_TAP_PAIRS = 2**16
"""Pairs of taps of two kernels that are composed as kernels, one by one."""
_BYTES_PER_ENTRY = 40
"""Row, column, tap and value, and the row's order, while a convolution is written out."""


@dataclass
class Budget:
    """What the composed maps of one student may still take."""

    student: str
    used: int = 0

    def take(self, outer: Weights, inner: Weights, path: tuple[str, ...]) -> None:
        """Prove that the map ``outer @ inner``, of the nodes of a path, may be made.

        Raises
        ------
        UnsupportedError
            It is too large.
        """
        written_out = max(_entries(outer), _entries(inner))
        if written_out > MAX_ENTRIES:
            raise self._refused(path, f"{written_out} weights once written out, the limit is {MAX_ENTRIES}")
        self._check_memory(path, written_out)
        rows, columns = outer.shape[0], inner.shape[1]
        dense = isinstance(outer, DenseWeights) or isinstance(inner, DenseWeights)
        products = _products(outer, inner)
        entries = rows * columns if dense else min(rows * columns, products)
        limit = MAX_DENSE_PRODUCTS if dense else MAX_PRODUCTS
        if products > limit:
            raise self._refused(path, f"{products} products to compose, the limit is {limit}")
        self._check(entries, path)

    def take_sum(self, first: Weights, second: Weights, path: tuple[str, ...]) -> None:
        """Prove that the map ``first + second`` may be made."""
        if isinstance(first, ConvWeights) and isinstance(second, ConvWeights):
            self._check(first.kernel.size, path)
            return
        dense = isinstance(first, DenseWeights) or isinstance(second, DenseWeights)
        rows, columns = first.shape
        self._check(rows * columns if dense else _entries(first) + _entries(second), path)

    def keep(self, weights: Weights, path: tuple[str, ...]) -> None:
        """Count a map that was made."""
        self.used += int(weights.values.size)
        if self.used > MAX_TOTAL:
            raise self._refused(path, f"with those before it more than {MAX_TOTAL} weights, the limit")

    def _check(self, entries: int, path: tuple[str, ...]) -> None:
        if entries > MAX_ENTRIES:
            raise self._refused(path, f"up to {entries} weights, the limit is {MAX_ENTRIES}")
        self._check_memory(path, entries)

    def _check_memory(self, path: tuple[str, ...], entries: int) -> None:
        available = available_bytes()
        if available is not None and _BYTES_PER_ENTRY * entries > available:
            need = _BYTES_PER_ENTRY * entries
            raise self._refused(path, f"up to {need} bytes of memory, {available} are available")

    def _refused(self, path: tuple[str, ...], what: str) -> UnsupportedError:
        names = ", ".join(map(repr, path if len(path) <= 4 else (*path[:2], "...", *path[-2:])))
        problem = (
            f"the linear maps {names} follow each other without neurons, and one synapse for all of them has "
            f"{what}; put neurons between them, or use smaller maps"
        )
        return UnsupportedError(f"student {self.student!r}", [problem])


def _entries(weights: Weights) -> int:
    """Largest number of entries of the map as a matrix."""
    if isinstance(weights, ConvWeights):
        return weights.shape[0] * math.prod(weights.kernel.shape[1:])
    return int(weights.values.size)


def _products(outer: Weights, inner: Weights) -> int:
    """Products that ``outer @ inner`` takes at most."""
    if isinstance(outer, DenseWeights):
        return outer.shape[0] * _entries(inner)
    if isinstance(inner, DenseWeights):
        return _entries(outer) * inner.shape[1]
    return int(_column_counts(outer) @ _row_counts(inner))


def _row_counts(weights: Weights) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    if isinstance(weights, ConvWeights):
        return np.full(weights.shape[0], math.prod(weights.kernel.shape[1:]), np.int64)
    return np.diff(weights.matrix().indptr).astype(np.int64)


def _column_counts(weights: Weights) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    if isinstance(weights, ConvWeights):  # each input is read by its group's outputs, at most once per tap
        c_out, _, k_h, k_w = weights.kernel.shape
        reach = [min(k, out) for k, out in zip((k_h, k_w), weights.out_shape[1:], strict=True)]
        return np.full(weights.shape[1], c_out // weights.groups * math.prod(reach), np.int64)
    return np.bincount(weights.matrix().indices, minlength=weights.shape[1]).astype(np.int64)


def can_compose_kernels(outer: ConvWeights, inner: ConvWeights) -> bool:
    """Whether two kernels can be composed tap by tap, in bounded time and memory."""
    (_, _, a, b), (_, _, c, d) = outer.kernel.shape, inner.kernel.shape
    side = [
        (kernel - 1) * inner.dilation[axis] + (over - 1) * outer.dilation[axis] * inner.stride[axis] + 1
        for axis, (over, kernel) in enumerate(((a, c), (b, d)))
    ]
    channels = outer.kernel.shape[0] * outer.groups * inner.kernel.shape[1] * inner.groups
    size = outer.shape[0] * inner.kernel.shape[1] * inner.groups * math.prod(side)
    return bool(a * b * c * d <= MAX_TAP_PAIRS) and max(size, channels * math.prod(side)) <= MAX_ENTRIES
