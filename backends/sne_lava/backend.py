"""The backend: what it can run, and compiling a Program for it."""

from __future__ import annotations

from sne_deploy.backend import Capabilities, RunOptions, require_capabilities
from sne_deploy.chips.registers import Arithmetic
from sne_deploy.ir.program import Program
from sne_deploy.ir.verify import verify
from sne_lava.executable import LavaExecutable
from sne_lava.installed import require_lava
from sne_lava.lowering import lower
from sne_lava.neurons import PROCESSES
from sne_lava.options import MAX_SAMPLES_DEFAULT, require_linux, stall_s_of


class LavaBackend:
    """Target ``lava``: lava-nc processes, simulated on the CPU (Linux).

    ``RunOptions.stream`` is the number of samples in one Lava run (all by default). ``RunOptions.extra``
    may hold ``stall_s``: seconds without a step after which a run is given up (600 by default).
    """

    name = "lava"

    def capabilities(self) -> Capabilities:
        """Both precisions and every neuron kind; at most 500 samples unless the user names a number."""
        return Capabilities(
            precisions=("fixed", "float"),
            neuron_kinds=tuple(PROCESSES),
            max_samples_default=MAX_SAMPLES_DEFAULT,
            arithmetic=Arithmetic(state_bits=23, state_shift=6, decay_bits=12),
        )

    def require(self) -> None:
        """Refuse another system than Linux, and one without Lava; raises TargetError."""
        require_linux(self.name)
        require_lava()

    def check(self, program: Program) -> None:
        """Refuse what Lava cannot run.

        Raises
        ------
        TargetError
            Lava is not installed, or this is not Linux.
        UnsupportedError
            Lists everything that Lava cannot run.
        """
        self.require()
        require_capabilities(self, program)

    def compile(self, program: Program, options: RunOptions) -> LavaExecutable:
        """Check the Program; Lava itself starts with each run.

        Raises
        ------
        TargetError, UnsupportedError
            See :meth:`check`.
        VerificationError
            The Program is inconsistent.
        """
        self.check(program)
        verify(program, after="compilation for lava")
        return LavaExecutable(lower(program), options, stall_s_of(options, self.name))
