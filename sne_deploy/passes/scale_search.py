"""The search for a group's scale: least measured error among the scales that are proven safe.

The scales are a logarithmic grid, and those that store integer weights exactly
(:mod:`sne_deploy.passes.lattice`).
"""

from __future__ import annotations

import numpy as np

from sne_deploy.chips.registers import RegisterFormats
from sne_deploy.errors import UnsupportedError
from sne_deploy.passes.group_job import GroupJob, QuantisedGroup
from sne_deploy.passes.own_scales import GAIN, HARMED, in_own_units, matters

UNPROVEN_GAIN_DB = 6.0
"""A scale whose bound is not proven is taken, with a warning, only if it is better by this much,
and only where the best proven one errs by more than ENOUGH_DB."""
ENOUGH_DB = -45.0


def register_context(student: str, formats: RegisterFormats) -> str:
    """How errors of quantisation begin."""
    return f"student {student!r}: cannot be expressed in the registers of {formats.chip}"


def quantise_best(job: GroupJob) -> QuantisedGroup:
    """At one scale; or at scales of the neurons' own, where one scale harms some of them."""
    best = at_one_scale(job)
    harmed = best.neuron_errors() > HARMED
    if not bool(np.any(harmed)):
        return best
    concerned = matters(job)
    if not bool(np.any(harmed & concerned)):
        return best
    own = at_one_scale(in_own_units(job, harmed & concerned))
    before, after = (float(np.max(each.neuron_errors()[concerned])) for each in (best, own))
    return own if after * GAIN <= before else best


def at_one_scale(job: GroupJob) -> QuantisedGroup:
    """At the scale of least error whose bounds are proven; see UNPROVEN_GAIN_DB for the exception.

    Registers that the network was trained in are taken as they are: what they do there is what it does.
    """
    native = job.native_scale()
    if native is not None:
        quantised = job.quantise(native)
        clipped = any(synapse.saturated_weights for synapse in quantised.synapses)
        if not clipped and (job.group.spiking or _proven(quantised, job)):
            return quantised
    formats = job.formats
    ranked = sorted((job.relative_error(scale), -scale) for scale in job.scales())
    state = job.float_state
    u_extent = max(state.u_max, -state.u_min)
    for error, negative_scale in ranked:
        scale = -negative_scale
        likely = job.may_clip or scale * u_extent <= formats.state_limit * 1.02
        if not job.group.spiking:
            likely = likely and scale * state.v_extent <= formats.vth_max * 1.02
        if likely and _proven(quantised := job.quantise(scale), job):
            best_error = ranked[0][0]
            worse_db = 10 * np.log10(max(error, 1e-30) / max(best_error, 1e-30))
            enough = 10 * np.log10(max(error, 1e-30)) <= ENOUGH_DB
            if job.group.spiking and worse_db > UNPROVEN_GAIN_DB and not enough:
                break
            return quantised
    if job.group.spiking:
        return job.quantise(-ranked[0][1])
    raise UnsupportedError(
        register_context(job.student, formats),
        [
            (
                f"readout {job.group.name!r} can reach |v| = {state.v_extent:g}; no scale keeps it within "
                f"{formats.vth_max} in {formats.weight_bits}-bit weights; use fewer inputs, smaller weights "
                "or shorter time constants"
            )
        ],
    )


def _proven(quantised: QuantisedGroup, job: GroupJob) -> bool:
    if quantised.bounds.u_may_wrap(job.formats):
        return False
    return job.group.spiking or quantised.bounds.v_extent <= job.formats.vth_max
