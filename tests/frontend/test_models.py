"""Whatever counts as a model becomes an Ensemble."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import norse.torch as snn
import numpy as np
import pytest
import torch

import sne_deploy as sne
from sne_deploy.errors import CheckpointError, GraphError, InputError, UnsupportedError
from sne_deploy.frontend.models import ensemble_of_programs
from sne_deploy.frontend.nir.file import write_nir
from sne_deploy.frontend.norse.export import export_student
from sne_deploy.frontend.options import ReadOptions
from tests.networks import INPUT_SHAPE, li_box, lif_box, network
from tests.small_programs import one_layer

pytestmark = pytest.mark.usefixtures("warm_lava")

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


def test_what_a_graph_says_of_dt_must_be_a_number(tmp_path: Path) -> None:
    nodes = {"i": entry(2), "n": spiking(), "o": leave()}
    with pytest.raises(GraphError, match="a: metadata dt_s is 'soon', must be a number of seconds"):
        sne.load(saved(tmp_path / "a.nir", nodes, "i n o", dt_s="soon"), timesteps=STEPS)
    with pytest.raises(InputError, match=r"b: dt_s -1\.0 must be a positive number of seconds"):
        sne.load(saved(tmp_path / "b.nir", nodes, "i n o", dt_s=-1.0), timesteps=STEPS)


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


def saved(path: Path, nodes: dict[str, Any], *edges: str, **metadata: Any) -> Path:
    """Edges as "a b c": from a to b, from b to c."""
    pairs = [pair for line in edges for pair in pairwise(line.split())]
    write_nir(path, nir.NIRGraph(nodes, pairs, metadata=metadata, type_check=False))
    return path


def entry(*shape: int) -> nir.Input:
    return nir.Input(np.array(shape) if shape else None)


def leave() -> nir.Output:
    return nir.Output(None)


def spiking(size: int = 2, r: float = 1000.0) -> nir.IF:
    return nir.IF(r=np.full(size, r), v_threshold=np.ones(size), v_reset=np.zeros(size))


def test_a_missing_step_is_suggested_where_the_constants_imply_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"imply dt = 0\.001 s: give --dt-s 0\.001$"):
        sne.load(bare_graph(tmp_path / "bare.nir"), timesteps=STEPS)
    leaky = nir.LIF(*(np.full(2, value) for value in (0.02, 1.0, 0.0, 1.0, 0.0)))
    path = saved(tmp_path / "leaky.nir", {"i": entry(2), "n": leaky, "o": leave()}, "i n o")
    with pytest.raises(InputError, match=r"leaky: .*give --dt-s \(or dt_s=\) in seconds$"):
        sne.load(path, timesteps=STEPS)
    with pytest.raises(
        GraphError, match=r"leaky: node 'n': tau 0\.02 s is 2 times shorter than dt = 0\.04 s"
    ):
        sne.load(path, timesteps=STEPS, dt_s=0.04)


def test_what_reading_found_is_in_the_report(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "odd.nir",
        {"i": entry(1, 3), "fc": nir.Linear(np.full((2, 3), 0.7)), "n": spiking(), "o": leave()},
        "i fc n o",
    )
    loaded = sne.load(path, timesteps=STEPS, dt_s=0.002)
    assert loaded.input_shape == (3,)
    (student,) = loaded.students
    assert [note.partition(",")[0] for note in student.notes] == [
        "node 'i' (Input) declares shape (1",
        "dt is 0.002 s",
        "assumed",
    ]
    with sne.compile(loaded, "norse") as compiled:
        report = compiled.run(spikes(shape=(3,))).report
    assert report.assumed == student.notes[2:]
    assert all(any(note in warning for warning in report.warnings) for note in student.notes[:2])


def test_a_shape_that_the_graph_does_not_say_is_given(tmp_path: Path) -> None:
    conv = nir.Conv2d(None, np.ones((1, 2, 3, 3)), 1, 0, 1, 1, np.zeros(1))
    nodes = {"i": entry(), "c": conv, "n": nir.Threshold(np.ones(())), "o": leave()}
    path = saved(tmp_path / "conv.nir", nodes, "i c n o", dt_s=0.001)
    with pytest.raises(GraphError, match=r"conv\.nir: input 'i' declares no shape.*--input-shape"):
        sne.load(path, timesteps=STEPS)
    loaded = sne.load(path, timesteps=STEPS, input_shape=(2, 5, 4))
    assert loaded.input_shape == (2, 5, 4)
    assert loaded.students[0].network.nodes["n"].threshold.shape == (1, 3, 2)  # type: ignore[union-attr]


def test_a_reset_is_chosen_for_neurons_that_do_not_say(tmp_path: Path) -> None:
    """Input 0.7 a step, threshold 1: a spike in steps 2, 4 and 6, or what is over it is kept: 2, 3 and 5.

    With a step lost after each, 2 and 5; without a reset, all but the first.
    """
    path = bare_graph(tmp_path / "bare.nir")
    x = np.zeros((1, STEPS, 3), np.uint8)
    x[:, :, 0] = 1
    found = {
        reset: outputs(sne.load(path, timesteps=STEPS, dt_s=0.001, reset=reset), x)[0, 0]
        for reset in (None, "value", "value-delayed", "subtract", "none")
    }
    assert found == {None: 2, "value": 2, "value-delayed": 2, "subtract": 3, "none": 4}
    named = sne.load(path, timesteps=STEPS, dt_s=0.001, reset={"*": "value", "if": "none"})
    assert outputs(named, x)[0, 0] == 4
    with pytest.raises(InputError, match="reset: no node with a reset is called 'fi'; these have one: 'if'"):
        sne.load(path, timesteps=STEPS, dt_s=0.001, reset={"fi": "none"})
    with pytest.raises(InputError, match="unknown reset 'soft'; known: value, value-delayed, subtract"):
        sne.load(path, timesteps=STEPS, dt_s=0.001, reset="soft")  # type: ignore[arg-type]


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    nodes = {
        "b": entry(3), "a": entry(1, 2), "fa": nir.Flatten(None, 0, -1), "la": nir.Linear(np.eye(2) * 2),
        "lb": nir.Linear(np.ones((2, 3))), "n": spiking(), "o2": leave(), "m": spiking(), "o1": leave(),
    }  # fmt: skip
    path = saved(tmp_path / "two.nir", nodes, "a fa la n o2", "b lb m o1", dt_s=0.001)
    loaded = sne.load(path, timesteps=STEPS)
    assert (loaded.input_shape, loaded.students[0].readout) == ((5,), "count")
    x = np.zeros((1, STEPS, 5), np.uint8)
    x[0, :3, 0] = 1  # a, whose neurons are the second output
    np.testing.assert_array_equal(outputs(loaded, x), [[0, 0, 3, 0]])


INTEGRATOR = nir.LI(*(np.full(2, value) for value in (0.02, 1.0, 0.0)))
ENDS = {
    "spikes": ({"n": spiking()}, ["i n o"], "count"),
    "membranes": ({"n": INTEGRATOR}, ["i n o"], "v_last"),
    "integrator": ({"n": nir.I(np.ones(2))}, ["i n o"], "v_last"),
    "reshaped": ({"n": INTEGRATOR, "f": nir.Flatten(None, 0, -1)}, ["i n f o"], "v_last"),
    "scaled": ({"n": INTEGRATOR, "s": nir.Scale(np.ones(2))}, ["i n s o"], "v_last"),
    "behind spikes": ({"n": INTEGRATOR, "m": spiking()}, ["i n m o"], "count"),
    "one of two": ({"n": INTEGRATOR, "m": spiking(), "p": leave()}, ["i n o", "i m p"], "v_last"),
}


@pytest.mark.parametrize("case", ENDS)
def test_integrators_are_read_at_the_last_step(tmp_path: Path, case: str) -> None:
    nodes, edges, readout = ENDS[case]
    path = saved(tmp_path / "n.nir", {"i": entry(2), "o": leave(), **nodes}, *edges, dt_s=0.001)
    assert sne.load(path, timesteps=STEPS).students[0].readout == readout


def test_an_inner_graph_is_a_part_of_the_student(tmp_path: Path) -> None:
    inner = nir.NIRGraph(
        {"input": entry(2), "lif": spiking(), "w_rec": nir.Linear(np.eye(2)), "output": leave()},
        [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")],
        type_check=False,
    )
    nodes = {"i": entry(2), "l": inner, "o": leave()}
    loaded = sne.load(saved(tmp_path / "r.nir", nodes, "i l o", dt_s=0.001), timesteps=STEPS)
    x = np.zeros((1, STEPS, 2), np.uint8)
    x[0, :2, 0] = 1  # v = 1 is not above 1; v = 2 spikes, and its spike comes back: 1; no spike again
    np.testing.assert_array_equal(outputs(loaded, x), [[1, 0]])


def test_registers_become_students(tmp_path: Path) -> None:
    from sne_netx.format.file import write_net

    program = one_layer([[60, 60, 0], [0, 0, 120]], "mixed")
    for name in ("a", "b"):
        write_net(tmp_path / f"{name}.net", program)
    loaded = sne.load(tmp_path, timesteps=STEPS)
    assert [student.name for student in loaded.students] == ["a", "b"]
    assert (loaded.input_shape, loaded.encoder) == ((3,), sne.Encoder("spikes"))
    x = spikes(shape=(3,))
    x[:] = [1, 1, 1]
    np.testing.assert_array_equal(
        outputs_fixed(loaded, x), outputs_fixed(sne.load(tmp_path / "a.net", timesteps=STEPS), x)
    )
    with pytest.raises(InputError, match=r"reset subtract was given, but a \.net file says it itself"):
        sne.load(tmp_path / "a.net", timesteps=STEPS, reset="subtract")
    graph_file(tmp_path / "c.nir")
    with pytest.raises(InputError, match="not of both; give one kind"):
        sne.load(tmp_path, timesteps=STEPS)


def outputs_fixed(ensemble: sne.Ensemble, x: np.ndarray) -> np.ndarray:
    with sne.compile(ensemble, "loihi", fidelity=False) as compiled:
        return compiled.run(x).logits


def test_programs_of_one_ensemble_take_the_same_input() -> None:
    program = replace(one_layer([[60, 60, 0]], "mixed"), graph=nir.NIRGraph({}, [], type_check=False))
    current = replace(program, input=replace(program.input, kind="current", range=(0.0, 255.0)))
    three = ReadOptions(timesteps=3)
    made = ensemble_of_programs([current], ["a"], three)
    assert made.encoder == sne.Encoder("constant", (0.0, 255.0))
    assert made.timesteps == made.students[0].network.timesteps == 3  # type: ignore[union-attr]
    assert ensemble_of_programs([program], ["a"], ReadOptions()).timesteps == program.timesteps
    with pytest.raises(
        InputError, match=r"must take the same input, got spikes in .*, constant in \(0\.0, 255\.0\)"
    ):
        ensemble_of_programs([program, current], ["a", "b"], three)
    with pytest.raises(InputError, match=r"a \.net file does not say how many steps a sample lasts"):
        ensemble_of_programs([replace(program, timesteps=1)], ["a"], ReadOptions(), what="a .net file")


@pytest.mark.parametrize("option", ["timesteps", "dt_s", "input_shape", "reset"])
def test_a_checkpoint_says_everything_itself(tmp_path: Path, option: str) -> None:
    live = sne.ensemble([network("dense")], input_shape=INPUT_SHAPE, timesteps=STEPS)
    live.save(tmp_path / "model.pt")
    value = {"timesteps": 4, "dt_s": 0.1, "input_shape": (3,), "reset": "value"}[option]
    with pytest.raises(
        InputError, match=f"{option} .* was given, but .*model.pt says it itself; leave it out"
    ):
        sne.load(tmp_path / "model.pt", **{option: value})  # type: ignore[arg-type]


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


def test_a_step_of_snntorchs_proposes_its_convention(tmp_path: Path) -> None:
    def full(value: float) -> np.ndarray:
        return np.full(3, value)

    neurons = nir.LIF(full(1e-3), full(10.0), full(0.0), full(1.0), full(0.0))
    write_nir(tmp_path / "a.nir", nir.NIRGraph.from_list(nir.Linear(np.eye(3)), neurons))
    bare = sne.load(tmp_path / "a.nir", timesteps=STEPS, dt_s=1e-4)
    assert "give --convention snntorch" in bare.students[0].notes[-1]
    for options in ({"convention": "snntorch"}, {"dt_s": 1e-4, "reset": "value"}):
        told = sne.load(tmp_path / "a.nir", timesteps=STEPS, **options)  # type: ignore[arg-type]
        assert not any("--convention snntorch" in note for note in told.students[0].notes)
