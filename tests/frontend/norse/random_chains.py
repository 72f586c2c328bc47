"""Random networks of Norse's layers, as people write, wrap, prune, parametrise and hook them; some are wrong.

``python -m tests.frontend.norse.random_chains N`` makes N of them and lists what became of each.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import norse.torch as norse
import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

import sne_deploy as sne
from sne_deploy.errors import InputError
from sne_deploy.frontend.norse.copies import copied

STYLES = ("state", "wrapped", "subclass", "parallel", "compiled", "layers", "loop", "samples first", "step")
FAULTS = (
    "noise",
    "no state",
    "other state",
    "skip",
    "hook",
    "input hook",
    "relu",
    "dropout",
    "weights",
    "decides",
)
CURRENTS = (nn.Linear, nn.Conv2d, norse.LIFRecurrentCell, norse.LIFRecurrent)


@dataclass
class Case:
    """One network.

    Attributes
    ----------
    module : torch.nn.Module
    shape : tuple of int
        Of its input at one step.
    steps : int
    style : str
    what : str
        All that was drawn, for messages.
    fault : str or None
        Why no chain of layers computes it.
    """

    module: nn.Module
    shape: tuple[int, ...]
    steps: int
    style: str
    what: str
    fault: str | None


class Halved(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return 0.5 * weight


class Chain(nn.Module):
    """A forward of its own that runs its parts at every step, with a fault where one is asked for."""

    def __init__(self, parts: list[nn.Module], style: str, fault: str | None, at: int, factor: float) -> None:
        super().__init__()
        self.parts, self.style, self.fault, self.at, self.factor = (
            nn.ModuleList(parts),
            style,
            fault,
            at,
            factor,
        )

    def forward(self, x: torch.Tensor, state: Any = None) -> Any:
        if self.style == "step":
            return self.step(x, state)
        steps = x.unbind(1) if self.style == "samples first" else x
        outputs = []
        for value in steps:
            out, state = self.step(value, state)
            outputs.append(out)
        return torch.stack(outputs, 1 if self.style == "samples first" else 0)

    def step(self, x: torch.Tensor, states: Any) -> Any:
        states = [None] * len(self.parts) if states is None else list(states)
        for n, part in enumerate(self.parts):
            before = x
            if isinstance(
                part, (nn.Linear, nn.Conv2d, nn.Flatten, nn.AvgPool2d, nn.MaxPool2d, nn.BatchNorm2d)
            ):
                x = part(x)
                x = self.factor * x if n == 0 and self.factor != 1 else x
            elif isinstance(part, (nn.Dropout, nn.Identity)):
                x = part(x)
            else:
                fault = self.fault if n == self.at else None
                x = x + 0.5 * torch.randn_like(x) if fault == "noise" else x
                x = torch.relu(x) if fault == "relu" else x
                x = nn.functional.dropout(x, 0.5) if fault == "dropout" else x
                if fault == "decides" and x.mean() > 0.1:
                    x = 2 * x
                given = None if fault == "no state" else states[n]
                x, states[n] = part(x, given)
                if fault == "other state" and states[n] is not None:
                    states[n] = states[n]._replace(v=0.3 * states[n].v)
                if fault == "skip" and before.shape == x.shape:
                    x = x + before
        return x, states


def random_case(seed: int) -> Case:
    """The network of that number."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    style = str(rng.choice(STYLES))
    parts, shape = _parts(rng, style)
    fault = str(rng.choice(FAULTS)) if rng.random() < 0.25 else None
    own = style in ("loop", "samples first", "step")
    if fault in ("noise", "no state", "other state", "skip", "relu", "dropout", "decides") and not own:
        style, own = "loop", True
        parts = [_cell_of(part) for part in parts]
    cells = [n for n, part in enumerate(parts) if _is_cell(part)]
    at, factor = int(rng.choice(cells)), float(rng.choice([1, 1, 3, 10]))
    module: nn.Module = Chain(parts, style, fault, at, factor) if own else _container(parts, style)
    wraps = _wrap(rng, parts)
    hooks = _hook(rng, parts, fault)
    if fault == "weights":
        _doubled_in_forward(parts)
    what = f"{style}: {', '.join(type(part).__name__ for part in parts)}; {wraps}; {hooks}; fault {fault}"
    return Case(module, shape, int(rng.integers(3, 12)), style, what, fault)


def _is_cell(part: nn.Module) -> bool:
    return hasattr(part, "p") and not isinstance(part, nn.Dropout)


def _cell_of(part: nn.Module) -> nn.Module:
    if isinstance(part, norse.Lift):
        return part.lifted_module
    kinds = {norse.LIF: norse.LIFCell, norse.LI: norse.LICell, norse.IAF: norse.IAFCell}
    if type(part) in kinds:
        return kinds[type(part)](part.p)
    if isinstance(part, norse.LIFRecurrent):
        made = norse.LIFRecurrentCell(int(part.input_size), int(part.hidden_size), part.p)
        made.load_state_dict(part.state_dict())
        return made
    return nn.Flatten() if isinstance(part, nn.Flatten) else part


def _parts(rng: np.random.Generator, style: str) -> tuple[list[nn.Module], tuple[int, ...]]:
    layers = style == "layers"

    def lift(part: nn.Module) -> nn.Module:
        return norse.Lift(part) if layers else part

    parts: list[nn.Module] = []
    if rng.random() < 0.5:
        channels, size = int(rng.integers(1, 3)), int(rng.integers(6, 9))
        shape: tuple[int, ...] = (channels, size, size)
        made = int(rng.integers(2, 4))
        conv = nn.Conv2d(channels, made, 3, padding=int(rng.integers(0, 2)))
        parts.append(lift(_stronger(conv, 3)))
        size = size + 2 * conv.padding[0] - 2
        if rng.random() < 0.4:
            parts.append(lift(_trained(nn.BatchNorm2d(made))))
        parts.append(_neuron(rng, layers))
        if rng.random() < 0.7:
            pool = nn.MaxPool2d(2) if rng.random() < 0.5 else nn.AvgPool2d(2)
            parts.append(lift(pool))
            size //= 2
        parts.append(nn.Flatten(2 if layers else 1))
        width = made * size * size
    else:
        width = int(rng.integers(4, 9))
        shape = (width,)
    for _ in range(int(rng.integers(1, 3))):
        made = int(rng.integers(4, 9))
        if rng.random() < 0.25:
            kind = norse.LIFRecurrent if layers else norse.LIFRecurrentCell
            cell = kind(width, made, _parameters(rng))
            with torch.no_grad():
                cell.input_weights.mul_(2)
            parts.append(cell)
        else:
            parts += [
                _stronger(nn.Linear(width, made, bias=bool(rng.random() < 0.7)), 3),
                _neuron(rng, layers),
            ]
        if rng.random() < 0.3:
            parts.append(nn.Dropout(0.3))
        width = made
    parts += _end(rng, width, layers)
    return parts, shape


def _end(rng: np.random.Generator, width: int, layers: bool) -> list[nn.Module]:
    draw = rng.random()
    if draw < 0.2 and not layers:
        return [norse.LILinearCell(width, 3)]
    end: nn.Module = (norse.LI() if layers else norse.LICell()) if draw < 0.7 else _neuron(rng, layers)
    return [_stronger(nn.Linear(width, 3), 2), end]


def _parameters(rng: np.random.Generator) -> Any:
    return norse.LIFParameters(
        v_th=torch.tensor(float(rng.uniform(0.2, 0.8))),
        tau_mem_inv=torch.tensor(float(rng.choice([100.0, 300.0]))),
        v_reset=torch.tensor(float(rng.choice([0.0, -0.1]))),
    )


def _neuron(rng: np.random.Generator, layers: bool) -> nn.Module:
    if layers:
        return norse.LIF(_parameters(rng)) if rng.random() < 0.8 else norse.IAF()
    draw = rng.random()
    if draw < 0.6:
        return norse.LIFCell(_parameters(rng))
    box = norse.LIFBoxParameters(v_th=torch.tensor(0.2), tau_mem_inv=torch.tensor(300.0))
    return norse.LIFBoxCell(box) if draw < 0.8 else norse.IAFCell()


def _stronger(layer: nn.Module, factor: float) -> nn.Module:
    with torch.no_grad():
        layer.weight.mul_(factor)  # type: ignore[union-attr, operator]
    return layer


def _trained(norm: nn.BatchNorm2d) -> nn.Module:
    assert norm.running_mean is not None
    norm.running_mean.uniform_(-0.1, 0.1)
    return norm


def _container(parts: list[nn.Module], style: str) -> nn.Module:
    chain = norse.SequentialState(*parts)
    if style == "wrapped":
        return _Wrapper(chain)
    if style == "subclass":
        return _Sub(*parts)
    if style == "parallel":
        return nn.DataParallel(chain)
    return torch.compile(chain) if style == "compiled" else chain  # type: ignore[return-value]


class _Wrapper(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor, state: Any = None) -> Any:
        return self.model(x, state)


class _Sub(norse.SequentialState):
    pass


def _wrap(rng: np.random.Generator, parts: list[nn.Module]) -> str:
    done = []
    for part in parts:
        inner = part.lifted_module if isinstance(part, norse.Lift) else part
        if not isinstance(inner, CURRENTS) or rng.random() < 0.6:
            continue
        recurrent = not isinstance(inner, (nn.Linear, nn.Conv2d))
        name = str(rng.choice(["input_weights", "recurrent_weights"])) if recurrent else "weight"
        wraps: dict[str, Callable[[Any], object]] = {
            "prune": lambda layer, name=name: prune.l1_unstructured(layer, name, amount=0.4),
            "random prune": lambda layer, name=name: prune.random_unstructured(layer, name, amount=0.2),
            "halved": lambda layer, name=name: parametrize.register_parametrization(layer, name, Halved()),
        }
        if not recurrent:
            wraps |= {
                "weight_norm": weight_norm,
                "spectral_norm": spectral_norm,
                "parametrized weight_norm": parametrizations.weight_norm,
                "parametrized spectral_norm": parametrizations.spectral_norm,
            }
        chosen = str(rng.choice(list(wraps)))
        wraps[chosen](inner)
        _moved(inner)
        done.append(chosen)
    return f"wraps {', '.join(done) or 'none'}"


def _moved(layer: nn.Module) -> None:
    """Change parameters as ``load_state_dict`` does, so that what hooks computed from them is stale."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(1 + 0.3 * torch.rand(()))


def _hook(rng: np.random.Generator, parts: list[nn.Module], fault: str | None) -> str:
    part = parts[int(rng.integers(len(parts)))]
    if fault == "hook":
        part.register_forward_hook(
            lambda _m, _i, out: (1.5 * out[0], out[1]) if isinstance(out, tuple) else 1.5 * out
        )
    elif fault == "input hook":
        part.register_forward_pre_hook(lambda _m, given: (given[0] + 0.2, *given[1:]))
    elif rng.random() < 0.3:
        part.register_forward_hook(lambda _m, _i, out: None)
        return "a hook that looks"
    return "no hook that looks"


def _doubled_in_forward(parts: list[nn.Module]) -> None:
    """A layer whose forward is not its class's."""
    for part in parts:
        inner = part.lifted_module if isinstance(part, norse.Lift) else part
        if isinstance(inner, (nn.Linear, nn.Conv2d)):
            plain = inner.forward
            inner.forward = lambda x, plain=plain: plain(x).clamp(-0.4, 0.4)  # type: ignore[method-assign]
            return


def module_outputs(case: Case, x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """What the module itself gives for x [N, T, ...], as people run it: [N, T, ...]."""
    module, x = copied(case.module).to(dtype), x.to(dtype)
    torch.manual_seed(7)
    with torch.no_grad():
        if case.style == "samples first":
            return module(x)
        steps = x.transpose(0, 1)
        if case.style == "loop":
            return module(steps).transpose(0, 1)
        if case.style == "layers":
            return module(steps)[0].transpose(0, 1)
        state, outputs = None, []
        for value in steps:
            out, state = module(value, state)
            outputs.append(out)
        return torch.stack(outputs, 1)


def outcome(case: Case) -> tuple[str, str]:
    """``accepted`` and ``agrees`` or ``differs``; or ``refused`` and the reason."""
    try:
        made = sne.ensemble(case.module, input_shape=case.shape, timesteps=case.steps)
        compiled = sne.compile(made, target="norse")
    except InputError as error:
        return "refused", str(error)
    x = (torch.rand(6, case.steps, *case.shape, generator=torch.Generator().manual_seed(3)) < 0.5).float()
    with compiled:
        ours = compiled.run(x.numpy().astype(np.uint8), np.zeros(6, dtype=int)).logits
    readout = made.students[0].readout
    for dtype in (torch.float32, torch.float64):  # of two ways to add float32, one may meet a threshold
        out = module_outputs(case, x, dtype).double()
        wanted = {"count": lambda o: o.sum(1), "v_last": lambda o: o[:, -1], "v_mean": lambda o: o.mean(1)}
        theirs = wanted[readout](out).flatten(1).numpy()
        if theirs.shape == ours.shape and np.abs(theirs - ours).max() <= 1e-4 * max(
            1e-3, np.abs(theirs).max()
        ):
            return "accepted", "agrees" if np.abs(theirs).max() > 0 else "agrees (silent)"
    return "accepted", "differs"


def _main(count: int) -> Iterator[str]:
    warnings.simplefilter("ignore")
    results: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for seed in range(count):
        case = random_case(seed)
        verdict, reason = outcome(case)
        kind = f"{'faulty' if case.fault else 'plain'} {verdict}" + (
            f", {reason}" if verdict == "accepted" else ""
        )
        results[kind] += 1
        if verdict == "refused":
            reasons[f"{case.fault}: {reason.split(': ', 2)[-1][:110]}"] += 1
        if reason == "differs" or (verdict == "refused" and not case.fault):
            yield f"{seed} {kind}: {case.what} -- {reason}"
        if verdict == "accepted" and case.fault:
            yield f"{seed} {kind}: {case.what}"
    yield from (f"{number:4} {kind}" for kind, number in sorted(results.items()))
    yield from (f"{number:4} {reason}" for reason, number in reasons.most_common())


if __name__ == "__main__":
    for line in _main(int(sys.argv[1])):
        sys.stdout.write(line + "\n")
