"""What NIR has no field for: kept in the files that we write, given for those of others."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import nir
import norse.torch as snn
import numpy as np
import pytest
import torch

import sne_deploy as sne
from sne_deploy.errors import GraphError, InputError
from sne_deploy.frontend.nir.facts import GROUP, Facts, facts_of, with_facts
from sne_deploy.frontend.nir.file import read_nir, write_nir
from sne_deploy.frontend.nir.resets import with_resets
from sne_deploy.ir.readout import READOUTS
from sne_deploy.report.notes import report_notes
from tests.effort import examples

STEPS, DT = 7, 0.001
ENCODERS = (
    sne.Encoder("spikes"),
    sne.Encoder("constant", (-1.0, 2.5)),
    sne.Encoder("bernoulli"),
    sne.Encoder("graded", (0.0, 9.0)),
)


RESETS = ("value", "subtract", "none")


def chain(outputs: str = "LI", gain: float = 60.0) -> nir.NIRGraph:
    """Two neurons behind three inputs, and an output that integrates or spikes; no metadata."""
    rng = np.random.default_rng(1)

    def each(value: float, size: int) -> np.ndarray:
        return np.full(size, value)

    leaky = nir.LIF(each(0.01, 4), each(10.0, 4), each(0.0, 4), each(1.0, 4), v_reset=each(0.0, 4))
    last: Any = nir.LI(each(0.02, 2), each(20.0, 2), each(0.0, 2))
    if outputs == "LIF":
        last = nir.LIF(each(0.02, 2), each(20.0, 2), each(0.0, 2), each(0.5, 2), v_reset=each(0.0, 2))
    nodes = {
        "input": nir.Input(np.array([3])),
        "fc": nir.Affine(rng.normal(0.3, 0.6, (4, 3)), rng.normal(0, 0.1, 4)),
        "lif": leaky,
        "out": nir.Linear(rng.normal(0, gain / 100, (2, 4))),
        "last": last,
        "output": nir.Output(np.array([2])),
    }
    names = list(nodes)
    return nir.NIRGraph(nodes, list(itertools.pairwise(names)), type_check=False)


def samples(encoder: sne.Encoder, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shape = (5, STEPS, 3) if encoder.timed else (5, 3)
    low, high = encoder.input_range
    if encoder.kind == "spikes":
        return (rng.random(shape) < 0.4).astype(np.uint8)
    return rng.uniform(low, high, shape)


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda encoder: encoder.kind)
@pytest.mark.parametrize("readout", READOUTS)
def test_what_we_write_comes_back(encoder: sne.Encoder, readout: Any, tmp_path: Path) -> None:
    """Over readouts, encoders and resets: the file alone gives the logits of the model that was saved."""
    graph = chain("LIF" if readout == "count" else "LI")
    first = (READOUTS.index(readout) + ENCODERS.index(encoder)) % len(RESETS)
    for reset in RESETS if examples(1) > 1 else (RESETS[first],):
        given = {"encoder": encoder.kind, "reset": reset, "timesteps": STEPS, "dt_s": DT, "readout": readout}
        if encoder.kind != "spikes":
            given["input_range"] = encoder.input_range
        model = sne.load(graph, **given)
        assert not any("assumed" in note for note in model.students[0].notes)
        with sne.compile(model, "norse") as compiled:
            result = compiled.run(samples(encoder))
        result.save(tmp_path)
        back = sne.load(tmp_path / "students" / "student0.nir")
        assert (back.encoder, back.timesteps, back.students[0].readout) == (encoder, STEPS, readout)
        assert not any("assumed" in note for note in back.students[0].notes)
        with sne.compile(back, "norse") as compiled:
            again = compiled.run(samples(encoder))
        np.testing.assert_array_equal(again.logits, result.logits)
        assert sne.load(tmp_path / "students", **given).encoder == encoder  # what it says is no contradiction
        if encoder.kind in ("spikes", "constant"):
            assert result.logits.any(), "a network that does nothing proves nothing"


def test_a_norse_module_comes_back(tmp_path: Path) -> None:
    torch.manual_seed(1)
    module = snn.SequentialState(
        torch.nn.Linear(10, 20), snn.LIFCell(), torch.nn.Linear(20, 4, bias=False), snn.LICell()
    )
    with torch.no_grad():
        module[0].weight.mul_(4)
        module[2].weight.mul_(4)
    x = (np.random.default_rng(0).random((9, 20, 10)) < 0.4).astype(np.uint8)
    x[:, 12:] = 0
    for readout in ("v_last", "v_mean", "v_max"):
        model = sne.ensemble(module, input_shape=10, timesteps=20, readout=readout, names=["net"])
        with sne.compile(model, "norse") as compiled:
            result = compiled.run(x)
        result.save(tmp_path)
        with sne.compile(tmp_path / "students" / "net.nir", "norse") as compiled:
            np.testing.assert_allclose(compiled.run(x).logits, result.logits, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"readout": "v_last"}, r"student0: readout v_last was given, but the file says v_max; leave it out"),
        ({"encoder": "constant"}, r"encoder constant in 0,1 was given, but the file says encoder bernoulli"),
        ({"input_range": (0, 2)}, r"encoder bernoulli in 0,2 was given, but the file says .* in 0,1; leave"),
        (
            {"reset": "subtract"},
            r"student0: reset subtract was given, but the file says another; leave it out",
        ),
        ({"dt_s": 0.002}, r"dt_s 0\.002 was given, but the graph says 0\.001; leave it out"),
        ({"gain": "full"}, r"gain full was given, but the file's constants are exact.*; leave it out"),
    ],
)
def test_a_contradiction_is_an_error(options: dict[str, Any], message: str) -> None:
    graph = with_facts(chain(), "v_max", sne.Encoder("bernoulli", scale=0.1), STEPS)
    graph.metadata["dt_s"] = DT
    assert sne.load(graph).encoder == sne.load(graph, encoder="bernoulli").encoder
    assert (sne.load(graph).timesteps, sne.load(graph).encoder.scale) == (STEPS, 0.1)
    with pytest.raises(InputError, match=message):
        sne.load(graph, **options)


def test_the_reset_of_each_node_is_held_to_what_the_file_says() -> None:
    mixed = with_resets(chain("LIF"), {"lif": "subtract"})
    mixed.metadata["dt_s"] = DT
    told = with_facts(mixed, "count", sne.Encoder("spikes"), STEPS)
    assert sne.load(told, reset={"lif": "subtract"}).timesteps == STEPS
    for wrong in ("subtract", {"last": "none"}):
        with pytest.raises(InputError, match="the file says another"):
            sne.load(told, reset=wrong)


def test_files_of_others_are_told_what_they_are() -> None:
    other = {"timesteps": STEPS, "dt_s": DT}
    silent = sne.load(chain(), **other)
    (note,) = silent.students[0].notes
    assert note == (
        "assumed, since the file does not say: readout v_last (--readout), input of spikes (--encoder), "
        "reset to v_reset (--reset)"
    )
    with sne.compile(silent, "norse") as compiled:
        report = compiled.run(samples(silent.encoder)).report
    assert report.assumed == (note,)
    assert note not in report.warnings
    assert ("assumed", note.removeprefix("assumed, ")) in report_notes(report)
    told = sne.load(chain(), readout="v_max", encoder="graded", input_range=(-3, 3), reset="value", **other)
    assert (told.students[0].readout, told.encoder) == ("v_max", sne.Encoder("graded", (-3.0, 3.0)))
    assert told.students[0].notes == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"readout": "count"}, r"readout count, but its outputs integrate; give v_last, v_mean or v_max"),
        ({"readout": "mean"}, "readout 'mean' is not one of count, v_last"),
        ({"encoder": "rate"}, "encoder 'rate' is not one of constant, bernoulli"),
        ({"input_range": (0, 4)}, r"give --encoder \(or encoder=\) too: constant, bernoulli or graded"),
        ({"encoder": "spikes", "input_range": (0, 4)}, "input_range 0,4 was given, but spikes are 0 and 1"),
        ({"encoder": "graded", "input_range": (4, 0)}, "two finite numbers, low < high"),
        ({"encoder": "graded", "input_range": 4}, "input_range 4 must be 2 numbers"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sne.load(chain(), timesteps=STEPS, dt_s=DT, **options)
    with pytest.raises(InputError, match="its outputs spike; give count, or leave it out"):
        sne.load(chain("LIF"), timesteps=STEPS, dt_s=DT, readout="v_max")


def test_graded_input_widens_what_takes_spikes(tmp_path: Path) -> None:
    """A file that says spikes takes counts where it is asked to; anything else is a contradiction."""
    model = sne.load(chain(), timesteps=STEPS, dt_s=DT)
    module = snn.SequentialState(torch.nn.Linear(3, 4), snn.LIFCell())
    sne.ensemble(module, input_shape=3, timesteps=STEPS).save(tmp_path / "m.pt")
    with sne.compile(model, "norse") as compiled:
        compiled.run(samples(model.encoder)).save(tmp_path)
    for path in (tmp_path / "m.pt", tmp_path / "students" / "student0.nir"):
        wide = sne.load(path, encoder="graded", input_range=(0, 9))
        assert wide.encoder == sne.Encoder("graded", (0.0, 9.0))
        with pytest.raises(InputError, match="encoder constant in 0,1 was given, but the file says encoder"):
            sne.load(path, encoder="constant")
    with pytest.raises(InputError, match="readout v_last was given"):
        sne.load(tmp_path / "m.pt", readout="v_last")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "version is 2, not 1; use a newer sne-deploy"),
        ({"readout": "v_median"}, "readout is 'v_median', not one of"),
        ({"encoder": 3.0}, "encoder '3.0' is not one of"),
        ({"input_range": np.array([1.0, 0.0])}, "two finite numbers, low < high"),
        ({"input_range": np.arange(3.0)}, "input_range must be two numbers"),
        ({"input_range": "wide"}, "input_range is missing or 'wide'"),
        ({"timesteps": 0}, "timesteps is 0, must be 1 to 1000000"),
        ({"timesteps": np.arange(4)}, "timesteps is missing or"),
        ({"readout": None}, "readout is 'None', not one of"),
    ],
)
def test_metadata_is_not_trusted(changes: dict[str, Any], message: str) -> None:
    graph = with_facts(chain(), "v_max", sne.Encoder("spikes"), STEPS)
    graph.metadata = {**graph.metadata, GROUP: {**graph.metadata[GROUP], **changes}}
    with pytest.raises(GraphError, match=message):
        sne.load(graph, dt_s=DT)
    del graph.metadata[GROUP]["encoder"]
    with pytest.raises(GraphError):
        facts_of(graph)


def test_a_group_that_is_none_and_graphs_without(tmp_path: Path) -> None:
    graph = chain()
    assert facts_of(graph) == Facts()
    graph.metadata[GROUP] = 1.0
    with pytest.raises(GraphError, match="metadata sne_deploy must be a group"):
        facts_of(graph)
    write_nir(tmp_path / "a.nir", with_facts(chain(), "v_mean", sne.Encoder("graded", (0.0, 3.0)), STEPS))
    assert facts_of(read_nir(tmp_path / "a.nir")) == Facts("v_mean", sne.Encoder("graded", (0.0, 3.0)), STEPS)
