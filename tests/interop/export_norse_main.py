"""Record the spikes of Norse's main branch beside the NIR graphs that its ``norse.torch.to_nir`` writes.

Its cells are those of 1.1.0 (``export_norse.py``); its export is another. Time constants are in seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import norse.torch as norse
import numpy as np
from export_norse import DT_S, SIZES, Build, dense, iaf, li_box, lif, lif_box, run, tune_all
from recording import Recording, main, random_spikes


def record(seed: int, build: Build, **about: Any) -> Recording:
    """Build, tune, export, run."""
    text, modules = build(np.random.default_rng([seed, 0]))
    inputs = random_spikes(seed, SIZES[:1])
    tune_all(modules, inputs)
    graph = norse.to_nir(norse.SequentialState(*modules))
    outputs = run(modules, inputs)
    names = dict(zip(outputs, [name for name in graph.nodes if hasattr(graph.nodes[name], "r")], strict=True))
    return Recording(
        text,
        graph,
        inputs,
        {names[name]: values for name, values in outputs.items()},
        DT_S,
        "value",
        ">",
        seed,
        options={"convention": "norse"},
        **about,
    )


RECORDINGS: dict[str, Callable[[], Recording]] = {}
LIVE: dict[str, Callable[[], Recording]] = {
    "box": lambda: record(161, partial(dense, readout=li_box)),
    "lif": lambda: record(162, partial(dense, first=lif, second=lif)),
    "lif_readout": lambda: record(163, partial(dense, first=lif, second=lif_box, readout=li_box)),
    "iaf": lambda: record(164, partial(dense, first=lif_box, second=iaf)),
}

if __name__ == "__main__":
    main("norse_main", ["norse", "nirtorch", "torch"], RECORDINGS, __file__, LIVE)
