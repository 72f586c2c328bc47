"""A compiled student's neurons in both units, and its synapses."""

from __future__ import annotations

from collections.abc import Callable
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


def _group_view(
    group: NeuronGroup,
    student: NeuronGroup | None,
    chip: NeuronGroup | None,
    dt_s: float,
    formats: RegisterFormats | None,
) -> GroupView:
    unity, threshold = (formats.decay_unity, 2.0**formats.state_shift) if formats else (1, 1.0)
    rows = [
        _value(
            "tau_mem",
            "s",
            student,
            _tau_mem(dt_s),
            "dv",
            chip,
            lambda g: g.dv,
            lambda g: _tau(g.dv / unity, dt_s),
        ),
        *([_tau_syn_row(student, chip, dt_s, unity)] if group.has_current else []),
    ]
    if group.spiking:
        rows.append(
            _value(
                "v_th", "", student, lambda g: np.asarray(g.vth_mant + g.v_reset), "vth_mant", chip,
                lambda g: g.vth_mant, lambda g: np.asarray(g.vth_mant * threshold / g.scale + g.v_reset),
            )
        )  # fmt: skip
        rows.append(_reset_row(group, student, chip, threshold))
    bias = "bias_mant" if chip is None or not chip.bias_exp else f"bias_mant << {chip.bias_exp}"
    rows.append(
        _value("bias", "", student, lambda g: g.bias_mant, bias, chip, lambda g: g.bias_mant, _bias_on_chip)
    )
    if np.any(group.v_init):
        rows.append(_value("v at start", "", student, _v_start, "v_init", chip, lambda g: g.v_init, _v_start))
    return GroupView(group.name, group.kind, group.shape, None if chip is None else chip.scale, tuple(rows))


def _value(
    quantity: str,
    unit: str,
    student: NeuronGroup | None,
    in_student: Callable[[NeuronGroup], Array],
    register: str,
    chip: NeuronGroup | None,
    in_register: Callable[[NeuronGroup], Array],
    on_chip: Callable[[NeuronGroup], Array],
) -> ValueView:
    return ValueView(
        quantity,
        unit,
        None if student is None else range_of(in_student(student)),
        register,
        None if chip is None else range_of(in_register(chip)),
        None if chip is None else range_of(on_chip(chip)),
    )


def _tau_syn_row(student: NeuronGroup | None, chip: NeuronGroup | None, dt_s: float, unity: int) -> ValueView:
    return _value(
        "tau_syn", "s", student, lambda g: _tau(g.du, dt_s), "du", chip, lambda g: g.du,
        lambda g: _tau((g.du.astype(np.float64) + 1) / unity, dt_s),
    )  # fmt: skip


def _reset_row(
    group: NeuronGroup, student: NeuronGroup | None, chip: NeuronGroup | None, threshold: float
) -> ValueView:
    """To a value, which needs no register: the state is kept relative to it; or by what is subtracted."""
    if group.vsub_mant is None:
        to: Range | None = None if student is None else range_of(student.v_reset)
        return ValueView("v_reset", "", to, "v = 0", None, None if chip is None else range_of(chip.v_reset))
    return _value(
        "soft reset", "", student, lambda g: np.asarray(g.vsub_mant), "vsub_mant", chip,
        lambda g: np.asarray(g.vsub_mant),
        lambda g: np.asarray(g.vsub_mant) * threshold / g.scale,
    )  # fmt: skip


def _tau(fraction: Array, dt_s: float) -> Array:
    """The time constant of a decay by a fraction per step; infinite for none."""
    with np.errstate(divide="ignore"):
        return np.asarray(dt_s / np.asarray(fraction, dtype=np.float64))


def _tau_mem(dt_s: float) -> Callable[[NeuronGroup], Array]:
    return lambda group: _tau(group.dv, dt_s)


def _bias_on_chip(group: NeuronGroup) -> Array:
    return np.asarray(group.bias_mant * 2.0**group.bias_exp / group.scale)


def _v_start(group: NeuronGroup) -> Array:
    return np.asarray(group.v_init / group.scale + group.v_reset)
