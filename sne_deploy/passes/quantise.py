"""Pass: floating-point Program -> fixed-point Program in a chip's registers.

Each group gets one scale S (register units of v per unit of the student's membrane), or each of its neurons
where one would harm some (:mod:`sne_deploy.passes.own_scales`). Everything that enters the group follows
from it, with s the formats' ``state_shift``: ``w_q 2^(weight_exp + s) = S w``, ``vth_mant 2^s = S (v_th -
v_reset)``, ``bias_mant 2^bias_exp = S bias``, ``a_in 2^s = S c``. S is searched, not derived from the
maximum: the error that rounding and clipping really make is measured on a logarithmic grid, and at the scales
that store integer weights exactly (:mod:`sne_deploy.passes.lattice`). The least one wins among the scales for
which worst-case bounds prove that u cannot wrap. A readout's v must be proven within the largest threshold,
since on the chip it is a neuron that must not spike.

Not modelled: errors weighted by how often an input is active.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from sne_deploy.chips.registers import RegisterFormats
from sne_deploy.errors import UnsupportedError
from sne_deploy.ir.program import HostAffine, NeuronGroup, Program, Synapse
from sne_deploy.passes.group_job import GroupJob, QuantisedGroup
from sne_deploy.passes.scale_search import at_one_scale, quantise_best, register_context
from sne_deploy.passes.silenced import silenced


@dataclass(frozen=True)
class Quantise:
    """Requires a floating-point Program; produces a fixed-point one, with its warnings.

    Attributes
    ----------
    formats : RegisterFormats
    own_scales : bool
        Whether neurons may get scales of their own.
    """

    formats: RegisterFormats
    own_scales: bool = True

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
            quantised = quantise_best(job) if self.own_scales else at_one_scale(job)
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


def _thresholds(group: NeuronGroup, formats: RegisterFormats) -> Iterator[str]:
    """What scales of the neurons' own leave; thresholds that a network at one scale has are its own."""
    distinct, most = len(np.unique(group.vth_mant)), formats.thresholds_per_core
    if np.ndim(group.scale) and group.spiking and most is not None and distinct > most:
        yield (
            f"{distinct:,} distinct thresholds; a core of {formats.chip} has {most}: it takes "
            f"{-(-distinct // most):,} cores"
        )


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
    found += [f"{name}: {text}" for text in silenced(quantised)]
    found += [f"{name}: {text}" for text in _thresholds(quantised.group, job.formats)]
    lost = np.asarray(job.group.du) * unity < 0.5
    if job.group.has_current and bool(np.any(lost)):
        found.append(f"{name}: a synaptic time constant above {unity} steps is shortened to {unity}")
    lost = (np.asarray(job.group.dv) > 0) & (np.asarray(job.group.dv) * unity < 0.5)
    if bool(np.any(lost)):
        found.append(f"{name}: a membrane time constant above {2 * unity} steps becomes infinite")
    return found
