"""Which form of a synapse is fastest here and now: measured once per process, decided per layer and chunk.

The choice never changes a result: every form gives the same integers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.ir.program import Synapse
from sne_deploy.ir.weights import ConvWeights, DenseWeights, SparseWeights
from sne_deploy.runtime.threads import all_threads
from sne_loihi import kernels
from sne_loihi.operators import Operator
from sne_loihi.order import NeuronOrder

Array = npt.NDArray[Any]
METHODS = ("events", "matrix", "patches", "convolution")
REPEATS, LEAST_S = 5, 0.004
"""Least number of repeats of a measurement, and least time that they take."""
ROWS, INPUTS = 128, 512
WIDTHS = (16, 128)
"""Of the layers that are measured."""


@dataclass(frozen=True)
class Costs:
    """Seconds per unit of work on this machine.

    Attributes
    ----------
    scan_s : per input value looked at for a spike
    row_s, add_s : mapping of event form to seconds
        Per row of weights that is added (one for an input of a dense layer, one for each tap of a
        convolution), and per sum in it, padding included.
    mac_s : per multiply-accumulate of a matrix product
    patch_s, look_s : per input of a patch, and per multiply-accumulate of its product
    tap_s : per multiply-accumulate of a convolution
    sum_s : per 32-bit sum written to and read from memory
    forced : str or None
        Use this method wherever it exists; for tests.
    """

    scan_s: float
    row_s: dict[int, float]
    add_s: dict[int, float]
    mac_s: float
    patch_s: float
    look_s: float
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
        n_out, n_in = operator.shape
        found = {"events": rows * n_in * self.scan_s + self._adding(operator, synops)}
        written = rows * n_out * self.sum_s
        if operator.product is not None:
            found["matrix"] = rows * n_in * n_out * self.mac_s + written
        if operator.patches is not None:
            patches = rows * operator.patches.inputs
            found["patches"] = patches * (self.patch_s + operator.row_width * self.look_s) + written
        if operator.convolution is not None and operator.convolution.trusted:
            taps = operator.convolution.conv.kernel[0].size * n_out
            found["convolution"] = rows * taps * self.tap_s + written
        return found

    def _adding(self, operator: Operator, synops: float) -> float:
        form, padded = operator.events[0], operator.events[-1]
        if form == kernels.COLUMNS:
            return synops * self.add_s[form]
        added = synops / operator.row_width
        per_row: float = self.row_s[form] + padded * self.add_s[form]
        return added * per_row


@lru_cache(maxsize=1)
def measured_costs() -> Costs:
    """Measure, on small fixed networks; takes some hundredths of a second after compilation."""
    with all_threads():
        return _measured()


def _measured() -> Costs:
    rng = np.random.default_rng(0)
    quiet, busy = np.zeros((ROWS, INPUTS), np.uint8), (rng.random((ROWS, INPUTS)) < 0.1).astype(np.uint8)
    dense = {width: _operator(DenseWeights(_even(rng, (width, INPUTS)))) for width in WIDTHS}
    few = _even(rng, (256, INPUTS)) * (rng.random((256, INPUTS)) < 0.1)
    scattered = _operator(SparseWeights(sparse.csr_matrix(few)))
    conv = {width: _convolution(rng, width) for width in WIDTHS}
    images = (rng.random((ROWS // 2, conv[WIDTHS[0]].shape[1])) < 0.1).astype(np.uint8)
    scan_s = _seconds(lambda: _events(dense[WIDTHS[0]], quiet)) / quiet.size
    row_s, add_s = {}, {}
    for form, operators, sent in ((kernels.DENSE, dense, busy), (kernels.CONV, conv, images)):
        row_s[form], add_s[form] = _line([_row_seconds(operators[width], sent, scan_s) for width in WIDTHS])
    synops = float(sent_synops(scattered, busy))
    add_s[kernels.COLUMNS] = _seconds(lambda: _events(scattered, busy)) / synops
    mac_s = patch_s = look_s = tap_s = float("inf")
    product, convolution = dense[WIDTHS[-1]].product, conv[WIDTHS[-1]].convolution
    if product is not None:
        mac_s = _seconds(lambda: product.apply(busy)) / (ROWS * WIDTHS[-1] * INPUTS)
    if conv[WIDTHS[-1]].patches is not None:
        cut = [conv[width].patches for width in WIDTHS]
        patch_s, look_s = _line(
            [_seconds(partial(each.apply, images)) / (len(images) * each.inputs) for each in cut if each]
        )
    if convolution is not None:
        macs = convolution.conv.kernel[0].size * conv[WIDTHS[-1]].shape[0]
        tap_s = _seconds(lambda: convolution.apply(images)) / (len(images) * macs)
    sums = np.ones((ROWS, 2048), np.int32)
    sum_s = _seconds(lambda: sums + np.int32(1)) / sums.size
    return Costs(scan_s, row_s, add_s, mac_s, patch_s, look_s, tap_s, sum_s)


def sent_synops(operator: Operator, sent: Array) -> int:
    """Synaptic operations of spikes (R, n_in)."""
    return int(sent.sum(axis=0, dtype=np.int64) @ operator.fan_out)


def _row_seconds(operator: Operator, sent: Array, scan_s: float) -> float:
    seconds = _seconds(lambda: _events(operator, sent)) - sent.size * scan_s
    return max(seconds, 0.0) / (sent_synops(operator, sent) / operator.row_width)


def _line(values: list[float]) -> tuple[float, float]:
    """Value at width 0, and slope, of the line through the values at :data:`WIDTHS`; none is negative."""
    slope = max((values[1] - values[0]) / (WIDTHS[1] - WIDTHS[0]), 0.0)
    return max(values[0] - slope * WIDTHS[0], 0.0), slope


def _convolution(rng: np.random.Generator, width: int) -> Operator:
    weights = ConvWeights(_even(rng, (width, 16, 3, 3)), (16, 10, 10), (width, 8, 8))
    source, target = NeuronOrder(weights.shape[1], 16), NeuronOrder(weights.shape[0], width)
    return Operator(Synapse("c", "i", "o", weights), source, target)


def _even(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return (rng.integers(-120, 120, shape) * 2).astype(np.int32)


def _operator(weights: DenseWeights | SparseWeights) -> Operator:
    n_out, n_in = weights.shape
    return Operator(Synapse("m", "i", "o", weights), NeuronOrder(n_in), NeuronOrder(n_out))


def _events(operator: Operator, sent: Array) -> None:
    buffer = np.zeros((len(sent), operator.shape[0]), np.int32)
    kernels.add_events(sent, operator.events, buffer)


def _seconds(work: Callable[[], Any]) -> float:
    """Own time of this thread in the fastest of several runs, after one that is not counted."""
    work()
    found: list[float] = []
    while len(found) < REPEATS or sum(found) < LEAST_S:
        start = time.thread_time()
        work()
        found.append(time.thread_time() - start)
    return min(found)
