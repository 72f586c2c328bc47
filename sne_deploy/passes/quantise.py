"""Pass: floating-point Program -> fixed-point Program in a chip's registers.

Each group gets one scale S (register units of v per unit of the student's membrane); everything that
enters the group follows from it, with s the formats' ``state_shift``: ``w_q 2^(weight_exp + s) = S w``,
``vth_mant 2^s = S (v_th - v_reset)``, ``bias_mant 2^bias_exp = S bias``, ``a_in 2^s = S c``. S is searched,
not derived from the maximum: on a logarithmic grid the error that rounding and clipping really make is
measured, and the least one wins among the scales for which worst-case bounds prove that u cannot wrap. A
readout's v must be proven within the largest threshold, since on the chip it is a neuron that must not spike.

Not modelled: errors weighted by how often an input is active.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sne_deploy.chips.registers import RegisterFormats
from sne_deploy.errors import UnsupportedError
from sne_deploy.ir.program import HostAffine, NeuronGroup, Program, Synapse
from sne_deploy.passes.scale_search import GroupJob, QuantisedGroup, quantise_best, register_context


@dataclass(frozen=True)
class Quantise:
    """Requires a floating-point Program; produces a fixed-point one, with its warnings.

    Attributes
    ----------
    formats : RegisterFormats
    """

    formats: RegisterFormats

    def apply(self, program: Program) -> Program:
        """Quantise every group with its synapses.

        Raises
        ------
        UnsupportedError
            A threshold at or below the reset value, or a readout that fits at no scale.
        """
        problems = [problem for group in program.groups if (problem := _unsupported(group))]
        if problems:
            raise UnsupportedError(register_context(program.name, self.formats), problems)
        groups: list[NeuronGroup] = []
        synapses: list[Synapse] = []
        warnings: list[str] = list(program.warnings)
        hosts: list[HostAffine] = []
        for group in program.groups:
            job = GroupJob.of(program, group, self.formats)
            quantised = quantise_best(job)
            groups.append(quantised.group)
            synapses.extend(quantised.synapses)
            if job.host is not None:
                unit, limit = quantised.group.scale / 2**self.formats.state_shift, self.formats.bias_mant_max
                hosts.append(replace(job.host, register_scale=unit, register_limit=limit))
            warnings.extend(_warnings(quantised, job))
        return replace(
            program,
            precision="fixed",
            groups=tuple(groups),
            synapses=tuple(synapses),
            hosts=tuple(hosts),
            warnings=tuple(warnings),
            formats=self.formats,
        )


def _unsupported(group: NeuronGroup) -> str | None:
    if group.spiking and float(np.min(group.vth_mant)) <= 0:
        worst = float(np.min(group.vth_mant))
        return (
            f"neuron group {group.name!r} has v_th - v_reset = {worst:g}; a threshold register holds "
            f"positive values only; train with v_th above v_reset"
        )
    return None


def _warnings(quantised: QuantisedGroup, job: GroupJob) -> list[str]:
    name = f"student {job.student!r}, layer {quantised.group.name!r}"
    found: list[str] = []
    unity = job.formats.decay_unity
    reset = quantised.group.reset
    each = job.formats.compartments(reset) or 1
    if each > 1:
        found.append(
            f"{name}: its reset takes {each} compartments per neuron on {job.formats.chip}, and their "
            f"updates are counted (source: resets.{reset} in the chip's file)"
        )
    for synapse in quantised.synapses:
        before = next((s for s in job.synapses if s.name == synapse.name), None)
        if before is not None and not np.any(synapse.weights.values) and np.any(before.weights.values):
            found.append(f"{name}: every weight of {synapse.name!r} rounds to zero")
    lost = np.asarray(job.group.du) * unity < 0.5
    if job.group.has_current and bool(np.any(lost)):
        found.append(f"{name}: a synaptic time constant above {unity} steps is shortened to {unity}")
    lost = (np.asarray(job.group.dv) > 0) & (np.asarray(job.group.dv) * unity < 0.5)
    if bool(np.any(lost)):
        found.append(f"{name}: a membrane time constant above {2 * unity} steps becomes infinite")
    return found
