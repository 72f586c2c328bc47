"""Runs of a live module on random input, whichever axes its input has, recorded as chains.

Importing this module imports torch and norse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch

from sne_deploy.frontend.norse.copies import copied, one_line, undisturbed, watch_hooks, watched_globals
from sne_deploy.frontend.norse.functions import summed, without_factor
from sne_deploy.frontend.norse.recording import Recording
from sne_deploy.frontend.norse.signals import (
    INPUT,
    Affine,
    Lost,
    NotAChainError,
    Operation,
    Signal,
    SomeStepsError,
    WrongLayoutError,
    at,
)
from sne_deploy.frontend.norse.walking import timing
from sne_deploy.ir.readout import READOUTS

Layout = Literal["time first", "one step", "samples first", "time last", "no time"]
LAYOUTS: tuple[Layout, ...] = ("time first", "one step", "samples first", "time last", "no time")
"""How a module may take its input, in the order in which they are tried."""


class HookError(NotAChainError):
    """A hook changes what a layer gets or gives."""


@dataclass(frozen=True)
class Network:
    """What is run: a module as the user gave it, and what it is given.

    Attributes
    ----------
    module : torch.nn.Module
        A copy in evaluation mode; every run is of a copy of it.
    input_shape : tuple of int
        One sample at one step.
    timesteps : int
    spikes : bool
        It is run on 0 and 1, which may differ at every step; else on values that are constant over time.
    """

    module: Any
    input_shape: tuple[int, ...]
    timesteps: int
    spikes: bool

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        tensors = (*self.module.parameters(), *self.module.buffers())
        return next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), torch.float32)

    def random_input(self, steps: int, batch: int, seed: int, density: float = 0.5) -> torch.Tensor:
        """Samples [T, B, ...] on the module's device, of that many spikes, or of that mean."""
        generator = torch.Generator().manual_seed(seed)
        values = torch.rand((steps, batch, *self.input_shape), generator=generator, dtype=torch.float64)
        values = (values < density) if self.spikes else 2 * density * values[:1].expand_as(values)
        device = next((p.device for p in self.module.parameters()), torch.device("cpu"))
        return values.to(self.dtype).to(device)


@dataclass(frozen=True)
class Run:
    """One run of a module.

    Attributes
    ----------
    layout : Layout
    chain : tuple of Operation
        From the input to the output, with what each got and gave.
    out : Signal
        What the module returns.
    steps, batch : int
    looked : str or None
        Where Python took numbers of a signal, as a refusal.
    """

    layout: Layout
    chain: tuple[Operation, ...]
    out: Signal
    steps: int
    batch: int
    looked: str | None

    def is_like(self, other: Run) -> bool:
        """Whether both took the same way."""
        one, two = ([_way(op) for op in run.chain] for run in (self, other))
        return one == two and self.out.readout == other.out.readout


def _way(operation: Operation) -> tuple[Any, ...]:
    """What an operation is, but for a module's parameters."""
    what = operation.what
    return operation.path, type(what), None if isinstance(what, torch.nn.Module) else what


def run_module(
    network: Network,
    layout: Layout,
    steps: int,
    *,
    seed: int = 0,
    noise: int = 0,
    batch: int | None = None,
    density: float = 0.5,
    number: float | None = None,
    gains: Mapping[str, float] | None = None,
    progress: list[int] | None = None,
) -> Run:
    """Run a copy on random input, and record it.

    Parameters
    ----------
    network : Network
    layout : Layout
    steps : int
    seed : int
        Of the input.
    noise : int
        Seed of whatever is random in the module.
    batch : int or None
        Number of samples; another than that of steps, so that axes can be told apart.
    density : float
        Of the input.
    number : float or None
        What Python gets where it asks for numbers of a signal.
    gains : mapping of path to float, or None
        Numbers that layers' inputs are multiplied with.
    progress : list of int or None
        Gets the number of operations that were seen.

    Raises
    ------
    NotAChainError, WrongLayoutError
        Why it is no chain, or takes its input otherwise.
    """
    module = copied(network.module)
    batch = batch or (3 if steps == 2 else 2)
    changed: list[str] = []
    watch_hooks(module, changed.append)
    recording = Recording(module, batch, spikes=network.spikes, gains=gains, number=number)
    try:
        with undisturbed(module), watched_globals(changed.append):
            torch.manual_seed(1000 * noise + seed)
            out = _call(module, recording, network.random_input(steps, batch, seed, density), layout)
        if changed:
            raise HookError(changed[0])
        return _finished(recording, layout, out, steps)
    except (NotAChainError, WrongLayoutError):
        if changed:
            raise HookError(changed[0]) from None
        raise
    finally:
        recording.end()
        if progress is not None:
            progress.append(len(recording.operations))


def _call(module: Any, recording: Recording, x: torch.Tensor, layout: Layout) -> Any:
    """What the module returns; one output of all steps where it is called once per step."""
    steps = tuple(range(len(x)))
    if layout == "one step":
        return _step_by_step(module, recording, x)
    given, signal = {
        "time first": lambda: (x, Signal(INPUT, steps, 0)),
        "samples first": lambda: (x.transpose(0, 1), Signal(INPUT, steps, 1)),
        "time last": lambda: (x.movedim(0, -1), Signal(INPUT, steps, x.ndim - 1)),
        "no time": lambda: (x[0], Signal(INPUT, None)),
    }[layout]()
    given = given.clone()
    recording.enters(given, signal)
    return _run(module, recording, given)


def _step_by_step(module: Any, recording: Recording, x: torch.Tensor) -> Any:
    states: tuple[Any, ...] = ()
    outputs = []
    for step, value in enumerate(x):
        given = value.clone()
        recording.enters(given, Signal(INPUT, (step,)))
        out = _run(module, recording, given, *states)
        out, *rest = out if isinstance(out, tuple) else (out,)
        states = tuple(rest)
        outputs.append(out)
    if not all(isinstance(output, torch.Tensor) for output in outputs):
        raise NotAChainError("it returns the outputs of several layers; return_hidden must be False")
    with recording:
        return torch.stack(outputs)


def _run(module: Any, recording: Recording, *arguments: Any) -> Any:
    try:
        with recording:
            return module(*arguments)
    except (NotAChainError, WrongLayoutError):
        raise
    except Exception as error:  # noqa: BLE001  # whatever a forward of the user's own raises
        raise WrongLayoutError(
            f"its forward fails on an input of shape {tuple(arguments[0].shape)} "
            f"({type(error).__name__}: {one_line(error)})"
        ) from None


def _finished(recording: Recording, layout: Layout, out: Any, steps: int) -> Run:
    """Check what was returned, and follow it back to the input."""
    first = next(_first_tensors(out), None)
    if first is None:
        raise NotAChainError(
            f"it returns a {type(out).__name__}, must be a tensor, or a tuple that begins with one"
        )
    signal = recording.known(first)
    if isinstance(signal, Lost):
        raise NotAChainError(signal.why)
    if signal is None:
        raise NotAChainError("what it returns does not come from its input by layers that are known")
    recording.check(signal, first)
    chain: list[Operation] = []
    index = signal.op
    while index != INPUT:
        chain.insert(0, recording.operations[index])
        index = chain[0].source
    made = max((len(op.gave) for op in chain), default=steps) if layout == "no time" else steps
    signal = summed(recording, _without_last_factor(chain, signal, made))
    _check_steps(chain, signal, made)
    return Run(layout, tuple(chain), signal, made, recording.batch, recording.looked)


def _without_last_factor(chain: list[Operation], signal: Signal, steps: int) -> Signal:
    """A positive factor of the last step alone, or of membranes, leaves the class: it leaves the chain."""
    while len(chain) > 1 and isinstance(chain[-1].what, Affine):
        kind = timing(chain[-2].what)
        membranes = (kind.cell or kind.over_time) and not kind.spiking
        if not membranes and (steps == 1 or set(chain[-1].gave) != {steps - 1}):
            break
        last = chain.pop()
        try:
            signal = without_factor(at(signal, last.source), last.what.factor, last.what.shift)
        except NotAChainError as error:
            raise NotAChainError(f"what its forward does to its output {error}") from None
    return signal


def _check_steps(chain: list[Operation], signal: Signal, steps: int) -> None:
    every = set(range(steps))
    for operation in chain:
        if set(operation.gave) not in (every, {0}):
            raise NotAChainError(
                f"{operation.path or 'the module itself'}: it runs at {len(operation.gave)} of {steps} steps "
                "only; every layer must run at every step"
            )
    if signal.steps is None:
        return
    if signal.readout in READOUTS and sorted(signal.steps) != list(range(steps)):
        raise SomeStepsError(
            "its output is a sum, mean or maximum over some steps, and a readout is over all; reduce all"
        )
    if signal.readout in READOUTS:
        return
    if signal.axis is not None and signal.steps != tuple(range(steps)):
        raise SomeStepsError("it returns some of the steps, or in another order; return all, or the last")
    if signal.axis is None and signal.steps != (steps - 1,):
        raise SomeStepsError("it returns one step that is not the last; return all, or the last")


def _first_tensors(value: Any) -> Iterator[Any]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (tuple, list)) and value:
        yield from _first_tensors(value[0])
