"""Networks that end in a linear map: what is read is what the module gives."""

import norse.torch as norse
import numpy as np
import pytest
import torch
from torch import nn

import sne_deploy as sne
from sne_deploy.frontend.norse.readout import with_readout
from sne_deploy.model.ensemble import Layer

STEPS = 30
P = norse.LIFParameters(v_th=torch.tensor(0.3))
ENDS = {
    "Linear": [nn.Linear(8, 3), nn.Dropout(0.5)],
    "BatchNorm1d": [nn.Linear(8, 3, bias=False), nn.BatchNorm1d(3)],
}


@pytest.mark.parametrize("readout", [None, "v_last", "v_max"])
@pytest.mark.parametrize("end", ENDS)
def test_a_linear_map_at_the_end_is_read_as_it_is(end: str, readout: str | None) -> None:
    torch.manual_seed(1)
    module = norse.SequentialState(nn.Linear(5, 8), norse.LIFCell(P), *ENDS[end]).eval()
    x = (np.random.default_rng(0).random((4, STEPS, 5)) < 0.6).astype(np.float32)
    outputs, state = [], None
    with torch.no_grad():
        module[0].weight.mul_(5)
        for t in range(STEPS):
            output, state = module(torch.tensor(x[:, t]), state)
            outputs.append(output.numpy())
    steps = np.stack(outputs)
    read = {None: lambda v: v.mean(0), "v_last": lambda v: v[-1], "v_max": lambda v: v.max(0)}[readout]
    ensemble = sne.ensemble([module], input_shape=(5,), timesteps=STEPS, readout=readout)
    with sne.compile(ensemble, target="norse") as compiled:
        result = compiled.run(x)
    np.testing.assert_allclose(result.logits, read(steps), rtol=1e-5, atol=1e-6)
    assert np.ptp(steps, axis=0).min() > 0.01, "an output without spikes proves nothing"
    (note,) = ensemble.students[0].notes
    assert "ends in a linear map" in note
    assert "averaged" in note
    with sne.compile(ensemble, target="loihi") as compiled:
        fixed = compiled.run(x, record="spikes")
    spikes = torch.tensor(fixed.students[0].spikes["lifcell_1"], dtype=torch.float32)
    with torch.no_grad():
        end = nn.Sequential(*list(module)[2:])
        from_its_spikes = end(spikes.transpose(0, 1).flatten(0, 1)).reshape(STEPS, 4, 3).numpy()
    np.testing.assert_allclose(fixed.logits, read(from_its_spikes), atol=0.01 * np.abs(steps).max())
    assert any("ends in a linear map" in warning for warning in fixed.report.warnings)


@pytest.mark.parametrize("dt", [0.001, 0.003, 1 / 49, 0.7])
def test_what_is_added_keeps_nothing(dt: float) -> None:
    linear = Layer("Linear", {}, {"weight": np.ones((1, 1))})
    tensors = {name: np.array(0.5) for name in ("v_th", "v_reset")}
    layers, readout, notes = with_readout([Layer("IAFCell", {"dt": dt}, tensors), linear])
    assert layers[-1].tensors["tau_mem_inv"] * dt == pytest.approx(1, abs=2e-16)
    assert (readout, len(notes)) == ("v_mean", 1)


def test_what_ends_in_neurons_stays() -> None:
    for cell, readout in ((norse.LIFCell(P), "count"), (norse.LICell(), "v_last")):
        module = norse.SequentialState(nn.Linear(2, 2), norse.LIFCell(P), cell, nn.Flatten())
        (student,) = sne.ensemble([module], input_shape=(2,), timesteps=3).students
        assert [layer.kind for layer in student.network if layer.kind != "Flatten"][-1] == type(cell).__name__
        assert (student.readout, student.notes) == (readout, ())
