"""The backend: what it can run, and compiling a Program for it."""

from __future__ import annotations

from collections.abc import Iterator

from sne_deploy.backend import Capabilities, RunOptions
from sne_deploy.chips.registers import Arithmetic
from sne_deploy.errors import UnsupportedError
from sne_deploy.ir.program import Program
from sne_deploy.ir.verify import verify_program
from sne_lava.executable import LavaExecutable
from sne_lava.installed import require_lava
from sne_lava.lowering import lower
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
            neuron_kinds=("lif", "cuba_lif", "if", "li", "cuba_li"),
            max_samples_default=MAX_SAMPLES_DEFAULT,
            arithmetic=Arithmetic(state_bits=23, state_shift=6, decay_bits=12),
        )

    def check(self, program: Program) -> None:
        """Refuse what Lava cannot run.

        Raises
        ------
        TargetError
            Lava is not installed, or this is not Linux.
        UnsupportedError
            Lists everything that Lava cannot run.
        """
        require_linux(self.name)
        require_lava()
        problems = list(self._kind_problems(program))
        if problems:
            raise UnsupportedError(f"student {program.name!r} on target lava", problems)

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
        verify_program(program, after="compilation for lava")
        return LavaExecutable(lower(program), options, stall_s_of(options, self.name))

    def _kind_problems(self, program: Program) -> Iterator[str]:
        kinds = self.capabilities().neuron_kinds
        for group in program.groups:
            if group.kind not in kinds:
                yield f"group {group.name!r}: neuron kind {group.kind!r} is not one of {', '.join(kinds)}"
