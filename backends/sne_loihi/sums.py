"""Synaptic input from groups that are done: each synapse in the form that is fastest for what was sent.

Which way gave the sums is counted, and a wrong result of a library, which another way then replaces, is a
fallback: counted, and said to the log ``sne_loihi``.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_loihi import kernels
from sne_loihi.cost import Costs
from sne_loihi.operators import Operator
from sne_loihi.plan import GroupRun, Plan

Array = npt.NDArray[Any]
LOG = logging.getLogger("sne_loihi")


class Ways:
    """Counts, from any thread, the way in which the sums of each synapse came about.

    Attributes
    ----------
    taken : Counter of (synapse, method)
        Chunks whose sums this method gave.
    fallbacks : Counter of str
        Chunks in which the chosen method gave a wrong result and events gave the right one.
    """

    def __init__(self) -> None:
        self.taken: Counter[tuple[str, str]] = Counter()
        self.fallbacks: Counter[str] = Counter()
        self._lock = threading.Lock()

    def took(self, synapse: str, method: str) -> None:
        """Count one chunk."""
        with self._lock:
            self.taken[synapse, method] += 1

    def fell_back(self, synapse: str, method: str) -> None:
        """Count one chunk whose result was thrown away."""
        text = f"synapse {synapse!r}: a wrong result of method {method!r} was replaced by events"
        with self._lock:
            self.fallbacks[text] += 1
        LOG.info(text)


class Sums:
    """Sums what arrives at a group over all steps at once."""

    def __init__(self, plan: Plan, costs: Costs, ways: Ways) -> None:
        self._plan = plan
        self._costs = costs
        self._ways = ways

    def of(self, operators: Sequence[Operator], done: Mapping[str, GroupRun]) -> tuple[Array | None, int]:
        """int32 (B, T, n) through these synapses, and the left shift that is still missing; None without."""
        if not operators:
            return None, 0
        total, missing = self._through(operators[0], done)
        if len(operators) == 1:
            return total, missing
        total = total << np.int32(missing)
        for operator in operators[1:]:
            sums, missing = self._through(operator, done)
            total += sums << np.int32(missing)
        return total, 0

    def method(self, operator: Operator, done: Mapping[str, GroupRun]) -> str:
        """The form of a synapse that takes the least time, by the spikes of its source."""
        counts = done[operator.synapse.source].counts
        assert counts is not None  # noqa: S101  sources spike
        rows = len(counts) * self._plan.program.timesteps
        synops = float(counts.sum(axis=0, dtype=np.int64) @ operator.fan_out)
        return self._costs.best(operator, rows, synops)

    def arriving(self, operator: Operator, done: Mapping[str, GroupRun]) -> Array:
        """uint8 (B, T, n_in): the spikes of a synapse's source, each at the step at which it arrives."""
        spikes = done[operator.synapse.source].spikes
        assert spikes is not None  # noqa: S101  sources spike
        lag = self._plan.lag(operator)
        if lag == 0:
            return spikes
        moved = np.zeros_like(spikes)
        moved[:, lag:] = spikes[:, :-lag]
        return moved

    def _through(self, operator: Operator, done: Mapping[str, GroupRun]) -> tuple[Array, int]:
        arriving = self.arriving(operator, done)
        samples, steps, n_in = arriving.shape
        sent = arriving.reshape(samples * steps, n_in)
        sums, missing = self._applied(operator, sent, self.method(operator, done))
        return sums.reshape(samples, steps, sums.shape[-1]), missing + operator.shift

    def _applied(self, operator: Operator, sent: Array, method: str) -> tuple[Array, int]:
        """Sums (R, n_out) of spikes (R, n_in), and the left shift that a halved product is missing."""
        name = operator.synapse.name
        if method == "matrix" and operator.product is not None:
            self._ways.took(name, method)
            return operator.product.apply(sent)
        if method == "patches" and operator.patches is not None:
            self._ways.took(name, method)
            return operator.patches.apply(sent)
        if method == "convolution" and operator.convolution is not None:
            sums = operator.convolution.apply(sent)
            if sums is not None:
                self._ways.took(name, method)
                return sums, 0
            self._ways.fell_back(name, method)
        self._ways.took(name, "events")
        buffer = np.zeros((len(sent), operator.shape[0]), np.int32)
        kernels.add_events(sent, operator.events, buffer)
        return buffer, 0
