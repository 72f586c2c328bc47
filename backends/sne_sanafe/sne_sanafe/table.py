"""A comparison as text: term by term, then why the terms differ."""

from __future__ import annotations

from textwrap import fill
from typing import Any

from sne_sanafe.comparison import Comparison, Term

_WIDTHS = (12, 17, 12, 12, 8)


def text(found: Comparison) -> str:
    """The table, the counts behind it, times, and the reasons; means per sample."""
    head = _row("SANA-FE", "sne-deploy", "SANA-FE uJ", "ours uJ", "ratio")
    rows = [_term(term, found.samples) for term in (*found.terms, found.total)]
    prose = [*_counts(found), "", *_reasons(found)]
    return "\n".join([head, "-" * len(head), *rows, "", *(fill(line, 100) for line in prose)])


def figures(found: Comparison) -> dict[str, Any]:
    """The same as numbers: joules and seconds per sample, counts of all samples."""
    terms = [
        {
            "sanafe": term.sanafe,
            "ours": term.ours,
            "sanafe_j": term.sanafe_j / found.samples,
            "ours_j": term.ours_j / found.samples,
            "ratio": term.ratio,
        }
        for term in (*found.terms, found.total)
    ]
    return {
        "samples": found.samples,
        "terms": terms,
        "sanafe_time_s": found.found.time_s / found.samples,
        "sanafe_quiet_s": found.quiet_s / found.samples,
        "ours_time_s": None if found.time_s is None else found.time_s / found.samples,
        "ours_quiet_s": None if found.time_quiet_s is None else found.time_quiet_s / found.samples,
        "counts": {
            "synops": found.counts.synops,
            "late_synops": found.late_synops,
            "updates": found.updates,
            "spikes": found.counts.spikes,
            "input_spikes": found.found.spikes - found.counts.spikes,
            "sanafe_messages": found.found.messages,
            "messages": found.traffic.messages + found.traffic.from_host,
            "hops_east_west": found.traffic.hops_east_west,
            "hops_north_south": found.traffic.hops_north_south,
        },
        "charges": vars(found.charges),
        "idle_j": found.idle_j / found.samples,
        "sanafe_s": found.sanafe_s,
        "sanafe_run_s": found.found.run_s,
        "ours_run_s": found.run_s,
    }


def _term(term: Term, samples: int) -> str:
    joules = (f"{value / samples * 1e6:.4f}" for value in (term.sanafe_j, term.ours_j))
    return _row(term.sanafe, term.ours, *joules, "" if term.ratio is None else f"{term.ratio:.2f}")


def _row(*cells: str) -> str:
    left = [cell.ljust(width) for cell, width in zip(cells[:2], _WIDTHS[:2], strict=True)]
    right = [cell.rjust(width) for cell, width in zip(cells[2:], _WIDTHS[2:], strict=True)]
    return "".join([*left, *right]).rstrip()


def _counts(found: Comparison) -> list[str]:
    ours, theirs, n = found.traffic, found.found, found.samples
    here, entered = (ours.messages + ours.from_host) / n, ours.from_host / n
    counts = (
        f"Mean of {n} samples, the same in both: {found.counts.synops / n:,.1f} SynOps, "
        f"{found.updates / n:,.1f} updates, {found.counts.spikes / n:,.1f} spikes."
    )
    messages = (
        f"Messages: {theirs.messages / n:,.1f} there; {here:,.1f} here, {entered:,.1f} of them from outside. "
        f"Hops: {ours.hops_east_west / n:,.1f} E-W, {ours.hops_north_south / n:,.1f} N-S."
    )
    time = (
        "Time: not modelled here."
        if found.time_s is None
        else f"Time: {theirs.time_s / n * 1e6:.2f} us there, {found.time_s / n * 1e6:.2f} us here "
        f"(ratio {theirs.time_s / found.time_s:.2f})."
    )
    speed = (
        f"Processor time: {found.run_s:.3f} s for simulating, counting and reporting here, "
        f"{theirs.run_s:.3f} s for SANA-FE's simulation alone ({theirs.run_s / found.run_s:.1f} times as "
        f"long) and {found.sanafe_s:.2f} s with building, loading and driving it "
        f"({found.sanafe_s / found.run_s:.0f} times)."
    )
    return [counts, messages, time, speed]


def _reasons(found: Comparison) -> list[str]:
    pj = {name: value * 1e12 for name, value in vars(found.charges).items()}
    theirs, ours = found.found, {term.sanafe: term.ours_j for term in found.terms}
    each = 1e12 * ours["synapse"] / max(found.counts.synops, 1)
    read = 1e12 * theirs.synapse_j / max(theirs.synops, 1)
    update = 1e12 * ours["soma"] / found.updates
    reasons = {
        "synapse": f"{read:.1f} pJ a SynOp there, in the mean over kinds of layers; {each:.1f} pJ here.",
        "soma": f"{pj['update_j']:.1f} pJ an update and {pj['spike_j']:.1f} pJ a spike there; "
        f"{update:.1f} pJ an update here, and nothing for a spike but its messages.",
        "network": f"{pj['message_j']:.1f} pJ a message there, within a core and from outside too; here that "
        "of a spike within a tile, and nothing for those from outside. "
        f"A hop is {pj['east_west_j']:.1f} pJ E-W and {pj['north_south_j']:.1f} pJ N-S there.",
        "idle": f"by its own rule SANA-FE charges {pj['access_j']:.1f} pJ for a neuron without input or "
        f"potential: {found.idle_j / found.samples * 1e6:.4f} uJ less in all.",
    }
    if found.time_s is not None and found.time_quiet_s is not None:
        n = found.samples / 1e6
        added = (theirs.time_s - found.quiet_s, found.time_s - found.time_quiet_s)
        reasons["time"] = (
            f"as many steps without spikes take {found.quiet_s / n:.2f} us there and "
            f"{found.time_quiet_s / n:.2f} us here (updates of the fullest core, and synchronisation). "
            f"Spikes add {added[0] / n:.2f} us there, where each message is followed from the core that "
            f"sends it to the one that reads it, and {added[1] / n:.2f} us here, where the busiest core or "
            "link counts."
        )
    if found.late_synops:
        reasons["cycles"] = (
            f"{found.late_synops / found.samples:,.1f} SynOps of spikes that end with their sample are in "
            "SANA-FE's energy alone."
        )
    return [f"{name}: {reason}" for name, reason in reasons.items()]
