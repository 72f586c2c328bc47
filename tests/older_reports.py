"""Reports as versions before this one wrote them."""

from __future__ import annotations

import json
from typing import Any

from sne_deploy.chips.chip import load_chip
from sne_deploy.report.chip_schema import OnChipModel
from sne_deploy.report.file import Report, report_text

CHIP = tuple(OnChipModel.model_fields)
LATER = {
    "1.0": ("rate_float", "spikes_differing_per_sample"),
    "1.1": ("policy", "total_host_macs_of"),
    "1.2": (
        "weights", "u_wraps", "u_wrap_rate", "v_saturations", "v_saturation_rate", "worst_neuron", "dead",
        "balanced_accuracy", "tied_fraction", "classes", "assumed",
    ),
    "1.3": ("converted_from", "mapping", "unplaced", "operation", "intervals"),
}  # fmt: skip
"""What came after a version."""
PJ = 1e-12


def of_version(report: Report, version: str) -> dict[str, Any]:
    """As that version would have written it: without what came later, idle updates at 52 pJ."""
    document = json.loads(report_text(report))
    for later in [names for first, names in LATER.items() if first >= version]:
        for name in later:
            _drop(document, name)
    document["schema_version"] = version
    document["hardware"]["constants"]["energy.update_idle"] = load_chip(
        "loihi1"
    ).energy.update_idle.model_dump()
    for cost in (*document["students"], document["ensemble"], document["shared"]):
        for name in CHIP:
            if name not in ("latency_s", "cores") or cost is document["ensemble"]:
                cost.pop(name, None)
        energy, totals = cost["energy_per_sample_j"], cost["totals"]
        energy["updates"] = (totals["updates_active"] * 81 + totals["updates_idle"] * 52) * PJ
        energy["updates"] /= totals["samples_run"]
        energy["total"] = sum(energy[part] for part in ("synops", "updates", "spikes", "host"))
        energy["interval"] = None
    return document


def _drop(node: Any, name: str) -> None:
    if isinstance(node, dict):
        node.pop(name, None)
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _drop(child, name)
