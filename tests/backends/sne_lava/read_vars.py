"""Run a network and read its processes' Vars through Lava: a script, for a process of its own.

``python read_vars.py JOB RESULTS``: pickles of a job, and of (our counts, Lava's Vars), each by group.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

from sne_lava.compat import import_lava

import_lava()
from lava.magma.core.run_conditions import RunSteps  # noqa: E402  # Lava must be importable first
from lava.magma.core.run_configs import Loihi2SimCfg  # noqa: E402

from sne_lava.network import build  # noqa: E402

if __name__ == "__main__":
    job = pickle.loads(Path(sys.argv[1]).read_bytes())
    network = build(job)
    network.lead.run(RunSteps(num_steps=job.steps), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    labels = {process.proc_params["label"]: process for process in network.processes}
    read = {
        group.name: {
            name: getattr(labels[f"group {group.name!r}"], name).get()
            for name in ("spikes", "active", "rows", "spike_bits", "u_rows", "v_rows")
            if network.groups[group.name][name].size
        }
        for group in job.groups
    }
    synops = {s.target: labels[f"synapse {s.name!r}"].synops.get() for s in job.synapses}
    counts = network.counts(job)
    network.lead.stop()
    Path(sys.argv[2]).write_bytes(pickle.dumps((counts, read, synops)))
