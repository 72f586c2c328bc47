"""Graphs that no chain of Norse cells stands for, written down; sums of their numbers are exact."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import nir
import numpy as np

from tests.graphs import DT_S


def lif(size: int, **changes: Any) -> nir.LIF:
    fields = {"tau": 2 * DT_S, "r": 2.0, "v_leak": 0.125, "v_threshold": 0.5, "v_reset": -0.25}
    metadata = changes.pop("metadata", {})
    return nir.LIF(
        **{k: np.full(size, float(v)) for k, v in {**fields, **changes}.items()}, metadata=metadata
    )


def cuba_lif(size: int, **metadata: Any) -> nir.CubaLIF:
    fields = {"tau_syn": 2 * DT_S, "tau_mem": 4 * DT_S, "r": 2.0, "v_leak": 0.0, "v_threshold": 0.25}
    arrays = {name: np.full(size, value) for name, value in fields.items()}
    return nir.CubaLIF(**arrays, w_in=np.full(size, 2.0), metadata=metadata)


def li(size: int) -> nir.LI:
    fields = {"tau": 4 * DT_S, "r": 1.0, "v_leak": 0.25}
    return nir.LI(**{name: np.full(size, value) for name, value in fields.items()})


def matrix(n_out: int, n_in: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-8, 9, (n_out, n_in)) / 8


def made(nodes: dict[str, Any], *paths: str) -> Any:
    """A graph of paths like "input > lif > output"; an edge may stand in several of them."""
    edges: dict[tuple[str, str], None] = {}
    for path in paths:
        names = path.split(" > ")
        edges.update(dict.fromkeys(pairwise(names)))
    return nir.NIRGraph(nodes, list(edges), metadata={"dt_s": DT_S}, type_check=False)


def ends(size: int, out: int) -> dict[str, Any]:
    return {"input": nir.Input(np.array([size])), "output": nir.Output(np.array([out]))}


def two_groups_in_a_cycle() -> Any:
    nodes = {
        **ends(4, 3),
        "in": nir.Linear(matrix(5, 4)),
        "a": lif(5),
        "ab": nir.Affine(matrix(3, 5, 1), matrix(3, 1, 2)[:, 0]),
        "b": cuba_lif(3),
        "ba": nir.Affine(matrix(5, 3, 3), matrix(5, 1, 4)[:, 0]),
    }
    return made(nodes, "input > in > a > ab > b > output", "b > ba > a")


def delays_in_a_cycle() -> Any:
    nodes = {
        **ends(3, 3),
        "a": lif(3, metadata={"reset": "subtract"}),
        "late": nir.Delay(np.array([0.0, 1.0, 2.6]) * DT_S),
        "back": nir.Linear(-matrix(3, 3)),
        "skip": nir.Delay(np.full(3, 3 * DT_S)),
        "b": lif(3),
    }
    return made(nodes, "input > a > late > back > a", "a > skip > b > output", "a > b")


def an_integrator_and_a_threshold() -> Any:
    nodes = {
        **ends(3, 3),
        "w": nir.Linear(matrix(3, 3)),
        "li": li(3),
        "back": nir.Linear(-matrix(3, 3, 5)),
        "th": nir.Threshold(np.array([0.25, 0.375, 0.5])),
        "after": lif(3),
    }
    return made(nodes, "input > w > li > th > after > output", "th > back > li")


def a_potential_through_a_matrix() -> Any:
    nodes = {**ends(3, 2), "li": li(3), "w": nir.Linear(matrix(2, 3)), "b": lif(2), "out": li(2)}
    return made(nodes, "input > li > w > b > out > output")


def a_group_that_inhibits_itself() -> Any:
    nodes = {
        **ends(3, 3),
        "a": cuba_lif(3, reset="subtract", reset_delayed=True),
        "half": nir.Scale(np.array([-0.5, -1.0, 0.25])),
    }
    return made(nodes, "input > a > output", "a > half > a")


def a_cycle_through_the_first_matrix() -> Any:
    nodes = {**ends(3, 3), "w": nir.Affine(matrix(3, 3, 6), np.array([0.5, 0.0, -0.25])), "a": lif(3)}
    return made(nodes, "input > w > a > output", "a > w")


def an_input_behind_a_back_edge() -> Any:
    """The matrix gets the input and closes the cycle: what enters at one step arrives again at the next."""
    nodes = {**ends(3, 3), "a": lif(3), "m": nir.Affine(matrix(3, 3, 7), np.array([0.5, 0.0, -0.25]))}
    return made(nodes, "input > a > output", "a > m > a", "input > m")


GRAPHS: dict[str, Callable[[], Any]] = {
    make.__name__: make
    for make in (
        two_groups_in_a_cycle,
        delays_in_a_cycle,
        an_integrator_and_a_threshold,
        a_potential_through_a_matrix,
        a_group_that_inhibits_itself,
        a_cycle_through_the_first_matrix,
        an_input_behind_a_back_edge,
    )
}
