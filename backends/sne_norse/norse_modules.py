"""Students that came from Norse, as the Norse cells that they were trained as, in float64."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sne_deploy.errors import GraphError, UnsupportedError
from sne_deploy.frontend.nir.neuron_nodes import NEURONS, fires
from sne_deploy.frontend.nir.topology import execution_order
from sne_deploy.frontend.norse.export import layers_from_graph
from sne_deploy.frontend.norse.modules import module_from_layers
from sne_deploy.ir.program import Program
from sne_deploy.neurons.resets import reset_of

Array = npt.NDArray[Any]


def norse_modules(program: Program) -> NorseModules | None:
    """The Norse modules of a Program's graph; None where Norse has no layers for it."""
    graph = program.graph
    names = [name for name in execution_order(graph).order if type(graph.nodes[name]) in NEURONS]
    firing = [name for name in names if fires(graph.nodes[name])]
    if any(reset_of(name, graph.nodes[name]).mode != "value" for name in firing):
        return None
    if set(names) != {group.name for group in program.groups}:
        return None
    try:
        layers = layers_from_graph(graph)
    except (GraphError, UnsupportedError):  # not a chain, or a node without a layer
        return None
    return NorseModules(program, module_from_layers(layers, dtype=torch.float64), names)


class NorseModules:
    """A Norse module, and the names of its cells in order."""

    def __init__(self, program: Program, module: torch.nn.Module, names: list[str]) -> None:
        self._program, self._module = program, module
        cells = [child for child in module.modules() if hasattr(child, "state_fallback")]
        self._cells = dict(zip(names, cells, strict=True))

    def steps(self, inputs: Array) -> Iterator[Mapping[str, Array]]:
        """What every cell sends, at one step after the other.

        Parameters
        ----------
        inputs : array of shape (N, T, *shape), or (N, *shape) for currents

        Yields
        ------
        mapping of group name to float64 array of shape (N, ...)
        """
        sent: dict[str, Array] = {}
        hooks = [cell.register_forward_hook(_recorder(sent, name)) for name, cell in self._cells.items()]
        try:
            state = None
            for t in range(self._program.timesteps):
                x = inputs if self._program.constant_input else inputs[:, t]
                with torch.no_grad():
                    _, state = self._module(torch.tensor(np.asarray(x, dtype=np.float64)), state)
                yield dict(sent)
        finally:
            for hook in hooks:
                hook.remove()


def _recorder(sent: dict[str, Array], name: str) -> Any:
    def hook(_module: torch.nn.Module, _arguments: Any, output: Any) -> None:
        sent[name] = output[0].detach().numpy().copy()

    return hook
