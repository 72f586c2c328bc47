"""Norse's encoder modules in front of a network: what they become, and what contradicts them."""

from __future__ import annotations

from typing import Any

import norse.torch as norse
import numpy as np
import pytest
import torch
from torch import nn

import sne_deploy as sne
from sne_deploy.data.encode import encode
from sne_deploy.errors import InputError, UnsupportedError

STEPS = 40
P = norse.LIFParameters(tau_mem_inv=torch.tensor(150.0), v_th=torch.tensor(0.4), v_reset=torch.tensor(-0.1))


def ensemble(*modules: nn.Module, size: int = 12, **options: Any) -> sne.Ensemble:
    made = norse.SequentialState(*modules)
    return sne.ensemble([made], input_shape=(size,), timesteps=STEPS, **options)


def test_a_constant_current_becomes_neurons_on_the_input_itself() -> None:
    torch.manual_seed(0)
    encoder, linear, readout = norse.ConstantCurrentLIFEncoder(STEPS, P), nn.Linear(12, 3), norse.LICell()
    x = np.random.default_rng(0).uniform(-0.5, 2, (6, 12)).astype(np.float32)
    state, expected = None, None
    with torch.no_grad():
        for spikes in encoder(torch.tensor(x)):
            expected, state = readout(linear(spikes), state)
    limits = sne.Encoder("constant", (-0.5, 2.0))
    made = ensemble(encoder, linear, readout, encoder=limits)
    assert (made.encoder, ensemble(encoder, linear, readout).encoder) == (limits, sne.Encoder("constant"))
    assert [layer.kind for layer in made.students[0].network] == ["LIFBoxCell", "Linear", "LICell"]
    with sne.compile(made, target="norse") as compiled:
        result = compiled.run(x, record="spikes")
    np.testing.assert_allclose(result.logits, expected, rtol=1e-5, atol=1e-6)
    assert 0.05 < np.mean(result.students[0].spikes["lifboxcell_0"]) < 0.9


def test_what_is_said_of_a_constant_current_behind_a_map_helps() -> None:
    torch.manual_seed(1)
    linear, encoder = nn.Linear(12, 4), norse.ConstantCurrentLIFEncoder(STEPS, P)
    with pytest.raises(UnsupportedError, match=r"behind Linear; use LIFBoxCell there, .*encoder='constant'"):
        ensemble(linear, encoder, norse.LIF(), encoder="constant")
    values = (P.tau_mem_inv, P.v_leak, P.v_th, P.v_reset)
    box = norse.LIFBoxCell(norse.LIFBoxParameters(*values))
    x = np.random.default_rng(0).random((6, 12)).astype(np.float32)
    with torch.no_grad():
        linear.weight.mul_(4)
        expected = encoder(linear(torch.tensor(x))).sum(0).numpy()
    made = ensemble(linear, box, encoder="constant")
    with sne.compile(made, target="norse") as compiled:
        np.testing.assert_array_equal(compiled.run(x).logits, expected)
    assert 0 < expected.mean() < STEPS


def test_cells_behind_an_encoder_take_its_steps_one_by_one() -> None:
    """As Norse's examples run them; the module by itself would take the steps for samples."""
    (student,) = ensemble(norse.PoissonEncoder(STEPS), nn.Linear(12, 3), norse.LICell()).students
    assert any("checked step by step" in note for note in student.notes)
    (student,) = ensemble(norse.PoissonEncoder(STEPS), nn.Linear(12, 3), norse.LI()).students
    assert not student.notes


def test_poisson_spikes_have_its_rate() -> None:
    made = ensemble(norse.PoissonEncoder(STEPS, f_max=300, dt=0.002), nn.Linear(12, 3), norse.LICell())
    assert made.encoder == sne.Encoder("bernoulli", scale=300 * 0.002)
    assert [layer.kind for layer in made.students[0].network] == ["Linear", "LICell"]
    x = np.linspace(0, 1, 12)[None]
    ours = encode(made.encoder, x, 4000, seed=0).mean((0, 1))
    theirs = norse.PoissonEncoder(4000, f_max=300, dt=0.002)(torch.tensor(x)).mean((0, 1)).numpy()
    np.testing.assert_allclose(ours, 0.6 * x[0], atol=0.03)
    np.testing.assert_allclose(ours, theirs, atol=0.05)


def test_a_rate_above_one_always_spikes_as_norses_does() -> None:
    made = ensemble(norse.PoissonEncoder(STEPS, f_max=2000), nn.Linear(12, 3), norse.LICell())
    assert encode(made.encoder, np.full((1, 12), 0.6), 50, seed=0).all()


def test_an_estimate_takes_what_the_encoder_says() -> None:
    module = norse.SequentialState(norse.PoissonEncoder(STEPS), nn.Linear(12, 3), norse.LI())
    x = np.random.default_rng(0).random((4, 12), np.float32)
    result = sne.estimate(module, x, target="norse")
    assert (result.logits.shape, result.students[0].program.timesteps) == ((4, 3), STEPS)
    with pytest.raises(InputError, match="no time axis"):
        sne.estimate(norse.SequentialState(nn.Linear(12, 3), norse.LI()), x)


def test_other_steps_are_said() -> None:
    (student,) = ensemble(norse.PoissonEncoder(7), nn.Linear(12, 3), norse.LI()).students
    assert student.notes == (f"PoissonEncoder(seq_length=7) gives {STEPS} steps here, as timesteps= says",)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ("constant", "which is encoder 'bernoulli' with scale 0.1, but encoder 'constant' was given"),
        (sne.Encoder("bernoulli"), "with scale 0.1, but encoder 'bernoulli' was given; leave it out"),
        (sne.Encoder("bernoulli", (0, 2), 0.1), None),
    ],
)
def test_an_encoder_that_contradicts_is_refused(given: Any, match: str | None) -> None:
    modules = norse.PoissonEncoder(STEPS), nn.Linear(12, 3), norse.LICell()
    if match is None:
        assert ensemble(*modules, encoder=given).encoder == given
        return
    with pytest.raises(InputError, match=match):
        ensemble(*modules, encoder=given)
    assert ensemble(*modules[1:], encoder=given).encoder.kind  # without the module


def test_students_of_different_encoders_are_refused() -> None:
    network = nn.Linear(12, 3), norse.LICell()
    modules = [norse.SequentialState(*front, *network) for front in ([], [norse.PoissonEncoder(STEPS)])]
    with pytest.raises(
        InputError, match=r"'student0' none, 'student1' encoder 'bernoulli'.*give all of them"
    ):
        sne.ensemble(modules, input_shape=(12,), timesteps=STEPS)


LEAKY = norse.LIFParameters(v_leak=torch.tensor(0.1))
REFUSED = {
    "behind weights": (
        [nn.Linear(12, 4), norse.PoissonEncoder(STEPS)],
        r"1 \(PoissonEncoder\).*behind Linear",
    ),
    "behind neurons": (
        [norse.LIFCell(), norse.ConstantCurrentLIFEncoder(3)],
        "behind .*; use LIFBoxCell",
    ),
    "two": ([norse.PoissonEncoder(3), norse.ConstantCurrentLIFEncoder(3)], "behind .*; use LIFBoxCell"),
    "from 0": ([norse.ConstantCurrentLIFEncoder(3, LEAKY)], "v_leak is not 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_encoders_that_cannot_be_where_they_are(case: str) -> None:
    modules, match = REFUSED[case]
    with pytest.raises(UnsupportedError, match=match):
        ensemble(*modules, nn.Flatten(), norse.LICell())


def test_what_is_said_of_latencies_helps() -> None:
    encoder, network = norse.SpikeLatencyLIFEncoder(STEPS), [nn.Linear(12, 3), norse.LICell()]
    with pytest.raises(UnsupportedError, match=r"encoder='spikes'\) and x = encoder\("):
        ensemble(encoder, *network)
    data = np.random.default_rng(0).random((5, 12)) * 3
    x = encoder(torch.as_tensor(data)).transpose(0, 1).numpy()
    with sne.compile(ensemble(*network, encoder="spikes"), target="norse") as compiled:
        assert compiled.run(x).logits.shape == (5, 3)


def test_what_is_said_of_signed_spikes_helps() -> None:
    """In the mean, two inputs without what is below 0 send what signed spikes do."""
    weight, x = torch.tensor([[2.0]]), np.array([[-0.8], [0.5]])
    both = nn.Linear(2, 1, bias=False)
    both.weight = nn.Parameter(torch.cat([weight, -weight], 1))
    readout = norse.LIBoxCell(norse.LIBoxParameters(tau_mem_inv=torch.tensor(1000.0)))
    made = sne.ensemble(
        norse.SequentialState(norse.PoissonEncoder(4000, 1000), both, readout),
        input_shape=(2,),
        timesteps=4000,
        readout="v_mean",
    )
    with pytest.raises(UnsupportedError, match="use two inputs for each, PoissonEncoder of x and of -x"):
        ensemble(norse.SignedPoissonEncoder(STEPS), nn.Linear(12, 3), norse.LICell())
    with sne.compile(made, target="norse") as compiled:
        got = compiled.run(np.clip(np.concatenate([x, -x], 1), 0, None)).logits
    np.testing.assert_allclose(got, 2 * x, atol=0.1)
