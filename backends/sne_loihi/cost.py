"""Which form of a synapse is fastest here and now: measured once per process, decided per layer and chunk.

The choice never changes a result: every form gives the same integers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse

from sne_deploy.ir.program import Synapse
from sne_deploy.ir.weights import ConvWeights, DenseWeights, SparseWeights
from sne_loihi import kernels
from sne_loihi.layout import Layout
from sne_loihi.operators import Operator

Array = npt.NDArray[Any]
METHODS = ("events", "matrix", "convolution")
REPEATS = 3
ROWS = 512


@dataclass(frozen=True)
class Costs:
    """Seconds per unit of work on this machine.

    Attributes
    ----------
    scan_s : per input value looked at for a spike
    add_s : mapping of event form to seconds per synaptic operation
    mac_s : per multiply-accumulate of a matrix product
    tap_s : per multiply-accumulate of a convolution
    sum_s : per 32-bit sum written to and read from memory
    forced : str or None
        Use this method wherever it exists; for tests.
    """

    scan_s: float
    add_s: dict[int, float]
    mac_s: float
    tap_s: float
    sum_s: float
    forced: str | None = None

    def best(self, operator: Operator, rows: int, synops: float) -> str:
        """The method with the least estimated time for ``rows`` steps with ``synops`` operations in all."""
        estimates = self.estimates(operator, rows, synops)
        if self.forced in estimates:
            return self.forced
        return min(estimates, key=lambda method: estimates[method])

    def estimates(self, operator: Operator, rows: int, synops: float) -> dict[str, float]:
        """Estimated seconds of every method that is exact for this operator."""
        n_out, n_in = operator.matrix.shape
        form = operator.events[0]
        found = {"events": rows * n_in * self.scan_s + synops * self.add_s[form]}
        written = rows * n_out * self.sum_s
        if operator.product is not None:
            found["matrix"] = rows * n_in * n_out * self.mac_s + written
        if operator.convolution is not None:
            taps = operator.convolution.conv.kernel[0].size * n_out
            found["convolution"] = rows * taps * self.tap_s + written
        return found


@lru_cache(maxsize=1)
def measured_costs() -> Costs:
    """Measure, on small fixed networks; takes some hundredths of a second after compilation."""
    rng = np.random.default_rng(0)
    dense = _operator(DenseWeights(_even(rng, (256, 512))))
    few = _even(rng, (256, 512)) * (rng.random((256, 512)) < 0.1)
    scattered = _operator(SparseWeights(sparse.csr_matrix(few)))
    conv_weights = ConvWeights(_even(rng, (32, 16, 3, 3)), (16, 12, 12), (32, 10, 10))
    conv = Operator.of(
        Synapse("c", "i", "o", conv_weights),
        Layout(conv_weights.shape[1], 16),
        Layout(conv_weights.shape[0], 32),
    )
    quiet = np.zeros((ROWS, 512), np.uint8)
    busy = (rng.random((ROWS, 512)) < 0.1).astype(np.uint8)
    images = (rng.random((ROWS // 8, conv_weights.shape[1])) < 0.1).astype(np.uint8)
    scan_s = _seconds(lambda: _events(dense, quiet)) / quiet.size
    add_s = {}
    for operator, sent in ((dense, busy), (scattered, busy), (conv, images)):
        synops = float(sent.sum(axis=0, dtype=np.int64) @ operator.fan_out)
        seconds = _seconds(lambda operator=operator, sent=sent: _events(operator, sent))  # type: ignore[misc]
        add_s[operator.events[0]] = max(seconds - sent.size * scan_s, 0.1 * seconds) / synops
    mac_s = tap_s = float("inf")
    if dense.product is not None:
        product = dense.product
        mac_s = _seconds(lambda: product.apply(busy)) / (ROWS * 256 * 512)
    if conv.convolution is not None:
        convolution = conv.convolution
        tap_s = _seconds(lambda: convolution.apply(images)) / (len(images) * 16 * 9 * 3200)
    sums = np.ones((ROWS, 2048), np.int32)
    sum_s = _seconds(lambda: sums + np.int32(1)) / sums.size
    return Costs(scan_s, add_s, mac_s, tap_s, sum_s)


def _even(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return (rng.integers(-120, 120, shape) * 2).astype(np.int32)


def _operator(weights: DenseWeights | SparseWeights) -> Operator:
    n_out, n_in = weights.shape
    return Operator.of(Synapse("m", "i", "o", weights), Layout(n_in), Layout(n_out))


def _events(operator: Operator, sent: Array) -> None:
    buffer = np.zeros((len(sent), operator.matrix.shape[0]), np.int32)
    kernels.add_events(sent, *operator.events, np.int32(0), buffer)


def _seconds(work: Callable[[], Any]) -> float:
    """The fastest of a few runs, after one that is not counted."""
    work()
    found = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


def set_threads(count: int) -> None:
    """Use so many threads for products and for events."""
    import numba

    torch.set_num_threads(count)
    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))
