"""Quantisation-aware training: the weights of the forward pass are those of the compiled Program."""

import itertools
from dataclasses import replace

import norse.torch as norse
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from norse.torch.functional.leaky_integrator_box import LIBoxParameters
from norse.torch.functional.lif_box import LIFBoxParameters
from torch import nn

from sne_deploy.distill.schema.schedule import Schedule
from sne_deploy.distill.schema.students import StudentLoss
from sne_deploy.distill.students import quantise_aware
from sne_deploy.distill.students.dropout import uniform_subsets
from sne_deploy.distill.students.evaluate import evaluate_student
from sne_deploy.distill.students.head import fit_head
from sne_deploy.distill.students.joint import JointTask, tune_together
from sne_deploy.distill.students.quantise_aware import QuantisedRun, folded, stored_weights, tune_quantised
from sne_deploy.distill.students.simulate import flat_layers, is_integrator, simulate
from sne_deploy.distill.students.student import FeatureUnits, Lesson, StudentTask, train_student
from sne_deploy.distill.students.weight_grids import WeightGrid, weight_grids
from sne_deploy.distill.training.loop import Training
from sne_deploy.errors import InputError, UnsupportedError
from sne_deploy.frontend.norse.modules import layers_from_module
from sne_deploy.ir.program import Program
from sne_deploy.ir.registers import quantise_weights
from sne_deploy.model.ensemble import Encoder, Student
from sne_deploy.passes.pipeline import compile_student
from tests import reference
from tests.chip_registers import LOIHI1
from tests.networks import INPUT_SHAPE, TRAINED, iaf, li, li_box, lif_box, network

STEPS = 5
BITS = (2, 4, 8, 16)


def pooled() -> nn.Module:
    """Pools of thirds before a convolution and before a dense layer, neurons that join their currents."""
    torch.manual_seed(5)
    module = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        lif_box(),
        nn.AvgPool2d((1, 3)),
        nn.Conv2d(3, 4, (3, 1), padding=(1, 0), stride=(2, 1)),
        iaf(),
        nn.AvgPool2d((3, 1)),
        nn.Flatten(),
        nn.Linear(8, 4),
        li(),
    )
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(4.0)
    return module.eval()


def lif_box_of(tau_mem_inv: torch.Tensor) -> norse.LIFBoxCell:
    return norse.LIFBoxCell(LIFBoxParameters(tau_mem_inv=tau_mem_inv, v_th=torch.tensor(0.4)))


def varied() -> nn.Module:
    """Time constants of each neuron, and of each channel."""
    torch.manual_seed(6)
    channels = torch.tensor([300.0, 500.0, 900.0])[:, None, None].expand(3, 4, 4).clone()
    module = nn.Sequential(
        nn.Conv2d(1, 2, 3),
        lif_box(),
        nn.Conv2d(2, 3, 3, padding=1),
        lif_box_of(channels),
        nn.Flatten(),
        nn.Linear(48, 7),
        lif_box_of(torch.linspace(200.0, 1000.0, 7)),
        nn.Linear(7, 3),
        li_box(),
    )
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(3.0)
    return module.eval()


def some_network(name: str) -> nn.Module:
    return {"pooled": pooled, "varied": varied}.get(name, lambda: network(name))()


def readout(module: nn.Module) -> str:
    return "v_last" if is_integrator(list(flat_layers(module))[-1]) else "count"


def quantised_copy(module: nn.Module, shape: tuple[int, ...], steps: int, read: str, bits: int) -> nn.Module:
    """A folded copy with the weights that the compiler would store."""
    made = folded(module, shape).eval()
    grids = weight_grids(made, shape, steps, read, LOIHI1.narrowed(bits))
    with torch.no_grad():
        for name, value in stored_weights(made, grids).items():
            made.get_parameter(name).copy_(value)
    return made


def compiled(module: nn.Module, precision: str, bits: int = 8) -> Program:
    return compile_student(
        Student("s", layers_from_module(module), readout(module)),
        input_shape=INPUT_SHAPE,
        timesteps=STEPS,
        encoder=Encoder("constant"),
        precision=precision,
        formats=LOIHI1.narrowed(bits),
    )


def dequantised(module: nn.Module, bits: int) -> Program:
    """The floating-point Program with the fixed Program's weights, two synapses for one where it has two."""
    exact, fixed = compiled(module, "float"), compiled(module, "fixed", bits)
    synapses = []
    for synapse in fixed.synapses:
        lsb = 2.0 ** (LOIHI1.state_shift + synapse.weight_exp) / fixed.group(synapse.target).scale
        weights = synapse.weights.with_values(synapse.weights.values * lsb)
        synapses.append(replace(synapse, weights=weights, weight_exp=0, quantisation_snr_db=None))
    return replace(exact, synapses=tuple(synapses))


def matrices(program: Program) -> dict[tuple[str, str], np.ndarray]:
    """The sum of all synapses between two groups."""
    found: dict[tuple[str, str], np.ndarray] = {}
    for synapse in program.synapses:
        key = synapse.source, synapse.target
        found[key] = found.get(key, 0.0) + synapse.weights.matrix().toarray()
    return found


def samples(count: int = 2) -> torch.Tensor:
    return torch.rand(count, *INPUT_SHAPE, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("name", [*TRAINED, "pooled", "varied"])
def test_stored_weights_equal_the_dequantised_program(name, bits):
    """Weight by weight."""
    plain = folded(some_network(name), INPUT_SHAPE)
    expected = dequantised(plain, bits)
    rounded = quantised_copy(plain, INPUT_SHAPE, STEPS, readout(plain), bits)
    found, wanted = matrices(compiled(rounded, "float")), matrices(expected)
    assert set(found) == set(wanted)
    assert wanted
    for key, matrix in wanted.items():
        np.testing.assert_allclose(found[key], matrix, rtol=2e-6, atol=1e-7 * np.abs(matrix).max())


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("name", [*TRAINED, "pooled", "varied"])
def test_runs_on_the_programs_integers(name, bits):
    """Spike by spike, in the plain reference simulator."""
    plain = folded(some_network(name), INPUT_SHAPE)
    program, x = compiled(plain, "fixed", bits), samples()
    with torch.no_grad():
        run = QuantisedRun(INPUT_SHAPE, bits)(plain, x, STEPS, readout(plain))
    walked = reference.simulate(program, x.numpy())
    outputs = program.readout_in_units(np.array(walked.raw_outputs))
    np.testing.assert_allclose(run.outputs.numpy(), outputs, rtol=2e-6, atol=1e-6)
    spiking = [group.name for group in program.groups if group.spiking]
    for group, rate in zip(spiking, run.rates, strict=True):
        raster = np.array(walked.layers[group].raster)
        assert np.array_equal((rate * STEPS).round().flatten(1).numpy(), raster.sum(axis=1))
    assert sum(float(rate.sum()) for rate in run.rates) > 0


def test_few_bits_change_weights_and_folding_does_not():
    module = network("convolutional")
    plain = folded(module, INPUT_SHAPE)
    x = samples()
    with torch.no_grad():
        outputs = [simulate(m, x, STEPS, "v_last").outputs for m in (module, plain)]
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-4, atol=1e-5)
    rounded = quantised_copy(module, INPUT_SHAPE, STEPS, "v_last", 3)
    pairs = dict(plain.named_parameters()), dict(rounded.named_parameters())
    assert torch.equal(pairs[0]["0.weight"], pairs[1]["0.weight"])  # on the host
    assert not torch.equal(pairs[0]["3.weight"], pairs[1]["3.weight"])
    assert len(pairs[1]["3.weight"].unique()) <= 8
    assert not any(isinstance(part, nn.BatchNorm2d) for part in plain.modules())
    assert all(parameter.requires_grad for parameter in plain.parameters())


def test_biases_on_an_axon_are_quantised_with_the_others():
    """The second layer of ``dense`` keeps synaptic currents, so that its bias is a weight."""
    plain = folded(network("dense"), INPUT_SHAPE)
    rounded = quantised_copy(plain, INPUT_SHAPE, STEPS, "v_last", 2)
    changed = {
        name
        for (name, before), after in zip(plain.named_parameters(), rounded.parameters(), strict=True)
        if not torch.equal(before, after)
    }
    assert changed == {"3.weight", "3.bias", "5.weight", "5.bias"}


@pytest.mark.parametrize("name", ["dense", "convolutional"])
def test_the_gradient_is_that_at_the_stored_weights(name):
    """But for the rounding of states, which 8 bits leave without another spike here."""
    plain = folded(network(name), INPUT_SHAPE)
    rounded = quantised_copy(plain, INPUT_SHAPE, STEPS, "v_last", 8).requires_grad_(True)
    x = samples(4)
    runs = QuantisedRun(INPUT_SHAPE)(plain, x, STEPS, "v_last"), simulate(rounded, x, STEPS, "v_last")
    assert all(torch.equal(one, other) for one, other in zip(*(run.rates for run in runs), strict=True))
    for run in runs:
        run.outputs.square().sum().backward()
    for one, other in zip(plain.parameters(), rounded.parameters(), strict=True):
        if other.grad is not None:
            assert (one.grad - other.grad).norm() < 1e-3 * other.grad.norm()


def test_recurrent_weights_learn_without_their_diagonal():
    plain = folded(network("recurrent"), INPUT_SHAPE)
    QuantisedRun(INPUT_SHAPE, 4)(plain, samples(4), STEPS, "v_last").outputs.square().sum().backward()
    gradient = plain.get_parameter("1.recurrent_weights").grad
    assert gradient.any()
    assert not gradient.diagonal().any()


@given(
    seed=st.integers(0, 2**31),
    bits=st.integers(2, 8),
    exponent=st.integers(-8, 2),
    mode=st.sampled_from(["mixed", "excitatory", "inhibitory"]),
)
def test_a_grid_is_the_compilers_rounding(seed, bits, exponent, mode):
    values = np.random.default_rng(seed).normal(size=(3, 4))
    lsb, factor = 2.0**exponent / 100, np.array([[0.5], [0.25], [1.0]])
    formats = LOIHI1.narrowed(bits)
    nearest = WeightGrid(factor, ((lsb, mode),), formats).nearest(values)
    integers, _ = quantise_weights(values * factor, lsb, formats.weight_range(mode))
    assert np.array_equal(nearest, integers * lsb / factor)
    assert np.array_equal(WeightGrid(factor, ((lsb, mode),), formats).nearest(nearest), nearest)


def test_it_is_compiled_every_so_many_steps_and_rounded_at_each(monkeypatch):
    plain, compilations = folded(network("dense"), INPUT_SHAPE), []
    original = quantise_aware.on_chip

    def counted(*arguments: object):
        compilations.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(quantise_aware, "on_chip", counted)
    run, outputs = QuantisedRun(INPUT_SHAPE, 4, every=3), []
    for _ in range(7):
        with torch.no_grad():
            outputs.append(run(plain, samples(), STEPS, "v_last").outputs)
            plain.get_parameter("5.weight").mul_(1.2)
    assert len(compilations) == 3
    assert all(not torch.equal(a, b) for a, b in itertools.pairwise(outputs))


def small() -> nn.Sequential:
    box = LIFBoxParameters(tau_mem_inv=torch.tensor(500.0), v_th=torch.tensor(0.3), alpha=torch.tensor(10.0))
    cell = norse.LIBoxCell(LIBoxParameters(tau_mem_inv=torch.tensor(250.0)))
    return nn.Sequential(
        nn.Linear(6, 24),
        nn.BatchNorm1d(24),
        norse.LIFBoxCell(box),
        nn.Linear(24, 16),
        nn.BatchNorm1d(16),
        norse.LIFBoxCell(box),
        nn.Linear(16, 2),
        cell,
    )


def test_tuning_recovers_what_few_bits_lose():
    inputs = torch.rand(128, 6, generator=torch.Generator().manual_seed(0))
    features = torch.stack([inputs[:, 0] - inputs[:, 1], inputs[:, 2:].sum(1)], dim=1)
    labels = (features[:, 0] > 0).long()
    task = StudentTask(8, "v_mean", StudentLoss())
    units = FeatureUnits.of(features)
    lesson = Lesson(inputs, labels, (features,))
    first = Training(Schedule(epochs=25, batch_size=32, learning_rate=1e-2))
    trained = train_student(small, lesson, task, first).module

    def loss(module: nn.Module) -> float:
        with torch.no_grad():
            on_chip = QuantisedRun((6,), 2)(folded(module, (6,)), inputs, task.timesteps, task.readout)
        return units.loss(on_chip.outputs, features).item()

    state = {name: value.clone() for name, value in trained.state_dict().items()}
    further = Training(Schedule(epochs=15, batch_size=32, learning_rate=5e-3))
    tuned = tune_quantised(trained, lesson, task, further, weight_bits=2, every=4)
    control = train_student(lambda: folded(trained, (6,)), lesson, task, further)
    assert loss(tuned.module) < 0.8 * min(loss(trained), loss(control.module))
    assert loss(tuned.module) == pytest.approx(tuned.log[-1]["feature"], rel=0.02)
    assert all(torch.equal(value, state[name]) for name, value in trained.state_dict().items())


def test_students_are_tuned_together_with_quantised_weights():
    inputs = torch.rand(48, 6, generator=torch.Generator().manual_seed(0))
    labels = (inputs[:, 0] > inputs[:, 1]).long()
    networks = []
    for seed in range(2):
        torch.manual_seed(seed)
        networks.append(folded(small().eval(), (6,)))
    outputs = [evaluate_student(network, inputs, 6, "v_mean").outputs for network in networks]
    task = JointTask(6, "v_mean", dropout=uniform_subsets)
    lesson = Lesson(inputs, labels, (inputs[:, :2], inputs[:, 2:4]))
    head, training = (
        fit_head(outputs, labels.numpy()),
        Training(Schedule(epochs=2, batch_size=16, learning_rate=1e-3)),
    )
    quantised = tune_together(
        networks, head, lesson, replace(task, run=QuantisedRun((6,), 2, every=2)), training
    )
    plain = tune_together(networks, head, lesson, task, training)
    assert quantised.log[0]["feature"] != plain.log[0]["feature"]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            [nn.Conv2d(2, 2, 1), nn.AvgPool2d(2), lif_box()],
            r"3 \(AvgPool2d\) follows 2: put it before the map",
        ),
        (
            [nn.AvgPool2d(2, stride=1), nn.Conv2d(2, 2, 1), lif_box()],
            r"2 \(AvgPool2d\): windows of \(2, 2\) at strides of \(1, 1\) overlap",
        ),
        ([nn.MaxPool2d(2), lif_box()], r"2 \(MaxPool2d\): of pools, AvgPool2d alone"),
        ([nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1), lif_box()], r"3 \(Conv2d\) follows 2 without neurons"),
        ([nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1), li_box()], r"3 \(Conv2d\) follows 2 without neurons"),
    ],
)
def test_refuses_weights_that_are_sums(layers, message):
    student = nn.Sequential(nn.Conv2d(1, 2, 3), lif_box(), *layers).eval()
    plain = folded(student, INPUT_SHAPE)
    with pytest.raises(UnsupportedError, match=rf"quantisation-aware training: {message}"):
        QuantisedRun(INPUT_SHAPE)(plain, samples(), STEPS, readout(plain))


def test_refuses_a_weight_that_meets_neurons_of_different_time_constants():
    rates = torch.linspace(200.0, 900.0, 32).reshape(2, 4, 4)
    layers = [nn.Conv2d(1, 2, 3), lif_box(), nn.Conv2d(2, 2, 1), lif_box_of(rates)]
    plain = folded(nn.Sequential(*layers).eval(), INPUT_SHAPE)
    with pytest.raises(InputError, match=r"2\.weight: neurons of one channel have different time constants"):
        QuantisedRun(INPUT_SHAPE)(plain, samples(), STEPS, "count")


def test_before_the_first_neurons_any_map_will_do():
    layers = [nn.Conv2d(1, 2, 3), nn.AvgPool2d(2, stride=1), nn.Conv2d(2, 2, 1), lif_box(), nn.Flatten()]
    student = nn.Sequential(*layers, nn.Linear(18, 3), li_box()).eval()
    plain = folded(student, INPUT_SHAPE)
    run = QuantisedRun(INPUT_SHAPE, 3)(plain, samples(), STEPS, "v_last")
    rounded = quantised_copy(plain, INPUT_SHAPE, STEPS, "v_last", 3)
    assert torch.equal(rounded.get_parameter("2.weight"), plain.get_parameter("2.weight"))
    assert run.outputs.shape == (2, 3)


def test_refuses_options():
    with pytest.raises(InputError, match="weight-bits 9"):
        QuantisedRun(INPUT_SHAPE, 9)
    with pytest.raises(InputError, match="every 0 steps must be at least 1"):
        QuantisedRun(INPUT_SHAPE, 8, every=0)
