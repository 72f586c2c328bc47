"""Fan-out: against the compiler's matrices, one-spike experiments in torch, and counted operations."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from torch import nn

import sne_deploy as sne
from sne_deploy.distill.losses import synop_cost
from sne_deploy.distill.students.fan_out import fan_outs
from sne_deploy.distill.students.simulate import flat_layers, is_integrator, is_neuron, simulate
from sne_deploy.errors import UnsupportedError
from sne_deploy.frontend.norse.modules import layers_from_module
from sne_deploy.ir.fan_out import fan_out
from sne_deploy.ir.weights import ConvWeights, DenseWeights, SparseWeights
from sne_deploy.model.ensemble import Encoder, Student
from sne_deploy.passes.pipeline import compile_student
from tests.chip_registers import LOIHI1
from tests.networks import INPUT_SHAPE, TRAINED, iaf, li_box, lif_box, network


@given(data=st.data(), seed=st.integers(0, 2**31))
def test_every_form_of_weights_has_the_fan_out_of_its_matrix(data, seed):
    rng = np.random.default_rng(seed)
    pick = lambda *options: data.draw(st.sampled_from(options))  # noqa: E731
    groups, k, stride, padding, dilation = pick(1, 2), pick(1, 2, 3), pick(1, 2, 3), pick(0, 1, 2), pick(1, 2)
    kernel = rng.integers(-1, 2, (4, 6 // groups, k, 2)).astype(float)
    height = (7 + 2 * padding - dilation * (k - 1) - 1) // stride + 1
    width = (6 - dilation - 1) // 1 + 1 + 2
    conv = ConvWeights(
        kernel, (6, 7, 6), (4, height, width), (stride, 1), (padding, 1), (dilation, dilation), groups
    )
    matrix = sparse.random(5, 9, density=0.4, random_state=rng, format="csr")
    matrix.data[::3] = 0.0  # stored, but no synapse
    for weights in (conv, SparseWeights(matrix), DenseWeights(rng.integers(-1, 2, (5, 3)).astype(float))):
        expected = np.diff(sparse.csc_matrix(weights.matrix()).indptr)
        assert np.array_equal(fan_out(weights), expected)


def pooled() -> nn.Module:
    """Overlapping pools, a convolution before a pool, two linear maps in a row."""
    return nn.Sequential(
        nn.Conv2d(1, 3, 3),
        lif_box(),
        nn.AvgPool2d(2, stride=1),
        nn.Conv2d(3, 4, 2, stride=2, padding=1),
        iaf(),
        nn.Conv2d(4, 2, 2, padding=1),
        nn.AvgPool2d(2),
        lif_box(),
        nn.Flatten(),
        nn.Linear(2, 6),
        nn.Linear(6, 5),
        li_box(),
    )


def some_network(name: str) -> nn.Module:
    if name != "pooled":
        return network(name)
    torch.manual_seed(1)
    module = pooled()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(6.0)
    return module.eval()


def reached_by_one_spike(module: nn.Module) -> list[np.ndarray]:
    """For each spiking layer, the inputs of the next neurons that change where one neuron spikes."""
    layers = list(flat_layers(module))
    shapes = [
        tuple(rate.shape[1:])
        for rate in simulate(module, torch.zeros(1, *INPUT_SHAPE), 1, readout(module)).rates
    ]
    places = [i for i, layer in enumerate(layers) if is_neuron(layer) and not is_integrator(layer)]
    found = []
    for place, shape in zip(places, shapes, strict=True):
        spikes = torch.eye(int(np.prod(shape)), dtype=torch.float64).reshape(-1, *shape)
        counts = np.zeros(len(spikes))
        if hasattr(layers[place], "recurrent_weights"):
            counts += (layers[place].recurrent_weights != 0).sum(0).numpy()
        behind = layers[place + 1 :]
        if behind:
            stop = next(i for i, layer in enumerate(behind) if is_neuron(layer))
            with torch.no_grad():
                path = nn.Sequential(*behind[:stop]).double()
                effect = (path(spikes) - path(torch.zeros_like(spikes))).flatten(1)
                nn.Sequential(*behind[:stop]).float()
            counts += (effect.abs() > 1e-12).sum(1).numpy()
        found.append(counts.reshape(shape))
    return found


def readout(module: nn.Module) -> str:
    return "v_last" if is_integrator(list(flat_layers(module))[-1]) else "count"


@pytest.mark.parametrize("name", [*TRAINED, "pooled"])
def test_equals_what_one_spike_reaches_and_the_compiled_program(name):
    module = some_network(name)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    found = fan_outs(module, INPUT_SHAPE)
    expected = reached_by_one_spike(module)
    assert [tuple(f.shape) for f in found] == [e.shape for e in expected]
    assert all(np.array_equal(f.numpy(), e) for f, e in zip(found, expected, strict=True))
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    student = Student("s", layers_from_module(module), readout(module))
    program = compile_student(
        student,
        input_shape=INPUT_SHAPE,
        timesteps=4,
        encoder=Encoder("constant"),
        precision="float",
        formats=LOIHI1,
    )
    spiking = [group for group in program.groups if group.spiking]
    for group, counts in zip(spiking, found, strict=True):
        columns = [
            np.diff(sparse.csc_matrix(synapse.weights.matrix()).indptr)
            for synapse in program.synapses
            if synapse.source == group.name
        ]
        assert np.array_equal(
            counts.flatten().numpy(), np.sum(columns, axis=0) if columns else 0 * counts.flatten()
        )


@pytest.mark.parametrize("name", ["convolutional", "dense", "counting", "pooled"])
def test_the_loss_is_what_target_norse_counts(name):
    module, steps = some_network(name), 6
    x = torch.rand(5, *INPUT_SHAPE, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        run = simulate(module, x, steps, readout(module))
    cost = synop_cost(run.rates, fan_outs(module, INPUT_SHAPE), steps, reference=1.0)
    group = sne.ensemble([module], input_shape=INPUT_SHAPE, timesteps=steps, encoder=Encoder("constant"))
    with sne.compile(group, target="norse") as compiled:
        counted = compiled.run(x.numpy()).students[0]
    assert counted.synops.mean() > 0
    biases = sum(
        synapse.weights.matrix().nnz * steps
        for synapse in compiled.programs[0].synapses
        if synapse.source == "always_on"
    )
    assert cost.item() == pytest.approx(counted.synops.mean() - biases, rel=1e-5)


def test_a_pruned_weight_is_no_synapse():
    module = network("dense")
    with torch.no_grad():
        module[4].weight[:, 3] = 0.0
    counts = fan_outs(module, INPUT_SHAPE)[0]
    assert counts[3] == 0
    assert counts[4] == 8


def test_what_cannot_be_compiled_is_refused():
    with pytest.raises(UnsupportedError, match="FractionalMaxPool2d"):
        fan_outs(nn.Sequential(nn.FractionalMaxPool2d(2, 2), lif_box()), INPUT_SHAPE)
