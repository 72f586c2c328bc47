"""A compiled student's neurons in both units, and its synapses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.chips.registers import RegisterFormats
from sne_deploy.inspect.views import ConnectionView, GroupView, Range, ValueView, range_of
from sne_deploy.ir.fan_out import fan_out
from sne_deploy.ir.program import NeuronGroup, Program, Synapse

Array = npt.NDArray[Any]


def group_views(fixed: Program | None, floating: Program | None) -> tuple[GroupView, ...]:
    """Every neuron group, in registers where there are some, in the student's units where these are known.

    Parameters
    ----------
    fixed, floating : Program or None
        The same student in both precisions.
    """
    program = fixed or floating
    if program is None:
        return ()
    formats = fixed.formats if fixed else None
    students = {group.name: group for group in floating.groups} if floating else {}
    chips = {group.name: group for group in fixed.groups} if fixed else {}
    return tuple(
        _group_view(group, students.get(group.name), chips.get(group.name), program.dt_s, formats)
        for group in program.groups
    )


def connection_views(program: Program | None) -> tuple[ConnectionView, ...]:
    """Every synapse and every host current of a Program, by the group that they enter."""
    if program is None:
        return ()
    hosts = [
        ConnectionView(f"{host.target}-host", program.input.name, host.target, host=True, synapses=host.macs)
        for host in program.hosts
    ]
    synapses = [_synapse_view(synapse, fixed=program.precision == "fixed") for synapse in program.synapses]
    position = {group.name: at for at, group in enumerate(program.groups)}
    return tuple(sorted([*hosts, *synapses], key=lambda connection: position[connection.target]))


def _synapse_view(synapse: Synapse, *, fixed: bool) -> ConnectionView:
    return ConnectionView(
        name=synapse.name,
        source=synapse.source,
        target=synapse.target,
        host=False,
        synapses=int(fan_out(synapse.weights).sum()),
        delay=synapse.delay,
        late=synapse.late,
        within_sample=synapse.within_sample,
        weight_exp=synapse.weight_exp if fixed else None,
        sign_mode=synapse.sign_mode if fixed else None,
        weights=int(np.size(synapse.weights.values)),
        saturated_weights=synapse.saturated_weights,
        snr_db=synapse.quantisation_snr_db,
    )


Of = Callable[[NeuronGroup], Array]


def _group_view(
    group: NeuronGroup,
    student: NeuronGroup | None,
    chip: NeuronGroup | None,
    dt_s: float,
    formats: RegisterFormats | None,
) -> GroupView:
    bias = f"bias_mant << {chip.bias_exp}" if chip and chip.bias_exp else "bias_mant"
    values = tuple(
        ValueView(
            quantity,
            "s" if quantity.startswith("tau") else "",
            _range(in_student, student),
            register,
            _range(in_register, chip),
            _range(on_chip, chip),
        )
        for quantity, in_student, register, in_register, on_chip in _rows(group, dt_s, formats, bias)
    )
    scale = None if chip is None else range_of(chip.scale)
    return GroupView(group.name, group.kind, group.shape, scale, values)


def _range(value: Of | None, group: NeuronGroup | None) -> Range | None:
    return None if value is None or group is None else range_of(value(group))


def _rows(
    group: NeuronGroup, dt_s: float, formats: RegisterFormats | None, bias: str
) -> Iterator[tuple[str, Of, str, Of | None, Of]]:
    """Quantity, its value in a student; its register, what that holds, and what this is for the student."""
    unity, step = (formats.decay_unity, 2.0**formats.state_shift) if formats else (1, 1.0)

    def tau(fraction: Array) -> Array:
        with np.errstate(divide="ignore"):  # infinite for no decay
            return np.asarray(dt_s / np.asarray(fraction, dtype=np.float64))

    def vsub(g: NeuronGroup) -> Array:
        return np.asarray(g.vsub_mant)

    def v_start(g: NeuronGroup) -> Array:
        return np.asarray(g.v_init / g.scale + g.v_reset)

    yield "tau_mem", lambda g: tau(g.dv), "dv", lambda g: g.dv, lambda g: tau(g.dv / unity)
    if group.has_current:
        yield "tau_syn", lambda g: tau(g.du), "du", lambda g: g.du, lambda g: tau((g.du + 1.0) / unity)
    if group.spiking:
        yield (
            "v_th", lambda g: g.vth_mant + g.v_reset,
            "vth_mant", lambda g: g.vth_mant, lambda g: g.vth_mant * step / g.scale + g.v_reset,
        )  # fmt: skip
    if group.spiking and group.vsub_mant is None:  # needs no register: the state is kept relative to it
        later = ", a step later" if group.reset_delayed else ""
        yield "v_reset", lambda g: g.v_reset, f"v = 0{later}", None, lambda g: g.v_reset
    elif group.reset is not None:
        yield "soft reset", vsub, "vsub_mant", vsub, lambda g: vsub(g) * step / g.scale
    yield (
        "bias", lambda g: g.bias_mant,
        bias, lambda g: g.bias_mant, lambda g: g.bias_mant * 2.0**g.bias_exp / g.scale,
    )  # fmt: skip
    if np.any(group.v_init):
        yield "v at start", v_start, "v_init", lambda g: g.v_init, v_start
