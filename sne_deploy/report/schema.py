"""The schema of ``report.json``.

Physical quantities are in SI units, named in their fields. ``null`` means not modelled, not measured or
not defined, and never zero. After a change here, write the committed ``report.schema.json`` anew::

    python -m sne_deploy.report.schema
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from sne_deploy.energy.accounting import Counts, Energy
from sne_deploy.files import write_whole
from sne_deploy.model.policy import Measure, PolicyKind
from sne_deploy.report.chip_schema import (
    Count,
    Fraction,
    IntervalModel,
    MappingModel,
    Mean,
    Model,
    OnChipModel,
    OperationModel,
    Text,
)
from sne_deploy.report.comparison import ComparisonModel

SCHEMA_VERSION: Literal["2.0"] = "2.0"
SCHEMA_FILE = Path(__file__).with_name("report.schema.json")


class ConstantModel(Model):
    """One constant that the energies rest on."""

    value: float
    unit: Text
    source: Text
    note: Text | None


class HardwareModel(Model):
    """The hardware file's name, and every constant that was used, by its dotted name there.

    ``intervals`` are those of the lines of power: ``neurocore``, ``x86``, ``static``.
    """

    name: Text
    constants: dict[str, ConstantModel]
    intervals: dict[str, IntervalModel]


class DataModel(Model):
    """The samples that were run."""

    name: Text
    samples: Annotated[int, Field(ge=1)]
    timesteps: Annotated[int, Field(ge=1)]


class CostModel(Model):
    """Mean counts and energies per sample, and the totals behind them. Null where no sample was run."""

    synops_per_sample: Mean | None
    spikes_per_sample: Mean | None
    input_spikes_per_sample: Mean | None
    updates_active_per_sample: Mean | None
    updates_idle_per_sample: Mean | None
    host_macs_per_sample: Mean | None
    energy_per_sample_j: Energy
    totals: Counts


class NeuronModel(Model):
    """The neuron of a layer that agrees least with floating point, of those with enough spikes to tell.

    ``index`` is flat, from 0. Enough are ten, and a tenth of the layer's mean per neuron, in either run.
    """

    index: Count
    spike_agreement: Fraction


class LayerModel(Model):
    """One neuron group and the synapses that end on it.

    ``rate`` is spikes per neuron and step. ``quantisation_snr_db`` is null in floating point, and where
    quantisation was exact or there was nothing to quantise (the ratio is then infinite or undefined).
    With a floating-point reference: ``rate_float`` is its rate, ``spike_agreement`` is |A and B| / |A or B|
    of its spikes and those of the run, ``spikes_differing_per_sample`` those that only one of them has.
    ``saturated_weights`` of its ``weights`` were clipped. ``u_wraps`` and ``v_saturations`` are the neuron
    updates of the run in which u left its register and wrapped, and in which v was clipped to its own; their
    rates are per neuron and step. Null where the target does not count them.
    """

    name: Text
    kind: Text
    shape: tuple[Annotated[int, Field(ge=1)], ...]
    synops_per_sample: Mean | None
    spikes_per_sample: Mean | None
    rate: Mean | None
    weights: Count | None
    saturated_weights: Count
    u_wraps: Count | None
    u_wrap_rate: Fraction | None
    v_saturations: Count | None
    v_saturation_rate: Fraction | None
    quantisation_snr_db: float | None
    rate_float: Mean | None
    spike_agreement: Fraction | None
    spikes_differing_per_sample: Mean | None
    worst_neuron: NeuronModel | None


class StudentModel(CostModel, OnChipModel):
    """One student; means are over the samples that it ran on. The accuracies are those of the student alone.

    ``balanced_accuracy`` is the mean of the accuracies on each class that occurs.
    """

    name: Text
    active_fraction: Fraction
    accuracy: Fraction | None
    balanced_accuracy: Fraction | None
    layers: tuple[LayerModel, ...]


class SharedModel(CostModel):
    """What belongs to no student: head, policy, gate, encoder. Means are over all samples.

    ``total_host_macs_of`` says whose the ``totals.host_macs`` are: the head's, the gate's.
    """

    total_host_macs_of: dict[Literal["head", "gate"], Count] | None


class ClassModel(Model):
    """One class: of how many samples it is the label and for how many it was predicted.

    ``tied`` of the predictions are ties, in which several classes share the highest output and the first of
    them wins. ``correct`` are right; ``accuracy`` is that over ``samples``. Null without labels.
    """

    index: Count
    samples: Count | None
    predicted: Count
    tied: Count
    correct: Count | None
    accuracy: Fraction | None


class EnsembleModel(CostModel, OnChipModel):
    """shared + sum(active_fraction x student). Means are over all samples.

    ``balanced_accuracy`` is the mean of the accuracies on each class that occurs; ``tied_fraction`` the
    samples on which several classes share the highest output; ``classes`` are those that a label or a
    prediction names.
    """

    accuracy: Fraction | None
    balanced_accuracy: Fraction | None
    tied_fraction: Fraction | None
    classes: tuple[ClassModel, ...] | None
    mean_active_students: Mean


class GateModel(Model):
    """The network on the host that chose the students: cells along each axis of the input, hidden neurons.

    ``macs_per_sample``: one for every input value that it averages, one for every weight; of a sample that
    lasts all time steps.
    """

    grid: tuple[Annotated[int, Field(ge=1)], ...]
    hidden: Annotated[int, Field(ge=1)]
    macs_per_sample: Count


class PolicyModel(Model):
    """Which students ran: the policy and its parameters; null where the kind has no such parameter.

    ``order`` names the students as they run. ``threshold``: the confidence, by ``measure``, at which no more
    students run; or the probability above which the gate activates one. ``students``: how many of a static
    policy run, or of a cascade at most, where that is not all.
    """

    kind: PolicyKind
    order: tuple[Text, ...]
    threshold: Fraction | None
    measure: Measure | None
    students: Annotated[int, Field(ge=1)] | None
    gate: GateModel | None


class TeacherModel(Model):
    """The network that the students were distilled from.

    ``macs`` and ``energy_j`` are per sample. ``ratio_ops`` is its MACs over the ensemble's SynOps and host
    MACs, ``ratio_energy`` its energy over the ensemble's total; null where the ensemble's is 0 or null.
    ``uncounted`` names the operators whose MACs are unknown: where there are any, macs is a lower bound.
    """

    accuracy: Fraction | None
    macs: Count
    macs_per_operator: dict[Text, Count]
    uncounted: tuple[Text, ...]
    energy_j: Mean
    ratio_ops: Mean | None
    ratio_energy: Mean | None


class FidelityModel(Model):
    """Floating point against what was run: accuracies, and the fraction with the same predicted class."""

    float_accuracy: Fraction | None
    fixed_accuracy: Fraction | None
    agreement: Fraction


class VerifiedModel(Model):
    """A comparison with another implementation, bit for bit."""

    against: Text
    samples: Count
    differing_bits: Count


class ProvenanceModel(Model):
    """What made the report."""

    versions: dict[Text, Text]
    seed: int | None
    command: Text | None
    wall_s: Mean


class ReportModel(Model):
    """``report.json``.

    ``converted_from`` is the version of an older report, whose energies are as they were then: neurons
    without input at the price of ``energy.update_idle``. What it did not say is null. ``unplaced`` says why
    neurons are on no cores.

    ``dead`` says what computed nothing, so that the figures mean nothing; it is what ``warnings`` begin with.
    ``comparison`` is null where none was asked for.
    ``assumed`` is what the model's files do not say and was assumed, with the options that would say it.
    """

    model_config = ConfigDict(title="Report")

    schema_version: Literal["2.0"]
    converted_from: Text | None
    model: Text
    target: Text
    precision: Literal["fixed", "float"]
    hardware: HardwareModel
    data: DataModel
    policy: PolicyModel | None
    mapping: MappingModel | None
    unplaced: Text | None
    operation: OperationModel | None
    students: Annotated[tuple[StudentModel, ...], Field(min_length=1)]
    shared: SharedModel
    ensemble: EnsembleModel
    teacher: TeacherModel | None
    fidelity: FidelityModel | None
    verified: VerifiedModel | None
    comparison: ComparisonModel | None
    assumed: tuple[Text, ...] | None
    dead: tuple[Text, ...] | None
    warnings: tuple[Text, ...]
    provenance: ProvenanceModel


def json_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of ``report.json``."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "sne-deploy report",
    } | ReportModel.model_json_schema(mode="validation")


def schema_text() -> str:
    """The exact text of the committed ``report.schema.json``."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    write_whole(SCHEMA_FILE, schema_text().encode())
