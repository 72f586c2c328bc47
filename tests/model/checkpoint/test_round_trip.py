"""What is saved is what is loaded, bit for bit; and a failed write leaves nothing behind."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.errors import CheckpointError, OutputError
from sne_deploy.model.checkpoint import load_checkpoint, save_checkpoint
from sne_deploy.model.checkpoint.document import from_ensemble
from sne_deploy.model.ensemble import ActivationPolicy, Encoder, Ensemble, Gate, Head, Layer, Student

from .conftest import make_ensemble

FLOATS = (np.float32, np.float64)


def parameter(draw, name, shape):
    """A cell's parameter: one for all neurons, or one for each."""
    low, high = {"tau": (10.0, 900.0), "v_th": (0.5, 2.0)}.get(name[: name.find("_", 2)], (-0.4, 0.4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return rng.uniform(low, high, size=draw(st.sampled_from([(), shape]))).astype(
        draw(st.sampled_from(FLOATS))
    )


def cell(draw, kind, shape):
    leaky, current, fires = ("tau_mem_inv", "v_leak"), ("tau_syn_inv",), ("v_th", "v_reset")
    names = {
        "LIFBoxCell": leaky + fires,
        "LIFCell": leaky + current + fires,
        "IAFCell": fires,
        "LIFRecurrentCell": leaky + current + fires,
        "LICell": leaky + current,
    }[kind]
    tensors = {name: parameter(draw, name, shape) for name in names}
    options = {"dt": draw(st.sampled_from([0.001, 0.0005]))}
    if "v_th" in tensors:
        options |= {"method": draw(st.sampled_from(["super", "triangle"])), "reset_method": "reset_value"}
        tensors["alpha"] = np.asarray(100.0)
    return Layer(kind, options, tensors)


def weights(draw, *shape):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return rng.normal(size=shape).astype(draw(st.sampled_from(FLOATS)))


@st.composite
def students(draw, index):
    """A network on (2, 6, 6): dense or convolutional, then perhaps recurrent, then spiking or not."""
    layers = []
    if draw(st.booleans()):
        options = {"stride": draw(st.sampled_from([1, 2, (1, 2)])), "padding": (1, 1), "name": "conv"}
        layers.append(Layer("Conv2d", options, {"weight": weights(draw, 3, 2, 3, 3)}))
        stride = options["stride"] if isinstance(options["stride"], tuple) else (options["stride"],) * 2
        shape = (3, -(-6 // stride[0]), -(-6 // stride[1]))
        layers += [cell(draw, "IAFCell", shape), Layer("Flatten", {}, {})]
    else:
        shape = (2, 6, 6)
        layers.append(Layer("Flatten", {"start_dim": 1}, {}))
    n_in, n_out = int(np.prod(shape)), draw(st.integers(1, 4))
    layers.append(Layer("Linear", {}, {"weight": weights(draw, n_out, n_in), "bias": weights(draw, n_out)}))
    kind = draw(st.sampled_from(["LIFBoxCell", "LIFCell", "LICell", "LIFRecurrentCell"]))
    last = cell(draw, kind, (n_out,))
    if kind == "LIFRecurrentCell":
        # norse's recurrent cell has its own input weights
        joined = {
            "input_weights": weights(draw, n_out, n_out),
            "recurrent_weights": weights(draw, n_out, n_out),
        }
        last = Layer(kind, {**last.options, "autapses": True}, {**last.tensors, **joined})
    readout = "count" if kind != "LICell" else draw(st.sampled_from(["v_last", "v_mean", "v_max"]))
    features = draw(st.sampled_from([None, np.arange(n_out, dtype=np.int64)]))
    return Student(f"student-{index}", (*layers, last), readout, features), n_out


@st.composite
def policies(draw, order):
    """Every kind, with and without what version 1 cannot say, for inputs of shape (2, 6, 6)."""
    kind = draw(st.sampled_from(["static", "confidence", "gate"]))
    if kind == "static":
        return ActivationPolicy(kind, order, students=draw(st.none() | st.integers(1, len(order))))
    threshold = draw(st.floats(0.0, 1.0, exclude_min=True))
    if kind == "confidence":
        measure = draw(st.sampled_from(["max_probability", "margin", "entropy"]))
        students = draw(st.none() | st.integers(1, len(order)))
        return ActivationPolicy(kind, order, threshold, students, measure)
    grid, hidden = draw(st.sampled_from([(2, 3, 3), (1, 6, 2), (2, 6, 6)])), draw(st.integers(1, 4))
    shapes = (hidden, math.prod(grid)), (hidden,), (len(order), hidden), (len(order),)
    tensors = [weights(draw, *shape).astype(np.float32) for shape in shapes]
    return ActivationPolicy(kind, order, threshold, gate=Gate(grid, *tensors))


@st.composite
def ensembles(draw):
    made = [draw(students(index)) for index in range(draw(st.integers(1, 3)))]
    total, classes = sum(n for _, n in made), draw(st.integers(1, 3))
    subset = draw(st.sampled_from([None, np.zeros((len(made), classes))]))
    head = Head("linear", weights(draw, classes, total), weights(draw, classes), weights(draw, total), subset)
    order = tuple(draw(st.permutations(range(len(made)))))
    policy = draw(policies(order))
    plain = st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
    return Ensemble(
        students=tuple(student for student, _ in made),
        input_shape=(2, 6, 6),
        timesteps=draw(st.integers(1, 20)),
        encoder=Encoder(draw(st.sampled_from(["constant", "bernoulli", "spikes"])), (0.0, 1.0)),
        head=head,
        policy=policy,
        provenance=draw(st.dictionaries(st.text(), plain, max_size=3)),
    )


def same(a, b):
    """Equal in every value, type, dtype and bit."""
    if dataclasses.is_dataclass(a):
        return type(a) is type(b) and all(
            same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a)
        )
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    return type(a) is type(b) and a == b


@given(ensembles())
@settings(max_examples=60, deadline=None)
def test_round_trip_is_exact_and_deterministic(ensemble):
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{name}.pt" for name in ("first", "second", "again")]
        save_checkpoint(ensemble, paths[0])
        save_checkpoint(ensemble, paths[1])
        loaded = load_checkpoint(paths[0])
        save_checkpoint(loaded, paths[2])
        assert same(ensemble, loaded)
        assert paths[0].read_bytes() == paths[1].read_bytes() == paths[2].read_bytes()


def test_a_file_has_the_earliest_version_that_says_all_of_it(ensemble):
    """Whoever has an earlier release can read what it could run."""
    two = ActivationPolicy("static", (1, 0), students=2)
    margin = ActivationPolicy("confidence", (1, 0), 0.5, measure="margin")
    some = dataclasses.replace(margin, students=1)
    for name, version in (("temperature", 6), ("student_weight", 7)):
        head = dataclasses.replace(ensemble.head, **{name: np.ones(2)})
        document = from_ensemble(dataclasses.replace(ensemble, head=head))
        assert document["version"] == version
        assert name in document["head"]
    for policy, version in ((ActivationPolicy(), 1), (ensemble.policy, 1), (two, 2), (margin, 2), (some, 4)):
        document = from_ensemble(dataclasses.replace(ensemble, policy=policy))
        assert document["version"] == version
        added = {"students", "measure", "gate"} if version >= 2 else set()
        assert set(document["policy"]) == {"kind", "order", "threshold"} | added


BOX = {name: np.asarray(0.5) for name in ("tau_mem_inv", "v_leak", "v_th", "v_reset")}


@pytest.mark.parametrize(
    "changed",
    [
        {"encoder": Encoder("bernoulli", scale=0.1)},
        {"layer": Layer("LIFBoxCell", {"reset_method": "reset_subtract"}, BOX)},
    ],
)
def test_version_3_says_what_came_with_it(ensemble, changed, tmp_path):
    layer = changed.pop("layer", None)
    if layer is not None:
        first = ensemble.students[0]
        spikes = Encoder("spikes")
        student = dataclasses.replace(first, network=(layer, *first.network))
        changed = {"students": (student, *ensemble.students[1:]), "encoder": spikes}
    made = dataclasses.replace(ensemble, **changed)
    assert from_ensemble(made)["version"] == 3
    save_checkpoint(made, tmp_path / "model.pt")
    assert same(made, load_checkpoint(tmp_path / "model.pt"))


def test_loaded_arrays_are_read_only(ensemble, tmp_path):
    save_checkpoint(ensemble, tmp_path / "model.pt")
    loaded = load_checkpoint(tmp_path / "model.pt")
    with pytest.raises(ValueError, match="read-only"):
        loaded.students[0].network[0].tensors["weight"][0, 0] = 1.0


def test_views_and_other_byte_orders_are_saved_by_value(ensemble, tmp_path):
    head = ensemble.head
    spoilt = dataclasses.replace(
        head, weight=np.asfortranarray(head.weight).astype(">f8"), bias=np.zeros((4, 2))[:, 0]
    )
    save_checkpoint(dataclasses.replace(ensemble, head=spoilt), tmp_path / "model.pt")
    loaded = load_checkpoint(tmp_path / "model.pt")
    assert np.array_equal(loaded.head.weight, head.weight)
    assert loaded.head.weight.dtype == np.dtype("float64")


def test_the_bytes_do_not_depend_on_the_process(ensemble, tmp_path):
    save_checkpoint(ensemble, tmp_path / "here.pt")
    code = (
        "import sys; from sne_deploy.model.checkpoint import load_checkpoint, save_checkpoint;"
        "save_checkpoint(load_checkpoint(sys.argv[1]), sys.argv[2])"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "here.pt", tmp_path / "there.pt"], check=True)
    assert (tmp_path / "here.pt").read_bytes() == (tmp_path / "there.pt").read_bytes()


def test_a_failing_write_leaves_the_old_file_and_nothing_else(ensemble, tmp_path, monkeypatch):
    path = tmp_path / "model.pt"
    path.write_bytes(b"old")

    def fail(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sne_deploy.model.checkpoint.write.os.fsync", fail)
    with pytest.raises(OutputError, match="No space left on device"):
        save_checkpoint(ensemble, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_saving_into_a_missing_folder_is_refused(ensemble, tmp_path):
    with pytest.raises(OutputError, match="choose a folder that exists"):
        save_checkpoint(ensemble, tmp_path / "missing" / "model.pt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"provenance": {"path": Path("x")}},
            r"cannot save ensemble\.provenance\.path: \w+ is not plain",
        ),
        ({"provenance": {"a": float("nan")}}, "provenance holds NaN or infinity"),
        ({"provenance": {"a": {1: 2}}}, "a key is not text"),
        ({"input_shape": (4,)}, r"student 'first', layer 0: .*input has shape \(4,\)"),
        (
            {"head": dataclasses.replace(make_ensemble().head, student_weight=np.ones(2))},
            "head 'linear' has no student_weight; its weight holds it",
        ),
        ({"head": Head("mean")}, "head 'mean' needs students of one output size, got first 2, second 1"),
    ],
)
def test_what_could_not_be_loaded_is_not_saved(ensemble, tmp_path, change, message):
    with pytest.raises(CheckpointError, match=message):
        save_checkpoint(dataclasses.replace(ensemble, **change), tmp_path / "model.pt")
    assert not list(tmp_path.iterdir())


def test_a_value_that_the_reader_would_refuse_is_not_saved(ensemble, tmp_path):
    for value, message in (
        (10**1000, "opcode LONG4"),
        ("x" * 2_000_000, "text of 2000000 characters, limit"),
    ):
        with pytest.raises(CheckpointError, match=f"^the ensemble.*{message}"):
            save_checkpoint(dataclasses.replace(ensemble, provenance={"a": value}), tmp_path / "model.pt")
        assert not list(tmp_path.iterdir())


def test_a_self_referential_provenance_is_not_saved(ensemble, tmp_path):
    loop = []
    loop.append(loop)
    with pytest.raises(CheckpointError, match="nested deeper than 16"):
        save_checkpoint(dataclasses.replace(ensemble, provenance={"loop": loop}), tmp_path / "model.pt")


def test_a_graph_is_refused_with_the_remedy(ensemble, tmp_path):
    import nir

    graph = nir.NIRGraph(
        {"input": nir.Input(np.array([3])), "output": nir.Output(np.array([3]))}, [("input", "output")]
    )
    spoilt = dataclasses.replace(ensemble.students[0], network=graph)
    with pytest.raises(CheckpointError, match=r"student 'first' is a NIR graph.*save it as a \.nir file"):
        save_checkpoint(
            dataclasses.replace(ensemble, students=(spoilt, ensemble.students[1])), tmp_path / "model.pt"
        )
