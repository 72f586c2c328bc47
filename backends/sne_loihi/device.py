"""The same arithmetic in PyTorch operations, for a device that PyTorch knows: a CUDA GPU.

Synaptic sums are float32 products (float64 where a bound does not hold): every partial sum is an integer
below 2^24 (2^53), so the order of adding does not matter. Convolutions avoid cuDNN, whose fast algorithms
go through fractions. The update is 32-bit integers, with 64-bit products, as in Lava's models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sne_deploy.backend import Record
from sne_deploy.errors import TargetError, UnsupportedError
from sne_loihi.operators import Operator
from sne_loihi.plan import GroupRun, Neurons, Plan
from sne_loihi.products import FLOAT32_EXACT

Array = npt.NDArray[Any]


def open_device(name: str) -> torch.device:
    """The device of that name.

    Raises
    ------
    TargetError
        PyTorch does not know it, or cannot use it here.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise TargetError(f"device {name!r} cannot be used: {reason}; leave --device out") from error
    return device


@dataclass(eq=False)
class _State:
    """One group while it runs; holds tensors on the device."""

    neurons: Neurons
    registers: Tensor
    u: Tensor
    v: Tensor
    spikes: Tensor
    active: Tensor
    total: Tensor
    outside: Tensor | None
    highest: Tensor | None = None
    recorded: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def step(self, t: int, drive: Tensor, *, record: bool) -> None:
        update = self.neurons.kernel.update_device
        assert update is not None  # noqa: S101  refused by the engine
        if self.outside is not None:
            count = self.neurons.kernel.outside_device
            assert count is not None  # noqa: S101  it is counted
            found = count(self.u, self.v, drive, self.registers)
            self.outside += torch.stack([each.sum(dim=1) for each in found], dim=1)
        self.active += ((drive != 0) | (self.u != 0) | (self.v != 0)).sum(dim=1)
        self.u, self.v, fired = update(self.u, self.v, drive, self.registers)
        self.spikes[:, t] = fired
        if not self.neurons.group.spiking:
            self.total += self.v
            self.highest = self.v if self.highest is None else torch.maximum(self.highest, self.v)
        if record:
            self.recorded.append((self.u, self.v))


class DeviceEngine:
    """As :class:`sne_loihi.engine.Engine`, on a device."""

    def __init__(self, plan: Plan, device: torch.device) -> None:
        lacking = [n.group.name for n in plan.neurons.values() if n.kernel.update_device is None]
        if lacking:
            raise UnsupportedError(f"device {device}", [f"group {name!r}: its neurons" for name in lacking])
        self._plan = plan
        self._device = device
        self._weights: dict[Operator, Tensor] = {}

    def run(
        self, sent: Array | None, constants: Mapping[str, Array], samples: int, record: Record
    ) -> dict[str, GroupRun]:
        """Run B samples; arguments and result as those of :meth:`sne_loihi.engine.Engine.run`."""
        plan, done = self._plan, dict[str, GroupRun]()
        spikes: dict[str, Tensor] = {}
        if sent is not None:
            spikes[plan.program.input.name] = torch.from_numpy(sent).to(self._device)
            counts = sent.sum(axis=1, dtype=np.int32)
            fired = counts.sum(axis=1, dtype=np.int64)
            done[plan.program.input.name] = GroupRun(np.zeros(samples, np.int64), fired, counts, sent)
        with torch.no_grad():
            for block in plan.blocks:
                states = self._run_block(block, constants, samples, spikes, record)
                done |= {name: _finished(state, plan) for name, state in states.items()}
        return done

    def _run_block(
        self,
        block: tuple[str, ...],
        constants: Mapping[str, Array],
        samples: int,
        spikes: dict[str, Tensor],
        record: Record,
    ) -> Mapping[str, _State]:
        """Sum what comes from outside for all steps at once; then step by step."""
        plan, steps = self._plan, self._plan.program.timesteps
        states = {name: self._start(name, samples) for name in block}
        outside = {name: self._outside(name, constants, samples, states, spikes) for name in block}
        for t in range(steps):
            for name in block:
                drive = outside[name][:, t]
                for operator in plan.operators[name]:
                    source, lag = operator.synapse.source, plan.lag(operator)
                    if source in states and t - lag >= 0:
                        drive = drive + self._sums(operator, states[source].spikes[:, t - lag])
                states[name].step(t, drive, record=record == "all")
        spikes.update({name: state.spikes for name, state in states.items()})
        return states

    def _start(self, name: str, samples: int) -> _State:
        neurons, steps = self._plan.neurons[name], self._plan.program.timesteps
        n = neurons.group.size
        return _State(
            neurons=neurons,
            registers=torch.from_numpy(neurons.registers).to(self._device),
            u=torch.zeros((samples, n), dtype=torch.int32, device=self._device),
            v=torch.from_numpy(neurons.v_init).to(self._device).expand(samples, n),
            spikes=torch.zeros((samples, steps, n), dtype=torch.uint8, device=self._device),
            active=torch.zeros(samples, dtype=torch.int64, device=self._device),
            total=torch.zeros((samples, n), dtype=torch.int64, device=self._device),
            outside=torch.zeros((samples, 2), dtype=torch.int64, device=self._device)
            if neurons.counted
            else None,
        )

    def _outside(
        self,
        name: str,
        constants: Mapping[str, Array],
        samples: int,
        states: Mapping[str, _State],
        spikes: Mapping[str, Tensor],
    ) -> Tensor:
        """int32 (B, T, n): what reaches a group from the host, the always-on axon and earlier blocks."""
        plan, steps = self._plan, self._plan.program.timesteps
        drive = torch.from_numpy(plan.constant(name, constants)).to(self._device)
        each = drive if drive.ndim == 3 else drive[:, None]
        total = each.expand(samples, steps, plan.neurons[name].group.size)
        for operator in plan.operators[name]:
            source = operator.synapse.source
            if source not in states:
                sent = _later(spikes[source], plan.lag(operator))
                sums = self._sums(operator, sent.reshape(samples * steps, -1))
                total = total + sums.reshape(samples, steps, sums.shape[-1])
        return total

    def _sums(self, operator: Operator, sent: Tensor) -> Tensor:
        """int32 (R, n_out) of uint8 (R, n_in), shifted."""
        exact = torch.float32 if operator.largest_sum < FLOAT32_EXACT else torch.float64
        conv = operator.conv
        if conv is not None and self._device.type == "cpu":
            exact = torch.float64  # no library for processors computes it by fractions, or wrongly
        values = sent.to(exact)
        if conv is None:
            sums = (self._matrix(operator, exact) @ values.T).T
        else:
            c, h, w = conv.in_shape
            last = operator.source.channels == c
            maps = (
                values.reshape(len(sent), h, w, c).permute(0, 3, 1, 2)
                if last
                else values.reshape(len(sent), c, h, w)
            )
            kernel = torch.from_numpy(conv.kernel).to(self._device, exact)
            with torch.backends.cudnn.flags(enabled=False):
                found = torch.nn.functional.conv2d(
                    maps, kernel, None, conv.stride, conv.padding, conv.dilation, conv.groups
                )
            sums = found.permute(0, 2, 3, 1).reshape(len(sent), -1)
        return sums.to(torch.int32) << operator.shift

    def _matrix(self, operator: Operator, dtype: torch.dtype) -> Tensor:
        """Weights (n_out, n_in) on the device: dense where that wastes little, else sparse."""
        if operator not in self._weights:
            csr = operator.matrix
            if operator.is_dense:
                weights = torch.from_numpy(csr.toarray())
            else:
                rows = np.repeat(np.arange(csr.shape[0]), np.diff(csr.indptr))
                places = torch.from_numpy(np.stack([rows, csr.indices.astype(np.int64)]))
                weights = torch.sparse_coo_tensor(
                    places, torch.from_numpy(csr.data.copy()), csr.shape, check_invariants=True
                ).coalesce()
            self._weights[operator] = weights.to(self._device, dtype)
        return self._weights[operator]


def _later(spikes: Tensor, lag: int) -> Tensor:
    """Spikes (B, T, n) moved back by ``lag`` steps; those that leave the sample are dropped."""
    if lag == 0:
        return spikes
    moved = torch.zeros_like(spikes)
    moved[:, lag:] = spikes[:, :-lag]
    return moved


def _finished(state: _State, plan: Plan) -> GroupRun:
    spikes = state.spikes.cpu().numpy()
    readout = None
    if not state.neurons.group.spiking:
        highest = state.v if state.highest is None else state.highest
        chosen = {"v_last": state.v, "v_mean": state.total, "v_max": highest}[plan.program.readout]
        readout = chosen.cpu().numpy()
    recorded = [torch.stack(values, dim=1).cpu().numpy() for values in zip(*state.recorded, strict=True)]
    counts = spikes.sum(axis=1, dtype=np.int32)
    return GroupRun(
        active=state.active.cpu().numpy(),
        fired=counts.sum(axis=1, dtype=np.int64),
        counts=counts,
        spikes=spikes,
        readout=readout,
        u=recorded[0] if recorded else None,
        v=recorded[1] if recorded else None,
        outside=None if state.outside is None else state.outside.cpu().numpy(),
    )
