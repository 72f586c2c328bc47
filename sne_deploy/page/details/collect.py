"""All details of a run."""

from __future__ import annotations

from sne_deploy.page.details.alternatives import alternatives
from sne_deploy.page.details.chip import chip
from sne_deploy.page.details.class_accuracy import class_accuracy
from sne_deploy.page.details.confusion import confusion
from sne_deploy.page.details.energy import layer_counts
from sne_deploy.page.details.model import Details
from sne_deploy.page.details.neurobench import neurobench
from sne_deploy.page.details.raster import raster
from sne_deploy.page.details.students_needed import students_needed
from sne_deploy.page.source import Source


def collect(source: Source) -> Details:
    """Find everything that the page shows beyond the report; some samples are run again for it."""
    source.check_samples()
    return Details(
        confusion=confusion(source),
        class_accuracy=class_accuracy(source),
        chip=chip(source),
        alternatives=alternatives(source),
        layer_counts=layer_counts(source),
        neurobench=neurobench(source),
        students_needed=students_needed(source),
        raster=raster(source),
    )
