"""A student's loss: every term switched on its own, of the value that its definition gives."""

import norse.torch as norse
import pytest
import torch
from norse.torch.functional.leaky_integrator_box import LIBoxParameters
from norse.torch.functional.lif_box import LIFBoxParameters
from pydantic import ValidationError
from torch import nn

from sne_deploy.distill import losses
from sne_deploy.distill.losses import training_variance
from sne_deploy.distill.schema.schedule import Schedule
from sne_deploy.distill.schema.students import StudentLoss
from sne_deploy.distill.students.fan_out import fan_outs
from sne_deploy.distill.students.simulate import simulate
from sne_deploy.distill.students.student import Lesson, StudentTask, train_student
from sne_deploy.distill.training.determinism import deterministic
from sne_deploy.distill.training.loop import Training
from sne_deploy.errors import InputError

STEPS = 6
TRAINING = Training(Schedule(epochs=1, batch_size=1000, learning_rate=1e-2), seed=3)
ONLY_FEATURE = StudentLoss()


def data(samples: int = 48) -> tuple[torch.Tensor, ...]:
    """Inputs, features, labels, logits of a teacher of three classes."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(samples, 6, generator=generator)
    features = torch.stack([inputs[:, 0] - inputs[:, 1], inputs[:, 2:].sum(1)], dim=1)
    logits = 5 * torch.cat([features - features.mean(0), torch.zeros(samples, 1)], dim=1)
    return inputs, features, logits.argmax(1), logits


def lesson(given: tuple[torch.Tensor, ...]) -> Lesson:
    inputs, features, labels, *logits = given
    return Lesson(inputs, labels, (features,), *logits)


def build() -> nn.Sequential:
    box = LIFBoxParameters(tau_mem_inv=torch.tensor(500.0), v_th=torch.tensor(0.3), alpha=torch.tensor(10.0))
    readout = norse.LIBoxCell(LIBoxParameters(tau_mem_inv=torch.tensor(250.0)))
    return nn.Sequential(
        nn.Linear(6, 16),
        norse.LIFBoxCell(box),
        nn.Linear(16, 12),
        norse.LIFBoxCell(box),
        nn.Linear(12, 2),
        readout,
    )


def first_terms(loss: StudentLoss, **options: object) -> dict[str, float]:
    """Of one step on one batch: the terms of the untrained network."""
    task = StudentTask(STEPS, "v_mean", loss, **options)
    return dict(train_student(build, lesson(data()), task, TRAINING).log[0])


def by_hand() -> dict[str, torch.Tensor]:
    inputs, features, labels, logits = data()
    with deterministic(TRAINING.seed, TRAINING.threads):
        classifier, network = nn.Linear(2, 3), build()
        with torch.no_grad():
            run = simulate(network, inputs, STEPS, "v_mean")
            predicted = run.outputs * training_variance(features).sqrt() + features.mean(0)
            own = classifier(run.outputs)
            price = fan_outs(network, (6,))
            return {
                "feature": losses.feature_distillation(predicted, features, training_variance(features)),
                "cross_entropy": losses.cross_entropy(own, labels),
                "logits": losses.logits_distillation(own, logits, 4.0, 2.0),
                "spike_rate": losses.spike_rate(run.rates, 0.2),
                "hoyer": losses.hoyer([current / (0.3 / 0.5) for current in run.currents]),
                "synops": losses.synop_cost(run.rates, price, STEPS),
            }


@pytest.mark.parametrize("name", ["feature", "cross_entropy", "logits", "spike_rate", "hoyer", "synops"])
def test_each_term_is_its_weight_times_its_definition(name):
    silent = StudentLoss(feature=1.0, target_rate=0.2, tau_student=4.0, tau_teacher=2.0)
    terms = first_terms(silent.model_copy(update={name: 0.7}))
    assert set(terms) == {"feature", name}
    assert terms[name] == pytest.approx(0.7 * by_hand()[name].item(), rel=1e-5)
    assert by_hand()[name] > 0


def test_logits_alone_teach_the_teachers_classes():
    task = StudentTask(
        STEPS, "v_mean", StudentLoss(feature=0.0, logits=1.0, tau_student=1.0, tau_teacher=2.0)
    )
    schedule = Schedule(epochs=20, batch_size=24, learning_rate=2e-2)
    log = train_student(build, lesson(data(96)), task, Training(schedule)).log
    assert set(log[0]) == {"logits"}
    assert log[-1]["logits"] < 0.5 * log[0]["logits"]


def test_the_price_of_spikes_lowers_their_operations():
    inputs, features, labels, _ = data(96)
    schedule = Schedule(epochs=10, batch_size=24, learning_rate=1e-2)

    def operations(weight: float) -> float:
        task = StudentTask(STEPS, "v_mean", StudentLoss(feature=1.0, synops=weight))
        network = train_student(build, lesson((inputs, features, labels)), task, Training(schedule)).module
        with torch.no_grad():
            rates = simulate(network, inputs, STEPS, "v_mean").rates
        return losses.synop_cost(rates, fan_outs(network, (6,)), STEPS).item()

    assert operations(5.0) < 0.5 * operations(0.0)


def test_a_teacher_that_no_term_asks_changes_nothing():
    inputs, features, labels, _ = data()
    task, schedule = StudentTask(STEPS), Schedule(epochs=2, batch_size=16, learning_rate=1e-2)
    without = train_student(build, lesson((inputs, features, labels)), task, Training(schedule))
    logits = torch.nn.functional.one_hot(labels, int(labels.max()) + 1).float()
    given = train_student(build, lesson((inputs, features, labels, logits)), task, Training(schedule))
    assert without.log == given.log
    states = without.module.state_dict(), given.module.state_dict()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_the_given_way_to_run_is_used():
    def run(network: nn.Module, inputs: torch.Tensor, timesteps: int, readout: str, lengths: None):
        return simulate(network, torch.zeros_like(inputs), timesteps, readout, lengths)

    assert first_terms(ONLY_FEATURE, run=run)["feature"] != first_terms(ONLY_FEATURE)["feature"]


def test_refuses():
    inputs, features, labels, logits = data()
    task = StudentTask(STEPS, "v_mean", StudentLoss(logits=0.5))
    with pytest.raises(InputError, match=r"logits 0\.5 needs the teacher's logits; give teacher_logits"):
        train_student(build, lesson((inputs, features, labels)), task, TRAINING)
    with pytest.raises(InputError, match="label 2 is beyond the teacher's 2 classes"):
        train_student(build, lesson((inputs, features, labels, logits[:, :2])), task, TRAINING)
    for change in ({"tau_teacher": 0.0}, {"tau_student": -1.0}):
        with pytest.raises(ValidationError, match=rf"{next(iter(change))}\n.*greater than 0"):
            StudentLoss(**change)
    for change in ({"logits": -1.0}, {"synops": float("nan")}):
        with pytest.raises(ValidationError, match=rf"{next(iter(change))}\n.*(greater|finite)"):
            StudentLoss(**change)
