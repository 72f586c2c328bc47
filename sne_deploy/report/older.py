"""Reports of schema 1, in the form of today's: what they did not say is null, and never made up.

Their energies stay as they were: a neuron without input cost ``energy.update_idle`` then.
"""

from __future__ import annotations

from typing import Any

from sne_deploy.report.chip_schema import OnChipModel

OLDER = ("1.0", "1.1", "1.2", "1.3")
_LAYER = (
    "rate_float", "spikes_differing_per_sample", "weights", "u_wraps", "u_wrap_rate", "v_saturations",
    "v_saturation_rate", "worst_neuron",
)  # fmt: skip
_ENSEMBLE = ("balanced_accuracy", "tied_fraction", "classes")
_REPORT = ("policy", "comparison", "assumed", "dead")


def is_older(document: Any) -> bool:
    """Whether this is a report of schema 1, by what it says itself."""
    return isinstance(document, dict) and document.get("schema_version") in OLDER


def upgraded(document: dict[str, Any]) -> dict[str, Any]:
    """The same report with a null for everything that came later; what is no report stays none.

    Parameters
    ----------
    document : dict
        Of :data:`OLDER`. It is not changed.
    """
    on_chip = dict.fromkeys(OnChipModel.model_fields)
    changes: dict[str, Any] = {
        "schema_version": "2.0",
        "converted_from": document["schema_version"],
        "hardware": _with({"intervals": {}}, document.get("hardware")),
        "mapping": None,
        "unplaced": f"a report of schema {document['schema_version']}",
        "operation": None,
        "shared": _with({"total_host_macs_of": None}, document.get("shared")),
        "ensemble": _with(on_chip | dict.fromkeys(_ENSEMBLE), document.get("ensemble")),
    }
    students = document.get("students")
    if isinstance(students, list):
        changes["students"] = [_student(each, on_chip) for each in students]
    return dict.fromkeys(_REPORT) | document | changes


def _student(student: Any, on_chip: dict[str, Any]) -> Any:
    found = _with({**on_chip, "balanced_accuracy": None}, student)
    if isinstance(found, dict) and isinstance(found.get("layers"), list):
        found["layers"] = [_with(dict.fromkeys(_LAYER), layer) for layer in found["layers"]]
    return found


def _with(missing: dict[str, Any], given: Any) -> Any:
    """The given fields, and those that are missing."""
    return {**missing, **given} if isinstance(given, dict) else given
