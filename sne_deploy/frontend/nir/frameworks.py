"""What each framework's own export means, one row each: the sum of the options that its files need."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sne_deploy.errors import GraphError, InputError
from sne_deploy.frontend.nir.conventions import MULTI_SPIKE
from sne_deploy.frontend.nir.decay import with_nodes
from sne_deploy.frontend.nir.implied_step import Manner, step_in, values
from sne_deploy.frontend.nir.neuron_nodes import fires
from sne_deploy.frontend.nir.recurrence import with_straight_input
from sne_deploy.frontend.nir.resets import metadata_of

if TYPE_CHECKING:
    import nir

    from sne_deploy.frontend.nir.decay import DecayMode
    from sne_deploy.frontend.nir.gain import GainMode
    from sne_deploy.frontend.nir.resets import ResetMode
    from sne_deploy.frontend.options import ReadOptions


@dataclass(frozen=True)
class Convention:
    """A framework's row; None where NIR's own meaning is right.

    Attributes
    ----------
    dt_s : float or None
        The step of its exporter; None: only the constants say.
    dt_is_given : bool
        The exporter, or its modules, take another one: what the constants imply comes first then.
    gains : str
        How it writes r; see :func:`sne_deploy.frontend.nir.implied_step.step_in`.
    decay, gain : str or None
        As the options of that name.
    resets : mapping of str to str
        What its default reset is, by the type of the node; ``""`` for all others.
    straight_input : bool
        Its exporter leads the input of recurrent neurons through their recurrent matrix.
    lost : str
        What its file cannot show, and what to do, where that changes the result.
    """

    dt_s: float | None
    gains: Manner
    dt_is_given: bool = True
    decay: DecayMode | None = None
    gain: GainMode | None = None
    resets: Mapping[str, ResetMode] = field(default_factory=dict)
    straight_input: bool = False
    lost: str = ""


_GAINS: Mapping[Manner, str] = {
    "full": "r = tau / dt",
    "decayed": "r = tau exp(-dt / tau) / dt",
    "beta": "r = 1 - dt / tau",
    "unit": "r = 1",
}
CONVENTIONS: Mapping[str, Convention] = {
    "snntorch": Convention(1e-4, "full", dt_is_given=False, resets={"": "subtract-delayed"}),
    "sinabs": Convention(
        1.0, "unit", dt_is_given=False, decay="exponential", resets={"": "subtract"}, lost=MULTI_SPIKE
    ),
    "spikingjelly": Convention(1e-4, "full", resets={"": "value"}),
    "rockpool": Convention(
        None,
        "decayed",
        decay="exponential",
        gain="full",
        resets={"": "subtract"},
        lost="Rockpool's neurons give several spikes in one step, which NIR cannot say, and its export "
        "leaves their bias out: if they do, the network differs; train and export it with "
        "max_spikes_per_dt=1 and without bias",
    ),
    "spyx": Convention(
        1.0,
        "beta",
        gain="full",
        resets={"CubaLIF": "subtract", "": "subtract-delayed"},
        straight_input=True,
    ),
    "mlx-snn": Convention(1e-4, "full", gain="full", resets={"": "subtract"}),
    "norse": Convention(1e-3, "unit", gain="current", resets={"": "value"}),
}
"""By the name that ``--convention`` takes."""


def settled(graph: nir.NIRGraph, options: ReadOptions) -> tuple[nir.NIRGraph, ReadOptions, tuple[str, ...]]:
    """Put a convention's parts where nothing else was said.

    Parameters
    ----------
    graph : nir.NIRGraph
        Normalised, with the resets that ``options.reset`` asks for; it is not changed.
    options : ReadOptions

    Returns
    -------
    graph : nir.NIRGraph
        With the convention's resets, at the nodes that have none.
    options : ReadOptions
        With its step, decay and gain.
    notes : tuple of str

    Raises
    ------
    InputError
        An unknown convention; GraphError: one that the graph's own constants contradict.
    """
    name = options.convention
    if name is None:
        return graph, options, ()
    if name not in CONVENTIONS:
        raise InputError(f"unknown convention {name!r:.100}; known: {', '.join(CONVENTIONS)}")
    row = CONVENTIONS[name]
    stored = graph.metadata  # of a file that was made here: its constants are put right already
    decay = options.decay or (None if "decay" in stored else row.decay)
    gain = options.gain or (None if "gain" in stored else row.gain)
    dt_s = options.dt_s
    if (options.decay, options.gain) == (None, None) and not {"decay", "gain"} & set(stored):
        dt_s = _step(graph, name, row, dt_s)
    if gain is None and "gain" not in stored:
        _check_currents(graph, name)
    dt_s = row.dt_s if dt_s is None and "dt_s" not in stored else dt_s
    made = with_straight_input(graph) if row.straight_input else graph
    made = with_nodes(made, {key: _with_reset(node, row) for key, node in made.nodes.items()})
    return made, replace(options, dt_s=dt_s, decay=decay, gain=gain), (row.lost,) if row.lost else ()


def _with_reset(node: Any, row: Convention) -> Any:
    mode = row.resets.get(type(node).__name__, row.resets.get(""))
    if mode is None or not fires(node) or "reset" in node.metadata:
        return node
    made = copy(node)
    made.metadata = {**node.metadata, **metadata_of(mode)}
    return made


def _step(graph: nir.NIRGraph, name: str, row: Convention, given_s: float | None) -> float | None:
    """The convention's dt; None where the graph's metadata says it, or only its constants could."""
    fits, implied = step_in(graph, row.gains, ones=row.gain is None)
    if not fits:
        raise GraphError(
            f"convention {name} writes {_GAINS[row.gains]}, which the graph's constants are not; give the "
            "convention of the framework that wrote it, or say what they need by --dt-s, --decay and --gain"
        )
    if given_s is not None or graph.metadata.get("dt_s") is not None:
        return given_s
    if implied is None or row.dt_s is None or row.dt_is_given or abs(implied / row.dt_s - 1) < 0.01:
        return row.dt_s if implied is None else implied
    raise GraphError(
        f"convention {name} has dt = {row.dt_s:g} s, but the graph's constants imply {implied:g} s; give the "
        "convention of the framework that wrote it, or --dt-s"
    )


def _check_currents(graph: nir.NIRGraph, name: str) -> None:
    """Refuse gains of currents that the convention would have written."""
    left = [
        key
        for key, node in graph.nodes.items()
        if hasattr(node, "tau_syn")
        and bool((values(node, "w_in") == 1).all())
        and not bool((values(node, "r") == 1).any())
        and bool((values(node, "tau_syn") > values(node, "tau_mem") / values(node, "r") * 1.01).any())
    ]
    if left:
        raise GraphError(
            f"convention {name} writes w_in = tau_syn / dt, but node {left[0]!r} has w_in 1, as mlx-snn, "
            "Rockpool and Spyx leave it; give the convention of one of them, or --gain full too"
        )
