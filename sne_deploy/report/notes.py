"""What to know about a report's figures, as labelled sentences."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sne_deploy.energy.processor import ARITHMETIC, KINDS
from sne_deploy.model.policy import policy_text
from sne_deploy.report.chip_view import chip_notes
from sne_deploy.report.comparison import ComparisonModel
from sne_deploy.report.file import Report
from sne_deploy.report.schema import FidelityModel, TeacherModel
from sne_deploy.report.units import count, joules, percent, printable, three_digits

_LAYER = re.compile(r"(?P<student>student (?:'[^']*'|\"[^\"]*\")), layer (?:'[^']*'|\"[^\"]*\")")
_NAMES_AND_NUMBERS = re.compile(r"'[^']*'|[-+\d.,]+")
UNEQUAL, HIDDEN = 2.0, 0.05
"""Classes are unequal where one has more than so many times its share; an accuracy hides a class where the
balanced one differs by this."""

Note = tuple[str, str]
"""(label, text)."""

_UPDATES = "registers are not modelled on this target"
_HOPS = "the hardware file has no price of one"


def report_notes(report: Report) -> tuple[Note, ...]:
    """Notes on classes, policy, energy, constants, host, teacher, fidelity, verification; then warnings.

    What is dead is not among them: the table begins with it.
    """
    notes = [*_classes(report), *_policy(report), *_energy(report), *chip_notes(report)]
    notes += [*_constants(report), *_shared(report)]
    if report.teacher is not None:
        notes += _teacher(report.teacher)
    if report.comparison is not None:
        notes += _comparison(report.comparison)
    if report.fidelity is not None:
        notes.append(("fidelity", _fidelity(report.fidelity)))
        notes += _layers(report)
    if report.verified is not None:
        verified = report.verified
        bits = f"{verified.differing_bits:,} differing bits on {verified.samples:,} samples"
        notes.append(("verified", f"{bits} against {printable(verified.against)}"))
    notes += [("assumed", printable(text.removeprefix("assumed, "))) for text in report.assumed or ()]
    notes += [("warning", printable(text)) for text in summed_up(report.warnings[len(report.dead or ()) :])]
    return tuple(notes)


def summed_up(warnings: Sequence[str]) -> list[str]:
    """One line for each kind and student: the first, and of how many more layers the same is said.

    Of one kind are sentences that differ, behind the student, in quoted names and numbers alone.
    """
    kinds: dict[tuple[str, str], list[str]] = {}
    for text in warnings:
        found = _LAYER.match(text)
        student, rest = ("", text) if found is None else (found["student"], text[found.end() :])
        kind = text if found is None else _NAMES_AND_NUMBERS.sub("", rest)
        kinds.setdefault((student, kind), []).append(text)
    more = [len(several) - 1 for several in kinds.values()]
    return [
        several[0] if not extra else f"{several[0]} (+ {extra:,} more layer{'s' if extra > 1 else ''})"
        for extra, several in zip(more, kinds.values(), strict=True)
    ]


def _classes(report: Report) -> list[Note]:
    """Balanced accuracy and the worst class, where classes are unequal or the accuracy hides one."""
    ensemble = report.ensemble
    found = [each for each in ensemble.classes or () if each.samples]
    if ensemble.accuracy is None or ensemble.balanced_accuracy is None or len(found) < 2:
        return []
    largest = max(found, key=lambda each: each.samples or 0)
    worst = min(found, key=lambda each: each.accuracy or 0.0)
    share = (largest.samples or 0) / report.data.samples
    differs = abs(ensemble.accuracy - ensemble.balanced_accuracy) >= HIDDEN
    if share <= UNEQUAL / len(found) and not differs:
        return []
    text = (
        f"balanced accuracy {percent(ensemble.balanced_accuracy)} over {len(found):,} classes; lowest: class "
        f"{worst.index} with {percent(worst.accuracy)} of its {worst.samples:,} samples; {percent(share)} of "
        f"the labels are class {largest.index}"
    )
    return [("classes", text)]


def _fidelity(fidelity: FidelityModel) -> str:
    same = f"the same class on {percent(fidelity.agreement)} of the samples"
    if fidelity.float_accuracy is None:
        return f"{same} as in floating point"
    fixed = percent(fidelity.fixed_accuracy)
    return f"accuracy {percent(fidelity.float_accuracy)} in floating point, {fixed} as run; {same}"


def _layers(report: Report) -> list[Note]:
    """Each student's layer whose spikes agree least with floating point."""
    found = []
    for student in report.students:
        compared = [
            layer for layer in student.layers if layer.spike_agreement is not None and layer.rate_float
        ]
        if not compared:
            continue
        worst = min(compared, key=lambda layer: layer.spike_agreement or 0.0)
        change = "" if worst.rate is None else f" ({_change(worst.rate, worst.rate_float or 1.0)} spikes)"
        name = f"{printable(student.name)} {printable(worst.name)}"
        text = f"{name} {percent(worst.spike_agreement)}{change}"
        neurons = [(each.worst_neuron, each.name) for each in compared if each.worst_neuron is not None]
        if neurons:
            neuron, layer = min(neurons, key=lambda pair: pair[0].spike_agreement)
            where = "" if layer == worst.name else f" of {printable(layer)}"
            text += f", neuron {neuron.index:,}{where} {percent(neuron.spike_agreement)}"
        found.append(text)
    return (
        [("fidelity", f"spikes equal in time, in the worst layer and neuron: {'; '.join(found)}")]
        if found
        else []
    )


def _change(value: float, reference: float) -> str:
    return f"{100 * (value / reference - 1):+.2g} %"


def _energy(report: Report) -> list[Note]:
    excluded = report.ensemble.energy_per_sample_j.total_excludes
    why = {"updates": _UPDATES, "hops": "no cores" if report.unplaced else _HOPS}
    reasons = [f"{name} ({why[name]})" if name in why else name for name in excluded if name != "static"]
    text = "the total is the neurocores' and the host's arithmetic, without x86 processors and leakage"
    return [("energy", f"{text}, and without {', '.join(reasons)}" if reasons else text)]


def _constants(report: Report) -> list[Note]:
    """The sources of the constants, each once, and the error to expect."""
    by_source: dict[str, list[str]] = {}
    unused = () if report.mapping is not None else ("energy.hop_", "power.")
    for name, constant in report.hardware.constants.items():
        if name.startswith(("error.", "time.", *unused)):
            continue
        short = name.split(".")[0] if name.endswith(".mac") else name.split(".")[-1]
        by_source.setdefault(constant.source, []).append(f"{short} {constant.value:g} {constant.unit}")
    notes = [
        ("constants", f"{', '.join(values)}: {printable(source)}") for source, values in by_source.items()
    ]
    remarks = {
        name: constant.note
        for name, constant in report.hardware.constants.items()
        if constant.note is not None and name in ("energy.synop", "host.mac")
    }
    notes += [("constants", f"{name}: {printable(text)}") for name, text in remarks.items()]
    error = report.hardware.constants.get("error.neurocore")
    if error is not None and not report.hardware.intervals:
        remark = f" ({printable(error.note)})" if error.note else ""
        notes.append(("error", f"about {100 * error.value:g} % on synops, updates and spikes{remark}"))
    return notes


def _shared(report: Report) -> list[Note]:
    shared = report.shared
    if not shared.totals.host_macs or shared.total_host_macs_of is None:
        return []
    energy = joules(shared.energy_per_sample_j.host)
    macs = count(shared.host_macs_per_sample)
    parts = shared.total_host_macs_of
    whose = " and ".join(name for name, total in parts.items() if total)
    text = f"the ensemble includes {macs} MACs per sample of its {whose} on the host, {energy}"
    if parts.get("gate"):
        text += f"; the gate's part is {count(parts['gate'] / report.data.samples)} MACs, on every sample"
    return [("shared", text)]


def _policy(report: Report) -> list[Note]:
    """Who ran, where that was not simply everyone."""
    policy = report.policy
    if policy is None:
        return []
    if policy.kind == "static" and policy.students == len(report.students):
        return []
    order = [printable(name) for name in policy.order]
    text = policy_text(
        policy.kind,
        order,
        threshold=policy.threshold,
        students=policy.students,
        measure=policy.measure,
    )
    return [("policy", text)]


_BOARDS = (
    "boards: each multiply-accumulate takes what it took in the network that was measured there, with the "
    "interval from a second one; power between inferences that nobody publishes is taken as 0"
)
_PUBLISHED = "published: at full load and without memory beside the chip; a small network takes more"
_ARITHMETIC = "arithmetic: a lower bound, against the ensemble's operations alone, never the whole chip"


def _comparison(comparison: ComparisonModel) -> list[Note]:
    """The verdicts, and what the figures beside the ensemble's are."""
    texts = [printable(network.verdict) for network in comparison.networks]
    texts += [
        f"the multiply-accumulates of {printable(network.name)} are a lower bound: no count is known for "
        f"{printable(', '.join(network.uncounted))}"
        for network in comparison.networks
        if network.uncounted
    ]
    left = (ARITHMETIC,) if comparison.left_out is not None else KINDS
    kinds = {processor.kind for processor in comparison.processors} & set(left)
    remarks = zip(KINDS, (_BOARDS, _PUBLISHED, _ARITHMETIC), strict=True)
    return [("compare", text) for text in (*texts, *(text for kind, text in remarks if kind in kinds))]


def _teacher(teacher: TeacherModel) -> list[Note]:
    notes = []
    if teacher.ratio_ops is not None:
        notes.append(f"{three_digits(teacher.ratio_ops)} x the ensemble's operations (SynOps and host MACs)")
    if teacher.ratio_energy is not None:
        notes.append(
            f"its arithmetic alone takes {three_digits(teacher.ratio_energy)} x the energy of the ensemble's "
            "operations, and any processor more: --compare"
        )
    if teacher.uncounted:
        operators = printable(", ".join(teacher.uncounted))
        notes.append(f"its MACs are a lower bound: no count is known for {operators}")
    return [("teacher", "; ".join(notes))] if notes else []
