"""What a target that has less of a chip's registers costs: its Program beside the one for the whole chip."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.chips.registers import RegisterFormats
from sne_deploy.ir.program import NeuronGroup, Program
from sne_deploy.ir.weights import scale_rows

Array = npt.NDArray[Any]


def what_narrowing_costs(narrow: Program, whole: Program) -> tuple[str, ...]:
    """Say that a target's registers stand for other numbers than the chip's, and by how much, at worst.

    Parameters
    ----------
    narrow, whole : Program
        One student in fixed point, in the formats of the target and of the chip.

    Returns
    -------
    tuple of str
        A warning, or nothing where all registers stand for the same.
    """
    found = {
        a.name: _differences(narrow, a, whole, b) for a, b in zip(narrow.groups, whole.groups, strict=True)
    }
    other = {name: values for name, values in found.items() if any(values)}
    if not other:
        return ()
    name = max(other, key=lambda each: max(other[each]))
    weights, threshold, bias = (f"{100 * value:.2g} %" for value in other[name])
    lacks, chip = _lacks(narrow.registers, whole.registers), whole.registers.chip
    text = (
        f"student {narrow.name!r}: the target has {lacks}, so that in {len(other)} of {len(found)} layers "
        f"its registers are others than with all of {chip}, as on target loihi: in the worst, {name!r}, "
        f"weights by {weights} (root mean square), thresholds by {threshold}, biases by {bias} of the "
        "threshold"
    )
    return (text,)


def _differences(narrow: Program, a: NeuronGroup, whole: Program, b: NeuronGroup) -> tuple[float, ...]:
    """Of a layer's weights, thresholds and biases, in the student's units, as fractions."""
    pairs = zip(_weights(narrow, a), _weights(whole, b), strict=True)
    error, power = np.sum([(np.sum((x - y) ** 2), np.sum(y**2)) for x, y in pairs] or [(0, 0)], axis=0)
    threshold = np.asarray(b.vth_mant) * _unit(whole, b) if b.spiking else np.asarray(np.inf)
    off = np.abs(np.asarray(a.vth_mant) * _unit(narrow, a) - threshold) if b.spiking else np.zeros(())
    bias = np.abs(_bias(a) - _bias(b))
    return (
        float(np.sqrt(error / power)) if power else 0.0,
        float(np.max(off / threshold)),
        float(np.max(bias / threshold)),
    )


def _unit(program: Program, group: NeuronGroup) -> Array:
    """One, or one for each neuron."""
    return np.asarray(2**program.registers.state_shift / group.scale)


def _weights(program: Program, group: NeuronGroup) -> list[Array]:
    """In the order of the synapses; the sum of those with the same ends, which quantisation split."""
    found: dict[tuple[Any, ...], Array] = {}
    for synapse in program.synapses_into(group.name):
        unit = 2.0**synapse.weight_exp * _unit(program, group)
        values = np.asarray(scale_rows(synapse.weights, unit).values)
        ends = synapse.source, synapse.delay, synapse.within_sample, values.shape
        found[ends] = found[ends] + values if ends in found else values
    return list(found.values())


def _bias(group: NeuronGroup) -> Array:
    return np.asarray(group.bias_mant, np.float64) * 2.0**group.bias_exp / group.scale


def _lacks(narrow: RegisterFormats, whole: RegisterFormats) -> str:
    lacks = []
    if narrow.weight_exp_max < whole.weight_exp_max:
        lacks.append(f"no exponent of weights above {narrow.weight_exp_max}")
    if (narrow.bias_exp_min, narrow.bias_exp_max) != (whole.bias_exp_min, whole.bias_exp_max):
        lacks.append(f"no exponent of biases but {narrow.bias_exp_min} to {narrow.bias_exp_max}")
    return " and ".join(lacks)
