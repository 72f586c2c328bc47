"""Synapses that only touch the weights of inputs that spike, and count what they deliver.

Equal bit for bit to the stock bit-accurate ``Dense`` and ``Sparse``. The stock ``Conv`` is not used: its
fixed-point model ignores ``weight_exp``, neither clips nor truncates weights, and wraps at 24 bits, so it
is equal only for even weights in range at exponent 0; as a sparse matrix a convolution is equal always,
and faster.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.variable import Var
from lava.proc.dense.models import AbstractPyDenseModelBitAcc, AbstractPyDenseModelFloat
from lava.proc.dense.process import Dense
from lava.proc.sparse.models import AbstractPySparseModelBitAcc, AbstractPySparseModelFloat
from lava.proc.sparse.process import Sparse
from lava.utils.weightutils import clip_weights, truncate_weights

from sne_lava.gather import ColumnGather, RowGather
from sne_lava.models import ReportingModel, fixed, floating

Array = npt.NDArray[Any]


class CountingDense(Dense):  # type: ignore[misc]  # lava is untyped
    """``Dense`` that counts SynOps per sample in its Var ``synops``, with an optional longer delay.

    Parameters
    ----------
    weights : array of shape (n_out, n_in)
    weight_exp : int
    sign_mode : lava.utils.weightutils.SignMode
    delay : int
        Steps beyond the one of every synapse.
    clock : sne_lava.job.Clock
    target_depth : int
        A spike taken in at Lava step s is delivered, and counted, in the target's sample at s + 1 + delay.
    safe_sum : int or None
        A weighted sum beyond it raises ``OverflowError``.
    shared : mapping with ``synops``, int64 array of shape (N,)
    """

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self.synops = Var(shape=params["shared"]["synops"].shape)


class CountingSparse(Sparse):  # type: ignore[misc]  # lava is untyped
    """``Sparse`` with the counts and the delay of :class:`CountingDense`; weights as a CSR matrix."""

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self.synops = Var(shape=params["shared"]["synops"].shape)


class _CountingModel(ReportingModel):
    implements_process = None  # lets @implements name our subclass of the stock process
    synops: Array = LavaPyType(np.ndarray, np.int64)
    gather_class: type[RowGather | ColumnGather]
    gather: RowGather | ColumnGather | None = None
    line: deque[Array]
    time_step: int
    weights: Any
    a_buff: Array
    s_in: Any
    a_out: Any

    def run_spk(self) -> None:
        """Send what is due, take in this step's spikes, count the SynOps that they will be."""
        gather = self._prepared()
        self.a_out.send(self.a_buff)
        active = np.flatnonzero(self.s_in.recv())
        params = self.proc_params
        sample = params["clock"].sample_at(self.time_step + 1 + params["delay"], params["target_depth"])
        if active.size and params["clock"].inside(sample):
            self.synops[sample] += gather.fan_out[active].sum()
        self.line.append(self._scaled(gather(active)))
        self.a_buff = self.line.popleft()

    def _prepared(self) -> RowGather | ColumnGather:
        if self.gather is None:
            self.gather = self.gather_class(self._stored_weights())
            self.line = deque(np.zeros_like(self.a_buff) for _ in range(self.proc_params["delay"]))
        return self.gather

    def _stored_weights(self) -> Any:
        return self.weights

    def _scaled(self, accumulated: Array) -> Array:
        return accumulated


class _FixedModel(_CountingModel):
    def _stored_weights(self) -> Any:
        """What Lava stores: weights clipped and truncated by its own functions."""
        mode = self.proc_params["sign_mode"]
        return truncate_weights(clip_weights(self.weights, mode, num_bits=8), mode, 8)

    def _scaled(self, accumulated: Array) -> Array:
        params = self.proc_params
        safe = params["safe_sum"]
        if safe is not None and (largest := int(np.abs(accumulated).max(initial=0))) > safe:
            raise OverflowError(
                f"a weighted sum of {largest} at weight_exp {params['weight_exp']} exceeds {safe}, beyond "
                "which Lava's 32-bit arithmetic wraps; use smaller weights or fewer inputs"
            )
        return np.asarray(np.left_shift(accumulated.astype(np.int32), params["weight_exp"]))


@fixed(CountingDense)
class CountingDenseFixed(_FixedModel, AbstractPyDenseModelBitAcc):  # type: ignore[misc]  # lava is untyped
    """Integers."""

    gather_class = RowGather


@floating(CountingDense)
class CountingDenseFloat(_CountingModel, AbstractPyDenseModelFloat):  # type: ignore[misc]  # lava is untyped
    """Real numbers, added in the inputs' order."""

    gather_class = RowGather


@fixed(CountingSparse)
class CountingSparseFixed(_FixedModel, AbstractPySparseModelBitAcc):  # type: ignore[misc]  # lava is untyped
    """Integers."""

    gather_class = ColumnGather


@floating(CountingSparse)
class CountingSparseFloat(_CountingModel, AbstractPySparseModelFloat):  # type: ignore[misc]  # lava is untyped
    """Real numbers, added in the inputs' order."""

    gather_class = ColumnGather
