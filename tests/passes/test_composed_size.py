"""Linear maps whose composition would fill memory are refused before any is taken; the remedy works."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest

from sne_deploy.errors import UnsupportedError
from sne_deploy.frontend.models import ensemble_of_graphs
from sne_deploy.frontend.options import ReadOptions
from sne_deploy.ir.program import Program
from sne_deploy.model.ensemble import Encoder
from sne_deploy.passes import composed_size
from sne_deploy.passes.pipeline import compile_student
from tests.chip_registers import LOIHI1

MOST_BYTES = 100e6


def linear(n_out: int, n_in: int) -> nir.Linear:
    return nir.Linear(weight=np.full((n_out, n_in), 0.01, np.float32))


def lif(*shape: int) -> nir.LIF:
    one = np.ones(shape)
    return nir.LIF(tau=0.01 * one, r=one, v_leak=0 * one, v_threshold=one)


def conv(c_in: int, c_out: int, k: int, size: int) -> nir.Conv2d:
    return nir.Conv2d(
        input_shape=(size, size),
        weight=np.full((c_out, c_in, k, k), 0.01, np.float32),
        stride=1,
        padding=k // 2,
        dilation=1,
        groups=1,
        bias=np.zeros(c_out),
    )


def pool(k: int) -> nir.SumPool2d:
    return nir.SumPool2d(np.array([k, k]), stride=np.array([1, 1]), padding=np.array([k // 2, k // 2]))


def graph(nodes: dict[str, Any], edges: list[tuple[str, str]], shape: Any, out: Any) -> nir.NIRGraph:
    ends = {"input": nir.Input(np.array(shape)), "output": nir.Output(np.array(out))}
    return nir.NIRGraph(ends | nodes, edges, type_check=False)


def chain(nodes: list[Any], shape: Any, out: Any) -> nir.NIRGraph:
    names = ["input", *(f"n{index}" for index in range(len(nodes))), "output"]
    named = dict(zip(names[1:-1], nodes, strict=True))
    return graph(named, list(pairwise(names)), shape, out)


def ladder(depth: int) -> nir.NIRGraph:
    """Two ways at every rung: 2 ** depth paths."""
    nodes: dict[str, Any] = {}
    edges, last = [], "input"
    for rung in range(depth):
        for side in "ab":
            nodes[f"{side}{rung}"] = linear(2, 2)
            edges += [(last, f"{side}{rung}"), (f"{side}{rung}", f"j{rung}")]
        nodes[f"j{rung}"] = linear(2, 2)
        last = f"j{rung}"
    nodes["lif"] = lif(2)
    return graph(nodes, [*edges, (last, "lif"), ("lif", "output")], (2,), (2,))


def fan(width: int, size: int) -> nir.NIRGraph:
    """A map to one value, and from it to many groups."""
    nodes: dict[str, Any] = {"c": linear(1, size), "last": lif(1)}
    edges = [("input", "c"), ("last", "output")]
    for index in range(width):
        nodes |= {f"e{index}": linear(size, 1), f"l{index}": lif(size), f"o{index}": linear(1, size)}
        way = ["c", f"e{index}", f"l{index}", f"o{index}", "last"]
        edges += list(pairwise(way))
    return graph(nodes, edges, (size,), (1,))


def compiled(found: nir.NIRGraph) -> Program:
    ensemble = ensemble_of_graphs([found], ["any"], ReadOptions(timesteps=3, dt_s=0.001))
    return compile_student(
        ensemble.students[0],
        input_shape=ensemble.input_shape,
        timesteps=3,
        encoder=Encoder("spikes"),
        precision="float",
        formats=LOIHI1,
    )


HUGE = {
    "outer product": lambda: chain([linear(1, 50_000), linear(50_000, 1), lif(50_000)], (50_000,), (50_000,)),
    "convolutions": lambda: chain(
        [conv(1, 64, 31, 32), conv(64, 64, 31, 32), lif(64, 32, 32)], (1, 32, 32), (64, 32, 32)
    ),
    "pools": lambda: chain([*(pool(31) for _ in range(6)), lif(4, 64, 64)], (4, 64, 64), (4, 64, 64)),
    "sum": lambda: fan(20, 3000),
}


@pytest.mark.parametrize("name", HUGE)
def test_what_would_fill_memory_is_refused_before_it_is_taken(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "sum":  # many that are allowed one by one; fewer of them are enough here
        monkeypatch.setattr(composed_size, "MAX_TOTAL", 2**23)
    found = HUGE[name]()
    tracemalloc.start()
    try:
        with pytest.raises(UnsupportedError, match="follow each other without neurons") as caught:
            compiled(found)
        assert tracemalloc.get_traced_memory()[1] < 3 * MOST_BYTES
    finally:
        tracemalloc.stop()
    assert str(caught.value).endswith("; put neurons between them, or use smaller maps")


def test_the_remedy_works() -> None:
    with_neurons = chain([linear(1, 50_000), lif(1), linear(50_000, 1), lif(50_000)], (50_000,), (50_000,))
    assert len(compiled(with_neurons).synapses) == 2


def test_no_more_memory_than_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    small = chain([linear(3, 200), linear(200, 3), lif(200)], (200,), (200,))
    assert compiled(small).synapses
    monkeypatch.setattr(composed_size, "available_bytes", lambda: 100_000)
    with pytest.raises(UnsupportedError, match="of memory, 100000 are available; put neurons between them"):
        compiled(small)


def test_paths_that_join_again_and_again_are_one_synapse_with_a_short_name() -> None:
    (synapse,) = compiled(ladder(200)).synapses
    assert len(synapse.name) < 400
    (shallow,) = compiled(ladder(2)).synapses
    np.testing.assert_allclose(
        shallow.weights.matrix().toarray(),
        0.1 * 4 * np.linalg.matrix_power(np.full((2, 2), 0.01), 4),  # dt / tau, and four ways
        rtol=1e-6,
    )
