"""Neuron groups: the stock LIFReset arithmetic, with an initial voltage, counts per sample and readouts."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.variable import Var
from lava.proc.lif.models import PyLifResetModelBitAcc, PyLifResetModelFloat
from lava.proc.lif.process import LIFReset

from sne_lava.job import GroupJob
from sne_lava.models import ReportingModel, fixed, floating

Array = npt.NDArray[Any]

STATE_ROOM = 2**31 - 1 - 2**23 - 2**19
"""What is left of 32 bits for u beside the largest v and the largest bias."""


class SampledLIF(LIFReset):  # type: ignore[misc]  # lava is untyped
    """``LIFReset`` that starts each sample at u = 0, v = v_init, and counts what it does per sample.

    Parameters
    ----------
    v_init : array of shape (n,)
    depth : int
        Steps by which the group runs behind the input; shifts the stock reset offset.
    clock : sne_lava.job.Clock
    output : {"none", "count", "v_last", "v_mean", "v_max"}
        What row n of ``rows`` holds for sample n: spike counts; v at the last step, its sum, its maximum.
    guarded : bool
        Raise ``OverflowError`` before the stock arithmetic would wrap at 32 bits.
    counted : bool
        Count how often the stock arithmetic corrects u and clips v.
    shared : mapping of str to array
        Storage of the Vars below, by name; an array without elements is not recorded.

    Notes
    -----
    Vars ``spikes`` and ``active`` have shape (N,), ``outside`` (N, 2), ``rows`` (N, n), ``spike_bits``
    (N, T, ceil(n / 8)), ``u_rows`` and ``v_rows`` (N, T, n). An update is active where the neuron receives
    a non-zero input, or u or v is not zero before it, after the sample's reset.
    """

    def __init__(
        self,
        *,
        v_init: Array,
        depth: int,
        clock: Any,
        output: str,
        guarded: bool,
        counted: bool,
        shared: Any,
        board: Any,
        label: str,
        **lif: Any,
    ) -> None:
        super().__init__(reset_interval=clock.timesteps, reset_offset=(depth + 1) % clock.timesteps, **lif)
        extra = {"depth": depth, "clock": clock, "output": output, "guarded": guarded, "counted": counted}
        for name, value in (extra | {"shared": shared, "board": board, "label": label}).items():
            self.proc_params[name] = value
        self.v_init = Var(shape=lif["shape"], init=v_init)
        self.spikes = Var(shape=shared["spikes"].shape)
        self.active = Var(shape=shared["active"].shape)
        self.outside = Var(shape=shared["outside"].shape)
        self.rows = Var(shape=shared["rows"].shape)
        self.spike_bits = Var(shape=shared["spike_bits"].shape)
        self.u_rows = Var(shape=shared["u_rows"].shape)
        self.v_rows = Var(shape=shared["v_rows"].shape)


class SoftResetLIF(SampledLIF):
    """:class:`SampledLIF` whose spike subtracts from v instead of setting it to 0.

    Parameters
    ----------
    vsub : array of shape (n,)
        What is subtracted, in the threshold's units.
    """

    def __init__(self, *, vsub: Array, **sampled: Any) -> None:
        super().__init__(**sampled)
        self.vsub = Var(shape=sampled["shape"], init=vsub)


class DelayedResetLIF(SampledLIF):
    """:class:`SampledLIF` whose spike sets v to 0 in place of the next step's update."""


class SampledLI(SampledLIF):
    """The same neurons without a threshold: they never spike, and their v is read."""


def process_of(group: GroupJob) -> type[SampledLIF]:
    """The process of a group of the leaky models."""
    if not group.spiking:
        return SampledLI
    if group.reset_delayed:
        return DelayedResetLIF
    return SampledLIF if group.vsub is None else SoftResetLIF


class _SampledModel(ReportingModel):
    """Wraps the two hooks of the stock model: before the update, and after the spikes are known."""

    time_step: int
    u: Array
    v: Array
    v_init: Array
    spikes: Array
    active: Array
    outside: Array
    rows: Array
    spike_bits: Array
    u_rows: Array
    v_rows: Array

    def subthr_dynamics(self, activation_in: Array) -> None:
        """Begin the sample where one begins, count active updates, then the stock update."""
        params = self.proc_params
        self.sample, self.step = divmod(self.time_step - 1 - params["depth"], params["clock"].timesteps)
        if self.step == 0:
            self.u[:] = 0
            self.v[:] = self.v_init
        self.inside = params["clock"].inside(self.sample)
        if self.inside:
            self.active[self.sample] += np.count_nonzero(
                (np.asarray(activation_in) != 0) | (self.u != 0) | (self.v != 0)
            )
        if params["guarded"]:
            _check_range(self.u, activation_in)
        if params["counted"] and self.inside:
            self.outside[self.sample] += outside(self, np.asarray(activation_in))
        super().subthr_dynamics(activation_in=activation_in)  # type: ignore[misc]  # the stock model

    def reset_voltage(self, spike_vector: Array) -> None:
        """The reset by a spike, the stock one or the soft one, then counts and recordings."""
        super().reset_voltage(spike_vector=spike_vector)  # type: ignore[misc]  # the model that follows
        if not self.inside:
            return
        self.spikes[self.sample] += np.count_nonzero(spike_vector)
        if self.spike_bits.size:
            self.spike_bits[self.sample, self.step] = np.packbits(spike_vector)
        if self.v_rows.size:
            self.u_rows[self.sample, self.step] = self.u
            self.v_rows[self.sample, self.step] = self.v
        self._read_out(self.rows[self.sample] if self.rows.size else None, spike_vector)

    def _read_out(self, row: Array | None, spike_vector: Array) -> None:
        output = self.proc_params["output"]
        if row is None or output == "none":
            return
        if output == "count":
            row += spike_vector
        elif output == "v_mean":
            row += self.v
        elif output == "v_last" or self.step == 0:
            row[:] = self.v
        else:
            np.maximum(row, self.v, out=row)


def outside(lif: Any, activation_in: Array) -> tuple[int, int]:
    """For how many neurons the update of a ``PyLifModelBitAcc`` will correct u, and clip v."""

    def decayed(state: Array, decay: Array) -> Array:
        kept = state.astype(np.int64) * (lif.decay_unity - decay)
        return np.asarray(np.sign(kept) * (np.abs(kept) >> lif.decay_shift))

    limit = lif.max_uv_val
    u = decayed(lif.u, lif.du + lif.ds_offset) + (activation_in.astype(np.int64) << lif.act_shift)
    high, low = u > limit, u <= -limit
    v = decayed(lif.v, lif.dv + lif.dm_offset) + u - 2 * limit * high + 2 * limit * low + lif.effective_bias
    clipped = np.abs(v) >= limit
    if isinstance(lif, _DelayedReset):  # nothing of v is left where it waits
        clipped &= ~lif.spiking_activation()  # type: ignore[attr-defined]  # of the stock model
    return int(np.count_nonzero(high | low)), int(np.count_nonzero(clipped))


def _check_range(u: Array, activation_in: Array) -> None:
    """Raise OverflowError where ``u + (a_in << 6)``, then v + u + bias, could leave 32 bits."""
    largest = int(np.abs(u.astype(np.int64)).max()) + (int(np.abs(activation_in.astype(np.int64)).max()) << 6)
    if largest > STATE_ROOM:
        raise OverflowError(
            f"|u| + |a_in << 6| reaches {largest}, more than the {STATE_ROOM} that Lava's 32-bit arithmetic "
            "holds; use smaller weights or fewer inputs"
        )


class _SilentModel(_SampledModel):
    def spiking_activation(self) -> Array:
        """No threshold: nobody spikes."""
        return np.zeros(self.v.shape, dtype=bool)


class _SoftResetFixed:
    """Takes the place of the stock reset to 0."""

    vsub: Array = LavaPyType(np.ndarray, np.int32, precision=17)
    v: Array
    vth_shift: int

    def reset_voltage(self, spike_vector: Array) -> None:
        self.v[spike_vector] -= self.vsub[spike_vector] << self.vth_shift


class _SoftResetFloat:
    vsub: Array = LavaPyType(np.ndarray, float)
    v: Array

    def reset_voltage(self, spike_vector: Array) -> None:
        self.v[spike_vector] -= self.vsub[spike_vector]


class _DelayedReset:
    """Takes the place of the stock reset: v stays as the spike left it, until the next step."""

    v: Array

    def subthr_dynamics(self, activation_in: Array) -> None:
        """The stock update of u and v; v becomes 0 where it made a spike."""
        waits = self.spiking_activation()  # type: ignore[attr-defined]  # of the stock model
        super().subthr_dynamics(activation_in=activation_in)  # type: ignore[misc]  # the stock model
        self.v[waits] = 0

    def reset_voltage(self, spike_vector: Array) -> None:
        """Nothing yet."""


class _FixedVars:
    v_init: Array = LavaPyType(np.ndarray, np.int32, precision=24)
    spikes: Array = LavaPyType(np.ndarray, np.int64)
    active: Array = LavaPyType(np.ndarray, np.int64)
    outside: Array = LavaPyType(np.ndarray, np.int64)
    rows: Array = LavaPyType(np.ndarray, np.int64)
    spike_bits: Array = LavaPyType(np.ndarray, np.uint8)
    u_rows: Array = LavaPyType(np.ndarray, np.int32)
    v_rows: Array = LavaPyType(np.ndarray, np.int32)
    implements_process = None  # lets @implements name our subclass of the stock process


class _FloatVars(_FixedVars):
    v_init: Array = LavaPyType(np.ndarray, float)
    rows: Array = LavaPyType(np.ndarray, float)
    u_rows: Array = LavaPyType(np.ndarray, float)
    v_rows: Array = LavaPyType(np.ndarray, float)


@fixed(SampledLIF)
class SampledLIFFixed(_SampledModel, _FixedVars, PyLifResetModelBitAcc):  # type: ignore[misc]  # lava is untyped
    """Loihi's integers: all arithmetic is Lava's ``PyLifResetModelBitAcc``."""


@floating(SampledLIF)
class SampledLIFFloat(_SampledModel, _FloatVars, PyLifResetModelFloat):  # type: ignore[misc]  # lava is untyped
    """Real numbers: all arithmetic is Lava's ``PyLifResetModelFloat``."""


@fixed(SoftResetLIF)
class SoftResetLIFFixed(_SampledModel, _SoftResetFixed, _FixedVars, PyLifResetModelBitAcc):  # type: ignore[misc]  # lava is untyped
    """Loihi's integers: all but the reset by a spike is Lava's ``PyLifResetModelBitAcc``."""


@floating(SoftResetLIF)
class SoftResetLIFFloat(_SampledModel, _SoftResetFloat, _FloatVars, PyLifResetModelFloat):  # type: ignore[misc]  # lava is untyped
    """Real numbers: all but the reset by a spike is Lava's ``PyLifResetModelFloat``."""


@fixed(DelayedResetLIF)
class DelayedResetLIFFixed(_SampledModel, _DelayedReset, _FixedVars, PyLifResetModelBitAcc):  # type: ignore[misc]  # lava is untyped
    """Loihi's integers: all but the time of the reset by a spike is Lava's ``PyLifResetModelBitAcc``."""


@floating(DelayedResetLIF)
class DelayedResetLIFFloat(_SampledModel, _DelayedReset, _FloatVars, PyLifResetModelFloat):  # type: ignore[misc]  # lava is untyped
    """Real numbers: all but the time of the reset by a spike is Lava's ``PyLifResetModelFloat``."""


@fixed(SampledLI)
class SampledLIFixed(_SilentModel, _FixedVars, PyLifResetModelBitAcc):  # type: ignore[misc]  # lava is untyped
    """Loihi's integers without a threshold."""


@floating(SampledLI)
class SampledLIFloat(_SilentModel, _FloatVars, PyLifResetModelFloat):  # type: ignore[misc]  # lava is untyped
    """Real numbers without a threshold."""
