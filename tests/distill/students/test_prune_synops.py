"""Pruning by operations: they are counted as the compiler does, and what does least for them goes first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sne_deploy.distill.experiment import parse_experiment
from sne_deploy.distill.run import run_experiment
from sne_deploy.distill.schema.layers import LayerModel
from sne_deploy.distill.schema.pruning import PruningModel
from sne_deploy.distill.schema.students import StudentLoss
from sne_deploy.distill.students.evaluate import evaluate_student
from sne_deploy.distill.students.fan_out import fan_outs
from sne_deploy.distill.students.networks import student_network
from sne_deploy.distill.students.prune_neurons import prune_neurons
from sne_deploy.distill.students.prune_synops import KEPT, LeastUseful, check_synapses, prune_least_useful
from sne_deploy.distill.students.pruning import prunable
from sne_deploy.distill.students.quantise_aware import folded
from sne_deploy.distill.students.shrink import shrunk
from sne_deploy.distill.students.student import Learner, LearningObjective, Lesson, StudentTask
from sne_deploy.distill.students.synapse_costs import SynapseCost, synapse_costs
from sne_deploy.errors import ExperimentError, InputError, UnsupportedError
from tests.distill.test_run import DOCUMENT, LAYERS
from tests.effort import examples

FIRING = {"kind": "LIFBoxCell", "tau_mem_s": 2e-3, "v_th": 0.3}
TASK = StudentTask(3, "v_mean", StudentLoss(feature=0.0, cross_entropy=1.0), direct=True)


class Pupil(Learner):
    """A learner whose outputs are logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.networks = nn.ModuleList([network])

    def logits(self, outputs: Any) -> torch.Tensor:
        made: torch.Tensor = outputs[0]
        return made


def student(groups: int = 1, stride: int = 1, padding: int = 0, pool: bool = False) -> nn.Sequential:
    second = {"kind": "Conv2d", "out": 6, "stride": stride, "padding": padding, "groups": groups}
    layers: list[dict[str, Any]] = [
        {"kind": "Conv2d", "out": 4},
        {"kind": "BatchNorm2d"},
        {"kind": "LIFBoxCell"},
        *([{"kind": "AvgPool2d"}] if pool else []),
        second,
        *LAYERS[2:],
    ]
    network = student_network([LayerModel.model_validate(one) for one in layers], (1, 10, 9), 3, 1e-3)
    with torch.no_grad():
        weight = prunable(network)[1].weight
        weight[torch.rand(weight.shape) < 0.3] = 0.0
    return network


def lesson(samples: int = 12) -> Lesson:
    inputs = torch.rand(samples, 1, 10, 9) * 60
    return Lesson(inputs, torch.arange(samples) % 3, (torch.rand(samples, 3),))


def objective_of(given: Lesson) -> LearningObjective:
    return LearningObjective.of(given, TASK, ())


@settings(max_examples=examples(4))
@given(st.integers(0, 2**31), st.sampled_from([1, 2]), st.integers(1, 3), st.integers(0, 2), st.booleans())
def test_operations_are_those_that_the_compiler_counts(
    seed: int, groups: int, stride: int, padding: int, pool: bool
) -> None:
    torch.manual_seed(seed)
    network, given = student(groups, stride, padding, pool), lesson()
    batch = (given.inputs, given.labels, *given.features)
    costs = synapse_costs(Pupil(network), objective_of(given), batch, spikes=False)
    counted = sum(float(cost.operations[cost.weight != 0].sum()) for cost in costs)
    figures = evaluate_student(
        network, given.inputs, TASK.timesteps, TASK.readout, costs=fan_outs(network.eval(), (1, 10, 9))
    )
    assert len(costs) == 2
    assert counted == pytest.approx(figures.synops_per_sample, rel=1e-6)


def test_a_sensitivity_is_the_mean_squared_gradient_by_an_input_of_the_channel() -> None:
    torch.manual_seed(1)
    network, given = student(), lesson(5)
    batch = (given.inputs, given.labels, *given.features)
    costs = synapse_costs(Pupil(network), objective_of(given), batch, spikes=False)
    shifts: list[torch.Tensor] = []

    def moved(layer: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        shifts.append(torch.zeros_like(output, requires_grad=True))
        return output + shifts[-1]

    network[3].register_forward_hook(moved)
    loss = sum(objective_of(given)(Pupil(network).eval(), batch).values())
    (slope,) = torch.autograd.grad(loss, shifts)  # type: ignore[arg-type]
    wanted = slope.double().square().mean(dim=(0, 2, 3))
    assert wanted.any()
    torch.testing.assert_close(costs[0].sensitivity.flatten(), wanted)
    torch.testing.assert_close(costs[0].scores, costs[0].weight.double() ** 2 * wanted[:, None, None, None])


def described(**values: Any) -> PruningModel:
    return PruningModel(by="synops", **values)


@given(st.integers(0, 2**31), st.floats(0.05, 0.95), st.floats(0.1, 1.0), st.booleans())
def test_what_does_least_for_its_operations_goes_until_enough_has(
    seed: int, sparsity: float, share: float, budget: bool
) -> None:
    torch.manual_seed(seed)
    weights = [nn.Parameter(torch.randn(shape)) for shape in ((5, 8), (4, 3, 3, 3))]
    costs = [
        SynapseCost(w, torch.randint(0, 4, w.shape).double(), torch.rand(len(w), *[1] * (w.ndim - 1)))
        for w in weights
    ]
    before, scores = [w.detach().clone() for w in weights], [cost.scores for cost in costs]
    operations = [cost.operations for cost in costs]
    total = float(sum(own.sum() for own in operations))
    wanted = {"operations": (1 - sparsity) * total} if budget else {"sparsity": sparsity}
    with torch.no_grad():
        prune_least_useful(costs, share, described(**wanted))
    kept = torch.cat([(w != 0).flatten() for w in weights])
    flat, cost = torch.cat([s.flatten() for s in scores]), torch.cat([own.flatten() for own in operations])
    gone = float(cost[~kept].sum())
    assert gone <= share * sparsity * total + 1e-9
    best = torch.cat(
        [s.flatten() >= s.flatten().topk(max(1, int(KEPT * s.numel()))).values[-1] for s in scores]
    )
    free = kept & ~best
    if free.any():
        assert gone + float(cost[free][flat[free].argmin()]) > share * sparsity * total - 1e-9
        assert not (~kept).any() or flat[~kept].max() <= flat[free].min()
    for weight, was in zip(weights, before, strict=True):
        assert torch.equal(weight[weight != 0], was[weight != 0])


def test_what_the_integers_would_silence_goes_at_the_end() -> None:
    torch.manual_seed(0)
    network, given = student(), lesson()
    with torch.no_grad():
        network[3].weight[:] = 0.5
        network[3].weight[0, :, 0, 0] = 1e-4
    cut = LeastUseful.of(described(sparsity=1e-6), given, TASK, weight_bits=4)
    with torch.no_grad():
        cut(Pupil(network), 0.5)
        assert network[3].weight[0].all()
        cut(Pupil(network), 1.0)
    assert not network[3].weight[0, :, 0, 0].any()
    assert int((network[3].weight == 0).sum()) == 4
    stored = cut.silenced(folded(network, (1, 10, 9)))
    assert torch.equal(stored[0], network[3].weight == 0)


def structured(network: nn.Module, given: Lesson) -> list[SynapseCost]:
    batch = (given.inputs, given.labels, *given.features)
    return synapse_costs(Pupil(network), objective_of(given), batch, spikes=False)


@settings(max_examples=examples(4))
@given(st.integers(0, 2**31), st.floats(0.1, 0.9), st.integers(1, 2))
def test_whole_channels_go_until_enough_operations_have(seed: int, sparsity: float, stride: int) -> None:
    torch.manual_seed(seed)
    network, given = student(stride=stride), lesson()
    before = [one.weight.detach().clone() for one in prunable(network)]
    costs = structured(network, given)
    total = sum(float(cost.operations.sum()) for cost in costs)

    with torch.no_grad():
        prune_neurons(network, costs, 1.0, described(sparsity=sparsity, structure="neurons"))
    first, second, last = (one.weight != 0 for one in prunable(network))
    cells = last.view(3, 6, -1).any(dim=2).any(dim=0)
    inner = second.any(dim=3).any(dim=2).any(dim=0)
    for weight, was, rows in ((first, before[0], inner), (second, before[1], cells)):
        gone = ~weight.flatten(1).any(dim=1)
        assert torch.equal(gone | ~was.flatten(1).any(dim=1), ~rows | ~was.flatten(1).any(dim=1))
    assert inner.any()
    assert cells.any()
    now = sum(float(cost.operations[cost.weight != 0].sum()) for cost in costs)
    if int(inner.sum()) > 1 or int(cells.sum()) > 1:
        assert now <= (1 - sparsity) * total
    smaller = shrunk(network)
    assert smaller[0].weight.shape[0] == int(inner.sum())  # type: ignore[index, union-attr]


@pytest.mark.parametrize(
    ("pruning", "message"),
    [
        (
            {"by": "magnitude", "sparsity": 0.5, "structure": "neurons"},
            "structure 'neurons' is of by 'synops'",
        ),
        ({}, "by 'synops' takes one of sparsity and operations"),
        ({"sparsity": 0.5, "operations": 9.0}, "by 'synops' takes one of sparsity and operations"),
        ({"sparsity": 0.5, "last": 0.5}, "first and last are of by 'magnitude'"),
        ({"by": "magnitude"}, "sparsity is missing"),
        ({"by": "magnitude", "sparsity": 0.5, "operations": 9.0}, "operations is of by 'synops' alone"),
    ],
)
def test_what_does_not_go_together_is_refused(pruning: dict[str, Any], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        experiment(LAYERS, **pruning)


def experiment(layers: list[dict[str, Any]], **pruning: Any) -> Any:
    students = {
        **DOCUMENT["students"],
        "count": 1,
        "layers": layers,
        "pruning": {"by": "synops", "every": 3, **pruning},
    }
    changes = {"partition": {}, "joint": None, "policy": {}, "quantisation": {}, "students": students}
    return parse_experiment({**DOCUMENT, **changes})


def test_an_experiment_is_pruned_by_operations(tmp_path: Path) -> None:
    layers = [*LAYERS[:2], FIRING, *LAYERS[3:]]
    (student,) = run_experiment(experiment(layers, sparsity=0.7), tmp_path).ensemble.students
    linear = student.network[4].tensors["weight"]  # type: ignore[index, union-attr]
    assert np.sum(linear == 0) > 0.4 * linear.size
    assert np.all(student.network[0].tensors["weight"])  # type: ignore[index, union-attr]


def test_an_experiment_is_left_with_fewer_neurons(tmp_path: Path) -> None:
    layers = [{**LAYERS[0], "out": 8}, LAYERS[1], FIRING, *LAYERS[3:]]
    made = run_experiment(experiment(layers, sparsity=0.6, structure="neurons"), tmp_path)
    (student,) = made.ensemble.students
    assert len(student.network[0].tensors["weight"]) < 8  # type: ignore[index, union-attr]


def test_recurrent_cells_and_students_without_synapses_are_refused(tmp_path: Path) -> None:
    recurrent = [{"kind": "Flatten"}, {"kind": "LIFRecurrentCell", "out": 4}, *LAYERS[-2:]]
    with pytest.raises(UnsupportedError, match="what its weights do is not known; prune by 'magnitude'"):
        run_experiment(experiment(recurrent, sparsity=0.5), tmp_path)
    with pytest.raises(InputError, match="the student has no synapses; leave pruning out"):
        run_experiment(experiment([{"kind": "Flatten"}, *LAYERS[-2:]], sparsity=0.5), tmp_path)
    with pytest.raises(InputError, match="no neurons between two maps without groups; set structure to"):
        check_synapses(student(groups=2), described(sparsity=0.5, structure="neurons"), spikes=False)
    assert prunable(nn.Sequential(nn.Flatten())) == []
