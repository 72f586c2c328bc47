"""Whatever counts as a model becomes an Ensemble."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import norse.torch as snn
import numpy as np
import pytest
import torch

import sne_deploy as sne
from sne_deploy.errors import CheckpointError, GraphError, InputError, UnsupportedError
from sne_deploy.frontend.export import export_student
from sne_deploy.frontend.nir_file import write_nir
from tests.networks import INPUT_SHAPE, li_box, lif_box, network

STEPS = 5


def graph_file(path: Path, name: str = "dense", seed: int = 0) -> Path:
    """A .nir file that this project wrote: it says how long a step is."""
    student = sne.ensemble([network(name, seed)], input_shape=INPUT_SHAPE, timesteps=STEPS).students[0]
    write_nir(path, export_student(student, INPUT_SHAPE))
    return path


def bare_graph(path: Path, *, outputs: int = 2, inputs: int = 3, **changes: Any) -> Path:
    """A .nir file as others write it, without metadata."""
    nodes = {
        "input": nir.Input({"input": np.array([inputs])}),
        "fc": nir.Linear(np.full((outputs, inputs), 0.7)),
        "if": nir.IF(r=np.full(outputs, 1000.0), v_threshold=np.ones(outputs), v_reset=np.zeros(outputs)),
        "output": nir.Output({"output": np.array([outputs])}),
    } | changes
    nir.write(path, nir.NIRGraph(nodes=nodes, edges=[("input", "fc"), ("fc", "if"), ("if", "output")]))
    return path


def outputs(ensemble: sne.Ensemble, x: np.ndarray, target: str = "norse") -> np.ndarray:
    with sne.compile(ensemble, target, precision="float") as compiled:
        return compiled.run(x).logits


def spikes(seed: int = 0, steps: int = STEPS, shape: tuple[int, ...] = INPUT_SHAPE) -> np.ndarray:
    return (np.random.default_rng(seed).random((3, steps, *shape)) < 0.4).astype(np.uint8)


def test_a_graph_gives_what_its_module_gives(tmp_path: Path) -> None:
    live = sne.ensemble([network("dense")], input_shape=INPUT_SHAPE, timesteps=STEPS)
    loaded = sne.load(graph_file(tmp_path / "net one.nir"), timesteps=STEPS)
    assert [student.name for student in loaded.students] == ["net one"]
    assert (loaded.input_shape, loaded.timesteps) == (INPUT_SHAPE, STEPS)
    assert (loaded.encoder, loaded.head.kind, loaded.policy) == (
        sne.Encoder("spikes"), "mean", sne.ActivationPolicy(),
    )  # fmt: skip
    np.testing.assert_allclose(outputs(loaded, spikes()), outputs(live, spikes()), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("as_text", [False, True])
def test_several_graphs_are_an_ensemble_in_the_order_given(tmp_path: Path, as_text: bool) -> None:
    paths = [graph_file(tmp_path / f"{name}.nir", seed=seed) for name, seed in (("b", 1), ("a", 2))]
    loaded = sne.load([str(path) for path in paths] if as_text else paths, timesteps=STEPS)
    assert [student.name for student in loaded.students] == ["b", "a"]
    single = [outputs(sne.load(path, timesteps=STEPS), spikes()) for path in paths]
    np.testing.assert_array_equal(outputs(loaded, spikes()), (single[0] + single[1]) / 2)


def test_a_folder_of_graphs_is_sorted_and_ignores_the_rest(tmp_path: Path) -> None:
    for name in ("b", "a"):
        graph_file(tmp_path / f"{name}.nir")
    (tmp_path / "report.json").write_text("{}")
    assert [student.name for student in sne.load(tmp_path, timesteps=STEPS).students] == ["a", "b"]


def test_dt_is_taken_from_the_graph_or_from_the_caller(tmp_path: Path) -> None:
    own = graph_file(tmp_path / "own.nir")
    bare = bare_graph(tmp_path / "bare.nir")
    graph = sne.load(bare, timesteps=STEPS, dt_s=0.001).students[0].network
    assert isinstance(graph, nir.NIRGraph)
    assert graph.metadata["dt_s"] == 0.001
    assert sne.load(own, timesteps=STEPS, dt_s=0.001).students
    with pytest.raises(InputError, match=r"own: dt_s 0\.002 was given, but the graph says 0\.001"):
        sne.load(own, timesteps=STEPS, dt_s=0.002)
    with pytest.raises(InputError, match=r"bare: .*how long a step is; give --dt-s \(or dt_s=\) in seconds"):
        sne.load(bare, timesteps=STEPS)
    with pytest.raises(InputError, match=r"how many steps a sample lasts; give --timesteps \(or"):
        sne.load(own)


@pytest.mark.parametrize("dt_s", [0.0, -0.001, float("nan"), float("inf")])
def test_a_step_lasts_a_positive_time(tmp_path: Path, dt_s: float) -> None:
    with pytest.raises(InputError, match=r"dt_s .* positive"):
        sne.load(bare_graph(tmp_path / "bare.nir"), timesteps=STEPS, dt_s=dt_s)


def test_dt_means_what_it_says(tmp_path: Path) -> None:
    """NIR's IF integrates r x dt: with r = 1000 / s, a spike adds its weight in 1 ms, twice that in 2 ms."""
    path = bare_graph(tmp_path / "bare.nir")
    x = np.zeros((1, STEPS, 3), np.uint8)
    x[:, :, 0] = 1
    counts = [outputs(sne.load(path, timesteps=STEPS, dt_s=dt), x, "lava")[0, 0] for dt in (0.001, 0.002)]
    assert counts == [2, 5]  # 0.7, 1.4 -> spike, 0.7, 1.4 -> spike, 0.7; and 1.4 -> spike at each step


def test_files_that_are_no_ensemble(tmp_path: Path) -> None:
    graph = graph_file(tmp_path / "net.nir")
    with pytest.raises(InputError, match=r"x\.pt: an ensemble of several files is made of \.nir or \.net"):
        sne.load([graph, "x.pt", "y.net"], timesteps=STEPS)
    with pytest.raises(InputError, match=r"of \.nir files or of \.net files, not of both; give one kind"):
        sne.load([graph, "y.net"], timesteps=STEPS)
    with pytest.raises(InputError, match="got an empty list"):
        sne.load([])
    with pytest.raises(GraphError, match=r"gone\.nir"):
        sne.load(tmp_path / "gone.nir", timesteps=STEPS)
    with pytest.raises(CheckpointError, match=r"gone\.pt"):
        sne.load(tmp_path / "gone.pt")
    with pytest.raises(InputError, match="student names must be unique, got net, net"):
        sne.load([graph, graph], timesteps=STEPS)


def test_graphs_must_take_the_same_input(tmp_path: Path) -> None:
    one, two = bare_graph(tmp_path / "one.nir"), bare_graph(tmp_path / "two.nir", inputs=4)
    with pytest.raises(GraphError, match=r"must take the same input, got shapes \[\(3,\), \(4,\)\]"):
        sne.load([one, two], timesteps=STEPS, dt_s=0.001)


def test_graphs_joined_by_their_mean_need_equally_many_outputs(tmp_path: Path) -> None:
    one, two = bare_graph(tmp_path / "one.nir"), bare_graph(tmp_path / "two.nir", outputs=4)
    loaded = sne.load([one, two], timesteps=STEPS, dt_s=0.001)
    with pytest.raises(InputError, match=r"needs students with equally many outputs, got \[2, 4\]"):
        sne.compile(loaded, "norse")


def test_a_name_that_cannot_name_a_file() -> None:
    for name in ("", "../up", "a/b", "a\nb", "x" * 101, ".hidden"):
        with pytest.raises(InputError, match="cannot name a file; use at most 100 letters"):
            sne.ensemble([network("dense")], input_shape=INPUT_SHAPE, timesteps=STEPS, names=[name])


def test_live_modules_and_what_goes_with_them() -> None:
    modules = [network("dense"), network("counting")]
    made = sne.ensemble(modules, input_shape=INPUT_SHAPE, timesteps=STEPS)
    assert [student.name for student in made.students] == ["student0", "student1"]
    assert [student.readout for student in made.students] == ["v_last", "count"]
    chosen = sne.ensemble(modules[:1], input_shape=INPUT_SHAPE, timesteps=1, readout="v_max")
    assert chosen.students[0].readout == "v_max"
    with pytest.raises(InputError, match="3 names were given for 2 modules"):
        sne.ensemble(modules, input_shape=INPUT_SHAPE, timesteps=STEPS, names=["a", "b", "c"])
    with pytest.raises(InputError, match="at least one student"):
        sne.ensemble([], input_shape=INPUT_SHAPE, timesteps=STEPS)


def test_unsupported_modules_of_all_students_are_listed_at_once() -> None:
    def bad(layer: torch.nn.Module) -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Flatten(), layer, torch.nn.Linear(36, 2), lif_box())

    modules = [bad(torch.nn.Tanh()), network("dense"), bad(torch.nn.GELU())]
    with pytest.raises(UnsupportedError, match=r"student 'student0'.*Tanh.*student 'student2'.*GELU"):
        sne.ensemble(modules, input_shape=INPUT_SHAPE, timesteps=STEPS)


def test_layers_that_do_not_chain() -> None:
    module = snn.SequentialState(torch.nn.Flatten(), torch.nn.Linear(35, 2), li_box())
    with pytest.raises(InputError, match=r"35"):
        sne.ensemble([module], input_shape=INPUT_SHAPE, timesteps=STEPS)
