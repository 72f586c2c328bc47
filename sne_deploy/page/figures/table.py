"""All figures, in the order of the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from sne_deploy.page.details.model import Details
from sne_deploy.page.figure import Absent, Figure
from sne_deploy.page.figures.accuracy_energy import accuracy_energy
from sne_deploy.page.figures.activity import activity
from sne_deploy.page.figures.chip import chip
from sne_deploy.page.figures.class_accuracy import class_accuracy
from sne_deploy.page.figures.confusion import confusion
from sne_deploy.page.figures.energy import energy
from sne_deploy.page.figures.examples import examples
from sne_deploy.page.figures.fidelity import fidelity
from sne_deploy.page.figures.raster import raster
from sne_deploy.page.figures.students_needed import students_needed
from sne_deploy.page.figures.waterfall import waterfall
from sne_deploy.report.schema import ReportModel

Draw = Callable[[ReportModel, Details], Figure | Absent]

FIGURES: Mapping[str, Draw] = MappingProxyType(
    {
        "accuracy_energy": accuracy_energy,
        "waterfall": waterfall,
        "energy": energy,
        "students_needed": students_needed,
        "examples": examples,
        "confusion": confusion,
        "class_accuracy": class_accuracy,
        "activity": activity,
        "raster": raster,
        "chip": chip,
        "fidelity": fidelity,
    }
)
