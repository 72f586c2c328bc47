"""Every NIR primitive in words: its step in discrete time, what it becomes, what Loihi's integers lose.

``docs/nir.md`` is made of this table (``write_nir_table.py``); neurons are described in their
model's file. The code it describes is ``sne_deploy/neurons/``, ``lower_maps.py``, ``compose_linear.py``,
``quantise.py`` and ``ir/registers.py``, whose constants it takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from sne_deploy.chips.chip import DEFAULT_CHIP, load_chip
from sne_deploy.frontend.nir.flatten import MAX_NESTING
from sne_deploy.neurons.model import NeuronModel, Semantics
from sne_deploy.neurons.table import Derived

_CHIP = load_chip(DEFAULT_CHIP).registers
_REGISTERS = {
    "decay_unity": _CHIP.decay_unity,
    "decay_max": _CHIP.decay_max,
    "v_th_step": 2**_CHIP.state_shift,
    "vth_max": _CHIP.vth_max,
}
_WEIGHTS = "8-bit weights"
_MAP = "composed with the maps before and behind it into one synapse between two neuron groups"

_OTHERS: Mapping[str, Semantics] = {
    "Input": Semantics(
        equation="-",
        step="y = the sample's values at this step (0 or 1), or the same current at every step",
        lowered="the Program's input; several Inputs are joined in the order of their names",
        lost=f"spikes: nothing; a current: an integer of at most {_CHIP.bias_mant_max}, rounded once",
    ),
    "Output": Semantics(
        equation="-",
        step="spikes are counted over the sample; of LI, CubaLI, I v is read (last, mean, maximum)",
        lowered="the list of groups that are read out",
        lost="nothing: counts are exact",
        limits="must be fed by neurons, through Flatten at most; no group may be read twice",
    ),
    "Affine": Semantics(
        equation="y = W x + b",
        step="y = W x + b, without delay",
        lowered=f"{_MAP}; b is the group's bias; weights of an always-on axon where it has a current",
        lost=f"{_WEIGHTS}; the bias is 13 bits << 0 .. {_CHIP.bias_exp_max}, or {_WEIGHTS}",
        limits="a bias that passes through a Delay is refused",
    ),
    "Linear": Semantics("y = W x", "y = W x, without delay", _MAP, _WEIGHTS),
    "Scale": Semantics("y = s x", "y = s x, without delay", f"a diagonal map, {_MAP}", _WEIGHTS),
    "Conv1d": Semantics(
        equation="y = W * x + b",
        step="cross-correlation, zeros beyond the border; stride, padding, dilation, groups",
        lowered=f"a Conv2d of height 1, {_MAP}",
        lost=f"{_WEIGHTS}; biases as in Affine",
        limits="padding 'same' with a stride is refused",
    ),
    "Conv2d": Semantics(
        equation="y = W * x + b",
        step="cross-correlation, zeros beyond the border; stride, padding, dilation, groups",
        lowered=f"a convolution, {_MAP}: two convolutions stay one where that is exact, borders included",
        lost=f"{_WEIGHTS}; biases as in Affine",
        limits="padding 'same' with a stride is refused",
    ),
    "SumPool2d": Semantics(
        "y = sum over the window", "y = sum over the window, zeros beyond the border",
        f"a convolution of ones, one group per channel, {_MAP}: no neurons", _WEIGHTS,
    ),
    "AvgPool2d": Semantics(
        "y = mean over the window", "y = sum over the window / its size, zeros beyond the border included",
        f"a convolution, one group per channel, {_MAP}: no neurons", _WEIGHTS,
    ),
    "Flatten": Semantics("y = x, reshaped", "y = x", "nothing: groups are flat, in C order", "nothing"),
    "Delay": Semantics(
        equation="y(t) = x(t - delay)",
        step="y[t] = x[t - rint(delay / dt)], 0 before the sample's first step",
        lowered="the delay of a synapse; delays that differ between neurons give one synapse for each value",
        lost="nothing; no target has parts of a step",
        limits="rounded to whole steps with a warning; a synapse that needs more than "
        f"{_CHIP.delay_max} extra steps, a delayed bias and a delayed constant input are refused",
    ),
    "NIRGraph": Semantics(
        equation="-",
        step="those of its nodes",
        lowered="inlined: its nodes are called OUTER.INNER, its Inputs and Outputs vanish",
        lost="nothing",
        limits=f"more than {MAX_NESTING} levels, and an edge to or from an inner graph with several Inputs "
        "or Outputs, are refused",
    ),
}  # fmt: skip


def _descriptions(models: tuple[NeuronModel, ...]) -> dict[str, Semantics]:
    rows = {n.name: _filled(n.semantics) for model in models for n in model.nodes if n.semantics}
    return {**_OTHERS, **rows}


def _filled(semantics: Semantics) -> Semantics:
    """With the registers' widths in their places."""
    texts = {field.name: getattr(semantics, field.name) for field in fields(semantics)}
    return Semantics(**{name: text.format_map(_REGISTERS) for name, text in texts.items()})


DESCRIPTIONS: Mapping[str, Semantics] = Derived(_descriptions)
"""By the name of the class in ``nir.ir``."""
