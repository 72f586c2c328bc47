"""What inspect finds, against what is known of small graphs and of any random one."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given, settings

import sne_deploy as sne
from sne_deploy.backend import Capabilities, RunOptions
from sne_deploy.errors import (
    GraphError,
    InputError,
    OutputError,
    SneError,
    TargetError,
    UnsupportedError,
)
from sne_deploy.frontend.graph_models import ensemble_of_graphs
from sne_deploy.frontend.nir.file import write_nir
from sne_deploy.frontend.options import ReadOptions
from sne_deploy.inspect import support
from sne_deploy.inspect.collect import inspect_ensemble, inspect_model
from sne_deploy.inspect.pictures import student_picture, write_pictures
from sne_deploy.inspect.views import GroupView, ModelView, NodeView, StudentView, ValueView, to_json
from sne_deploy.ir.program import Program
from sne_deploy.model.ensemble import Encoder, Ensemble, Head, Layer, Student
from sne_deploy.passes.pipeline import compile_student
from tests.chip_registers import LOIHI1
from tests.effort import examples
from tests.graphs import random_graphs

DT_S = 1e-3


def lif(shape: Any = (8, 8, 8), **changes: Any) -> nir.LIF:
    values = {"tau": 10e-3, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0, **changes}
    metadata = values.pop("metadata", {})
    return nir.LIF(
        **{key: np.broadcast_to(value, shape) * 1.0 for key, value in values.items()}, metadata=metadata
    )


def chain(nodes: Sequence[tuple[str, Any]], dt_s: float | None = DT_S) -> nir.NIRGraph:
    edges = [(a, b) for (a, _), (b, _) in pairwise(nodes)]
    return nir.NIRGraph(dict(nodes), edges, metadata={} if dt_s is None else {"dt_s": dt_s}, type_check=False)


def convolution(dt_s: float | None = DT_S) -> nir.NIRGraph:
    """A 3x3 convolution, padded by 1, of an 8x8 image to 8 channels."""
    weight = np.random.default_rng(1).normal(size=(8, 1, 3, 3))
    return chain(
        [
            ("input", nir.Input(np.array([1, 8, 8]))),
            ("conv", nir.Conv2d((8, 8), weight, 1, 1, 1, 1, np.zeros(8))),
            ("lif", lif(v_reset=-0.25, v_threshold=np.linspace(0.5, 1, 512).reshape(8, 8, 8))),
            ("output", nir.Output(np.array([8, 8, 8]))),
        ],
        dt_s,
    )


def ensemble(graph: nir.NIRGraph, timesteps: int = 16) -> Ensemble:
    return ensemble_of_graphs([graph], ["student"], ReadOptions(timesteps=timesteps))


def student_of(graph: nir.NIRGraph) -> StudentView:
    return inspect_ensemble(ensemble(graph), "model").students[0]


def node(student: StudentView, name: str) -> NodeView:
    return next(node for node in student.nodes if node.name == name)


def value(group: GroupView, quantity: str) -> ValueView:
    return next(value for value in group.values if value.quantity == quantity)


def test_sizes_of_a_convolution() -> None:
    student = student_of(convolution())
    conv, neurons = node(student, "conv"), node(student, "lif")
    assert (conv.type, conv.shape, conv.detail) == ("Conv2d", (8, 8, 8), "3x3, padding 1")
    assert conv.parameters == 72, "no bias"
    assert conv.connections == 8 * 22 * 22, "of 8 x 3 taps along each axis, 2 lie outside"
    assert neurons.neurons == 512
    assert neurons.parameters == 512 + 4, "every neuron has a threshold of its own"
    assert neurons.synapses == student.connections[0].synapses <= conv.connections
    assert (student.neurons, student.parameters, student.synapses) == (512, 588, neurons.synapses)
    assert [edge.label for edge in student.edges] == [f"{neurons.synapses:,} synapses", "", ""]


def test_neurons_in_both_units() -> None:
    (group,) = student_of(convolution()).groups
    tau = value(group, "tau_mem")
    assert tau.student == (0.01, 0.01)
    assert (tau.register, tau.integer) == ("dv", (410.0, 410.0)), "4096 dt / tau, rounded"
    assert tau.on_chip == pytest.approx((4.096 / 410, 4.096 / 410))
    threshold, reset = value(group, "v_th"), value(group, "v_reset")
    assert threshold.student == pytest.approx((0.5, 1.0))
    assert threshold.on_chip == pytest.approx((0.5, 1.0), rel=1e-3)
    low, high = threshold.integer or (0.0, 0.0)
    assert high / low == pytest.approx(1.25 / 0.75, rel=1e-2), "registers hold v_th - v_reset"
    assert reset.student == reset.on_chip == (-0.25, -0.25)
    assert group.scale == pytest.approx((low * 64 / 0.75,) * 2, rel=1e-2)


def test_currents_biases_starts_and_soft_resets_have_rows_of_their_own() -> None:
    cuba = nir.CubaLIF(
        **{
            key: np.full(4, number)
            for key, number in (
                ("tau_syn", 2e-3),
                ("tau_mem", 4e-3),
                ("r", 1.0),
                ("v_leak", 0.25),
                ("w_in", 2.0),
            )
        },
        v_threshold=np.full(4, 1.0),
        v_reset=np.zeros(4),
        metadata={"reset": "subtract"},
    )
    nodes = [
        ("input", nir.Input(np.array([4]))),
        ("fc", nir.Linear(np.eye(4))),
        ("neurons", cuba),
        ("output", nir.Output(np.array([4]))),
    ]
    (group,) = student_of(chain(nodes)).groups
    assert [value.quantity for value in group.values] == [
        "tau_mem", "tau_syn", "v_th", "soft reset", "bias", "v at start",
    ]  # fmt: skip
    current = value(group, "tau_syn")
    assert (current.student, current.integer, current.on_chip) == ((2e-3,) * 2, (2047.0,) * 2, (2e-3,) * 2)
    assert value(group, "soft reset").student == (1.0, 1.0)
    assert value(group, "bias").student == (0.0625, 0.0625), "a v_leak"
    assert value(group, "bias").on_chip == pytest.approx((0.0625, 0.0625), rel=1e-3)
    assert value(group, "v at start").student == (0.25, 0.25)


def test_a_constant_input_is_computed_on_the_host() -> None:
    graph = convolution()
    given = ensemble(graph)
    current = Ensemble(given.students, (1, 8, 8), 16, Encoder("constant"), given.head)
    student = inspect_ensemble(current, "model").students[0]
    (host,) = student.connections
    assert (host.host, host.synapses) == (True, 3872)
    assert node(student, "lif").synapses is None
    assert student.synapses == 0
    assert [edge.label for edge in student.edges if edge.target == "lif"] == ["host: 3,872 MAC"]


def compiled(given: Ensemble) -> Program | SneError:
    try:
        return compile_student(
            given.students[0],
            input_shape=given.input_shape,
            timesteps=given.timesteps,
            encoder=given.encoder,
            precision="fixed",
            formats=LOIHI1,
        )
    except SneError as error:
        return error


@settings(max_examples=examples(60))
@given(random_graphs())
def test_any_graph_is_shown_whole_and_as_it_was_compiled(graph: nir.NIRGraph) -> None:
    made = ensemble(graph, timesteps=5)
    view = inspect_ensemble(made, "model")
    (student,) = view.students
    flat = made.students[0].network
    assert isinstance(flat, nir.NIRGraph)
    assert {node.name for node in student.nodes} == set(flat.nodes)
    assert {(edge.source, edge.target) for edge in student.edges} == set(flat.edges)
    order = {node.name: at for at, node in enumerate(student.nodes)}
    for edge in student.edges:
        assert edge.last_step == (order[edge.source] >= order[edge.target])
    fixed = next(row for row in student.support if row.target == "loihi")
    outcome = compiled(made)
    if isinstance(outcome, SneError):
        assert not fixed.supported
        assert all(reason in str(outcome) for reason in fixed.reasons)
    else:
        assert fixed.supported
        assert student.synapses == sum(synapse.weights.matrix().nnz for synapse in outcome.synapses)
        assert [group.name for group in student.groups] == [group.name for group in outcome.groups]
    assert json.loads(to_json(view))["students"][0]["name"] == "student"
    assert student_picture(student) == student_picture(student)


def test_synapses_on_the_edges_are_those_of_the_program() -> None:
    """Two branches meet in one group; each edge has its own."""
    nodes = {
        "input": nir.Input(np.array([4])),
        "a": nir.Linear(np.eye(4)),
        "b": nir.Linear(np.ones((4, 4))),
        "first": lif((4,)),
        "second": lif((4,)),
        "output": nir.Output(np.array([4])),
    }
    edges = [
        ("input", "a"), ("a", "first"), ("first", "b"), ("b", "second"), ("input", "second"),
        ("second", "output"), ("second", "first"),
    ]  # fmt: skip
    student = student_of(nir.NIRGraph(nodes, edges, metadata={"dt_s": DT_S}, type_check=False))
    labels = {(edge.source, edge.target): edge.label for edge in student.edges}
    assert labels["a", "first"].startswith("4 synapses")
    assert labels["b", "second"] == "16 synapses"
    assert labels["input", "second"] == "4 synapses, delay 1"
    assert labels["second", "first"] == "4 synapses, 1 late"
    assert [edge.last_step for edge in student.edges if edge.target == "first"] == [False, True]


def test_what_cannot_be_compiled_is_shown_with_the_reasons() -> None:
    nodes = [
        ("input", nir.Input(np.array([4]))),
        ("middle", nir.LI(np.full(4, 0.01), np.ones(4), np.zeros(4))),
        ("fc", nir.Linear(np.eye(4))),
        ("neurons", lif((4,))),
        ("output", nir.Output(np.array([4]))),
    ]
    student = student_of(chain(nodes))
    assert len(student.nodes) == 5
    assert student.groups == ()
    assert student.synapses is None
    by_target = {(row.target, row.precision): row for row in student.support}
    assert not any(row.supported for row in student.support)
    assert any("does not spike" in reason for reason in by_target["loihi", "fixed"].reasons)


def test_a_student_without_a_graph_has_its_reasons_alone() -> None:
    tensors = {"tau_mem_inv": 100.0, "v_leak": 0.0, "v_th": 1.0, "v_reset": 0.0}
    cells = [
        Layer("LIFBoxCell", {"dt": dt_s}, {name: np.array(value) for name, value in tensors.items()})
        for dt_s in (1e-3, 2e-3)
    ]
    made = Ensemble((Student("student", tuple(cells), "count"),), (4,), 8, Encoder("spikes"), Head("mean"))
    (student,) = inspect_ensemble(made, "m").students
    assert (student.nodes, student.groups) == ((), ())
    assert all("different dt" in row.reasons[0] for row in student.support)
    assert "0 neurons" in student_picture(student)


def test_a_target_that_is_not_installed_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> Any:
        if name == "lava":
            raise TargetError("target 'lava' cannot be loaded; install what it needs")
        return real(name)

    real = support.load_backend
    monkeypatch.setattr(support, "load_backend", load)
    rows = student_of(convolution()).support
    assert [row.reasons for row in rows if row.target == "lava"] == [
        ("target 'lava' cannot be loaded; install what it needs",)
    ]
    assert [row.supported for row in rows if row.target == "loihi"] == [True]


def test_a_target_that_has_no_check_is_asked_to_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    class Plain:
        name = "plain"

        def capabilities(self) -> Capabilities:
            return Capabilities(("fixed",), ("lif",))

        def compile(self, program: Program, options: RunOptions) -> Any:
            raise UnsupportedError("target 'plain'", [f"{len(program.groups)} groups"])

    monkeypatch.setattr(support, "backend_names", lambda: ("plain",))
    monkeypatch.setattr(support, "load_backend", lambda _: Plain())
    (row,) = student_of(convolution()).support
    assert (row.supported, row.reasons) == (False, ("1 groups",))


def test_a_file_without_time_shows_its_graph_and_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "net.nir"
    write_nir(path, convolution(dt_s=None))
    view = inspect_model(path)
    assert view.refused is not None
    assert "--dt-s" in view.refused
    assert "--timesteps" in view.refused
    (student,) = view.students
    assert [node.name for node in student.nodes] == ["input", "conv", "lif", "output"]
    assert node(student, "lif").neurons == 512
    assert (student.groups, student.support, student.dt_s) == ((), (), None)
    whole = inspect_model(path, ReadOptions(timesteps=4, dt_s=1e-3))
    assert whole.refused is None
    assert whole.students[0].groups
    assert "--timesteps" in str(inspect_model(path, ReadOptions(dt_s=1e-3)).refused)


def test_files_that_cannot_be_read_are_errors(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="nothing"):
        inspect_model(tmp_path / "nothing.nir")
    with pytest.raises(InputError, match=r"nothing\.pt"):
        inspect_model(tmp_path / "nothing.pt")
    with pytest.raises(InputError, match="2 to 8 bits"):
        inspect_model(tmp_path / "nothing.pt", weight_bits=9)


def test_provenance_is_flat(tmp_path: Path) -> None:
    given = ensemble(convolution())
    made = Ensemble(
        given.students,
        (1, 8, 8),
        16,
        given.encoder,
        given.head,
        provenance={"versions": {"a": "1"}, "seed": 3},
    )
    assert inspect_ensemble(made, "m").provenance == (("versions.a", "1"), ("seed", "3"))


def test_no_decay_is_json(tmp_path: Path) -> None:
    nodes = [
        ("input", nir.Input(np.array([2]))),
        ("if", nir.IF(np.full(2, 1000.0), np.ones(2), np.zeros(2))),
        ("output", nir.Output(np.array([2]))),
    ]
    view = inspect_ensemble(ensemble(chain(nodes)), "m")
    (group,) = view.students[0].groups
    assert value(group, "tau_mem").student == (math.inf, math.inf)
    assert value(group, "tau_mem").integer == (0.0, 0.0)
    found = json.loads(to_json(view))["students"][0]["groups"][0]["values"][0]
    assert found["student"] == ["inf", "inf"]


def two(view: ModelView) -> ModelView:
    (student,) = view.students
    other = StudentView(**{**vars(student), "name": "other"})
    return ModelView(view.model, view.facts, view.provenance, (student, other))


def test_pictures_are_files(tmp_path: Path) -> None:
    view = inspect_ensemble(ensemble(convolution()), "m")
    assert write_pictures(view, tmp_path / "one.svg") == (tmp_path / "one.svg",)
    assert (tmp_path / "one.svg").read_text("utf-8").startswith("<?xml")
    paths = write_pictures(two(view), tmp_path / "folder")
    assert [path.name for path in paths] == ["student.svg", "other.svg"]
    assert paths[0].read_bytes() == (tmp_path / "one.svg").read_bytes()
    with pytest.raises(OutputError, match="2 students; give a folder"):
        write_pictures(two(view), tmp_path / "one.svg")
    with pytest.raises(OutputError, match="cannot write"):
        write_pictures(view, tmp_path / "missing" / "one.svg")


def test_live_modules_are_inspected_too() -> None:
    import torch

    from tests.networks import lif_box

    module = torch.nn.Sequential(torch.nn.Linear(6, 3), lif_box())
    view = inspect_ensemble(sne.ensemble([module], input_shape=(6,), timesteps=4), "live")
    assert [node.type for node in view.students[0].nodes] == ["Input", "Affine", "LIF", "Output"]
