"""The floating-point reference: the student itself, in float64, on the CPU.

A student that has layers runs by them, as Norse computes its cells, bit for bit; every other one runs node by
node, as NIR defines the nodes of its graph. Synaptic operations are their spikes times the fan-out in the
floating-point Program. Registers are not modelled: there are no update counts.
"""

from __future__ import annotations

from sne_deploy.backend import Capabilities, Executable, RunOptions, require_capabilities
from sne_deploy.ir.program import Program
from sne_deploy.neurons.table import MODELS


class NorseBackend:
    """Target ``norse``."""

    name = "norse"

    def capabilities(self) -> Capabilities:
        """Floating point only."""
        return Capabilities(precisions=("float",), neuron_kinds=tuple(MODELS))

    def check(self, program: Program) -> None:
        """Refuse a fixed-point Program; every neuron model has a rule here, a cell's if no other.

        Raises
        ------
        UnsupportedError
        """
        require_capabilities(self, program)

    def compile(self, program: Program, options: RunOptions) -> Executable:
        """Take the student's layers, or else its graph.

        Raises
        ------
        UnsupportedError
            A fixed-point Program.
        """
        self.check(program)
        from sne_norse.executable import NorseExecutable

        return NorseExecutable(program, options)
