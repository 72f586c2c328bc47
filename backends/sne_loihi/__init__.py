"""The fast bit-exact Loihi simulator: batched over samples, exact integers, counting inside.

Importing this package imports neither torch nor numba.
"""

from __future__ import annotations

from sne_deploy.backend import Capabilities, Executable, RunOptions, require_capabilities
from sne_deploy.chips.registers import Arithmetic
from sne_deploy.ir.program import Program
from sne_loihi.neurons import KERNELS


class LoihiBackend:
    """Target ``loihi``."""

    name = "loihi"

    def capabilities(self) -> Capabilities:
        """Fixed point only: it is Loihi's arithmetic."""
        return Capabilities(
            precisions=("fixed",),
            neuron_kinds=tuple(KERNELS),
            arithmetic=Arithmetic(state_bits=23, state_shift=6, decay_bits=12),
        )

    def check(self, program: Program) -> None:
        """Refuse a floating-point Program, and models without a kernel.

        Raises
        ------
        UnsupportedError
        """
        require_capabilities(self, program)

    def compile(self, program: Program, options: RunOptions) -> Executable:
        """Lay the Program's weights out for this machine.

        Raises
        ------
        UnsupportedError
            See :meth:`check`.
        """
        self.check(program)
        from sne_loihi.executable import LoihiExecutable

        return LoihiExecutable(program, options)
