"""Skip connections: by hand, to the chip and back, and in all that is done to a student."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

import sne_deploy as sne
from sne_deploy.distill.experiment import parse_experiment
from sne_deploy.distill.run import run_experiment
from sne_deploy.distill.schema.layers import LayerModel
from sne_deploy.distill.schema.pruning import PruningModel
from sne_deploy.distill.schema.students import StudentLoss
from sne_deploy.distill.students.evaluate import evaluate_student
from sne_deploy.distill.students.fan_out import fan_outs
from sne_deploy.distill.students.networks import student_network
from sne_deploy.distill.students.prune_synops import check_synapses
from sne_deploy.distill.students.pruning import prunable, prune_smallest
from sne_deploy.distill.students.quantise_aware import QuantisedRun, folded
from sne_deploy.distill.students.shrink import shrunk
from sne_deploy.distill.students.simulate import Simulation, flat_layers, simulate
from sne_deploy.distill.students.student import LearningObjective, Lesson, StudentTask
from sne_deploy.distill.students.synapse_costs import synapse_costs
from sne_deploy.distill.students.warm_start import simulate_twin
from sne_deploy.errors import GraphError, InputError, UnsupportedError
from sne_deploy.frontend.nir.file import write_nir
from sne_deploy.frontend.norse.build import module_from_layers
from sne_deploy.frontend.norse.export import export_student
from sne_deploy.frontend.norse.modules import layers_from_module
from sne_deploy.frontend.norse.skips import SkipLinear
from sne_deploy.ir.fan_out import fan_out
from sne_deploy.model.ensemble import Encoder, Ensemble, Head, Layer, Student
from sne_deploy.model.layers.registry import check_stack
from sne_deploy.passes.pipeline import compile_student
from tests.chip_registers import LOIHI1
from tests.distill.students.on_registers import assert_is_the_programs
from tests.distill.students.test_prune_synops import Pupil
from tests.distill.test_run import DOCUMENT
from tests.effort import examples

STEPS, SHAPE = 4, (1, 8, 8)
OF_LABELS = StudentLoss(feature=0.0, cross_entropy=1.0)
CELL: dict[str, Any] = {"kind": "LIFBoxCell", "tau_mem_s": 2e-3, "v_th": 0.3}
LAYERS: list[dict[str, Any]] = [
    {"kind": "Conv2d", "out": 4, "padding": 1},
    CELL,
    {"kind": "Conv2d", "out": 6, "stride": 2, "padding": 1, "bias": False},
    {"kind": "BatchNorm2d"},
    CELL,
    {"kind": "Conv2d", "out": 5, "padding": 1},
    {"kind": "BatchNorm2d"},
    {"kind": "SkipConv2d", "over": 1, "stride": 2},
    CELL,
    {"kind": "Flatten"},
    {"kind": "Linear", "out": 12},
    CELL,
    {"kind": "Linear", "out": 10},
    CELL,
    {"kind": "Linear"},
    {"kind": "SkipLinear", "over": 1},
    {"kind": "LIBoxCell", "tau_mem_s": 4e-3},
]


def student(seed: int = 0, layers: list[dict[str, Any]] = LAYERS) -> nn.Sequential:
    """With weights that let every layer spike."""
    torch.manual_seed(seed)
    made = student_network([LayerModel.model_validate(one) for one in layers], SHAPE, 3, 1e-3)
    with torch.no_grad():
        for one in prunable(made):
            one.weight.mul_(3.0)
        made.train()
        for _ in range(20):
            simulate(made, torch.rand(16, *SHAPE), STEPS, "v_mean")  # the norms' statistics
    return made.eval()


def images(count: int = 6) -> torch.Tensor:
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(1))


def ensemble(network: nn.Module) -> Ensemble:
    one = Student("student0", layers_from_module(network), "v_mean")
    return Ensemble((one,), SHAPE, STEPS, Encoder("constant"), Head("mean"))


def box_chain() -> nn.Sequential:
    """Two inputs, cells whose current is their membrane (tau_mem = dt), thresholds 1, and a skip over one."""
    plain: dict[str, Any] = {"kind": "LIFBoxCell", "tau_mem_s": 1e-3, "v_th": 1.0}
    layers: list[dict[str, Any]] = [
        {"kind": "Linear", "out": 2, "bias": False},
        plain,
        {"kind": "Linear", "out": 1, "bias": False},
        plain,
        {"kind": "Linear", "out": 2, "bias": False},
        {"kind": "SkipLinear", "over": 1},
        plain,
    ]
    made = student_network([LayerModel.model_validate(one) for one in layers], (2,), 2, 1e-3)
    weights = ([[2.0, 0.0], [0.0, 2.0]], [[1.5, -1.0]], [[0.4], [-3.0]], [[0.8, 0.0], [0.0, 5.0]])
    with torch.no_grad():
        for one, weight in zip(prunable(made), weights, strict=True):
            one.weight.copy_(torch.tensor(weight))
    return made.eval()


def test_a_skip_by_hand() -> None:
    network = box_chain()
    # the first cell sends (1, 0), (1, 1), (0, 1); the second 1, 0, 0; the third gets 0.4 s + 0.8 a, 5 b - 3 s
    x = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    run = simulate(network, x, 1, "count")
    assert run.rates[1].tolist() == [[1.0], [0.0], [0.0]]
    assert run.outputs.tolist() == [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    torch.testing.assert_close(run.currents[2][0], torch.tensor([[1.2, -3.0], [0.8, 5.0], [0.0, 5.0]]))
    # the twin of the first sample: 2, then 1.5 * 2, then 0.4 * 3 + 0.8 * 2
    twin = simulate_twin(network, x[:1], 1, "count")
    torch.testing.assert_close(twin.outputs, torch.tensor([[2.8, 0.0]]))


@pytest.mark.parametrize("run", [simulate, simulate_twin])
def test_gradients_keep_channels_last(run: Callable[..., Simulation]) -> None:
    """In the other format a batch norm's gradient takes many times as long, on a processor."""
    network = student().to(memory_format=torch.channels_last)
    found: list[bool] = []

    def look(_: nn.Module, __: Any, gradients: tuple[torch.Tensor, ...]) -> None:
        found.append(gradients[0].is_contiguous(memory_format=torch.channels_last))

    for one in flat_layers(network):
        if isinstance(one, nn.BatchNorm2d):
            one.register_full_backward_hook(look)
    inputs = images().contiguous(memory_format=torch.channels_last)
    run(network, inputs, 1, "v_mean").outputs.square().sum().backward()
    assert found == [True, True]


def test_layers_come_back_from_modules_and_files(tmp_path: Path) -> None:
    network = student()
    layers = layers_from_module(network)
    assert [dict(layer.options) for layer in layers if layer.kind.startswith("Skip")] == [
        {"stride": (2, 2), "padding": (0, 0), "dilation": (1, 1), "groups": 1, "over": 1},
        {"over": 1},
    ]
    again = module_from_layers(layers)
    before, after = (simulate(one, images(), STEPS, "v_mean") for one in (network, again))
    assert torch.equal(before.outputs, after.outputs)
    assert all(rate.mean() > 0.01 for rate in before.rates)
    path = tmp_path / "model.pt"
    ensemble(network).save(path)
    (read,) = sne.load(path).students
    assert isinstance(read.network, tuple)
    assert [layer.kind for layer in read.network] == [layer.kind for layer in layers]
    with pytest.raises(UnsupportedError, match="takes spikes of an earlier layer, which no Sequential hands"):
        again(images())


def test_the_graph_has_both_edges_and_means_the_same(tmp_path: Path) -> None:
    graph = export_student(Student("student0", layers_from_module(student()), "v_mean"), SHAPE)
    write_nir(tmp_path / "s.nir", graph)
    ends = [target for _, target in graph.edges]
    assert {one for one in ends if ends.count(one) > 1} == {"lifboxcell_6", "liboxcell_14"}
    read = sne.load(tmp_path / "s.nir", timesteps=STEPS, encoder="constant", readout="v_mean")
    for target in ("loihi", "norse"):
        (kept,), (back,) = (
            sne.compile(one, target=target).run(images().numpy()).students
            for one in (ensemble(student()), read)
        )
        assert np.array_equal(kept.outputs, back.outputs)
        assert np.array_equal(kept.trace.synops, back.trace.synops)


@settings(max_examples=examples(1), deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([4, 8]))
@example(0, 8)
def test_training_on_integers_gives_the_programs_spikes(seed: int, bits: int) -> None:
    network = student(seed)
    with torch.no_grad():
        for index in (3, 7):
            # the skips', so that both synapses have units of their own
            prunable(network)[index].weight.mul_(0.07)
    plain = folded(network, SHAPE)
    program = compile_student(
        Student("s", layers_from_module(plain), "v_mean"), input_shape=SHAPE, timesteps=STEPS,
        encoder=Encoder("constant"), precision="fixed", formats=LOIHI1.narrowed(bits),
    )  # fmt: skip
    x = images(3)
    with torch.no_grad():
        made = QuantisedRun(SHAPE, bits)(plain, x, STEPS, "v_mean")
    assert_is_the_programs(made, program, x.numpy().astype(np.float64))


def test_gradients_reach_both_synapses_on_integers() -> None:
    plain = folded(student(), SHAPE)
    QuantisedRun(SHAPE, 8)(plain, images(), STEPS, "v_mean").outputs.square().sum().backward()
    assert all(one.weight.grad is not None and one.weight.grad.abs().sum() > 0 for one in prunable(plain))


def test_loihi_equals_lava_and_both_synapses_are_counted() -> None:
    network, x = student(), images(4).numpy()
    result = sne.compile(ensemble(network), target="loihi").run(x, record="spikes", verify=4)
    assert result.report.verified is not None
    assert result.report.verified.differing_bits == 0
    (done,) = result.students
    spikes = {layer.name: layer.recorded_spikes for layer in done.layers}
    counted = 0
    for synapse in done.program.synapses:
        if synapse.source in spikes:
            sent = np.asarray(spikes[synapse.source]).astype(np.int64)
            counted += int(sent.sum(axis=(0, 1)).reshape(-1) @ fan_out(synapse.weights))
    assert counted == done.trace.synops.sum() > 0


def test_fan_outs_by_hand_and_as_the_float_reference_counts() -> None:
    network = student()
    costs = fan_outs(network, SHAPE)
    # the first cell's neurons: of 3 x 3 taps at stride 2 one where both places are even, into 6 channels, and
    # there 1 x 1 at stride 2 into 5; four where both are odd
    assert costs[0][0, 2, 2].item() == 6 + 5
    assert costs[0][0, 3, 3].item() == 4 * 6
    assert costs[3][0].item() == 10 + 3
    done = evaluate_student(network, images(4), STEPS, "v_mean", costs=costs)
    (floating,) = sne.compile(ensemble(network), target="norse").run(images(4).numpy()).students
    assert done.synops_per_sample == pytest.approx(floating.trace.synops.mean(), rel=1e-9)


def test_pruning_takes_both_and_idle_neurons_go() -> None:
    network = student()
    weights = prunable(network)
    assert len(weights) == 8
    with torch.no_grad():
        prune_smallest(weights, 0.5)
    assert all(float((one.weight == 0).float().mean()) >= 0.5 - 1e-6 for one in weights)
    with torch.no_grad():
        weights[1].weight[:, 1] = 0.0  # of the first cell's channels, which still reaches the skip
        weights[4].weight.view(12, 5, -1)[:, 3] = 0.0  # of the third cell, where the skip ends
    before = simulate(network, images(), STEPS, "v_mean")
    smaller = shrunk(network)
    after = simulate(smaller, images(), STEPS, "v_mean")
    torch.testing.assert_close(after.outputs, before.outputs, rtol=1e-5, atol=1e-6)
    assert [len(one.weight) for one in prunable(smaller)][:5] == [4, 6, 4, 4, 12]


def test_operations_of_a_skip_are_its_spikes_times_its_synapses() -> None:
    network = student()
    x, y, features = images(), torch.tensor([0, 1, 2, 0, 1, 2]), torch.rand(6, 3)
    task = StudentTask(STEPS, "v_mean", OF_LABELS, direct=True)
    objective = LearningObjective.of(Lesson(x, y, (features,)), task, [])
    found = synapse_costs(Pupil(network), objective, (x, y, features), spikes=False)
    assert len(found) == 7
    total = sum(float((cost.operations * (cost.weight != 0)).sum()) for cost in found)
    done = evaluate_student(network, x, STEPS, "v_mean", costs=fan_outs(network, SHAPE))
    assert total == pytest.approx(done.synops_per_sample, rel=1e-6)
    assert all(float(cost.sensitivity.sum()) > 0 for cost in found)


def test_what_does_not_fit_is_refused() -> None:
    skip = {"kind": "SkipConv2d", "over": 1}
    for one, message in (
        ({"kind": "Linear", "over": 1}, "over is of SkipConv2d and SkipLinear, not of Linear: leave it out"),
        ({"kind": "SkipLinear"}, "over is missing: how many cells it passes, such as 1"),
        ({**skip, "out": 4}, "out 4 is what it is added to: leave it out"),
    ):
        with pytest.raises(ValueError, match=message):
            LayerModel.model_validate(one)
    for layers, message in (
        (
            [*LAYERS[:3], skip, CELL],
            r"layers.3 \(SkipConv2d\): over 1 needs more than 1 cells .*; there are 1",
        ),
        (
            [*LAYERS[:7], skip, CELL],
            r"makes shape \(5, 8, 8\) .* \(4, 8, 8\), but \(5, 4, 4\) comes in beside it: ch",
        ),
        (
            [*LAYERS[:11], {"kind": "SkipLinear", "over": 1}, CELL],
            r"shape \(6, 4, 4\) do not fit onto \(12,\)",
        ),
        ([*LAYERS[:9], {"kind": "Flatten"}, skip], r"takes images .* what comes in has shape \(80,\)"),
    ):
        with pytest.raises(InputError, match=message):
            student_network([LayerModel.model_validate(one) for one in layers], SHAPE, 3, 1e-3)
    with pytest.raises(UnsupportedError, match="several maps; set structure to 'weights'"):
        check_synapses(student(), PruningModel(by="synops", sparsity=0.5, structure="neurons"), spikes=False)


def test_a_stack_with_a_skip_is_checked() -> None:
    layers = list(layers_from_module(box_chain()))
    assert check_stack(layers, (2,)) == (2,)
    skip = layers[5]
    for made, message in (
        ([*layers[:6]], "layer 5: SkipLinear: put it directly before a cell without recurrent weights"),
        ([*layers[:6], skip, layers[6]], "layer 5: SkipLinear: there are two over 1 before one cell"),
        ([*layers[:5], Layer("SkipLinear", {"over": 2}, skip.tensors), layers[6]], "over=2 takes the spikes"),
        ([*layers[:5], Layer("SkipLinear", {"over": 0}, skip.tensors), layers[6]], "over=0 must be an int"),
        ([*layers[:5], Layer("SkipLinear", {"over": 1}, {"weight": np.ones((3, 2))}), layers[6]],
         r"makes shape \(3,\) of spikes of shape \(2,\), but \(2,\) comes in beside it; change its"),
        ([*layers[:5], Layer("SkipLinear", {"over": 1}, {"weight": np.ones((2, 3))}), layers[6]],
         r"of the spikes that it takes: input has shape \(2,\), weight \(2, 3\) needs"),
    ):  # fmt: skip
        with pytest.raises(GraphError, match=message):
            check_stack(made, (2,))
    assert isinstance(module_from_layers(layers)[5], SkipLinear)


def test_an_experiment_trains_one(tmp_path: Path) -> None:
    layers = [
        {"kind": "Flatten"},
        {"kind": "Linear", "out": 12},
        CELL,
        {"kind": "Linear", "out": 8},
        CELL,
        {"kind": "Linear"},
        {"kind": "SkipLinear", "over": 1},
        {"kind": "LIBoxCell"},
    ]
    students = {
        **DOCUMENT["students"],
        "count": 1,
        "layers": layers,
        "warm_start": {"epochs": 1},
        "pruning": {"sparsity": 0.5, "every": 2},
        "loss": {"feature": 1.0, "inner": 0.5},
        "surrogate": "rectangle",
    }
    document = {**DOCUMENT, "students": students, "quantisation": {"epochs": 1}, "policy": {}}
    document.pop("joint", None)
    found = run_experiment(parse_experiment(document), tmp_path)
    (one,) = found.ensemble.students
    assert isinstance(one.network, tuple)
    (skip,) = (layer for layer in one.network if layer.kind == "SkipLinear")
    assert 0.3 < float((skip.tensors["weight"] == 0).mean()) < 1.0
