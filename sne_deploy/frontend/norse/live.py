"""A live module of any making as layers: run on random input, recorded as a chain, then proven.

Importing this module imports torch and norse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import norse.torch
import numpy as np

from sne_deploy.errors import UnsupportedError
from sne_deploy.frontend.norse.copies import copied
from sne_deploy.frontend.norse.encoders import ENCODER_KINDS
from sne_deploy.frontend.norse.modules import layers_from_module, layers_of, misplaced
from sne_deploy.frontend.norse.probe import Span, prove, refuse_decisions
from sne_deploy.frontend.norse.runs import LAYOUTS, HookError, Network, Run, run_module
from sne_deploy.frontend.norse.signals import Affine, NotAChainError, Operation, Rectify, WrongLayoutError
from sne_deploy.frontend.norse.walking import Found, kind_of, timing, unsupported, walk
from sne_deploy.ir.readout import READOUTS, Readout
from sne_deploy.model.layers.layer import Layer
from sne_deploy.model.layers.registry import check_stack

FEW = 3
"""Steps of the run that finds the chain."""


@dataclass(frozen=True)
class Live:
    """What a live module was found to be.

    Attributes
    ----------
    layers : tuple of Layer
    readout : Readout or None
        What its own ``forward`` does with time, where it does.
    notes : tuple of str
    """

    layers: tuple[Layer, ...]
    readout: Readout | None
    notes: tuple[str, ...]


def read_live(module: Any, input_shape: tuple[int, ...], timesteps: int, *, spikes: bool) -> Live:
    """Read a live module, and prove that its layers compute what it does.

    Parameters
    ----------
    module : torch.nn.Module
        It is left as it is: copies are run.
    input_shape : tuple of int
        One sample at one step.
    timesteps : int
    spikes : bool
        The input is spikes; else a current that is the same at every step.

    Raises
    ------
    UnsupportedError
        It is no chain of supported layers, or computes something else than they do.
    GraphError
        Its layers do not fit the input or each other.
    """
    network = Network(copied(module), tuple(input_shape), timesteps, spikes)
    try:
        run = _first_run(network)
    except UnsupportedError:
        split = _behind_encoder(module)
        if split is None:
            raise
        front, behind = split
        problems: list[str] = []
        entry = layers_of(front, problems)
        problems += misplaced([front, *walk(behind)])
        if problems:
            raise UnsupportedError("cannot convert the module", problems) from None
        live = read_live(behind, input_shape, timesteps, spikes=True)
        note = (
            f"the cells behind {front.label} take one step at a time, and the module itself would give them "
            "all steps as samples: it was checked step by step"
        )
        return Live((*entry, *live.layers), live.readout, (note, *live.notes))
    _check_time(network, run)
    refuse_decisions(network, run)
    spans = _spans(run)
    layers = tuple(layer for span in spans for layer in span.layers)
    if not layers:
        raise UnsupportedError("cannot convert the module", ["the module holds no layers"])
    check_stack(layers, input_shape)
    notes = prove(network, run, spans)
    return Live(layers, _readout(run, spans), (*run.out.notes, *notes))


def _behind_encoder(module: Any) -> tuple[Found, Any] | None:
    """The encoder that a container begins with, and what is behind it."""
    children = list(module.named_children())
    known = kind_of(module) in ("Sequential", "SequentialState") and children
    if not known or kind_of(children[0][1]) not in ENCODER_KINDS:
        return None
    behind = norse.torch.SequentialState()
    for name, child in children[1:]:
        behind.add_module(name, child)
    return Found(children[0][0], children[0][1], lifted=False), behind


def _check_time(network: Network, run: Run) -> None:
    """A module that makes time of an input without any needs such an input, and says how long it lasts."""
    if run.layout != "no time" or any(timing(operation.what).makes_time for operation in run.chain):
        return
    problem = ""
    if network.spikes:
        problem = "its forward takes an input without time; give the encoder 'constant'"
    elif run.steps != network.timesteps:
        problem = f"its forward runs {run.steps} steps, not {network.timesteps}; give timesteps={run.steps}"
    if problem:
        raise UnsupportedError("cannot convert the module", [problem])


def _first_run(network: Network) -> Run:
    """The run that finds the chain: of few steps, or of all where the module wants as many."""
    failures: list[tuple[int, str]] = []
    for steps in dict.fromkeys((min(FEW, network.timesteps), network.timesteps)):
        for layout in LAYOUTS:
            seen: list[int] = []
            try:
                return run_module(network, layout, steps, progress=seen)
            except HookError as error:
                raise UnsupportedError("cannot convert the module", [str(error)]) from None
            except NotAChainError as error:
                failures.append((1000 + seen[0], str(error)))
            except WrongLayoutError as error:
                failures.append((seen[0], str(error)))
    _refuse_statically(network)
    likeliest = max(failures, key=lambda failure: failure[0])[1]
    named = unsupported(network.module)
    culprit = any(likeliest.startswith((f"{path}:", f"{path}.", f"{path} (")) for path in named)
    if culprit or "missing the required" in likeliest:
        raise UnsupportedError("cannot convert the module", list(named.values()) or [likeliest])
    raise UnsupportedError("cannot convert the module", [likeliest])


def _refuse_statically(network: Network) -> None:
    """Say what is wrong with the layers where these can be seen without a run, all at once."""
    try:
        layers = layers_from_module(network.module)
    except UnsupportedError as error:
        if all("no such layer is supported" not in problem for problem in error.problems):
            raise
        return
    check_stack(layers, network.input_shape)


def _spans(run: Run) -> list[Span]:
    problems: list[str] = []
    spans: list[Span] = []
    modules: list[Found] = []
    for operation in run.chain:
        if isinstance(operation.what, Affine):
            spans.append(Span((_affine(operation),), (operation,)))
        elif isinstance(operation.what, Rectify):
            spans.append(Span((), (operation,)))
        else:
            found = Found(operation.path, operation.what, lifted=False)
            spans.append(Span(layers_of(found, problems), (operation,)))
            modules.append(found)
    problems += misplaced(modules)
    if problems:
        raise UnsupportedError("cannot convert the module", problems)
    return spans


def _affine(operation: Operation) -> Layer:
    """A factor and a shift are a batch normalisation at inference, which is folded into its neighbours."""
    eps, channels = 2.0**-20, len(operation.what.factor)
    tensors = {
        "running_mean": np.zeros(channels),
        "running_var": np.full(channels, 1 - eps),
        "weight": operation.what.factor.numpy().copy(),
        "bias": operation.what.shift.numpy().copy(),
    }
    kind = "BatchNorm2d" if operation.gave[0].ndim == 4 else "BatchNorm1d"
    return Layer(kind, {"eps": eps}, tensors)


def _readout(run: Run, spans: list[Span]) -> Readout | None:
    if run.out.readout in READOUTS:
        return run.out.readout
    if run.out.axis is None and run.out.steps is not None and run.steps > 1:
        last = next((span for span in reversed(spans) if span.layers), None)
        if last is not None and last.spiking:
            problem = f"{last.label}: it returns its last step's spikes alone; return all steps, or their sum"
            raise UnsupportedError("cannot convert the module", [problem])
        return "v_last"
    return None
