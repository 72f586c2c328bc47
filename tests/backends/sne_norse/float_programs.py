"""Programs around a graph, for what runs the graph alone."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from sne_deploy.frontend.nir.shapes import graph_shapes
from sne_deploy.ir.program import NeuronGroup, Program, ProgramInput


def around(graph: Any, input_shape: tuple[int, ...], timesteps: int, *, constant: bool) -> Program:
    """A Program in which every node is a group that is not read as spikes, so that all of them are seen."""
    zero = np.asarray(0.0)
    groups = tuple(
        NeuronGroup(str(name), "li", shape, zero, zero, zero, zero, 0, zero, 0, 1.0, zero)
        for name, shape in graph_shapes(graph, input_shape).items()
    )
    entry = ProgramInput("input", input_shape, "current" if constant else "spikes")
    outputs = tuple(sorted(name for name, node in graph.nodes.items() if isinstance(node, nir.Output)))
    dt_s = float(graph.metadata["dt_s"])
    return Program("random", "float", timesteps, entry, groups, (), outputs, "v_last", (), graph, dt_s)


def samples(program: Program, count: int, rng: np.random.Generator) -> np.ndarray:
    """Random spikes, or currents or real numbers at every step, multiples of 1/8."""
    if not program.spike_input:
        return rng.integers(-4, 13, (count, *program.sample_shape)) / 8
    return (rng.random((count, program.timesteps, *program.input.shape)) < 0.5).astype(np.uint8)
