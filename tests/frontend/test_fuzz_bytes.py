"""Good .nir files with bytes damaged: each ends in a graph, or in one line, within its limits.

Every input is made of a seed, and is kept in the test's folder where it fails. Most are read by forks of a
reader that has h5py loaded, which run the production child's code; the rest by the production child.
"""

import io
from itertools import pairwise

import h5py
import nir
import numpy as np
import pytest

from sne_deploy.frontend.nir.file import write_nir
from tests.damage import Damage, metadata, repair
from tests.effort import examples
from tests.fuzzing import outcome
from tests.warm_reader import warm_reader

BLOCKS, PER_BLOCK = 8, examples(125)
COLD = examples(200)


def dense_graph():
    shape = np.array([3])
    nodes = {
        "input": nir.Input(shape),
        "fc": nir.Affine(np.linspace(-1, 1, 12).reshape(4, 3), np.zeros(4)),
        "lif": nir.LIF(np.full(4, 0.02), np.ones(4), np.zeros(4), np.ones(4), np.zeros(4)),
        "back": nir.Linear(np.eye(4)),
        "output": nir.Output(np.array([4])),
    }
    edges = [("input", "fc"), ("fc", "lif"), ("lif", "back"), ("back", "lif"), ("lif", "output")]
    return nir.NIRGraph(nodes, edges, metadata={"dt_s": 0.001, "note": "Größe"}, type_check=False)


def conv_graph():
    cells = (2, 3, 3)
    nodes = {
        "input": nir.Input(np.array([1, 6, 6])),
        "conv": nir.Conv2d((6, 6), np.full((2, 1, 3, 3), 0.25), 1, 1, 1, 1, np.zeros(2)),
        "pool": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "if": nir.IF(np.full(cells, 1000.0), np.ones(cells), np.zeros(cells)),
        "flat": nir.Flatten({"input": np.array(cells)}, 0, -1),
        "fc": nir.Linear(np.linspace(-1, 1, 36).reshape(2, 18)),
        "li": nir.CubaLI(np.full(2, 0.01), np.full(2, 0.02), np.ones(2), np.zeros(2), np.ones(2)),
        "output": nir.Output(np.array([2])),
    }
    names = list(nodes)
    edges = list(pairwise(names))
    return nir.NIRGraph(nodes, edges, metadata={"dt_s": 0.001}, type_check=False)


def rewritten(data, **options):
    """The same tree in another of HDF5's formats."""
    copy = io.BytesIO()
    with h5py.File(io.BytesIO(data), "r") as source, h5py.File(copy, "w", **options) as target:
        for name in source:
            source.copy(name, target)
    return copy.getvalue()


def compressed(data):
    """The same tree in chunks with filters, in groups that track the order of their links."""

    def visit(source, target):
        for name, item in source.items():
            if isinstance(item, h5py.Group):
                visit(item, target.create_group(name, track_order=True))
            elif item.shape and item.dtype.kind != "O":
                target.create_dataset(
                    name, data=item[()], compression="gzip", shuffle=True, fletcher32=True, maxshape=None
                )
            else:
                source.copy(name, target)

    copy = io.BytesIO()
    with h5py.File(io.BytesIO(data), "r") as source, h5py.File(copy, "w", track_order=True) as target:
        visit(source, target)
    return copy.getvalue()


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    write_nir(folder / "dense.nir", dense_graph())
    write_nir(folder / "conv.nir", conv_graph())
    nir.write(folder / "other.nir", conv_graph())
    dense, conv, other = ((folder / f"{name}.nir").read_bytes() for name in ("dense", "conv", "other"))
    latest = rewritten(dense, libver="latest"), rewritten(conv, libver="latest", userblock_size=512)
    files = [dense, conv, other, compressed(dense), compressed(other), *latest]
    return [(data, metadata(data)) for data in files]


@pytest.fixture(scope="module")
def warm():
    with warm_reader() as server:
        yield server


def damaged(good, seed):
    rng = np.random.default_rng(seed)
    data, marks = good[int(rng.integers(len(good)))]
    return Damage(data, [other for other, _ in good if other is not data], marks, rng).apply()


def check(good, folder, seeds):
    path = folder / "bad.nir"
    outcomes = {}
    for seed in seeds:
        data, done = damaged(good, seed)
        path.write_bytes(data)
        try:
            said = outcome(path)
        except Exception as error:
            kept = path.rename(folder / f"failed-{'-'.join(map(str, seed))}.nir")
            raise AssertionError(f"seed {seed}, {done}, kept as {kept}: {error!r}") from error
        outcomes[seed] = said
    return outcomes


def test_the_good_files_compile(good, warm, tmp_path):
    for index, (data, _) in enumerate(good):
        path = tmp_path / f"{index}.nir"
        path.write_bytes(data)
        assert outcome(path) == "compiled"


def test_checksums_are_those_of_hdf5(good):
    for data, _ in good:
        broken = bytearray(data)
        repair(broken)
        assert bytes(broken) == data
    data = bytearray(good[-1][0])
    data[512 + 44] ^= 1  # the superblock's, after a user block
    assert bytes(data) != good[-1][0]
    repair(data)
    assert bytes(data) == good[-1][0]


@pytest.mark.parametrize("block", range(BLOCKS))
def test_damaged_bytes(good, warm, tmp_path, block):
    outcomes = check(good, tmp_path, [(block, index) for index in range(PER_BLOCK)])
    assert len(outcomes) == PER_BLOCK
    compiled = sum(said == "compiled" for said in outcomes.values())
    assert 0 < compiled < PER_BLOCK, "the damage is too weak or too strong to tell anything"


def test_damaged_bytes_in_the_production_child(good, tmp_path):
    """The same answers as the forks give."""
    seeds = [(100, index) for index in range(COLD)]
    cold = check(good, tmp_path, seeds)
    with warm_reader():
        assert check(good, tmp_path, seeds) == cold
