"""The model and the data that several commands run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sne_deploy.cli.output import say

if TYPE_CHECKING:
    from sne_deploy.data import DataSet
    from sne_deploy.frontend.options import ReadOptions
    from sne_deploy.model.ensemble import Ensemble


def load_model(
    model: list[Path],
    data: str,
    options: ReadOptions,
) -> Ensemble:
    """The model; one that does not say its time steps takes them from the data's time axis."""
    from sne_deploy.data import time_axis
    from sne_deploy.errors import InputError
    from sne_deploy.frontend.models import load_model as load

    paths = model if len(model) > 1 else model[0]
    silent = options.timesteps is None and all(_may_be_silent(path) for path in model)
    axis = time_axis(data) if silent else None
    if axis is None:
        return load(paths, options)
    try:
        return load(paths, options)
    except InputError:
        found = load(paths, replace(options, timesteps=axis))
        if not found.encoder.timed:  # an axis of images, not of time
            raise
        return found


def _may_be_silent(path: Path) -> bool:
    """Whether a model of this kind can leave its time steps to the data."""
    from sne_deploy.files import is_folder
    from sne_deploy.frontend.readers import file_suffixes

    return path.suffix in file_suffixes() or is_folder(path)


def load_samples(
    data: str, ensemble: Ensemble, samples: int | None, limit: int | None, bin_width: float | None = None
) -> DataSet:
    """The first samples of the data: as many as asked for, else all up to the target's limit."""
    from sne_deploy.data import load_data, select_samples

    dataset = load_data(
        data,
        input_shape=ensemble.input_shape,
        timesteps=ensemble.timesteps,
        encoder=ensemble.encoder,
        bin_width=bin_width,
    )
    if samples is None and limit is not None and len(dataset) > limit:
        say(f"Running the first {limit} of {len(dataset)} samples; --samples N for more.")
        samples = limit
    return select_samples(dataset, samples)
