"""From a run's exact counts to a report."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from sne_deploy.chips.chip import Chip
from sne_deploy.energy.accounting import (
    COUNTED,
    Counts,
    Energy,
    add_counts,
    energy_per_sample,
    mac_energy_j,
)
from sne_deploy.energy.lines import Operation
from sne_deploy.errors import VerificationError
from sne_deploy.frontend.graph_models import ASSUMED
from sne_deploy.ir.program import Precision, Program, Synapse
from sne_deploy.ir.weights import ConvWeights, DenseWeights
from sne_deploy.mapping.placement import Placement
from sne_deploy.model.ensemble import Ensemble
from sne_deploy.report.adding_up import mean, require
from sne_deploy.report.check import check_report
from sne_deploy.report.chip_schema import OperationModel
from sne_deploy.report.classes import balanced_accuracy, class_models, tied
from sne_deploy.report.context import hardware_model, policy_model
from sne_deploy.report.file import Report
from sne_deploy.report.findings import clipped_weights, findings_of
from sne_deploy.report.on_chip import OnChip, traffic_of
from sne_deploy.report.schema import (
    SCHEMA_VERSION,
    DataModel,
    EnsembleModel,
    FidelityModel,
    LayerModel,
    NeuronModel,
    ProvenanceModel,
    SharedModel,
    StudentModel,
    TeacherModel,
    VerifiedModel,
)
from sne_deploy.runtime.agreement import LayerComparisons, SpikeComparison
from sne_deploy.runtime.result import RunResult, StudentResult
from sne_deploy.runtime.slices import Compared
from sne_deploy.runtime.trace import LayerTrace
from sne_deploy.teacher.run import TeacherResult

Array = npt.NDArray[Any]


def build_report(
    ensemble: Ensemble,
    result: RunResult,
    *,
    model: str,
    target: str,
    precision: Precision,
    hardware: Chip,
    data_name: str,
    provenance: ProvenanceModel,
    placement: Placement | None = None,
    unplaced: str | None = None,
    operation: Operation = Operation(),  # noqa: B008  frozen
    compared: Compared | None = None,
    teacher: TeacherResult | None = None,
    verified: VerifiedModel | None = None,
    warnings: tuple[str, ...] = (),
) -> Report:
    """Means, energies and ratios of a run, checked against its integer totals.

    A student's figures are means over the samples that it ran on (null if there were none), the
    ensemble's and the shared ones over all samples.

    Parameters
    ----------
    ensemble : Ensemble
    result : RunResult
        Counts of N samples, 0 where a student did not run.
    model, target, data_name : str
    precision : Precision
    hardware : Chip
    provenance : ProvenanceModel
    placement : Placement or None
        Of the students on cores.
    unplaced : str or None
        Why there is none.
    operation : Operation
        How the chip is operated.
    compared : Compared or None
        The same samples in floating point; gives ``fidelity`` and the layers' agreement.
    teacher : TeacherResult or None
    verified : VerifiedModel or None
    warnings : tuple of str
        To be told beside those of the run.

    Returns
    -------
    Report

    Raises
    ------
    InputError
        More inferences a second are asked for than the neurocores reach, or more processors than there are.
    VerificationError
        The result contradicts itself: counts where a student did not run, negative counts, wrong sums.
    """
    samples = len(result.predictions)
    comparisons = {} if compared is None else compared.layers
    _check_result(result, samples)
    found = findings_of(result, comparisons)
    counts = [student.counts for student in result.students]
    shared = result.shared_counts
    ran = [count for count in counts if count.samples_run]
    whole = add_counts([shared, *ran], samples)
    on_chip = OnChip(result, hardware, placement, operation, in_turn=ensemble.policy.kind == "confidence")
    operated, energy = on_chip.operation(), energy_per_sample(whole, hardware, on_chip.traffic)
    try:
        report = Report(
            schema_version=SCHEMA_VERSION,
            converted_from=None,
            model=model,
            target=target,
            precision=precision,
            hardware=hardware_model(hardware),
            data=DataModel(name=data_name, samples=samples, timesteps=ensemble.timesteps),
            students=tuple(
                _student(student, count, result.labels, on_chip, operated, comparisons)
                for student, count in zip(result.students, counts, strict=True)
            ),
            policy=policy_model(ensemble),
            mapping=on_chip.mapping(),
            unplaced=_unplaced(on_chip, unplaced),
            operation=operated,
            shared=SharedModel(
                total_host_macs_of={"head": _total(result.head_macs), "gate": _total(result.gate_macs)},
                **_cost(shared, energy_per_sample(shared, hardware, on_chip.shared_traffic)),
            ),
            ensemble=EnsembleModel(
                accuracy=result.accuracy,
                balanced_accuracy=balanced_accuracy(result.predictions, result.labels),
                tied_fraction=float(np.mean(tied(result))),
                classes=class_models(result),
                mean_active_students=int(result.active.sum()) / samples,
                **_cost(whole, energy),
                **on_chip.ensemble(energy, operated),
            ),
            teacher=None if teacher is None else _teacher(teacher, whole, energy, hardware),
            fidelity=None if compared is None else _fidelity(result, compared.run),
            verified=verified,
            comparison=None,
            assumed=tuple(dict.fromkeys(text for text in result.warnings if text.startswith(ASSUMED))),
            dead=found.dead,
            warnings=(
                *found.dead,
                *found.others,
                *(text for text in result.warnings if not text.startswith(ASSUMED)),
                *_late_spikes(result, comparisons),
                *clipped_weights(result),
                *on_chip.remarks(energy),
                *warnings,
            ),
            provenance=provenance,
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise VerificationError(f"the run gave an impossible report: {where}: {first['msg']}") from error
    check_report(report)
    return report


def _student(
    student: StudentResult,
    counts: Counts,
    labels: Array | None,
    on_chip: OnChip,
    operation: OperationModel,
    comparisons: LayerComparisons,
) -> StudentModel:
    per_layer, alone = comparisons.get(student.name, {}), _predicted_alone(student, labels)
    energy = energy_per_sample(counts, on_chip.chip, traffic_of(student))
    return StudentModel(
        name=student.name,
        active_fraction=counts.samples_run / len(student.active),
        accuracy=None if alone is None else float(np.mean(alone[0] == alone[1])),
        balanced_accuracy=None if alone is None else balanced_accuracy(*alone),
        layers=tuple(
            _layer(student.program, layer, counts.samples_run, per_layer.get(layer.name))
            for layer in student.layers
        ),
        **_cost(counts, energy),
        **on_chip.student(student, counts, energy, operation),
    )


def _unplaced(on_chip: OnChip, why: str | None) -> str | None:
    """Why there are no counts on cores; None where there are."""
    if on_chip.traffic is not None:
        return None
    return why or "the target does not record the spikes"


def _late_spikes(result: RunResult, comparisons: LayerComparisons) -> list[str]:
    """By how many spikes a layer that hears a late connection differs from the graph's own timing."""
    found = []
    for student in result.students:
        late = {synapse.target for synapse in student.program.synapses if synapse.late}
        for layer, comparison in comparisons.get(student.name, {}).items():
            if layer in late:
                differing = comparison.differing / comparison.samples
                reference = comparison.reference / comparison.samples
                found.append(
                    f"student {student.name!r}, layer {layer!r}: late spikes and rounding together change "
                    f"{differing:.4g} spikes per sample; the graph's own timing has {reference:.4g}"
                )
    return found


def _layer(program: Program, layer: LayerTrace, ran: int, found: SpikeComparison | None) -> LayerModel:
    group, synapses = program.group(layer.name), program.synapses_into(layer.name)
    snrs = [synapse.quantisation_snr_db for synapse in synapses if synapse.quantisation_snr_db is not None]
    updates = group.size * program.timesteps
    spikes = _total(layer.spikes)
    wraps, saturations = (
        None if count is None else _total(count) for count in (layer.u_wraps, layer.v_saturations)
    )
    return LayerModel(
        name=layer.name,
        kind=layer_kind(program, layer.name),
        shape=tuple(int(size) for size in group.shape),
        synops_per_sample=mean(_total(layer.synops), ran),
        spikes_per_sample=mean(spikes, ran),
        rate=mean(spikes, ran * updates),
        weights=sum(int(np.size(synapse.weights.values)) for synapse in synapses),
        u_wraps=wraps,
        u_wrap_rate=mean(wraps, ran * updates),
        v_saturations=saturations,
        v_saturation_rate=mean(saturations, ran * updates),
        saturated_weights=sum(synapse.saturated_weights for synapse in synapses),
        quantisation_snr_db=_finite_or_none(min(snrs, default=None), layer.name),
        rate_float=None if found is None else mean(found.reference, found.samples * updates),
        spike_agreement=None if found is None else found.agreement,
        spikes_differing_per_sample=None if found is None else mean(found.differing, found.samples),
        worst_neuron=_neuron(found.worst_neuron) if found is not None else None,
    )


def _neuron(worst: tuple[int, float] | None) -> NeuronModel | None:
    return None if worst is None else NeuronModel(index=worst[0], spike_agreement=worst[1])


def layer_kind(program: Program, name: str) -> str:
    """What ends on a group and what it is, such as ``"conv+lif"`` or ``"host+dense+cuba_lif"``."""
    parts = [] if program.host_of(name) is None else ["host"]
    for synapse in program.synapses_into(name):
        weights = synapse.weights
        form = "conv" if isinstance(weights, ConvWeights) else "sparse"
        form = "dense" if isinstance(weights, DenseWeights) else form
        parts.append(f"{_manner(program, synapse)}{form}")
    return "+".join([*dict.fromkeys(parts), program.group(name).kind])


def _manner(program: Program, synapse: Synapse) -> str:
    """What is said before the form of a synapse within the sample: cycle or delay."""
    if not synapse.within_sample:
        return ""
    names = [program.input.name, *(group.name for group in program.groups)]
    return "recurrent-" if names.index(synapse.source) >= names.index(synapse.target) else "delayed-"


def _cost(counts: Counts, energy: Energy) -> dict[str, Any]:
    """The fields of a CostModel."""
    means = {f"{name}_per_sample": mean(getattr(counts, name), counts.samples_run) for name in COUNTED}
    return {**means, "energy_per_sample_j": energy, "totals": counts}


def _teacher(teacher: TeacherResult, ours: Counts, energy: Energy, hardware: Chip) -> TeacherModel:
    operations = (ours.synops + ours.host_macs) / ours.samples_run
    energy_j = mac_energy_j(teacher.macs, hardware)
    return TeacherModel(
        accuracy=teacher.accuracy,
        macs=teacher.macs,
        macs_per_operator=dict(sorted(teacher.macs_per_operator.items())),
        uncounted=teacher.uncounted,
        energy_j=energy_j,
        ratio_ops=_ratio(teacher.macs, operations),
        ratio_energy=_ratio(energy_j, energy.total),
    )


def _fidelity(result: RunResult, float_result: RunResult) -> FidelityModel:
    require(
        float_result.predictions.shape == result.predictions.shape,
        f"floating point ran {len(float_result.predictions)} samples, the target {len(result.predictions)}",
    )
    return FidelityModel(
        float_accuracy=float_result.accuracy,
        fixed_accuracy=result.accuracy,
        agreement=float(np.mean(float_result.predictions == result.predictions)),
    )


def _predicted_alone(student: StudentResult, labels: Array | None) -> tuple[Array, Array] | None:
    """Predictions and labels of the samples that it ran on."""
    if labels is None or student.alone is None or not student.active.any():
        return None
    return student.alone[student.active], labels[student.active]


def _check_result(result: RunResult, samples: int) -> None:
    require(samples >= 1, "the run has no samples")
    for index, student in enumerate(result.students):
        name = f"student {student.name!r}"
        require(
            student.active.shape == (samples,) and np.array_equal(result.active[:, index], student.active),
            f"{name}: active differs from the ensemble's",
        )
        for key, array in _counted(student):
            require(array.shape == (samples,), f"{name}: {key} has shape {array.shape}, not ({samples},)")
            require(bool((array >= 0).all()), f"{name}: {key} has a negative count")
            require(not array[~student.active].any(), f"{name}: {key} counts samples that it did not run on")


def _counted(student: StudentResult) -> Iterator[tuple[str, Array]]:
    """One at a time: of many samples they are large."""
    yield "input_spikes", student.input_spikes
    yield "host_macs", student.host_macs
    for layer in student.layers:
        for key in ("synops", "spikes", "updates_active", "updates_idle", "u_wraps", "v_saturations"):
            counts = getattr(layer, key)
            if counts is not None:
                yield f"{layer.name}: {key}", counts


def _total(counts: Array) -> int:
    return int(counts.sum(dtype=np.int64))


def _ratio(theirs: float, ours: float | None) -> float | None:
    return None if not ours else theirs / ours


def _finite_or_none(value: float | None, name: str) -> float | None:
    """Infinite (exactly represented weights) becomes None: JSON has no infinity."""
    if value is None or math.isinf(value):
        return None
    require(not math.isnan(value), f"layer {name!r}: quantisation_snr_db is not a number")
    return float(value)
