"""What a run shows to be wrong before any figure is looked at: the most serious first, a sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.ir.bounds import register_notes
from sne_deploy.ir.program import ALWAYS_ON
from sne_deploy.report.classes import tied
from sne_deploy.runtime.agreement import LayerComparisons, SpikeComparison
from sne_deploy.runtime.packed import blocks
from sne_deploy.runtime.result import RunResult, StudentResult
from sne_deploy.runtime.trace import LayerTrace

Array = npt.NDArray[Any]

ENOUGH_SAMPLES = 10
"""Fewer may well be of one class, or give one output, without anything being wrong."""
TOLD_TIES = 0.05
"""The share of samples with a tie from which on it is told."""


@dataclass(frozen=True)
class Findings:
    """Sentences on a run, in the order in which they are told.

    Attributes
    ----------
    dead : tuple of str
        What computes nothing; the figures of such a run mean nothing.
    others : tuple of str
    """

    dead: tuple[str, ...]
    others: tuple[str, ...]


def findings_of(result: RunResult, comparisons: LayerComparisons) -> Findings:
    """Look at layers, students and predictions of a run, beside the reference's spikes."""
    students = [student for student in result.students if student.active.any()]
    told = _one_prediction(result) if len(result.students) == 1 else ""
    found = {each.name: _dead(each, told, comparisons.get(each.name, {})) for each in students}
    dead = [text for text in found.values() if text]
    if not dead and _classes(result) > 1 and _all_tie(result):
        told = _one_prediction(result)
        dead = [f"the network is dead: on all {_samples(result.predictions)}{told.removeprefix(',')}"]
    others = [
        *(
            text
            for each in students
            for text in _silent(each, comparisons.get(each.name, {}))
            if not found[each.name]
        ),
        *(text for each in students for text in _always_spiking(each)),
        *_one_class(result, known=bool(dead and told)),
        *([] if dead else _ties(result)),
        *(text for student in students for text in _registers(student)),
    ]
    return Findings(tuple(dead), tuple(others))


def clipped_weights(result: RunResult) -> Iterator[str]:
    """One sentence for each student of which quantisation clipped weights."""
    for student in result.students:
        synapses = student.program.synapses
        clipped = sum(synapse.saturated_weights for synapse in synapses)
        if not clipped:
            continue
        worst = max(synapses, key=lambda synapse: synapse.saturated_weights / _weights(synapse))
        total = sum(_weights(synapse) for synapse in synapses)
        yield (
            f"student {student.name!r}: {clipped:,} of {total:,} weights are clipped; worst: "
            f"{worst.saturated_weights:,} of {_weights(worst):,} of {worst.name!r} into {worst.target!r}"
        )


def _weights(synapse: Any) -> int:
    return max(1, int(np.size(synapse.weights.values)))


def _samples(rows: Array) -> str:
    return f"{len(rows):,} sample{'s' if len(rows) > 1 else ''}"


def _classes(result: RunResult) -> int:
    return int(next(blocks(result, "logits")).shape[1])


def _all_tie(result: RunResult) -> bool:
    return all(bool((part == part[:, :1]).all()) for part in blocks(result, "logits"))


def _one_prediction(result: RunResult) -> str:
    """What is predicted for every sample, if it is one class, and how right that is."""
    same = np.unique(result.predictions)
    if len(same) > 1 or _classes(result) == 1:
        return ""
    text = f", class {same[0]} is predicted every time"
    if _all_tie(result):
        text = f", all classes tie and the first, class {same[0]}, wins every time"
    return text if result.accuracy is None else f"{text} ({100 * result.accuracy:.1f} % of the labels)"


def _dead(student: StudentResult, told: str, compared: Mapping[str, SpikeComparison]) -> str:
    """That its output says nothing, and from which layer on that is so; empty if it says something."""
    ran, outputs = student.active, student.program.outputs
    layers = {layer.name: layer for layer in student.layers}
    samples, names = _samples(ran[ran]), " and ".join(repr(name) for name in outputs)
    if not any(_heard(student, layers, name) for name in outputs):
        found = f"output {names} gave no spike in {samples}"
        if not any(group.spiking for group in student.program.output_groups):
            found = f"no spike reached output {names} in {samples}"
    elif ran.sum() >= ENOUGH_SAMPLES and _always_the_same(student):
        found = f"output {names} is the same for all {samples}"
    else:
        return ""
    who = "the network" if told else f"student {student.name!r}"
    return f"{who} is dead: {found}{told}{_since(student, layers, compared)}"


def _always_the_same(student: StudentResult) -> bool:
    """Whether it gave the same outputs wherever it ran."""
    active, done = student.active, 0
    lowest: Any = np.inf
    highest: Any = -np.inf
    for part in blocks(student.trace, "outputs"):
        ran = part[active[done : done + len(part)]]
        done += len(part)
        lowest = np.minimum(lowest, ran.min(axis=0, initial=np.inf))
        highest = np.maximum(highest, ran.max(axis=0, initial=-np.inf))
    return bool(np.max(highest - lowest) == 0)


def _heard(student: StudentResult, layers: dict[str, LayerTrace], name: str) -> bool:
    """Whether an output group spiked; of one that integrates, whether anything reached it."""
    program = student.program
    if program.group(name).spiking:
        return bool(layers[name].spikes.any())
    if program.host_of(name) is not None:
        return True
    sources = {synapse.source for synapse in program.synapses_into(name)} - {ALWAYS_ON}
    entered = program.input.name in sources and bool(student.input_spikes.any())
    return entered or any(bool(layers[source].spikes.any()) for source in sources if source in layers)


def _since(
    student: StudentResult, layers: dict[str, LayerTrace], compared: Mapping[str, SpikeComparison]
) -> str:
    """Where it begins, and whether quantisation is the reason."""
    if not student.program.hosts and not student.input_spikes.any():
        return "; no spike entered it: the data are all 0"
    spiking = [name for name in layers if student.program.group(name).spiking]
    silent = [name for name in spiking if not layers[name].spikes.any()]
    if not silent:
        return ""
    text = f"; the first silent layer is {silent[0]!r}"
    advice = "look at its weights, threshold and time step"
    if silent[0] not in compared:
        return f"{text}: {advice}" if student.program.precision == "float" else text
    reference = compared[silent[0]].reference
    if not reference:
        return f"{text}, in floating point too: {advice}"
    return f"{text}, which in floating point gave {reference:,} spikes: the registers silence it"


def _silent(student: StudentResult, compared: Mapping[str, SpikeComparison]) -> Iterator[str]:
    samples = _samples(student.active[student.active])
    for layer in student.layers:
        if student.program.group(layer.name).spiking and not layer.spikes.any():
            reference = compared[layer.name].reference if layer.name in compared else 0
            more = f", in floating point {reference:,}: the registers silence it" if reference else ""
            yield f"student {student.name!r}, layer {layer.name!r}: no spike in {samples}{more}"


def _always_spiking(student: StudentResult) -> Iterator[str]:
    steps = int(np.count_nonzero(student.active)) * student.program.timesteps
    for layer in student.layers:
        if int(layer.spikes.sum()) == steps * student.program.group(layer.name).size:
            yield f"student {student.name!r}, layer {layer.name!r}: every neuron spikes at every step"


def _one_class(result: RunResult, *, known: bool) -> Iterator[str]:
    """One prediction for everything: of the ensemble (unless that is known), or of a student alone."""
    if _classes(result) == 1:
        return
    several = [(student, student.alone) for student in result.students if student.alone is not None]
    alone = [(f"student {each.name!r} alone", found, each.active) for each, found in several]
    everyone = ("the ensemble", result.predictions, np.ones(len(result.predictions), bool))
    for who, predictions, ran in [*([] if known else [everyone]), *(alone if len(several) > 1 else [])]:
        labels = None if result.labels is None else result.labels[ran]
        one = len(np.unique(predictions[ran])) == 1 and int(ran.sum()) >= ENOUGH_SAMPLES
        if one and (labels is None or len(np.unique(labels)) > 1):
            yield f"{who} predicts class {predictions[ran][0]} for all {_samples(predictions[ran])}"


def _ties(result: RunResult) -> Iterator[str]:
    ties = tied(result)
    if _classes(result) > 1 and ties.mean() >= TOLD_TIES:
        classes, counts = np.unique(result.predictions[ties], return_counts=True)
        share = 100 * counts.max() / ties.sum()
        yield (
            f"several classes share the highest output on {100 * ties.mean():.1f} % of the samples; the "
            f"first of them wins, in {share:.0f} % of these class {classes[counts.argmax()]}"
        )


def _registers(student: StudentResult) -> Iterator[str]:
    """Registers that overflowed in the run, with the share of neuron updates; or may have, uncounted."""
    if student.program.precision == "fixed" and any(layer.u_wraps is None for layer in student.layers):
        yield from (f"{note}; here it is not counted" for note in register_notes(student.program))
    kinds = (
        ("u_wraps", "u left its register and wrapped, as it does on the chip,"),
        ("v_saturations", "v was clipped at the end of its register"),
    )
    for field, what in kinds:
        for layer in student.layers:
            found = getattr(layer, field)
            if found is None or not found.any():
                continue
            group = student.program.group(layer.name)
            steps = int(np.count_nonzero(student.active)) * group.size * student.program.timesteps
            count = int(found.sum())
            yield (
                f"student {student.name!r}, layer {layer.name!r}: {what} in {count:,} of {steps:,} neuron "
                f"updates ({100 * count / steps:.2g} %)"
            )
