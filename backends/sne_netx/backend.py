"""The backend: what it can run, compiling a Program for it, and writing its files."""

from __future__ import annotations

from pathlib import Path

from sne_deploy.backend import Capabilities, RunOptions, require_capabilities
from sne_deploy.chips.registers import Arithmetic
from sne_deploy.files import write_whole
from sne_deploy.ir.program import Program
from sne_deploy.ir.verify import verify
from sne_lava.installed import require_netx
from sne_lava.options import MAX_SAMPLES_DEFAULT, require_linux, stall_s_of
from sne_netx.driver import driver_script
from sne_netx.executable import NetStudent, NetxExecutable
from sne_netx.format.file import net_bytes, write_net
from sne_netx.format.layers import NEURON_KINDS, NetFile, NetLayer
from sne_netx.format.plan import plan_net


class NetxBackend:
    """Target ``netx``: one ``.net`` file per student, run by lava-dl's netx on the CPU (Linux).

    ``RunOptions.stream`` is the number of samples in one Lava run (all by default). ``RunOptions.extra``
    may hold ``stall_s``: seconds without a step after which a run is given up (600 by default).
    """

    name = "netx"

    def capabilities(self) -> Capabilities:
        """Fixed point, every neuron kind; at most 500 samples unless the user names a number."""
        return Capabilities(
            precisions=("fixed",),
            neuron_kinds=NEURON_KINDS,
            max_samples_default=MAX_SAMPLES_DEFAULT,
            weight_exp_max=0,
            bias_exp=6,
            arithmetic=Arithmetic(state_bits=23, state_shift=6, decay_bits=12),
        )

    def check(self, program: Program) -> None:
        """Refuse what netx cannot run.

        Raises
        ------
        TargetError
            lava-dl is not installed, or this is not Linux.
        UnsupportedError
            Lists everything that netx cannot run.
        """
        self._planned(program)

    def _planned(self, program: Program) -> NetFile:
        require_linux(self.name)
        require_netx()
        require_capabilities(self, program)
        return plan_net(program)

    def compile(self, program: Program, options: RunOptions) -> NetxExecutable:
        """Write the file; netx itself starts with each run.

        Raises
        ------
        TargetError, UnsupportedError
            See :meth:`check`.
        VerificationError
            The Program is inconsistent.
        """
        stall_s = stall_s_of(options, self.name)
        net = self._planned(program)
        verify(program, after="compilation for netx")
        student = NetStudent(program, net_bytes(program), _entry_shape(net.layers))
        return NetxExecutable(student, options, stall_s)

    def write(self, program: Program, folder: Path) -> tuple[Path, ...]:
        """Write ``NAME.net``, and for constant input ``NAME_driver.py``, which runs it with netx alone.

        Raises
        ------
        UnsupportedError
            Lists everything that netx cannot run.
        OutputError
            A file cannot be written.
        """
        net = folder / f"{program.name}.net"
        write_net(net, program)
        if not program.hosts:
            return (net,)
        return net, write_whole(folder / f"{program.name}_driver.py", driver_script(program).encode())


def _entry_shape(layers: tuple[NetLayer, ...]) -> tuple[int, ...]:
    """Shape of what enters netx's first layer: maps, or a vector."""
    first, second = layers[0], layers[1] if len(layers) > 1 else layers[0]
    return first.shape if first.neuron is not None or second.type == "conv" else (first.size,)
