"""A live module against the layers that it became: every layer gets what the module's own got.

So a difference is in the layer that is named, whatever came before it. A layer's input is multiplied by a
number that makes it spike, in the module and in the layer alike.

Importing this module imports torch and norse.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from sne_deploy.errors import UnsupportedError
from sne_deploy.frontend.norse.build import module_from_layers
from sne_deploy.frontend.norse.copies import watched_globals
from sne_deploy.frontend.norse.recording import state_of
from sne_deploy.frontend.norse.runs import Network, Run, run_module
from sne_deploy.frontend.norse.signals import NotAChainError, Operation, SomeStepsError, WrongLayoutError
from sne_deploy.frontend.norse.walking import Found, timing
from sne_deploy.ir.readout import READOUTS
from sne_deploy.model.layers.layer import Layer
from sne_deploy.model.layers.registry import LAYER_KINDS, stack_shapes

MAX_WORK = 2e9
"""Multiplications of the run against the module; more steps than that are left out, and the user is told."""
MAX_VALUES = 2**24
"""Recorded in that run."""
MAX_CALLS = 6000
"""Of one layer at one step."""
TOLERANCE = 3e-5
"""Of real values, as a share of the largest: two orders of adding float32 numbers."""
DRAWS = 4
DENSITIES = (0.02, 0.1, 0.9)
"""Of the inputs on which a module must take the same way."""
NUMBERS_SHOWN = (-1e9, -1.0, 0.0, 0.02, 0.1, 0.3, 0.5, 0.9, 1.0, 3.0, 10.0, 100.0, 1e9)
"""In place of those that Python takes of a signal: none may matter."""
RATES = (0.05, 0.7)
"""Share of a layer's neurons that should spike at a step."""


@dataclass(frozen=True)
class Span:
    """Layers, and the operations of the module that they stand for."""

    layers: tuple[Layer, ...]
    operations: tuple[Operation, ...]

    @property
    def label(self) -> str:
        """How messages call it."""
        first = next(
            (op for op in self.operations if isinstance(op.what, torch.nn.Module)), self.operations[0]
        )
        return Found(first.path, first.what, lifted=False).label

    @property
    def spiking(self) -> bool:
        """Whether its last layer spikes."""
        return bool(self.layers) and LAYER_KINDS[self.layers[-1].kind].spiking

    @property
    def stateful(self) -> bool:
        """Whether steps depend on earlier ones: it is a module with a state, which no factor is part of."""
        kind = timing(self.operations[0].what)
        return kind.cell or kind.over_time


class _TieError(Exception):
    """The order of adding decides a spike: nothing can be said of this input."""


def prove(network: Network, run: Run, spans: Sequence[Span]) -> tuple[str, ...]:
    """Run the module as it is against its layers, over all steps where that is affordable.

    Returns
    -------
    notes : tuple of str
        What could not be proven.

    Raises
    ------
    UnsupportedError
        Naming the first layer that differs, and the likely cause.
    """
    spans = [span for span in spans if span.layers or not timing(span.operations[0].what).makes_time]
    steps = run.steps if run.layout == "no time" else _affordable(network, spans)
    gains = _gains(network, spans, min(steps, 16))
    batch = next(n for n in (3, 4, 5) if n not in (run.batch, steps))
    for seed in range(1, DRAWS + 1):
        try:
            again = run_module(network, run.layout, steps, seed=seed, batch=batch, gains=gains)
        except SomeStepsError as error:
            raise _refused(str(error)) from None
        except (NotAChainError, WrongLayoutError) as error:
            raise _refused(f"its forward takes another way on other input ({error})") from None
        if not again.is_like(run):
            raise _refused(
                "its forward takes another way on other input, or on another number of samples; only a fixed "
                "chain of layers is supported"
            )
        recorded = _recorded(again, spans)
        try:
            _compare(network, recorded, gains, again, seed)
        except _TieError:
            continue
        silent = [span.label for span in recorded if span.spiking and not _any(span)]
        notes = [f"{label} did not spike in the check against the module: unproven" for label in silent]
        if steps < network.timesteps and run.layout != "no time":
            read = "; that its readout is over all of them is unproven" if run.out.readout in READOUTS else ""
            notes.append(
                f"checked against the module over the first {steps} of {network.timesteps} steps{read}"
            )
        return tuple(notes)
    return (
        f"in {DRAWS} draws, rounding decided whether neurons spike: the check against the module is open",
    )


def _refused(problem: str) -> UnsupportedError:
    return UnsupportedError("cannot convert the module", [problem])


def _recorded(run: Run, spans: Sequence[Span]) -> list[Span]:
    """The same layers, with the operations of another run."""
    fresh = {id(old): new for old, new in zip(_all(spans), run.chain[-len(_all(spans)) :], strict=True)}
    return [Span(span.layers, tuple(fresh[id(op)] for op in span.operations)) for span in spans]


def _all(spans: Sequence[Span]) -> list[Operation]:
    return [operation for span in spans for operation in span.operations]


def _any(span: Span) -> bool:
    return any(bool(value.any()) for value in span.operations[-1].gave.values())


def _affordable(network: Network, spans: Sequence[Span]) -> int:
    layers = [layer for span in spans for layer in span.layers]
    work, values = 1, int(np.prod(network.input_shape))
    for layer, shape in zip(layers, stack_shapes(layers, network.input_shape), strict=True):
        weights = sum(array.size for array in layer.tensors.values() if array.ndim > 1)
        work += weights * int(np.prod(shape[1:])) if len(shape) > 1 else weights
        values += 2 * int(np.prod(shape))
    most = min(MAX_WORK / (2 * work), MAX_VALUES / (2 * values), MAX_CALLS / (1 + len(layers)))
    return min(network.timesteps, max(2, int(most)))


def refuse_decisions(network: Network, run: Run) -> None:
    """Refuse a module that does something else on sparse input, or as Python sees other numbers.

    Raises
    ------
    UnsupportedError
    """
    looks = NUMBERS_SHOWN if run.looked else ()
    tried: list[dict[str, Any]] = [*({"density": d} for d in DENSITIES), *({"number": n} for n in looks)]
    for options in tried:
        reason = run.looked or "its forward takes another way on input with other values"
        try:
            again = run_module(network, run.layout, run.steps, batch=run.batch, **options)
        except (NotAChainError, WrongLayoutError) as error:
            raise _refused(reason if run.looked else f"{reason} ({error})") from None
        if not again.is_like(run) or ("number" in options and not _gave_the_same(run, again)):
            raise _refused(reason)


def _gave_the_same(one: Run, two: Run) -> bool:
    pairs = ((a.gave, b.gave) for a, b in zip(one.chain, two.chain, strict=True))
    return all(torch.equal(_stacked(a, one.steps), _stacked(b, two.steps)) for a, b in pairs)


# ---- inputs that make layers spike


def _gains(network: Network, spans: Sequence[Span], steps: int) -> dict[str, float]:
    """What to multiply each spiking layer's input with, by the path of its module."""
    gains: dict[str, float] = {}
    value = network.random_input(steps, 2, 1).cpu()
    shape = spans[0].operations[0].got[0].shape[1:] if spans else value.shape[2:]
    if value.shape[2:] != shape:  # behind an encoder
        value = (torch.rand((steps, 2, *shape)) < 0.5).to(network.dtype)
    for number, span in enumerate(spans):
        path = span.operations[0].path
        if span.spiking and span.stateful:
            if path not in gains:
                gains[path] = _gain(span, value, number)
            value = value * gains[path]
        value = outputs(span.layers, value)
    return gains


def _gain(span: Span, value: torch.Tensor, number: int) -> float:
    """A number that lets some of the neurons spike and not all; odd, so that no sum meets a threshold."""
    odd = 1 + 0.37 / (2 + number)
    for sign in (1.0, -1.0):
        gain, last, rate = sign * odd, 0, 0.0
        for _ in range(14):
            rate = float(outputs(span.layers, value * gain).double().mean())
            way = 1 if rate < RATES[0] else -1 if rate > RATES[1] else 0
            if way == 0 or way == -last:
                return gain
            gain, last = gain * 4.0**way, way
        if rate > 0:
            return gain
    return odd


# ---- the comparison


@dataclass(frozen=True)
class _Made:
    """What layers make of an input: [T, B, ...], and the last one's state after every step."""

    out: torch.Tensor
    states: tuple[dict[str, torch.Tensor], ...]


def _made(layers: Sequence[Layer], value: torch.Tensor, *, carried: bool = True) -> _Made:
    """What layers make of [T, B, ...]; with ``carried`` False, every step begins anew."""
    if not layers:
        return _Made(value, ())
    module: Any = module_from_layers(layers, value.dtype)
    with torch.no_grad(), watched_globals(None):
        if not any(LAYER_KINDS[layer.kind].neuron for layer in layers):
            made: torch.Tensor = module(value.flatten(0, 1), None)[0]
            return _Made(made.reshape(*value.shape[:2], *made.shape[1:]), ())
        state, steps, states = None, [], []
        for step in value:
            out, state = module(step, state if carried else None)
            steps.append(out)
            states.append(state_of(state[-1]))
        return _Made(torch.stack(steps), tuple(states))


def outputs(layers: Sequence[Layer], value: torch.Tensor) -> torch.Tensor:
    """What layers give for [T, B, ...]."""
    return _made(layers, value).out


def _stacked(values: dict[int, torch.Tensor], steps: int) -> torch.Tensor:
    """[T, B, ...] of what was recorded; what is the same at every step is there once."""
    kept = [values[0]] * steps if len(values) == 1 else [values[step] for step in sorted(values)]
    made = torch.stack(kept).cpu()
    return made if made.is_floating_point() else made.float()


def _compare(network: Network, spans: Sequence[Span], gains: dict[str, float], run: Run, seed: int) -> None:
    for before, after in pairwise(spans):
        given = _stacked(before.operations[-1].gave, run.steps)
        got = _stacked(after.operations[0].got, run.steps)
        if not torch.equal(given * _gain_of(after, gains), got):
            raise _refused(
                f"{after.label}: it gets something else than {before.label} gives; only a chain is supported"
            )
    for span in spans:
        operation = span.operations[-1]
        got, gave = (_stacked(values, run.steps) for values in (span.operations[0].got, operation.gave))
        mine = _made(span.layers, got)
        if mine.out.shape != gave.shape:
            shapes = tuple(gave.shape[2:]), tuple(mine.out.shape[2:])
            raise _refused(
                f"{span.label}: it gives {shapes[0]}, and the layer that it was read as {shapes[1]}"
            )
        first = _first_difference(span, mine, gave, operation)
        if first is None:
            continue
        double = _made(span.layers, got.double())
        if span.spiking and not torch.equal(double.out[: first + 1], mine.out[: first + 1].double()):
            raise _TieError
        cause = _cause(network, run, span, got, gave, gains, seed, first)
        raise _refused(f"{span.label}: from step {first} on it differs from the layer it became: {cause}")


def _gain_of(span: Span, gains: dict[str, float]) -> float:
    return gains.get(span.operations[0].path, 1.0) if span.spiking and span.stateful else 1.0


def _first_difference(span: Span, mine: _Made, gave: torch.Tensor, operation: Operation) -> int | None:
    """The first step at which an output or a state differs, or None."""
    most = 0.0 if span.spiking else TOLERANCE * _largest([gave])
    wrong = ~((mine.out - gave).abs() <= most)
    steps = wrong.flatten(1).any(1).nonzero().flatten().tolist()
    theirs = operation.states if mine.states else {}
    for name in {name for state in theirs.values() for name in state} & {*(mine.states or ({},))[-1]}:
        most = TOLERANCE * _largest(state[name] for state in mine.states)
        for step, state in theirs.items():
            if not bool(((mine.states[step][name] - state[name].cpu()).abs() <= most).all()):
                steps.append(step)
    return min(steps, default=None)


def _largest(values: Iterable[torch.Tensor]) -> float:
    return max(float(value.abs().nan_to_num().max()) for value in values)


def _cause(
    network: Network,
    run: Run,
    span: Span,
    got: torch.Tensor,
    gave: torch.Tensor,
    gains: dict[str, float],
    seed: int,
    first: int,
) -> str:
    """The likely reason of a difference."""
    position = next(n for n, op in enumerate(run.chain) if op is span.operations[-1])
    same: dict[str, Any] = {"seed": seed, "batch": run.batch, "gains": gains}
    others = (run_module(network, run.layout, run.steps, noise=n, **same) for n in (1, 2, 3))
    if any(not torch.equal(_stacked(other.chain[position].gave, run.steps), gave) for other in others):
        return "it is random in evaluation mode too; remove the noise, or make it depend on self.training"
    if span.stateful:
        anew = _made(span.layers, got, carried=False)
        if _first_difference(span, anew, gave, span.operations[-1]) is None:
            return "its state is not carried from step to step; give each call the state of the call before"
        if first > 0:
            return "it does not get the state that its own last step returned"
    return "it computes with other numbers than its attributes say, or does more than its class"
