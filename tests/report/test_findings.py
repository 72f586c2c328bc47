"""What a run shows to be wrong: by hand, and on networks that are broken on purpose."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

import sne_deploy as sne
from sne_deploy.ir.weights import DenseWeights
from sne_deploy.report.notes import report_notes, summed_up
from sne_deploy.report.table import report_view
from sne_deploy.runtime.trace import LayerTrace
from tests.report.conftest import Layer, with_layers

snn = pytest.importorskip("norse.torch")
SAMPLES, STEPS = 20, 12
WRAPPED = "u left its register and wrapped, as it does on the chip,"
CLIPPED = "v was clipped at the end of its register"


def model(*, scale: float = 1.0, readout: str = "count", bias: float = 0.0) -> sne.Ensemble:
    """Two layers of fixed random weights; the smaller ``scale``, the fewer spikes."""
    torch.manual_seed(0)
    last = snn.LIFBoxCell() if readout == "count" else snn.LIBoxCell()
    module = snn.SequentialState(torch.nn.Linear(10, 16), snn.LIFBoxCell(), torch.nn.Linear(16, 3), last)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(scale)
        module[2].bias.fill_(bias)
    return sne.ensemble([module], input_shape=(10,), timesteps=STEPS, readout=readout)


def spikes(rate: float = 0.4) -> np.ndarray:
    return (np.random.default_rng(1).random((SAMPLES, STEPS, 10)) < rate).astype(np.uint8)


def report_of(ensemble: sne.Ensemble, x: np.ndarray, y: Any = None, target: str = "loihi") -> Any:
    with sne.compile(ensemble, target) as compiled:
        return compiled.run(x, y).report


def printed(report: Any) -> list[str]:
    console = Console(width=400, color_system=None)
    with console.capture() as captured:
        console.print(report_view(report))
    return captured.get().splitlines()


@pytest.mark.parametrize("target", ["loihi", "norse"])
def test_a_dead_network_says_so_before_anything_else(target: str) -> None:
    labels = np.array([0] * 18 + [1] * 2)
    report = report_of(model(scale=0.01), spikes(), labels, target)
    first = (
        "the network is dead: output 'lifboxcell_3' gave no spike in 20 samples, all classes tie and the "
        "first, class 0, wins every time (90.0 % of the labels); the first silent layer is 'lifboxcell_1'"
    )
    assert report.dead == report.warnings[:1]
    assert report.dead[0].startswith(first)
    too = ", in floating point too" if target == "loihi" else ""
    assert report.dead[0].endswith(f"{too}: look at its weights, threshold and time step")
    assert printed(report)[0].startswith(first)
    assert not any(first in text for _, text in report_notes(report))
    assert (report.ensemble.accuracy, report.ensemble.balanced_accuracy) == (0.9, 0.5)
    assert report.ensemble.tied_fraction == 1.0


def test_a_dead_network_with_a_readout_and_one_without_input() -> None:
    (text,) = report_of(model(scale=0.01, readout="v_last"), spikes()).dead
    assert "no spike reached output 'liboxcell_3' in 20 samples" in text
    biased = report_of(model(scale=0.01, readout="v_last", bias=0.5), spikes())
    assert "no spike reached output 'liboxcell_3'" in biased.dead[0]
    (text,) = report_of(model(), 0 * spikes()).dead
    assert text.endswith("no spike entered it: the data are all 0")


def test_a_living_network_has_no_such_line_and_no_false_alarm() -> None:
    x = spikes()
    with sne.compile(model(scale=6.0, readout="v_last"), "loihi") as compiled:
        y = compiled.run(x).predictions
        report = compiled.run(x, y).report
    assert len(np.unique(y)) > 1
    assert report.dead == ()
    assert printed(report)[0].startswith("ensemble on loihi")
    told = ("dead", "no spike", "every step", "wrapped", "clipped", "predicts class")
    assert not [text for text in report.warnings if any(word in text for word in told)]


def layer(name: str, spikes: list[int], **counts: list[int]) -> Layer:
    zeros = np.zeros(len(spikes), np.int64)
    found = LayerTrace(name, zeros, np.array(spikes, np.int64), zeros, zeros)
    return replace(found, **{key: np.array(value, np.int64) for key, value in counts.items()}), {}


def test_layers_that_never_or_always_spike_and_registers_that_overflow(
    make_student: Any, make_result: Any, make_report: Any
) -> None:
    """Of 10 neurons each, 4 steps, 2 samples: 80 updates."""
    student = with_layers(
        make_student("s", [1, 1], np.random.default_rng(0), labels=[0, 1]),
        [
            layer("silent", [0, 0]),
            layer("always", [40, 40], u_wraps=[0, 0], v_saturations=[0, 0]),
            layer("wraps", [3, 4], u_wraps=[1, 3], v_saturations=[0, 8]),
            layer("out", [5, 6]),
        ],
    )
    report = make_report(make_result([student], labels=[1, 1]), warnings=())
    assert report.warnings == (
        "student 's', layer 'silent': no spike in 2 samples",
        "student 's', layer 'always': every neuron spikes at every step",
        f"student 's', layer 'wraps': {WRAPPED} in 4 of 80 neuron updates (5 %)",
        f"student 's', layer 'wraps': {CLIPPED} in 8 of 80 neuron updates (10 %)",
    )
    silent, always, wraps, _ = report.students[0].layers
    assert (wraps.u_wraps, wraps.u_wrap_rate) == (4, 0.05)
    assert (wraps.v_saturations, wraps.v_saturation_rate) == (8, 0.1)
    assert (always.u_wraps, silent.u_wraps, silent.u_wrap_rate) == (0, None, None)


def test_one_class_for_everything_ties_and_classes_by_hand(
    make_student: Any, make_result: Any, make_report: Any
) -> None:
    labels = [0] * 9 + [1, 1, 2]
    rng = np.random.default_rng(0)
    result = make_result([make_student("s", [1] * 12, rng, labels=[1] * 12)], labels=labels)
    logits = result.logits.copy()
    logits[:3] = 1.0
    predictions = np.argmax(logits, axis=1)
    report = make_report(replace(result, logits=logits, predictions=predictions), warnings=())
    assert [tuple(each.model_dump().values()) for each in report.ensemble.classes] == [
        (0, 9, 3, 3, 3, 3 / 9), (1, 2, 9, 0, 2, 1.0), (2, 1, 0, 0, 0, 0.0),
    ]  # fmt: skip
    assert report.ensemble.balanced_accuracy == pytest.approx((3 / 9 + 1 + 0) / 3)
    assert report.ensemble.tied_fraction == 3 / 12
    (tie,) = [text for text in report.warnings if "share the highest output" in text]
    assert tie == (
        "several classes share the highest output on 25.0 % of the samples; the first of them wins, in "
        "100 % of these class 0"
    )
    assert dict(report_notes(report))["classes"] == (
        "balanced accuracy 44.4 % over 3 classes; lowest: class 2 with 0.0 % of its 1 samples; 75.0 % of the "
        "labels are class 0"
    )
    alone = make_report(result, warnings=()).warnings
    assert "the ensemble predicts class 1 for all 12 samples" in alone


def test_warnings_of_one_kind_are_one_line() -> None:
    found = summed_up(
        [
            "student 'a', layer 'x': no spike in 7 samples",
            "student 'a', layer 'it\\'s': no spike in 7 samples",
            "student 'a', layer \"it's\": no spike in 9 samples",
            "student 'b', layer 'x': no spike in 7 samples",
            "student 'a': 3 of 4 weights are clipped",
            "student 'b': 3 of 4 weights are clipped",
            "student 'a', layer 'x': every neuron spikes at every step",
        ]
    )
    assert found == [
        "student 'a', layer 'x': no spike in 7 samples (+ 1 more layer)",
        "student 'a', layer 'it\\'s': no spike in 7 samples",
        "student 'b', layer 'x': no spike in 7 samples",
        "student 'a': 3 of 4 weights are clipped",
        "student 'b': 3 of 4 weights are clipped",
        "student 'a', layer 'x': every neuron spikes at every step",
    ]


def test_what_a_target_does_not_count_is_told_as_far_as_it_is_not_proven(
    make_student: Any, make_result: Any, make_report: Any
) -> None:
    """254 << 7 << 6, three times in each of four steps without decay, is more than a register holds."""
    zeros = [0, 0]
    student = with_layers(make_student("s", [1, 1], np.random.default_rng(0)), [layer("out", [5, 6])])
    (synapse,) = student.program.synapses
    weights = DenseWeights(np.full(synapse.weights.shape, 254, np.int32))
    program = replace(student.program, synapses=(replace(synapse, weights=weights, weight_exp=7),))
    (text,) = make_report(make_result([replace(student, program=program)]), warnings=()).warnings
    assert text.startswith("student 's', layer 'out': u may wrap; in the worst case |u| reaches ")
    assert text.endswith("; here it is not counted")
    counted = with_layers(student, [layer("out", [5, 6], u_wraps=zeros, v_saturations=zeros)])
    assert make_report(make_result([replace(counted, program=program)]), warnings=()).warnings == ()
