"""What is said of students between epochs: counted spike by spike, judged by fits to other samples."""

from __future__ import annotations

from collections.abc import Sequence

import norse.torch as norse
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from norse.torch.functional.leaky_integrator_box import LIBoxParameters
from norse.torch.functional.lif_box import LIFBoxParameters
from torch import nn

from sne_deploy.distill.schema.schedule import Schedule
from sne_deploy.distill.schema.students import StudentLoss
from sne_deploy.distill.students import watch
from sne_deploy.distill.students.joint import JointModel, JointTask
from sne_deploy.distill.students.student import StudentTask
from sne_deploy.distill.students.watch import FOLDS, Held, predicted_classes
from sne_deploy.distill.training.epochs import Seen
from sne_deploy.distill.training.loop import Training, fit
from sne_deploy.model.ensemble import Head
from tests.effort import examples

TASK = StudentTask(6, "v_mean")


class Learner(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network


def student(seed: int, outputs: int = 3) -> nn.Sequential:
    torch.manual_seed(seed)
    box = LIFBoxParameters(tau_mem_inv=torch.tensor(500.0), v_th=torch.tensor(0.2))
    readout = norse.LIBoxCell(LIBoxParameters(tau_mem_inv=torch.tensor(250.0)))
    network = nn.Sequential(
        nn.Linear(5, 8), norse.LIFBoxCell(box), nn.Linear(8, 4), norse.LIFBoxCell(box), nn.Linear(4, outputs)
    )
    with torch.no_grad():
        network[2].weight[torch.rand(4, 8) < 0.4] = 0.0
        network[4].weight[0, 1] = 0.0
    return nn.Sequential(*network, readout).eval()


def held(samples: int = 40) -> Held:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(samples) % 3
    return Held(2 * torch.rand(samples, 5, generator=generator) + y[:, None] / 2, y)


def counted(network: nn.Sequential, x: torch.Tensor) -> tuple[float, float]:
    """Spikes and SynOps per sample, step by step and synapse by synapse."""
    states: list[object] = [None] * len(network)
    spikes, synops = 0, 0
    with torch.no_grad():
        for _ in range(TASK.timesteps):
            value = x
            for index, layer in enumerate(network):
                if not isinstance(layer, nn.Linear):
                    value, states[index] = layer(value, states[index])
                if isinstance(layer, norse.LIFBoxCell):
                    fired = value.numpy()
                    spikes += int(fired.sum())
                    following = network[index + 1].weight.detach().numpy()
                    synops += sum(
                        int(np.count_nonzero(following[:, neuron])) for _, neuron in np.argwhere(fired)
                    )
                if isinstance(layer, nn.Linear):
                    value = layer(value)
    return spikes / len(x), synops / len(x)


def test_spikes_and_synops_are_those_of_a_plain_loop() -> None:
    samples, networks = held(), [student(1), student(2)]
    assert all(spikes > 1 for spikes, _ in (counted(one, samples.x) for one in networks))
    seen = watch.watch_student(samples, TASK, [])(Learner(networks[0]))
    assert (seen.spikes, seen.synops) == pytest.approx(counted(networks[0], samples.x))
    assert seen.accuracy == seen.ensemble_accuracy
    head = Head("linear", np.zeros((3, 6)), np.zeros(3), np.zeros(6))
    joint = JointModel(networks, head, JointTask(6, loss=StudentLoss())).eval()
    both = watch.watch_together(samples, TASK)(joint)
    assert (both.spikes, both.synops) == pytest.approx(
        tuple(np.add(*(counted(one, samples.x) for one in networks)))
    )
    assert both.accuracy is None
    assert both.ensemble_accuracy == pytest.approx(float((samples.y == 0).double().mean()))


def test_the_ensemble_is_the_student_beside_those_before() -> None:
    samples, networks = held(), [student(1), student(2)]
    seen = watch.watch_student(samples, TASK, networks[:1])(Learner(networks[1]))
    outputs = [torch.from_numpy(samples.run(one, TASK).outputs) for one in networks]
    alone, both = (predicted_classes(found, samples.y) for found in (outputs[1], torch.cat(outputs[::-1], 1)))
    assert seen.accuracy == float((alone == samples.y).double().mean())
    assert seen.ensemble_accuracy == float((both == samples.y).double().mean())
    task = StudentTask(6, loss=StudentLoss(feature=0, cross_entropy=1), direct=True)
    logits = watch.watch_student(samples, task, networks[:1])(Learner(networks[1]))
    assert logits.accuracy == float((outputs[1].argmax(1) == samples.y).double().mean())
    assert logits.ensemble_accuracy == float(
        ((outputs[0] + outputs[1]).argmax(1) == samples.y).double().mean()
    )


@settings(max_examples=examples(20))
@given(seed=st.integers(0, 99), fold=st.integers(0, FOLDS - 1))
def test_no_sample_is_judged_by_a_fit_to_its_own_label(seed: int, fold: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (30,), generator=generator)
    labels[:10] = torch.tensor([0] * 5 + [2] * 5)  # in every fold: as many classes, whatever is changed
    outputs = torch.randn(30, 4, generator=generator, dtype=torch.float64)
    own = torch.arange(30) % FOLDS == fold
    others = torch.where(own, 2 - labels, labels)
    found = [predicted_classes(outputs, given)[own] for given in (labels, others)]
    assert torch.equal(*found)


def test_the_fit_is_the_least_of_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.linear_model import LogisticRegression

    monkeypatch.setattr(watch, "STEPS", 4000)
    generator = torch.Generator().manual_seed(3)
    labels = torch.randint(0, 4, (100,), generator=generator)
    outputs = torch.randn(100, 5, generator=generator, dtype=torch.float64)
    outputs[:, 0] += labels / 2
    found = predicted_classes(outputs, labels).numpy()
    x = ((outputs - outputs.mean(0)) / outputs.std(0, correction=0)).numpy()
    x = np.concatenate([x, np.ones((100, 1))], axis=1)
    for fold in range(FOLDS):
        own = np.arange(100) % FOLDS == fold
        model = LogisticRegression(
            C=1 / (watch.L2 * (~own).sum()), fit_intercept=False, tol=1e-10, max_iter=9999
        )
        assert (found[own] == model.fit(x[~own], labels.numpy()[~own]).predict(x[own])).all()


@settings(max_examples=examples(10))
@given(seed=st.integers(0, 2**32 - 1), dropout=st.floats(0.1, 0.9))
def test_what_a_watch_draws_is_not_the_trainings(seed: int, dropout: float) -> None:
    x, y = torch.rand(12, 3, generator=torch.Generator().manual_seed(1)), torch.arange(12) % 2

    def trained(looks: bool) -> dict[str, torch.Tensor]:
        def look(module: nn.Module) -> Seen:
            torch.rand(7)
            assert not module.training
            assert not module(x).requires_grad
            return Seen(0.5)

        def loss(module: nn.Module, batch: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
            assert module.training
            return {"loss": nn.functional.cross_entropy(module(batch[0]), batch[1])}

        def build() -> nn.Module:
            return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(dropout), nn.Linear(4, 2))

        training = Training(Schedule(epochs=2, batch_size=4), seed, watch=look if looks else None)
        return fit(build, (x, y), loss, training).module.state_dict()

    plain, watched = trained(False), trained(True)
    assert all(torch.equal(plain[name], watched[name]) for name in plain)
