"""What a graph's constants tell of the time step that it was made with, and of what its exporter left out.

Each note names the option that puts it right, where there is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nir
import numpy as np

from sne_deploy.errors import GraphError
from sne_deploy.frontend.nir.gain import bare
from sne_deploy.frontend.nir.implied_step import AGREE, Implied, implied_step, leaks, time_constants, values
from sne_deploy.frontend.nir.nodes import ASSUMED

_CONTRADICT = 0.01
_MANY_STEPS = 1e4
_MANY_UNITS = 100.0
"""Steps that no time constant lasts which is at least 1: where it is counted in seconds, it is shorter."""
_ROUNDING = 1e-6
"""dt / tau may exceed 1 by so much: time constants may be float32."""
MULTI_SPIKE = (
    "Sinabs' default spike function, MultiSpike, gives several spikes in one step, which NIR cannot say: if "
    "it was used, the network differs; train and export it with SingleSpike"
)


def time_step_hint(graph: nir.NIRGraph) -> float | None:
    """The dt, in seconds, that the graph's own constants imply; None where they imply none, or several."""
    return implied_step(graph).dt_s


def check_time_step(graph: nir.NIRGraph, dt_s: float) -> tuple[str, ...]:
    """What there is to say about a time step.

    Raises
    ------
    GraphError
        A time constant is shorter than dt; names the node, the factor and the likely cause.
    """
    check_long_enough(graph, dt_s)
    return (*step_notes(graph, dt_s), *decay_notes(graph, dt_s), *gain_notes(graph, dt_s))


def step_notes(graph: nir.NIRGraph, dt_s: float) -> Iterator[str]:
    """Of a step that is not the one that the constants were made for."""
    implied, constants = implied_step(graph), list(time_constants(graph))
    if implied.dt_s is not None and abs(dt_s / implied.dt_s - 1) > _CONTRADICT:
        yield (
            f"dt is {dt_s:g} s, but the graph's own constants (tau / r, tau_syn / w_in, 1 / r) imply "
            f"{implied.dt_s:g} s: inputs count {dt_s / implied.dt_s:.3g} times what they would then; if that "
            f"is not meant, give --dt-s {implied.dt_s:g}"
        )
    elif constants:
        shortest = min(float(tau.min()) for _, _, tau in constants)
        if shortest > (_MANY_UNITS if shortest >= 1 else _MANY_STEPS) * dt_s:
            name, field, tau = constants[0]
            yield (
                f"node {name!r}: {field} is {tau.flat[0]:g} s, {tau.flat[0] / dt_s:.3g} steps of {dt_s:g} s, "
                "next to no decay; tools that count time in steps need --dt-s 1 (--convention sinabs, "
                "--convention spyx)"
            )


def decay_notes(graph: nir.NIRGraph, dt_s: float) -> Iterator[str]:
    """Of tools that decay by exp(-dt / tau) in a step."""
    implied = implied_step(graph)
    if implied.manner == "decayed":
        yield (
            "r is tau exp(-dt / tau) / dt, as Rockpool writes it: it was trained with a decay of "
            "exp(-dt / tau) per step, where NIR's equations at this dt give 1 - dt / tau; give --convention "
            "rockpool, or --decay exponential and --gain full"
        )
        return
    leaky = {name: node for name, node in graph.nodes.items() if isinstance(node, (nir.LIF, nir.LI))}
    if leaky and _is_sinabs(graph, dt_s):
        yield (
            f"{_listed(list(leaky))}: r is 1, v_reset is not written and time is counted in steps, as Sinabs "
            "writes them: it was trained with a decay of exp(-1 / tau) per step, where NIR's equations give "
            "1 - 1 / tau; give --decay exponential, or --convention sinabs"
        )


def spike_notes(graph: nir.NIRGraph, dt_s: float) -> Iterator[str]:
    """Of tools whose neurons give several spikes in one step."""
    if _is_sinabs(graph, dt_s):
        yield MULTI_SPIKE


def _is_sinabs(graph: nir.NIRGraph, dt_s: float) -> bool:
    """Whether it is as Sinabs writes it: steps of 1, r = 1, no v_reset, no time constant below 2."""
    neurons = [node for node in graph.nodes.values() if isinstance(node, (nir.LIF, nir.LI, nir.IF))]
    return (
        dt_s == 1
        and all(_ones(node, "r") for node in neurons)
        and not any(hasattr(node, "tau_syn") for node in graph.nodes.values())
        and any(node.metadata.get("v_reset") == ASSUMED for node in neurons)
        and min((float(tau.min()) for _, _, tau in time_constants(graph)), default=2.0) >= 2
    )


def gain_notes(graph: nir.NIRGraph, dt_s: float) -> Iterator[str]:
    """Of inputs that count for less than they seem meant to."""
    implied = implied_step(graph)
    beta = [name for name, node in graph.nodes.items() if _is_beta(node, implied, dt_s)]
    if beta:
        yield (
            f"{_listed(beta)}: r is 1 - dt / tau, the share that stays, as Spyx and old versions of snnTorch "
            "write it, where an input that counts in full needs tau / dt; give --gain full, or --convention "
            "spyx"
        )
    yield from _without_w_in(graph, dt_s, implied, beta)
    yield from _without_r(graph, dt_s)
    yield from _contradicting(graph)
    yield from _leakless_gains(graph, dt_s, implied)
    synaptic = {
        name: float(values(node, "tau_syn").min())
        for name, node in graph.nodes.items()
        if hasattr(node, "tau_syn") and bare(node)
    }
    if synaptic and min(synaptic.values()) > dt_s * (1 + _ROUNDING):
        yield (
            f"{_listed(list(synaptic))} (CubaLIF, CubaLI): w_in and r are 1, so an input adds dt / tau_syn, "
            f"{dt_s / min(synaptic.values()):.3g} of itself or less, to the current; Norse's own export "
            "writes w_in = 1 and means all of it: if it wrote this, give --gain current (--convention "
            "norse), or export with sne-deploy"
        )


def _without_w_in(graph: nir.NIRGraph, dt_s: float, implied: Implied, beta: list[str]) -> Iterator[str]:
    """Neurons whose r says that inputs count in full, and whose w_in was left at 1."""
    names = [
        name
        for name, node in graph.nodes.items()
        if hasattr(node, "tau_syn")
        and _ones(node, "w_in")
        and not bool(np.any(values(node, "r") == 1))
        and (name in beta or implied.dt_s is not None)
        and float(values(node, "tau_syn").min()) > (implied.dt_s or dt_s) * (1 + _CONTRADICT)
    ]
    if names:
        step = implied.dt_s or dt_s
        tau = min(float(values(graph.nodes[name], "tau_syn").min()) for name in names)
        who = {"full": "mlx-snn", "decayed": "rockpool", "beta": "spyx"}[implied.manner]
        yield (
            f"{_listed(names)}: r implies a step of {step:g} s, but w_in is 1, so an input adds "
            f"{step / tau:.3g} of itself or less to the current; mlx-snn, Rockpool and Spyx leave w_in out "
            f"and mean all of it: if one of them wrote this, give --gain full (--convention {who})"
        )


def decayed_gain_notes(graph: nir.NIRGraph) -> Iterator[str]:
    """Of neurons of Rockpool whose decay is put right, and whose gain is not."""
    lif = [name for name, node in graph.nodes.items() if type(node) is nir.LIF]
    if lif and implied_step(graph).manner == "decayed":
        yield (
            f"{_listed(lif)} (LIF): an input adds exp(-dt / tau) of itself; Rockpool writes so of neurons "
            "that add all of it: if it wrote this, give --gain full (--convention rockpool)"
        )


def _without_r(graph: nir.NIRGraph, dt_s: float) -> Iterator[str]:
    """Membranes that Spyx compares with a threshold and does not reset."""
    compared = [
        source
        for source, target in graph.edges
        if isinstance(graph.nodes[source], nir.LI) and isinstance(graph.nodes[target], nir.Threshold)
    ]
    if dt_s == 1 and compared and all(_ones(graph.nodes[name], "r") for name in compared):
        yield (
            f"{_listed(compared)} (LI): r is 1, so an input adds 1 / tau of itself; Spyx writes PSU_LIF so, "
            "which adds all of it: if it wrote this, give --gain full (--convention spyx)"
        )


def _contradicting(graph: nir.NIRGraph) -> Iterator[str]:
    """Neurons whose r and w_in imply different steps."""
    for name, node in graph.nodes.items():
        if not hasattr(node, "tau_syn") or any(np.any(values(node, field) == 1) for field in ("r", "w_in")):
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            r, w_in = (values(node, tau) / values(node, gain) for tau, gain in leaks(node))
            apart = np.abs(r / w_in - 1) > 0.1
        if bool(np.ptp(r) <= AGREE * r.max()) and bool(apart.all()):
            yield (
                f"node {name!r}: tau_mem / r is {r[0]:.3g} s and tau_syn / w_in is {w_in[0]:.3g} s, so an "
                "input counts in full in one of the two alone; if its framework adds whole inputs, give "
                "--gain full"
            )


def _leakless_gains(graph: nir.NIRGraph, dt_s: float, implied: Implied) -> Iterator[str]:
    names = [name for name, node in graph.nodes.items() if isinstance(node, nir.IF) and _ones(node, "r")]
    if names and implied.dt_s != 1 and dt_s != 1:
        yield (
            f"{_listed(names)} (IF): r is 1, so an input adds {dt_s:g} of itself per step; exporters of "
            "Norse and mlx-snn write r = 1 for any dt and mean all of it: if one of them wrote this, give "
            "--gain full (or of Norse, whose leaky membranes mean r = 1, --convention norse)"
        )


def _is_beta(node: Any, implied: Implied, dt_s: float) -> bool:
    """Whether r is 1 - dt / tau in all neurons, with the dt that is given or that the graph implies so."""
    if not leaks(node) or implied.manner == "decayed":
        return False
    tau, r = np.broadcast_arrays(values(node, leaks(node)[0][0]), values(node, "r"))
    steps = [dt_s] if implied.manner == "full" else [implied.dt_s, dt_s]
    return bool(np.all((r > 0) & (r < 1))) and any(
        step is not None and np.allclose(r, 1 - step / tau, rtol=AGREE / 10, atol=1e-6) for step in steps
    )


def check_long_enough(graph: nir.NIRGraph, dt_s: float) -> None:
    """Refuse time constants below dt.

    Raises
    ------
    GraphError
        Names the node, the factor and the likely cause.
    """
    short = [entry for entry in time_constants(graph) if dt_s / float(entry[2].min()) > 1 + _ROUNDING]
    if not short:
        return
    hint = time_step_hint(graph)
    name, field, tau = min(short, key=lambda entry: float(entry[2].min()))
    shortest = float(tau.min())
    if hint is not None and hint <= shortest * (1 + _ROUNDING):
        remedy = f"the graph's constants imply dt = {hint:g} s: give --dt-s {hint:g}"
    elif shortest >= dt_s * dt_s * (1 - _ROUNDING):
        remedy = (
            f"give --dt-s of at most {shortest:g}, or, if Norse 1.1.0's own export wrote it, which multiplies"
            f" time constants by dt, multiply them by {1 / dt_s:g} or export with sne-deploy"
        )
    else:
        remedy = f"give --dt-s of at most {shortest:g}"
    raise GraphError(
        f"node {name!r}: {field} {shortest:g} s is {dt_s / shortest:.3g} times shorter than dt = {dt_s:g} s; "
        f"{remedy}"
    )


def _ones(node: Any, field: str) -> bool:
    return bool(np.all(values(node, field) == 1))


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"node{'s' * (len(names) > 1)} {', '.join(map(repr, names[:5]))}{more}"
