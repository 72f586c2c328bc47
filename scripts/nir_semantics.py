"""Every NIR primitive in words: its step in discrete time, what it becomes, what Loihi's integers lose.

``docs/nir.md`` is made of this table (``write_nir_table.py``). The code it describes is
``sne_deploy/neurons/``, ``lower_maps.py``, ``compose_linear.py``, ``quantise.py`` and ``ir/registers.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sne_deploy.chips.chip import DEFAULT_CHIP, load_chip
from sne_deploy.frontend.nir.flatten import MAX_NESTING


@dataclass(frozen=True)
class Semantics:
    """A NIR primitive in words: its step in discrete time, what it becomes, what Loihi's integers lose.

    Attributes
    ----------
    equation : str
        NIR's own, in continuous time.
    step : str
        One step of length dt, from the input x of the same step; ``a = dt / tau`` (``dt / tau_mem``),
        ``b = dt / tau_syn``.
    lowered : str
        What it is in the Program.
    lost : str
        What is lost in fixed point, beyond what holds for all groups and synapses.
    limits : str
        Where it is refused, or changed with a warning; empty where nowhere.
    """

    equation: str
    step: str
    lowered: str
    lost: str
    limits: str = ""


_CHIP = load_chip(DEFAULT_CHIP).registers
_WEIGHTS = "8-bit weights"
_GROUP = "neuron group"
_TAU_MEM = (
    f"dv = rint({_CHIP.decay_unity} a), at most {_CHIP.decay_max}: tau becomes {_CHIP.decay_unity} dt / dv"
)
_TAU_SYN = f"du = rint({_CHIP.decay_unity} b) - 1: tau_syn becomes {_CHIP.decay_unity} dt / (du + 1)"
_V_TH = f"v_th - v_reset in steps of {2**_CHIP.state_shift} register units"
_LEAK = "a (v_leak - v_reset) is a bias"
_READ = f"v is read in register units; |v| is proven to stay within {_CHIP.vth_max:,}"
_DT = "tau below dt is refused"
_FIRING = "v_th not above v_reset is refused in fixed point"
_SILENT = "refused where it feeds anything but an Output or, right behind it, a Threshold"
_MAP = "composed with the maps before and behind it into one synapse between two neuron groups"

DESCRIPTIONS: Mapping[str, Semantics] = {
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
        "y = sum over the window",
        "y = sum over the window, zeros beyond the border",
        f"a convolution of ones, one group per channel, {_MAP}: no neurons",
        _WEIGHTS,
    ),
    "AvgPool2d": Semantics(
        "y = mean over the window",
        "y = sum over the window / its size, zeros beyond the border included",
        f"a convolution, one group per channel, {_MAP}: no neurons",
        _WEIGHTS,
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
    "LIF": Semantics(
        equation="tau dv/dt = v_leak - v + r x; spike if v > v_th, then v = v_reset",
        step="v <- v + a (v_leak - v + r x); spike if v > v_th, then v <- v_reset; starts at v_leak",
        lowered=f"a {_GROUP}; a r is a factor of its weights, {_LEAK}",
        lost=f"{_TAU_MEM}; {_V_TH}",
        limits=f"{_DT}; {_FIRING}",
    ),
    "Threshold": Semantics(
        equation="y = 1 if x > threshold, else 0",
        step="the same, of each step's own x, strictly above",
        lowered=f"a {_GROUP} with a = 1; right behind LI, CubaLI, I one group with it that no spike resets",
        lost=f"dv is {_CHIP.decay_max} of {_CHIP.decay_unity} at most: 1/{_CHIP.decay_unity} of the last "
        f"step's x stays; the threshold in steps of {2**_CHIP.state_shift} register units",
        limits="a threshold not above 0 is refused in fixed point",
    ),
    "CubaLIF": Semantics(
        equation="tau_syn dI/dt = w_in x - I; tau_mem dv/dt = v_leak - v + r I; spike as LIF",
        step="I <- I + b (w_in x - I); v <- v + a (v_leak - v + r I), with the new I; spike if v > v_th, "
        "then v <- v_reset (I stays); starts at v_leak, I = 0",
        lowered=f"a {_GROUP} with a current; u = a r I: a r b w_in is a factor of its weights",
        lost=f"{_TAU_MEM}; {_TAU_SYN}; {_V_TH}",
        limits=f"{_DT} (tau_syn too); {_FIRING}",
    ),
    "IF": Semantics(
        equation="dv/dt = r x; spike if v > v_th, then v = v_reset",
        step="v <- v + dt r x; spike if v > v_th, then v <- v_reset; starts at v_reset",
        lowered=f"a {_GROUP}, dv = 0; dt r is a factor of its weights",
        lost=_V_TH,
        limits=_FIRING,
    ),
    "LI": Semantics(
        equation="tau dv/dt = v_leak - v + r x",
        step="v <- v + a (v_leak - v + r x); starts at v_leak",
        lowered=f"a {_GROUP} without spikes; a r is a factor of its weights, {_LEAK}",
        lost=f"{_TAU_MEM}; {_READ}",
        limits=f"{_DT}; {_SILENT}",
    ),
    "I": Semantics("dv/dt = r x", "v <- v + dt r x", f"a {_GROUP} without spikes, dv = 0", _READ, _SILENT),
    "CubaLI": Semantics(
        equation="tau_syn dI/dt = w_in x - I; tau_mem dv/dt = v_leak - v + r I",
        step="I <- I + b (w_in x - I); v <- v + a (v_leak - v + r I) with the new I; starts at v_leak, I = 0",
        lowered=f"a {_GROUP} with a current, without spikes; u = a r I: its weights have a factor a r b w_in",
        lost=f"{_TAU_MEM}; {_TAU_SYN}; {_READ}",
        limits=f"{_DT} (tau_syn too); {_SILENT}",
    ),
}
"""By the name of the class in ``nir.ir``."""
