"""The Python API: what `import sne_deploy as sne` promises, on small ensembles."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch

import sne_deploy as sne
from sne_deploy.backend import Capabilities
from sne_deploy.errors import DataError, InputError, TargetError, UnsupportedError
from sne_deploy.neurons.table import MODELS
from sne_deploy.report.check import check_report
from sne_deploy.report.file import load_report
from sne_deploy.report.schema import SCHEMA_FILE
from sne_norse import NorseBackend
from tests.networks import INPUT_SHAPE, network

pytestmark = pytest.mark.usefixtures("warm_lava")

STEPS, SAMPLES, CLASSES = 6, 5, 5
NAMES = ("convolutional", "recurrent", "counting")


def make(*names: str, **options: Any) -> sne.Ensemble:
    return sne.ensemble(
        [network(name, seed) for seed, name in enumerate(names)],
        input_shape=INPUT_SHAPE,
        timesteps=STEPS,
        names=names,
        **options,
    )


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return (np.random.default_rng(2).random((SAMPLES, STEPS, *INPUT_SHAPE)) < 0.5).astype(np.uint8)


@pytest.fixture(scope="module")
def y() -> np.ndarray:
    return np.array([0, 1, 2, 3, 4])


@pytest.fixture(scope="module")
def lava(x: np.ndarray, y: np.ndarray) -> sne.Result:
    """One run in Lava, fixed point, for everything that can be asked of it."""
    with sne.compile(make(*NAMES), target="lava", precision="fixed", hardware="loihi1") as compiled:
        assert (compiled.precision, compiled.target, len(compiled.programs)) == ("fixed", "lava", 3)
        return compiled.run(x, y, record="spikes", model="three", data_name="noise")


@pytest.fixture(scope="module")
def norse(x: np.ndarray, y: np.ndarray) -> sne.Result:
    with sne.compile(make(*NAMES), target="norse") as compiled:
        assert compiled.precision == "float"
        return compiled.run(x, y, record="spikes")


@pytest.fixture(params=["lava", "norse"])
def result(request: pytest.FixtureRequest) -> sne.Result:
    found: sne.Result = request.getfixturevalue(request.param)
    return found


def test_shapes_and_dtypes(result: sne.Result) -> None:
    assert (result.logits.shape, result.logits.dtype) == ((SAMPLES, CLASSES), np.float64)
    assert (result.predictions.shape, result.predictions.dtype) == ((SAMPLES,), np.int64)
    assert (result.active.shape, result.active.dtype) == ((SAMPLES, 3), np.bool_)
    assert [student.name for student in result.students] == list(NAMES)
    for student in result.students:
        assert (student.synops.shape, student.synops.dtype) == ((SAMPLES,), np.int64)
        assert set(student.synops_per_layer) == {layer.name for layer in student.layers}
        np.testing.assert_array_equal(sum(student.synops_per_layer.values()), student.synops)
        for layer in student.layers:
            assert layer.spikes.dtype == np.int64
            if layer.name in student.spikes:
                spikes = student.spikes[layer.name]
                assert (spikes.shape, spikes.dtype) == (
                    (SAMPLES, STEPS, *student.program.group(layer.name).shape),
                    np.bool_,
                )
                np.testing.assert_array_equal(spikes.reshape(SAMPLES, -1).sum(axis=1), layer.spikes)
        assert student.synops.all()


def test_what_is_returned_agrees_with_itself(result: sne.Result, y: np.ndarray) -> None:
    np.testing.assert_array_equal(result.predictions, result.logits.argmax(axis=1))
    np.testing.assert_allclose(result.logits, sum(student.outputs for student in result.students) / 3)
    assert result.accuracy == result.report.ensemble.accuracy == np.mean(result.predictions == y)
    for student, row in zip(result.students, result.report.students, strict=True):
        np.testing.assert_array_equal(student.alone, student.outputs.argmax(axis=1))
        assert row.accuracy == np.mean(student.alone == y)
        assert row.synops_per_sample == student.synops.mean()
    check_report(result.report)


def test_counting_outputs_are_counts_of_spikes(result: sne.Result) -> None:
    counting = result.students[2]
    last = counting.layers[-1].name
    np.testing.assert_array_equal(counting.outputs, counting.spikes[last].sum(axis=1))


def test_fixed_point_resembles_floating_point(lava: sne.Result, norse: sne.Result) -> None:
    fidelity = lava.report.fidelity
    assert fidelity is not None
    assert fidelity.fixed_accuracy == lava.accuracy
    assert fidelity.float_accuracy == norse.accuracy
    assert fidelity.agreement == np.mean(lava.predictions == norse.predictions)
    assert norse.report.fidelity is None
    for one, other, row in zip(lava.students, norse.students, lava.report.students, strict=True):
        for layer in row.layers:
            if layer.name not in one.spikes:
                assert layer.spike_agreement is None
                continue
            a, b = one.spikes[layer.name], other.spikes[layer.name]
            assert layer.spike_agreement == (a & b).sum() / (a | b).sum()
            assert layer.spike_agreement > 0.7


def test_updates_are_counted_where_registers_are_modelled(lava: sne.Result, norse: sne.Result) -> None:
    for student in lava.students:
        for layer in student.layers:
            assert layer.updates_active is not None
            assert layer.updates_idle is not None
            total = layer.updates_active + layer.updates_idle
            np.testing.assert_array_equal(total, student.program.group(layer.name).size * STEPS)
    assert lava.report.ensemble.energy_per_sample_j.updates is not None
    assert norse.report.ensemble.energy_per_sample_j.updates is None
    assert "updates" in norse.report.ensemble.energy_per_sample_j.total_excludes


def test_the_report_is_saved_and_valid(result: sne.Result, tmp_path: Path) -> None:
    result.report.save(tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.json"]
    document = json.loads((tmp_path / "out" / "report.json").read_text())
    jsonschema.validate(document, json.loads(SCHEMA_FILE.read_text()))
    assert load_report(tmp_path / "out") == result.report


def test_a_second_run_into_a_folder_leaves_no_student_of_the_first(tmp_path: Path, x: np.ndarray) -> None:
    """What the first report does not name stays, as does what only looks like a path out of the folder."""
    for names in (("convolutional", "counting"), ("counting",)):
        with sne.compile(make(*names), "loihi", fidelity=False) as compiled:
            compiled.run(x).save(tmp_path)
        if len(names) == 2:
            for kept in ("convolutional.net", "convolutional_driver.py", "mine.txt", "convolutional.txt"):
                (tmp_path / "students" / kept).write_bytes(b"")
            (tmp_path / "outside.nir").write_bytes(b"")
            document = json.loads((tmp_path / "report.json").read_text("utf-8"))
            document["students"] += [{"name": name} for name in ("../outside", "\0", "\ud800", 3, "x" * 999)]
            (tmp_path / "report.json").write_text(json.dumps(document), "utf-8")
    assert {path.name for path in (tmp_path / "students").iterdir()} == {
        "counting.nir", "convolutional.txt", "mine.txt",
    }  # fmt: skip
    assert (tmp_path / "outside.nir").exists()
    assert [student.name for student in load_report(tmp_path).students] == ["counting"]


def test_students_that_no_report_names_stay(tmp_path: Path, x: np.ndarray) -> None:
    with sne.compile(make("counting"), "loihi", fidelity=False) as compiled:
        result = compiled.run(x)
    (tmp_path / "students").mkdir()
    (tmp_path / "students" / "other.nir").write_bytes(b"")
    for damaged in (None, b"", b"[]", b'{"students": 3}', b'{"students": [{}]}', b"[" * 100_000):
        if damaged is not None:
            (tmp_path / "report.json").write_bytes(damaged)
        result.save(tmp_path)
        assert {path.name for path in (tmp_path / "students").iterdir()} == {"counting.nir", "other.nir"}


def test_saved_students_compile_again_and_give_the_same(
    result: sne.Result, x: np.ndarray, tmp_path: Path
) -> None:
    result.save(tmp_path)
    assert load_report(tmp_path) == result.report
    again = sne.load(tmp_path / "students", timesteps=STEPS)
    assert [student.name for student in again.students] == sorted(NAMES)
    target = result.report.target
    with sne.compile(again, target, fidelity=False) as compiled:
        second = compiled.run(x)
    for student in second.students:
        first = result.students[NAMES.index(student.name)]
        np.testing.assert_array_equal(student.synops, first.synops)
        if target == "lava":
            np.testing.assert_array_equal(student.outputs, first.outputs)
        np.testing.assert_allclose(student.outputs, first.outputs, rtol=1e-6)


def test_counts_record_no_spikes(x: np.ndarray, norse: sne.Result) -> None:
    with sne.compile(make(*NAMES), "norse") as compiled:
        counts = compiled.run(x)
    assert all(student.spikes == {} for student in counts.students)
    assert (counts.accuracy, counts.report.ensemble.accuracy) == (None, None)
    np.testing.assert_array_equal(counts.logits, norse.logits)


def test_a_compiled_ensemble_runs_any_number_of_times_in_any_batches(
    x: np.ndarray, norse: sne.Result, lava: sne.Result
) -> None:
    with sne.compile(make(*NAMES), "norse") as compiled:
        one, two = compiled.run(x[3:]), compiled.run(x[:3])
    np.testing.assert_allclose(np.concatenate([two.logits, one.logits]), norse.logits, rtol=1e-12)
    with sne.compile(make(*NAMES), "lava", fidelity=False) as compiled:
        one, two = compiled.run(x[[4, 1]]), compiled.run(x[[0, 2, 3]])
    np.testing.assert_array_equal(one.logits, lava.logits[[4, 1]])
    np.testing.assert_array_equal(two.logits, lava.logits[[0, 2, 3]])


def test_the_cascade_in_lava(x: np.ndarray, lava: sne.Result) -> None:
    """Students that run give what they give in a static run, and the others cost nothing."""
    policy = sne.ActivationPolicy("confidence", (2, 0, 1), 0.6)
    with sne.compile(make(*NAMES), "lava", policy=policy, fidelity=False) as compiled:
        found = compiled.run(x)
    assert found.active[:, 2].all()
    assert 0 < found.active[:, 0].sum() < SAMPLES
    for index, student in enumerate(found.students):
        np.testing.assert_array_equal(
            student.outputs[student.active], lava.students[index].outputs[student.active]
        )
        np.testing.assert_array_equal(
            student.synops, np.where(student.active, lava.students[index].synops, 0)
        )
    check_report(found.report)


def test_a_checkpoint_holds_the_whole_ensemble(tmp_path: Path, x: np.ndarray, norse: sne.Result) -> None:
    rng = np.random.default_rng(0)
    head = sne.Head("linear", rng.normal(size=(CLASSES, 15)), np.zeros(CLASSES), np.zeros(15))
    ensemble = make(*NAMES, head=head)
    ensemble.save(tmp_path / "model.pt")
    results = []
    for one in (ensemble, sne.load(tmp_path / "model.pt")):
        with sne.compile(one, "norse") as compiled:
            results.append(compiled.run(x).logits)
    np.testing.assert_array_equal(*results)
    joined = np.concatenate([student.outputs for student in norse.students], axis=1)
    np.testing.assert_allclose(results[0], joined @ head.weight.T, rtol=1e-9)


def test_a_constant_current_and_random_spikes() -> None:
    images = np.random.default_rng(1).random((SAMPLES, *INPUT_SHAPE)).astype(np.float32)
    constant = make("dense", encoder=sne.Encoder("constant"))
    with sne.compile(constant, "norse") as compiled:
        found = compiled.run(images)
    assert (found.students[0].host_macs == 36 * 20).all()
    bernoulli = make("dense", encoder=sne.Encoder("bernoulli"))
    logits = []
    for seed in (0, 0, 1):
        with sne.compile(bernoulli, "norse", seed=seed) as compiled:
            logits.append(compiled.run(images).logits)
    np.testing.assert_array_equal(logits[0], logits[1])
    assert not np.array_equal(logits[0], logits[2])


def test_live_modules_are_not_changed(x: np.ndarray) -> None:
    module = network("convolutional").train()
    before = copy.deepcopy(module)
    flags = [child.training for child in module.modules()]
    made = sne.ensemble([module], input_shape=INPUT_SHAPE, timesteps=STEPS)
    with sne.compile(made, "norse") as compiled:
        compiled.run(x)
    assert [child.training for child in module.modules()] == flags
    for name, tensor in before.state_dict().items():
        assert torch.equal(module.state_dict()[name], tensor), name
    assert all(parameter.requires_grad and parameter.grad is None for parameter in module.parameters())
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    with sne.compile(made, "norse") as compiled:
        assert compiled.run(x).students[0].synops.any(), "the ensemble shares memory with the module"


@pytest.mark.parametrize("target", ["loihi", "norse"])
@pytest.mark.parametrize("encoder", ["spikes", "bernoulli"])
def test_a_test_set_larger_than_memory_gives_the_same(
    x: np.ndarray, target: str, encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = x if encoder == "spikes" else np.random.default_rng(3).random((SAMPLES, *INPUT_SHAPE))
    reports, results = [], []
    for limit in (2**28, 1):
        monkeypatch.setattr("sne_deploy.runtime.slices.SLICE_BYTES", limit)
        with sne.compile(make("recurrent", encoder=sne.Encoder(encoder)), target) as compiled:
            results.append(compiled.run(data, record="spikes"))
        reports.append(results[-1].report.model_dump(exclude={"provenance"}))
    assert reports[0] == reports[1]
    np.testing.assert_array_equal(results[0].logits, results[1].logits)
    for left, right in zip(results[0].students, results[1].students, strict=True):
        np.testing.assert_array_equal(left.synops, right.synops)
        for layer, spikes in left.spikes.items():
            np.testing.assert_array_equal(spikes, right.spikes[layer])


def test_workers_change_nothing(x: np.ndarray) -> None:
    reports = []
    for workers in (None, 2):
        with sne.compile(make("convolutional"), "loihi", workers=workers) as compiled:
            reports.append(compiled.run(x).report.model_dump(exclude={"provenance"}))
    assert reports[0] == reports[1]


def test_the_cascade_runs_on_workers_too(x: np.ndarray) -> None:
    policy = sne.ActivationPolicy("confidence", threshold=0.3)
    reports = []
    for workers in (None, 2):
        with sne.compile(make("dense", "counting"), "loihi", policy=policy, workers=workers) as compiled:
            reports.append(compiled.run(x).report.model_dump(exclude={"provenance"}))
    assert reports[0] == reports[1]


@pytest.mark.parametrize(("target", "against"), [("loihi", "lava"), ("lava", "loihi")])
def test_verification_is_recorded(x: np.ndarray, target: str, against: str) -> None:
    with sne.compile(make("recurrent"), target, fidelity=False) as compiled:
        verified = compiled.run(x, verify=3).report.verified
    assert verified is not None
    assert (verified.against, verified.samples, verified.differing_bits) == (against, 3, 0)


def test_verification_needs_integers_and_samples(x: np.ndarray) -> None:
    with (
        sne.compile(make("dense"), "norse") as compiled,
        pytest.raises(sne.SneError, match="--precision fixed"),
    ):
        compiled.run(x, verify=1)
    with (
        sne.compile(make("dense"), "loihi", fidelity=False) as compiled,
        pytest.raises(sne.SneError, match="--verify 6: there are 5 samples"),
    ):
        compiled.run(x, verify=6)


# refusals


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: {"x": x[:, :5]}, "samples last 5 steps, the model runs 6; give --timesteps 5"),
        (lambda x: {"x": x * 2}, r"spikes are 0 or 1.*give --encoder graded --input-range 0,2"),
        (lambda x: {"x": x[:0]}, "no samples"),
        (lambda x: {"x": x, "y": [1, 2]}, r"y has shape \(2,\), must be \(5,\)"),
        (lambda x: {"x": x, "y": [0, 1, 2, 3, 5]}, "label 5, but the model has 5 classes, 0 to 4"),
        (lambda x: {"x": x, "record": "everything"}, "record 'everything' is not one of counts, spikes, all"),
    ],
)
def test_arrays_that_do_not_fit(x: np.ndarray, change: Callable[[Any], dict[str, Any]], message: str) -> None:
    with sne.compile(make("dense"), "norse") as compiled, pytest.raises(InputError, match=message):
        compiled.run(**change(x))


def test_what_cannot_be_compiled() -> None:
    with pytest.raises(TargetError, match=r"unknown target 'tpu'; known targets: .*norse"):
        sne.compile(make("dense"), "tpu")
    with pytest.raises(InputError, match="target 'norse' has no precision 'fixed'; it has float"):
        sne.compile(make("dense"), "norse", precision="fixed")
    with pytest.raises(InputError, match=r"policy order \(0, 1\) is not a permutation of 0\.\.0"):
        sne.compile(make("dense"), "norse", policy=sne.ActivationPolicy("static", (0, 1)))
    head = sne.Head("linear", np.zeros((5, 4)), np.zeros(5), np.zeros(4))
    with pytest.raises(InputError, match=r"head: weight has shape \(5, 4\), the students' 5 outputs need"):
        sne.compile(make("dense", head=head), "norse")
    with pytest.raises(DataError), sne.compile(make("dense"), "norse") as compiled:
        compiled.run(np.float32(1))


def test_what_was_compiled_is_closed_when_a_later_student_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    class Closing:
        def __exit__(self, *_: object) -> None:
            closed.append(self)

    def compile_one(_self: Any, program: Any, _options: Any) -> Closing:
        if program.name == "counting":
            raise UnsupportedError("here", ["counting"])
        return Closing()

    monkeypatch.setattr(NorseBackend, "compile", compile_one)
    with pytest.raises(UnsupportedError, match="here: counting"):
        sne.compile(make(*NAMES), "norse")
    assert len(closed) == 2


def test_capabilities_say_what_runs_by_default() -> None:
    assert NorseBackend().capabilities() == Capabilities(("float",), tuple(MODELS), None)


# in a process of its own


def test_import_is_light() -> None:
    script = """
import sys
import sne_deploy as sne
print(*sorted({"torch", "numpy", "scipy", "norse", "nir", "lava", "pydantic", "rich"} & set(sys.modules)))
assert "compile" in dir(sne) and callable(sne.compile)
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout == "\n"


def test_the_names_of_the_package() -> None:
    for name in sne.__all__:
        assert getattr(sne, name).__name__.rpartition(".")[2] == name
    assert set(sne.__all__) <= set(dir(sne))
    with pytest.raises(AttributeError, match="module 'sne_deploy' has no attribute 'distil'"):
        sne.distil  # noqa: B018  it must raise


SCRIPT = """
import numpy as np
import torch
import norse.torch as snn
import sne_deploy as sne

torch.manual_seed(0)
module = snn.SequentialState(torch.nn.Linear(8, 3), snn.LIFBoxCell())
ensemble = sne.ensemble([module], input_shape=(8,), timesteps=4)
torch.ones(200, 200) @ torch.ones(200, 200)  # its threads are running now
with sne.compile(ensemble, target="lava") as compiled:
    result = compiled.run(np.ones((2, 4, 8), np.uint8), np.array([0, 1]))
print("SYNOPS", *result.students[0].synops)
"""


def test_lava_runs_from_a_script_without_a_main_guard(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    found = subprocess.run(
        [sys.executable, "script.py"], capture_output=True, text=True, cwd=tmp_path, timeout=120
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout == "SYNOPS 96 96\n"  # 4 steps x 8 spikes x 3 targets
    assert [path.name for path in tmp_path.iterdir()] == ["script.py"]
