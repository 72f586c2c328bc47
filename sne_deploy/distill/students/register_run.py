"""A folded student run on the chip's integers, with gradients that pass every rounding as if it were none.

The forward pass is the fixed-point update of :mod:`sne_deploy.ir.program`, step by step: the weights that are
stored, the drive from the host rounded once per sample or step, biases, thresholds and decays as registers,
states truncated at each step and clipped. States and currents are kept in units of v's register, as float32,
which holds every integer below 2^24. A layer's sum over its synapses is computed by the layer itself, with
the stored weights, and rounded to the unit of the synapse, so that float32's own error is gone.

So the spikes are those of target ``loihi``, bit for bit, as long as the current does not leave its register,
where bf16 is not asked for: that rounds a layer's sums before they are rounded to the synapse's unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sne_deploy.distill.students.box_neurons import Spike
from sne_deploy.distill.students.simulate import Simulation, flat_layers, is_neuron, is_skip, read_out
from sne_deploy.distill.students.steps import Steps
from sne_deploy.errors import UnsupportedError
from sne_deploy.ir.program import ALWAYS_ON, NeuronGroup, Program
from sne_deploy.model.layers.skips import source_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt
    from torch import Tensor, nn

    from sne_deploy.chips.registers import RegisterFormats
    from sne_deploy.distill.students.surrogates import Surrogate
    from sne_deploy.model.ensemble import Readout

    Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class LayerRegisters:
    """What holds a layer of neurons in registers, in units of v, and where what enters it comes from.

    Attributes
    ----------
    group : NeuronGroup
        In registers.
    formats : RegisterFormats
    gain : float array of shape () or (n,)
        What the compiler multiplies the layer's input with.
    units : mapping of str to float
        What a sum over synapses is a multiple of, by their source: "before", "itself", ALWAYS_ON, and
        "over 1", "over 2", ... of skips.
    offset : float array of shape (n,)
        Of the real-numbered bias, or of the host's: what does not come from the maps before the layer.
    on_host : bool
        The maps before it are computed on the host.
    lags : mapping of str to int
        Steps from sending to delivery, by source.
    """

    group: NeuronGroup
    formats: RegisterFormats
    gain: Array
    units: Mapping[str, float]
    offset: Array
    on_host: bool
    lags: Mapping[str, int]

    def tensor(self, value: Any, like: Tensor) -> Tensor:
        """A register or factor of each neuron, so that it broadcasts over (N, *shape)."""
        array = np.array(value, dtype=np.float64)
        made = torch.from_numpy(array if array.ndim == 0 else array.reshape(self.group.shape))
        return made.to(like.device, like.dtype)


BEFORE, ITSELF = "before", "itself"
"""Sources of synapses: the layer of neurons before, or the input; and the same layer."""


def _source(passed: int) -> str:
    """Of synapses that pass so many layers of neurons: none from the one before, -1 from the same."""
    return {0: BEFORE, -1: ITSELF}.get(passed, f"over {passed}")


def layer_registers(
    network: nn.Module, input_shape: tuple[int, ...], exact: Program, fixed: Program, gains: Sequence[Array]
) -> list[LayerRegisters]:
    """What each layer of neurons of a folded network has become, in order.

    Parameters
    ----------
    network : nn.Module
        As it was compiled.
    input_shape : tuple of int
    exact, fixed : Program
        The network compiled, before and after rounding.
    gains : sequence of float array
        Of each group.

    Raises
    ------
    UnsupportedError
        A group with a reset that Norse has not.
    """
    device = next(network.parameters()).device
    names = {group.name: index for index, group in enumerate(fixed.groups)}
    found: list[LayerRegisters] = []
    shape = input_shape
    maps = list(_stages(network))
    for number, ((before, layer), real, group, gain) in enumerate(
        zip(maps, exact.groups, fixed.groups, gains, strict=True)
    ):
        if group.reset_delayed:
            raise UnsupportedError("quantisation-aware training", [f"{group.name}: its reset is delayed"])
        with torch.no_grad():
            bias = _apply(before, layer, torch.zeros(1, *shape, dtype=torch.float64, device=device))
        from_maps = np.asarray(gain) * bias.numpy(force=True).reshape(-1)
        host = exact.host_of(real.name)
        axon = any(s.source == ALWAYS_ON for s in exact.synapses_into(real.name))
        whole = real.bias_mant if host is None else host.bias
        offset = np.broadcast_to(whole, (real.size,)) - (0.0 if axon else from_maps)
        scale = float(np.max(np.abs(from_maps), initial=0.0))
        offset = np.where(np.abs(offset) <= 1e-9 * scale, 0.0, offset)
        units: dict[str, float] = {}
        lags: dict[str, int] = {}
        for synapse in fixed.synapses_into(group.name):
            passed = number - 1 - names.get(synapse.source, number - 1)
            source = ALWAYS_ON if synapse.source == ALWAYS_ON else _source(passed)
            unit = 2.0 ** (fixed.registers.state_shift + synapse.weight_exp)
            units[source] = min(unit, units.get(source, unit))
            lags[source] = fixed.lag(synapse)
        if host is not None:
            units[BEFORE] = 2.0**fixed.registers.state_shift
        found.append(
            LayerRegisters(group, fixed.registers, np.asarray(gain), units, offset, host is not None, lags)
        )
        shape = group.shape
    return found


def _stages(network: nn.Module) -> Iterator[tuple[list[nn.Module], nn.Module]]:
    """Each layer of neurons with the maps before it."""
    maps: list[nn.Module] = []
    for layer in flat_layers(network):
        if is_neuron(layer):
            yield maps, layer
            maps = []
        else:
            maps.append(layer)


def _apply(maps: Sequence[nn.Module], neurons: nn.Module, x: Tensor) -> Tensor:
    """The input of neurons, in the precision of x, of shape (N, ...)."""
    for one in maps:
        if is_skip(one):
            continue
        cast = {name: value.to(x.dtype) for name, value in one.named_parameters()}
        x = torch.func.functional_call(one, cast, (x,))
    weights: Any = getattr(neurons, "input_weights", None)
    return x if weights is None else torch.nn.functional.linear(x, weights.to(x.dtype))


def run_on_registers(
    network: nn.Module,
    registers: Sequence[LayerRegisters],
    surrogate: Surrogate,
    inputs: Tensor,
    timesteps: int,
    readout: Readout,
    lengths: Tensor | None = None,
) -> Simulation:
    """Run a folded network whose weights are stored ones; as :func:`sne_deploy.distill.students.simulate`."""
    steps = Steps.of(lengths, timesteps)
    steady = lengths is None
    series = inputs if lengths is None else inputs[:, : steps.count].transpose(0, 1)
    rates: list[Tensor] = []
    sent: list[Tensor] = []
    for (maps, layer), held in zip(_stages(network), registers, strict=True):
        drive, bias = _drive(maps, layer, held, series, steady)
        if not steady:
            drive = _delayed(drive, held.lags.get(BEFORE, 0))
        for skip in filter(is_skip, maps):
            drive = drive + _from_skipped(skip, held, sent)
        series = _neurons(layer, held, drive, bias, surrogate, steady, steps.count)
        sent.append(series)
        steady = False
        if held.group.spiking:
            rates.append(steps.mean(series))
    rest = list(flat_layers(network))
    spiking = registers[-1].group.spiking and is_neuron(rest[-1])
    for layer in _after(rest):
        series = steps.each(layer, series)
    return Simulation(read_out(series, readout, spiking, steps), tuple(rates))


def _after(layers: Sequence[nn.Module]) -> list[nn.Module]:
    """What follows the last neurons."""
    last = max(index for index, layer in enumerate(layers) if is_neuron(layer))
    return list(layers[last + 1 :])


def _drive(
    maps: list[nn.Module], layer: nn.Module, held: LayerRegisters, series: Tensor, steady: bool
) -> tuple[Tensor, Tensor | None]:
    """What enters neurons by synapses or from the host, and their bias: integers in units of v.

    The first of shape (N, ...) or (T, N, ...).
    """
    flat = series if steady else series.flatten(0, 1)
    exact = flat.double() if held.on_host else flat.float()
    made = _apply(maps, layer, exact)
    factor = held.tensor(np.broadcast_to(held.gain * held.group.scale, (held.group.size,)), made)
    unit, bias = held.units.get(BEFORE, 1.0), None
    offset = held.tensor(held.offset * held.group.scale, made)
    if held.on_host:
        limit = held.formats.bias_mant_max * unit
        made = _rounded(made * factor + offset, unit, limit).float()
        register = np.asarray(held.group.bias_mant) * 2.0**held.group.bias_exp
        bias = held.tensor(register, made) if np.any(register) else None
    else:
        constant = _apply(maps, layer, torch.zeros_like(exact[:1])).float()
        made = _rounded((made.float() - constant) * factor, unit)
        if ALWAYS_ON in held.units:
            made = made + _rounded(constant * factor, held.units[ALWAYS_ON])
            constant = torch.zeros_like(constant)
        shift = 2.0**held.group.bias_exp
        bias = _rounded(constant * factor + offset, shift, held.formats.bias_mant_max * shift)
    return (made if steady else made.view(*series.shape[:2], *made.shape[1:])), bias


def _neurons(
    layer: Any,
    held: LayerRegisters,
    drive: Tensor,
    bias: Tensor | None,
    surrogate: Surrogate,
    steady: bool,
    count: int,
) -> Tensor:
    """Spikes of neurons over all steps, or the membrane of integrators in their own units: (T, N, ...)."""
    group, unity = held.group, held.formats.decay_unity
    keep_v = held.tensor(unity - np.asarray(group.dv), drive)
    keep_u = held.tensor(unity - np.asarray(group.du) - 1, drive) if group.has_current else None
    scale, v_reset = held.tensor(group.scale, drive), held.tensor(group.v_reset, drive)
    fires = _Fires.of(layer, held, drive, surrogate) if group.spiking else None
    half, top = held.formats.state_limit, held.formats.state_limit - 1
    each = repeat(drive, count) if steady else iter(drive)
    u = None
    v = held.tensor(group.v_init, drive) if np.any(group.v_init) else None
    made: list[Tensor] = []
    for entering in each:
        a_in = entering
        if ITSELF in held.units and len(made) >= held.lags[ITSELF]:
            a_in = a_in + _from_itself(layer, held, made[-held.lags[ITSELF]])
        u = a_in if u is None or keep_u is None else _decayed(u, keep_u, unity) + a_in
        u = torch.where(u > half, u - 2 * half, torch.where(u <= -half, u + 2 * half, u))
        v = u if v is None else _decayed(v, keep_v, unity) + u
        v = (v if bias is None else v + bias).clamp(-top, top)
        if fires is None:
            made.append(v / scale + v_reset)
        else:
            z, v = fires(v)
            made.append(z)
    return torch.stack(made)


def _from_itself(layer: Any, held: LayerRegisters, spikes: Tensor) -> Tensor:
    """What a layer's own synapses deliver."""
    sums = torch.nn.functional.linear(spikes, layer.recurrent_weights).float()
    factor = held.tensor(np.broadcast_to(held.gain * held.group.scale, (held.group.size,)), sums)
    return _rounded(sums * factor, held.units[ITSELF])


def _from_skipped(skip: Any, held: LayerRegisters, sent: Sequence[Tensor]) -> Tensor:
    """What a skip's synapses deliver at each step: (T, N, ...)."""
    source = source_of(skip.over, sent)
    assert source is not None  # noqa: S101  it was compiled
    flat = source.flatten(0, 1).float()
    sums = skip(flat, flat.new_zeros(()))
    factor = held.tensor(np.broadcast_to(held.gain * held.group.scale, (held.group.size,)), sums)
    made = _rounded(sums.float() * factor, held.units.get(_source(skip.over), 1.0))
    return _delayed(made.view(*source.shape[:2], *made.shape[1:]), held.lags.get(_source(skip.over), 0))


def _delayed(series: Tensor, lag: int) -> Tensor:
    """What is delivered at each step of what was sent at each."""
    if lag == 0:
        return series
    return torch.cat([torch.zeros_like(series[:lag]), series[:-lag]])


@dataclass(frozen=True, eq=False)
class _Fires:
    """Thresholds and resets of a layer."""

    v_th: Tensor
    v_sub: Tensor | None
    scale: Tensor
    slope: Any

    @staticmethod
    def of(layer: Any, held: LayerRegisters, like: Tensor, surrogate: Surrogate) -> _Fires:
        unit, group = 2.0**held.formats.state_shift, held.group
        rest = torch.as_tensor(getattr(layer.p, "v_leak", 0.0))
        distance = (torch.as_tensor(layer.p.v_th) - rest).detach().to(like)
        subtracted = None if group.vsub_mant is None else held.tensor(group.vsub_mant * unit, like)
        v_th = held.tensor(np.asarray(group.vth_mant) * unit, like)
        return _Fires(v_th, subtracted, held.tensor(group.scale, like), surrogate.slope(distance))

    def __call__(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Spikes, and v after them."""
        z: Tensor = Spike.apply((v - self.v_th) / self.scale, self.slope)  # type: ignore[no-untyped-call]  # as below
        return z, (1 - z) * v if self.v_sub is None else v - z * self.v_sub


def _rounded(x: Tensor, unit: float, limit: float | None = None) -> Tensor:
    made: Tensor = _Rounding.apply(x, unit, limit)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return made


def _decayed(x: Tensor, keep: Tensor, unity: int) -> Tensor:
    made: Tensor = _Decay.apply(x, keep, unity)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return made


class _Rounding(torch.autograd.Function):
    """To the nearest multiple of a unit, within a limit; the gradient is that of x itself."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, unit: float, limit: float | None) -> Tensor:  # noqa: ARG004  torch's interface
        made = torch.round(x / unit) * unit
        return made if limit is None else made.clamp(-limit, limit)

    @staticmethod
    def backward(ctx: Any, *wanted: Tensor) -> tuple[Tensor, None, None]:  # noqa: ARG004  torch's interface
        return wanted[0], None, None


class _Decay(torch.autograd.Function):
    """sign(x) (|x| keep >> bits), in two parts: exact below 2^24; the gradient is keep / 2^bits."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, keep: Tensor, unity: int) -> Tensor:
        ctx.save_for_backward(keep)
        ctx.unity = unity
        size = x.abs()
        high = torch.floor(size / unity)
        kept = high * keep + torch.floor((size - high * unity) * keep / unity)
        return torch.sign(x) * kept

    @staticmethod
    def backward(ctx: Any, *wanted: Tensor) -> tuple[Tensor, None, None]:
        (keep,) = ctx.saved_tensors
        return wanted[0] * (keep / ctx.unity), None, None
