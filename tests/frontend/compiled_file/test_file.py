"""What was compiled, kept in a file: it comes back as it was, and nothing else comes out of a file."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from scipy import sparse

import sne_deploy as sne
from sne_deploy.chips.chip import load_chip
from sne_deploy.data import digits_split
from sne_deploy.data.npz import MAX_MEMBERS
from sne_deploy.errors import CheckpointError, InputError, SneError
from sne_deploy.frontend.compiled_file.file import CompiledFile, read_compiled, write_compiled
from sne_deploy.ir.program import Program
from sne_deploy.model.ensemble import ActivationPolicy, Encoder, Head
from tests.effort import examples
from tests.networks import INPUT_SHAPE, network
from tests.strategies import programs

ROOT = Path(__file__).parents[3]
CHIP = load_chip("loihi1")
GRAPH = nir.NIRGraph.from_list(nir.Linear(np.ones((2, 3))))


def content(program: Program) -> CompiledFile:
    size = program.output_size
    head = Head("linear", np.ones((2, size)), np.zeros(2), np.zeros(size))
    policy = ActivationPolicy("confidence", (0,), 0.5, measure="margin")
    return CompiledFile(
        target="loihi",
        seed=3,
        programs=(replace(program, graph=GRAPH),),
        input_shape=program.input.shape,
        timesteps=program.timesteps,
        encoder=Encoder("spikes"),
        head=head,
        policy=policy,
        provenance={"data": "noise", "seeds": [1, 2], "accuracy": 0.5},
    )


def differences(a: Any, b: Any, where: str = "") -> list[str]:
    """The paths at which two values differ; graphs aside."""
    if isinstance(a, nir.NIRGraph):
        return [] if isinstance(b, nir.NIRGraph) and {*a.nodes} == {*b.nodes} else [where]
    if type(a) is not type(b):
        return [f"{where}: {type(a)} and {type(b)}"]
    if is_dataclass(a):
        parts = [(f.name, getattr(a, f.name), getattr(b, f.name)) for f in fields(a)]
        return [found for name, x, y in parts for found in differences(x, y, f"{where}.{name}")]
    if isinstance(a, Mapping):
        if {*a} != {*b}:
            return [where]
        return [found for name in a for found in differences(a[name], b[name], f"{where}.{name}")]
    if isinstance(a, (tuple, list)):
        if len(a) != len(b):
            return [where]
        pairs = enumerate(zip(a, b, strict=True))
        return [found for index, (x, y) in pairs for found in differences(x, y, f"{where}.{index}")]
    if isinstance(a, sparse.csr_matrix):
        parts = [(name, getattr(a, name), getattr(b, name)) for name in ("data", "indices", "indptr")]
        return [found for name, x, y in parts for found in differences(x, y, f"{where}.{name}")]
    if isinstance(a, np.ndarray):
        return [] if a.dtype == b.dtype and np.array_equal(a, b) else [where]
    return [] if a == b else [where]


@given(programs("fixed"))
@settings(max_examples=examples(8), deadline=None)
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, program: Program) -> None:
    folder = tmp_path_factory.mktemp("kept")
    written = content(program)
    write_compiled(folder / "a.sne", written, CHIP)
    read, chip = read_compiled(folder / "a.sne")
    assert not differences(written, read)
    assert chip == CHIP
    write_compiled(folder / "b.sne", read, chip)
    assert (folder / "a.sne").read_bytes() == (folder / "b.sne").read_bytes()


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, sne.Result]:
    """The committed ensemble, kept, and a run of it."""
    path = tmp_path_factory.mktemp("digits") / "net.sne"
    _, _, x, y = digits_split()
    with sne.compile(str(ROOT / "examples/digits/model.pt"), "loihi", seed=5, fidelity=False) as compiled:
        compiled.save(path)
        return path, compiled.run(x[:20], y[:20])


def test_a_report_is_reproduced(digits: tuple[Path, sne.Result]) -> None:
    path, result = digits
    _, _, x, y = digits_split()
    with sne.load_compiled(path) as compiled:
        again = compiled.run(x[:20], y[:20])
    np.testing.assert_array_equal(again.logits, result.logits)
    old, new = result.report.model_dump(), again.report.model_dump()
    for part in ("target", "hardware", "students", "shared", "ensemble"):
        assert old[part] == new[part]
    assert new["provenance"]["seed"] == 5
    assert sne.load(path).policy == sne.load(ROOT / "examples/digits/model.pt").policy
    with pytest.raises(InputError, match=r"timesteps 3 was given, but .* says it itself"):
        sne.load(path, timesteps=3)


def test_more_arrays_than_a_file_of_samples_may_have(tmp_path: Path) -> None:
    modules = [
        network(name, seed) for seed in range(5) for name in ("convolutional", "recurrent", "counting")
    ]
    x = (np.random.default_rng(0).random((2, 4, *INPUT_SHAPE)) < 0.5).astype(np.uint8)
    with sne.compile(modules, "loihi", input_shape=INPUT_SHAPE, timesteps=4, fidelity=False) as compiled:
        compiled.save(tmp_path / "net.sne")
        logits = compiled.run(x).logits
    assert len(np.load(tmp_path / "net.sne").files) > MAX_MEMBERS
    with sne.load_compiled(tmp_path / "net.sne") as compiled:
        np.testing.assert_array_equal(compiled.run(x).logits, logits)


def test_a_damaged_file_is_told_how_one_is_made(digits: tuple[Path, sne.Result], tmp_path: Path) -> None:
    (tmp_path / "cut.sne").write_bytes(digits[0].read_bytes()[:5000])
    with pytest.raises(
        CheckpointError, match=r"^\S*cut\.sne: damaged .*; write one with compiled\.save"
    ) as caught:
        sne.load_compiled(tmp_path / "cut.sne")
    assert str(caught.value).count("cut.sne") == 1


def test_numpy_alone_reads_it(digits: tuple[Path, sne.Result]) -> None:
    file = np.load(digits[0])
    document = json.loads(file["document"].tobytes())
    synapse = document["content"]["programs"][0]["synapses"][0]
    program = digits[1].students[0].program
    stored = file[synapse["weights"]["kernel"]["array"] if "kernel" in synapse["weights"] else "none"]
    np.testing.assert_array_equal(stored, program.synapses[0].weights.values)
    assert bytes(file["graphs/0"][:8]) == b"\x89HDF\r\n\x1a\n"


def test_floating_point_is_not_kept(tmp_path: Path) -> None:
    with (
        sne.compile(str(ROOT / "examples/digits/model.pt"), "norse") as compiled,
        pytest.raises(InputError, match="only registers are kept"),
    ):
        compiled.save(tmp_path / "net.sne")
    assert not list(tmp_path.iterdir())


def changed(path: Path, to: Path, change: Any) -> Path:
    """A copy of a file with another document."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(to, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            if entry.filename == "document.npy":
                document = json.loads(data[128:]) if data[:1] == b"\x93" else {}
                change(document)
                text = np.frombuffer(json.dumps(document).encode(), np.uint8)
                with new.open("document.npy", "w") as stream:
                    np.lib.format.write_array(stream, text)
            else:
                new.writestr(entry.filename, data)
    return to


def _set(path: str, value: Any) -> Any:
    def change(document: Any) -> None:
        *keys, last = path.split("/")
        for key in keys:
            document = document[int(key) if key.isdigit() else key]
        document[last] = value

    return change


FIRST = "content/programs/0/"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("format", "other", "not of format"),
        ("version", 2, "format version 2; this sne-deploy knows 1"),
        ("extra", 1, "must hold format, version"),
        ("chip/energy", {}, "energy"),
        ("content/seed", "x", "'x' is not of type int"),
        ("content/encoder/input_range", [1, 0], "low < high"),
        (FIRST + "groups/0/form", "Synapse", "is not a NeuronGroup"),
        (FIRST + "groups/0/shape", [10**12], "the limit"),
        (FIRST + "groups/0/dv", {"dtype": "int32", "value": 10**10}, "does not fit int32"),
        (FIRST + "groups/0/dv", {"dtype": "int32", "value": 4097}, "outside 0..4095"),
        (FIRST + "groups/0/dv", {"dtype": "object", "value": 1}, "is not a dtype"),
        (FIRST + "groups/0/kind", "unknown", "unknown"),
        (FIRST + "synapses/0/weights", {"array": "no"}, "is not one of its kinds"),
        (FIRST + "synapses/0/target", "nowhere", "ends on no group"),
        (FIRST + "surprise", 1, "'surprise' is not a known field"),
    ],
)
def test_impossible_files(
    digits: tuple[Path, sne.Result], tmp_path: Path, path: str, value: Any, said: str
) -> None:
    with pytest.raises(CheckpointError, match=said) as caught:
        sne.load_compiled(changed(digits[0], tmp_path / "bad.sne", _set(path, value)))
    assert "\n" not in str(caught.value)


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value if isinstance(value, dict) else dict(enumerate(value)) if isinstance(value, list) else {}
    return [path, *(leaf for key, part in inner.items() for leaf in _leaves(part, (*path, key)))]


ODD = (None, True, -1, 0, 7, 2**40, 1e308, "x", "", [], {}, [[]], [1, 2], "inf")


@pytest.mark.parametrize("name", ["convolutional", "recurrent", "current"])
def test_no_document_breaks_the_reader(tmp_path: Path, name: str) -> None:
    module = network("convolutional" if name == "current" else name, 0)
    encoder = "constant" if name == "current" else "spikes"
    with sne.compile(module, "loihi", input_shape=INPUT_SHAPE, timesteps=4, encoder=encoder) as compiled:
        compiled.save(tmp_path / "net.sne")
    for seed in range(examples(8)):
        rng = np.random.default_rng(seed)

        def change(document: Any, rng: np.random.Generator = rng) -> None:
            leaves = [leaf for leaf in _leaves(document) if leaf]
            *path, last = leaves[int(rng.integers(len(leaves)))]
            for key in path:
                document = document[key]
            document[last] = ODD[int(rng.integers(len(ODD)))]

        path = changed(tmp_path / "net.sne", tmp_path / "odd.sne", change)
        try:
            with sne.load_compiled(path) as compiled:
                compiled.run(np.zeros((1, *compiled.programs[0].input.shape)), None)
        except SneError as error:
            said = str(error)
        else:
            said = ""
        assert "\n" not in said


def test_every_way_in_keeps_the_chip_and_the_seed_of_the_file(tmp_path: Path) -> None:
    kept = tmp_path / "net.sne"
    x = np.random.default_rng(0).random((8, *INPUT_SHAPE), np.float32)
    y = np.arange(8) % 2
    encoder: dict[str, Any] = {"timesteps": 6, "encoder": "bernoulli", "input_shape": INPUT_SHAPE}
    ensemble = sne.ensemble(network("dense", 0), **encoder)
    with sne.compile(ensemble, "loihi", hardware="loihi2", seed=5, fidelity=False) as compiled:
        compiled.save(kept)
        wanted = compiled.run(x, y)
    assert wanted.report.hardware.name == "loihi2"
    for model in (kept, str(kept), [kept], sne.load(kept)):
        with sne.compile(model, "loihi", fidelity=False) as compiled:
            found = compiled.run(x, y)
        np.testing.assert_array_equal(found.logits, wanted.logits)
        assert found.report.hardware == wanted.report.hardware
        assert found.report.provenance.seed == 5
    with sne.compile(kept, "loihi", hardware="loihi1", seed=0, fidelity=False) as compiled:
        other = compiled.run(x, y)
    assert (other.report.hardware.name, other.report.provenance.seed) == ("loihi1", 0)
    assert sne.estimate(kept, x, y).report.hardware == wanted.report.hardware
    explored = [
        sne.explore(kept, x, y, hardware=each, select_on="all", thresholds=2) for each in (None, "loihi1")
    ]
    assert [each.hardware for each in explored] == ["loihi2", "loihi1"]
    with sne.compile(sne.load(kept), "loihi", hardware="loihi2", seed=5, fidelity=False) as compiled:
        np.testing.assert_array_equal(compiled.run(x, y).logits, wanted.logits)
