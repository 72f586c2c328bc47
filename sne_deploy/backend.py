"""What a backend is, and what it returns. The core owns these types; backends are plug-ins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from sne_deploy.chips.registers import Arithmetic, RegisterFormats
from sne_deploy.errors import InputError, TargetError
from sne_deploy.ir.program import Precision, Program

Array = npt.NDArray[Any]
Record = Literal["counts", "spikes", "all"]
Progress = Callable[[str, int, int], None]
"""Called as progress(student, steps done, steps in all); from any thread."""

ENTRY_POINT_GROUP = "sne_deploy.backends"


@dataclass(frozen=True)
class Capabilities:
    """What a backend can run.

    Attributes
    ----------
    precisions : tuple of Precision
    neuron_kinds : tuple of str
    max_samples_default : int or None
        Samples run when the user names no number; None: all.
    weight_exp_max, bias_exp : int or None
        Where it has less of the registers than a chip: the largest exponent of a weight, the only one of a
        bias. None: the chip's.
    arithmetic : Arithmetic or None
        The only widths that it computes with; None: it computes without registers.
    """

    precisions: tuple[Precision, ...]
    neuron_kinds: tuple[str, ...]
    max_samples_default: int | None = None
    weight_exp_max: int | None = None
    bias_exp: int | None = None
    arithmetic: Arithmetic | None = None

    def formats(self, registers: RegisterFormats, weight_bits: int | None = None) -> RegisterFormats:
        """What a Program for this target may use of a chip's registers.

        Raises
        ------
        InputError
            The target computes with other widths, or the chip's weights have not got so many bits.
        """
        if self.arithmetic is not None and self.arithmetic != registers.arithmetic:
            raise InputError(
                f"chip {registers.chip} has {registers.arithmetic}, and the target computes with "
                f"{self.arithmetic}; give another chip with --hardware, or another --target"
            )
        return registers.narrowed(weight_bits, weight_exp_max=self.weight_exp_max, bias_exp=self.bias_exp)


@dataclass(frozen=True)
class RunOptions:
    """How a compiled student is run; never changes a result.

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


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """What happened in one neuron group and the synapses that end on it.

    Attributes
    ----------
    name : str
    synops : int64 array of shape (N,)
        Spikes that arrived at existing synapses into the group.
    spikes : int64 array of shape (N,)
        Spikes that the group sent.
    updates_active, updates_idle : int64 array of shape (N,)
        Neuron updates with input or non-zero u or v before the update; and the others.
        ``None`` where the backend does not model registers (float reference).
    recorded_spikes : bool array of shape (N, T, *shape), or None
    recorded_u, recorded_v : array of shape (N, T, *shape), or None
        State after each step (after the reset by a spike), in registers or floats; ``record="all"``.
    """

    name: str
    synops: Array
    spikes: Array
    updates_active: Array | None
    updates_idle: Array | None
    recorded_spikes: Array | None = None
    recorded_u: Array | None = None
    recorded_v: Array | None = None


@dataclass(frozen=True, eq=False)
class Trace:
    """The result of one student on N samples. Index n is sample n, whatever the streaming.

    Attributes
    ----------
    raw_outputs : array of shape (N, n_out)
        Counts; v at the last step or its maximum; or the exact *sum* of v over the sample for ``v_mean``.
    outputs : float64 array of shape (N, n_out)
        In the student's units.
    layers : tuple of LayerTrace
        In the Program's order of groups.
    input_spikes : int64 array of shape (N,)
        Spikes (or per-step graded messages) that entered, the always-on axon's included.
    host_macs : int64 array of shape (N,)
    saturated_inputs : int
        Host constants clipped to their register.
    """

    raw_outputs: Array
    outputs: Array
    layers: tuple[LayerTrace, ...]
    input_spikes: Array
    host_macs: Array
    saturated_inputs: int = 0

    @property
    def synops(self) -> Array:
        """int64 array of shape (N,): SynOps of all layers."""
        return np.asarray(np.sum([layer.synops for layer in self.layers], axis=0, dtype=np.int64))


@runtime_checkable
class Executable(AbstractContextManager["Executable"], Protocol):
    """A compiled student, ready to run; a context manager that frees what it holds."""

    def run(self, inputs: Array, record: Record = "counts") -> Trace:
        """Run N samples. ``inputs``: [N, T, *shape] of 0/1 for spikes, [N, *shape] for currents."""
        ...


@runtime_checkable
class Backend(Protocol):
    """A target."""

    name: str

    def capabilities(self) -> Capabilities:
        """What it can run."""
        ...

    def compile(self, program: Program, options: RunOptions) -> Executable:
        """Check that the Program can run here, listing everything that cannot at once."""
        ...


@runtime_checkable
class Checker(Protocol):
    """A backend that says whether a Program can run without making what runs it."""

    def check(self, program: Program) -> None:
        """Raise what :meth:`Backend.compile` would raise for this Program."""
        ...


@runtime_checkable
class FileWriter(Protocol):
    """A backend whose compiled students are files for other tools."""

    def write(self, program: Program, folder: Path) -> tuple[Path, ...]:
        """Write a student's files, each atomically; their paths."""
        ...


def backend_names() -> tuple[str, ...]:
    """Names of the installed backends, sorted."""
    return tuple(sorted({entry.name for entry in entry_points(group=ENTRY_POINT_GROUP)}))


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
