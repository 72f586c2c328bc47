"""The verifier: what must hold of a Program between any two passes and before any backend.

A violation here is a fault of the compiler, not of the user: :class:`VerificationError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.chips.registers import RegisterFormats
from sne_deploy.errors import VerificationError
from sne_deploy.ir.blocks import blocks, flat
from sne_deploy.ir.network import Network
from sne_deploy.ir.program import ALWAYS_ON, HostAffine, NeuronGroup, Program, Synapse

Array = npt.NDArray[Any]


def verify(made: Network | Program, after: str) -> None:
    """Check names, structure, sizes, time and, in fixed point, every register's range.

    Raises
    ------
    VerificationError
        Names the pass after which the check failed, and everything found.
    """
    found = list(_network_problems(made) if isinstance(made, Network) else _program_problems(made))
    if found:
        raise VerificationError(
            f"student {made.name!r}, after {after}: {'; '.join(found)}; please report this as a bug"
        )


def _network_problems(network: Network) -> Iterator[str]:
    sizes = {neuron.name: neuron.size for neuron in network.neurons} | {
        network.input.name: network.input.size
    }
    names = [neuron.name for neuron in network.neurons]
    names += [linear.name for linear in network.linears]
    names += [delay.name for delay in network.delays]
    if len(set(names)) != len(names):
        yield "node names repeat"
    known = {*names, network.input.name, *network.outputs}
    yield from (f"edge {edge} names an unknown node" for edge in network.edges if not set(edge) <= known)
    for connection in network.connections:
        wanted = (sizes.get(connection.target), sizes.get(connection.source))
        if connection.weights.shape != wanted:
            yield f"connection {connection.name!r} has shape {connection.weights.shape}, its ends {wanted}"
        if connection.lag < 0:
            yield f"connection {connection.name!r} has lag {connection.lag}"
    for name, bias in network.biases:
        if bias.shape != (sizes.get(name),):
            yield f"bias of {name!r} has shape {bias.shape}"
    for neuron in network.neurons:
        for what in ("a", "b", "gain", "v_leak", "v_th", "v_reset", "v_sub"):
            value = getattr(neuron, what)
            if value is None:
                continue
            if value.shape not in ((), (neuron.size,)) or not bool(np.all(np.isfinite(value))):
                yield f"{neuron.name!r}: {what} has shape {value.shape} or is not finite"


def _program_problems(program: Program) -> Iterator[str]:
    groups = {group.name: group for group in program.groups}
    if (program.formats is None) != (program.precision == "float"):
        yield f"precision {program.precision!r} with formats {program.formats}"
        return
    if len(groups) != len(program.groups) or program.input.name in groups or ALWAYS_ON in groups:
        yield "names of groups repeat or are reserved"
    unknown = [name for name in program.outputs if name not in groups]
    if unknown or not program.outputs or len(set(program.outputs)) != len(program.outputs):
        yield f"outputs {program.outputs} repeat, are none, or are no groups"
        return
    if program.readout == "count" and not all(group.spiking for group in program.output_groups):
        yield f"readout 'count' does not fit outputs {program.outputs}, of which some do not spike"
    seen: set[str] = {program.input.name, ALWAYS_ON}
    for group in program.groups:
        yield from _group_problems(group, fixed=program.precision == "fixed")
        for synapse in program.synapses_into(group.name):
            yield from _synapse_problems(program, synapse, groups, seen)
        seen.add(group.name)
    if len(program.synapses) != sum(len(program.synapses_into(name)) for name in groups):
        yield "a synapse ends on no group"
    if program.spike_input == bool(program.hosts):
        yield f"{len(program.hosts)} host parts with an input of kind {program.input.kind!r}"
    if len({host.target for host in program.hosts}) != len(program.hosts):
        yield "two host parts have one target"
    for host in program.hosts:
        yield from _host_problems(program, host, groups)
    if program.formats is not None:
        yield from register_problems(program, program.formats)


def _group_problems(group: NeuronGroup, *, fixed: bool) -> Iterator[str]:
    if group.sends != "binary":
        yield f"{group.name!r} sends {group.sends} spikes, of which only binary ones are implemented"
    names = ("du", "dv", "vth_mant", "bias_mant", "vsub_mant", "v_init")
    registers = {**{name: getattr(group, name) for name in names}, **group.own}
    for what, value in ((name, np.asarray(found)) for name, found in registers.items() if found is not None):
        if value.shape not in ((), (group.size,)):
            yield f"{group.name!r}: {what} has shape {value.shape}, not () or ({group.size},)"
        if fixed and not np.issubdtype(value.dtype, np.integer):
            yield f"{group.name!r}: {what} is not an integer"
        if not bool(np.all(np.isfinite(value))):
            yield f"{group.name!r}: {what} is not finite"
        if what in ("du", "dv") and not fixed:
            yield from _outside(f"{group.name!r}: {what}", value, 0, 1)
    if group.reset_delayed and group.vsub_mant is not None:
        yield f"{group.name!r}: a delayed reset that subtracts; what it subtracts at once says the same"
    if not fixed and group.bias_exp:
        yield f"{group.name!r}: bias_exp {group.bias_exp} in floating point"
    if np.shape(group.scale) not in ((), (group.size,)):
        yield f"{group.name!r}: scale has shape {np.shape(group.scale)}, not () or ({group.size},)"
    if group.depth < 0 or not bool(np.all(np.asarray(group.scale) > 0)):
        yield f"{group.name!r}: depth {group.depth} or scale {group.scale} is impossible"


def register_problems(program: Program, formats: RegisterFormats) -> Iterator[str]:
    """What of a fixed-point Program does not fit register formats: its own, or another chip's."""
    own = program.registers
    for what in ("state_bits", "state_shift", "decay_bits"):
        if getattr(own, what) != getattr(formats, what):
            yield f"{what} is {getattr(own, what)}; {formats.chip} has {getattr(formats, what)}"
    for group in program.groups:
        yield from _group_register_problems(group, formats)
    for synapse in program.synapses:
        yield from _outside(f"synapse {synapse.name!r}: delay", synapse.delay, 0, formats.delay_max)
        yield from _weight_problems(synapse, formats)


def _group_register_problems(group: NeuronGroup, formats: RegisterFormats) -> Iterator[str]:
    state, threshold = formats.state_limit - 1, formats.vth_mant_max
    ranges = {
        "du": (0, formats.decay_max),
        "dv": (0, formats.decay_max),
        "vth_mant": (0, threshold),
        "bias_mant": (formats.bias_mant_min, formats.bias_mant_max),
        "bias_exp": (formats.bias_exp_min if np.any(group.bias_mant) else 0, formats.bias_exp_max),
        "vsub_mant": (0, threshold),
        "v_init": (-state, state),
    }
    for what, (low, high) in ranges.items():
        value = getattr(group, what)
        if value is not None:
            yield from _outside(f"{group.name!r}: {what}", value, low, high)
    if formats.compartments(group.reset) is None:
        yield f"{group.name!r}: {formats.chip} has no reset of kind {group.reset!r}"


def _outside(what: str, value: Array | int, low: int, high: int) -> Iterator[str]:
    values = np.asarray(value)
    if values.size and not low <= values.min() <= values.max() <= high:
        found = str(value) if values.ndim == 0 else f"reaches {values.min()}..{values.max()}, which"
        yield f"{what} {found} is outside {low}..{high}"


def _synapse_problems(
    program: Program, synapse: Synapse, groups: dict[str, NeuronGroup], seen: set[str]
) -> Iterator[str]:
    target = groups[synapse.target]
    n_in = {program.input.name: program.input.size, ALWAYS_ON: 1}.get(synapse.source)
    if n_in is None:
        if synapse.source not in groups:
            yield f"synapse {synapse.name!r} has unknown source {synapse.source!r}"
            return
        n_in = groups[synapse.source].size
        if synapse.source not in seen and not synapse.within_sample:
            yield f"synapse {synapse.name!r}: source {synapse.source!r} comes after its target"
    if synapse.source == program.input.name and not program.spike_input:
        yield f"synapse {synapse.name!r} carries a {program.input.kind} input, which the host computes"
    if synapse.weights.shape != (target.size, n_in):
        yield f"synapse {synapse.name!r} has shape {synapse.weights.shape}, its ends ({target.size}, {n_in})"
    if synapse.delay < 0:
        yield f"synapse {synapse.name!r}: delay {synapse.delay} is negative"
    if synapse.source != ALWAYS_ON:
        lag = program.lag(synapse)
        if lag < 0 or (lag != 0 and not synapse.within_sample) or (lag == 0 and synapse.source not in seen):
            yield f"synapse {synapse.name!r}: delay {synapse.delay} delivers {lag} steps after it was sent"
    elif synapse.within_sample:
        yield f"synapse {synapse.name!r}: the always-on axon delivers within the sample"
    if synapse.source == ALWAYS_ON and target.depth < 1 + synapse.delay:
        yield (
            f"synapse {synapse.name!r}: the always-on axon reaches depth {1 + synapse.delay} "
            f"at the earliest, not {target.depth}"
        )


def _weight_problems(synapse: Synapse, formats: RegisterFormats) -> Iterator[str]:
    stored = formats.stored_range(synapse.sign_mode)
    if stored is None:
        yield f"synapse {synapse.name!r}: {formats.chip} has no weights of sign mode {synapse.sign_mode!r}"
        return
    low, high, step = stored.low, stored.high, stored.step
    values = np.asarray(synapse.weights.values)
    if not np.issubdtype(values.dtype, np.integer):
        yield f"synapse {synapse.name!r}: weights are not integers"
    elif values.size and (values.min() < low or values.max() > high or _uneven(values, step)):
        mode = synapse.sign_mode
        yield f"synapse {synapse.name!r}: weights outside {low}..{high} in steps of {step} ({mode})"
    lowest, highest = formats.weight_shift_min, formats.weight_exp_max
    yield from _outside(f"synapse {synapse.name!r}: weight_exp", synapse.weight_exp, lowest, highest)


def _uneven(values: Array, step: int) -> bool:
    each = flat(values)
    return any(bool(np.any(each[part] % step)) for part in blocks(each.size))


def _host_problems(program: Program, host: HostAffine, groups: dict[str, NeuronGroup]) -> Iterator[str]:
    if host.target not in groups:
        yield f"the host's target {host.target!r} is not a group"
        return
    wanted = (groups[host.target].size, program.input.size)
    if host.matrix.shape != wanted or host.bias.shape != wanted[:1]:
        yield f"the host's matrix has shape {host.matrix.shape}, its ends {wanted}"
    if host.register_scale is not None and np.shape(host.register_scale) not in ((), host.bias.shape):
        yield f"the host's register scale has shape {np.shape(host.register_scale)} for {host.bias.shape}"
    if (host.register_scale is None) != (program.precision == "float"):
        yield "the host's register scale does not fit the precision"
