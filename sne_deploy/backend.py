"""What a backend is. The core owns these types; backends are plug-ins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy.typing as npt

from sne_deploy.chips.registers import Arithmetic, RegisterFormats
from sne_deploy.errors import InputError, TargetError, UnsupportedError
from sne_deploy.ir.program import Precision, Program, Sends

if TYPE_CHECKING:
    from sne_deploy.runtime.trace import Trace

Array = npt.NDArray[Any]
Record = Literal["counts", "spikes", "all"]
Progress = Callable[[str, int, int], None]
"""Called as progress(student, steps done, steps in all); from any thread."""

ENTRY_POINT_GROUP = "sne_deploy.backends"
DEFAULT_TARGET, SAME_INTEGERS = "lava", "loihi"
"""Where a model runs unless told otherwise, and where it does so if that is not installed."""


@dataclass(frozen=True)
class Capabilities:
    """What a backend can run.

    Attributes
    ----------
    precisions : tuple of Precision
    neuron_kinds : tuple of str
        Neuron models that it runs, by their names in ``sne_deploy.neurons.table.MODELS``.
    max_samples_default : int or None
        Samples run when the user names no number; None: all.
    weight_exp_max, bias_exp : int or None
        Where it has less of the registers than a chip: the largest exponent of a weight, the only one of a
        bias. None: the chip's.
    arithmetic : Arithmetic or None
        The only widths that it computes with; None: it computes without registers.
    sends : tuple of Sends
        What spikes may carry.
    """

    precisions: tuple[Precision, ...]
    neuron_kinds: tuple[str, ...]
    max_samples_default: int | None = None
    weight_exp_max: int | None = None
    bias_exp: int | None = None
    arithmetic: Arithmetic | None = None
    sends: tuple[Sends, ...] = ("binary",)

    def problems(self, program: Program) -> Iterator[str]:
        """What of a Program is not among these: precision, neuron models, what spikes carry.

        Parameters
        ----------
        program : Program

        Yields
        ------
        str
            One problem with its remedy.
        """
        if program.precision not in self.precisions:
            yield f"precision {program.precision!r}; use --precision {' or '.join(self.precisions)}"
        for group in program.groups:
            if group.kind not in self.neuron_kinds:
                kinds = ", ".join(self.neuron_kinds)
                yield f"group {group.name!r}: neuron kind {group.kind!r} is not one of {kinds}"
            if group.sends not in self.sends:
                sends = ", ".join(self.sends)
                yield f"group {group.name!r} sends {group.sends} spikes; spikes are {sends} here"

    def formats(self, registers: RegisterFormats, weight_bits: int | None = None) -> RegisterFormats:
        """What a Program for this target may use of a chip's registers.

        Parameters
        ----------
        registers : RegisterFormats
            The chip's.
        weight_bits : int or None
            None: the chip's.

        Returns
        -------
        RegisterFormats

        Raises
        ------
        InputError
            The target computes with other widths, or the chip's weights have fewer bits.
        """
        if self.arithmetic is not None and self.arithmetic != registers.arithmetic:
            raise InputError(
                f"chip {registers.chip} has {registers.arithmetic}, and the target computes with "
                f"{self.arithmetic}; give another chip with --hardware, or another --target"
            )
        return registers.narrowed(weight_bits, weight_exp_max=self.weight_exp_max, bias_exp=self.bias_exp)


@dataclass(frozen=True)
class RunOptions:
    """How a compiled network is run; never changes a result.

    Attributes
    ----------
    progress : callable or None
    stream : int or None
        Samples streamed in one simulation; None: all of them.
    extra : mapping
        A backend's own options, by name.
    """

    progress: Progress | None = None
    stream: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Executable(AbstractContextManager["Executable"], Protocol):
    """A compiled network, ready to run; a context manager that frees what it holds."""

    def run(self, inputs: Array, record: Record = "counts") -> Trace:
        """Run samples through the network.

        Parameters
        ----------
        inputs : array
            ``(N, T, *shape)`` of 0 and 1 for spikes, ``(N, *shape)`` for currents.
        record : {"counts", "spikes", "all"}

        Returns
        -------
        Trace
            Exact counts and outputs, per sample.
        """
        ...


@runtime_checkable
class Silent(Protocol):
    """A compiled network that says what it would have counted; of one that does not, nothing is known."""

    def not_run(self, samples: int, record: Record) -> Trace:
        """The trace of samples on which it did not run.

        Parameters
        ----------
        samples : int
        record : {"counts", "spikes", "all"}

        Returns
        -------
        Trace
            Outputs are NaN; what :meth:`Executable.run` counts and records is 0, and what it leaves None
            is None.
        """
        ...


@runtime_checkable
class Backend(Protocol):
    """A target."""

    name: str

    def capabilities(self) -> Capabilities:
        """What it can run.

        Returns
        -------
        Capabilities
        """
        ...

    def compile(self, program: Program, options: RunOptions) -> Executable:
        """Make what runs a Program.

        Parameters
        ----------
        program : Program
        options : RunOptions

        Returns
        -------
        Executable

        Raises
        ------
        UnsupportedError
            Everything that cannot run here, at once.
        """
        ...


@runtime_checkable
class Checker(Protocol):
    """A backend that says whether a Program can run without making what runs it."""

    def check(self, program: Program) -> None:
        """Raise what :meth:`Backend.compile` would raise for this Program.

        Parameters
        ----------
        program : Program
        """
        ...


@runtime_checkable
class Needy(Protocol):
    """A backend that needs what need not be installed."""

    def require(self) -> None:
        """Raise TargetError, with what to install, where something is missing."""
        ...


@runtime_checkable
class FileWriter(Protocol):
    """A backend whose compiled networks are files for other tools."""

    def write(self, program: Program, folder: Path) -> tuple[Path, ...]:
        """Write a network's files, each atomically.

        Parameters
        ----------
        program : Program
        folder : Path

        Returns
        -------
        tuple of Path
        """
        ...


def require_capabilities(backend: Backend, program: Program) -> None:
    """Refuse what a backend's capabilities leave out.

    Raises
    ------
    UnsupportedError
        Lists all of it.
    """
    problems = list(backend.capabilities().problems(program))
    if problems:
        raise UnsupportedError(f"student {program.name!r} on target {backend.name}", problems)


def backend_names() -> tuple[str, ...]:
    """Names of the installed backends, sorted."""
    return tuple(sorted({entry.name for entry in entry_points(group=ENTRY_POINT_GROUP)}))


def chosen_target(name: str | None) -> tuple[str, str | None]:
    """The target asked for; for None ``lava``, or ``loihi`` with the reason where that cannot run."""
    if name is not None:
        return name, None
    try:
        backend = load_backend(DEFAULT_TARGET)
        if isinstance(backend, Needy):
            backend.require()
    except TargetError as error:
        return SAME_INTEGERS, f"running on target {SAME_INTEGERS}, which gives the same integers: {error}"
    return DEFAULT_TARGET, None


def load_backend(name: str) -> Backend:
    """Import a backend by its entry point and make it.

    Raises
    ------
    TargetError
        Unknown name, or a package that the backend needs is not installed.
    """
    found = [entry for entry in entry_points(group=ENTRY_POINT_GROUP) if entry.name == name]
    if not found:
        known = ", ".join(backend_names()) or "none are installed"
        raise TargetError(f"unknown target {name!r}; known targets: {known}")
    try:
        backend: Backend = found[0].load()()
    except ImportError as error:
        raise TargetError(
            f"target {name!r} cannot be loaded from {found[0].value!r}: {error}; install what it needs"
        ) from error
    return backend
