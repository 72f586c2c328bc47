"""The model and the data that several commands run."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sne_deploy.cli import options as opt
from sne_deploy.cli.output import say

if TYPE_CHECKING:
    from sne_deploy.data import DataSet
    from sne_deploy.model.ensemble import Ensemble


def load_model(
    model: list[Path],
    data: str,
    timesteps: int | None,
    dt_s: float | None,
    reset: str | None,
    input_shape: str | None,
) -> Ensemble:
    """The model; one that does not say its time steps takes them from the data's time axis."""
    import sne_deploy as sne
    from sne_deploy.data import time_axis
    from sne_deploy.errors import InputError

    load = partial(
        sne.load,
        model if len(model) > 1 else model[0],
        dt_s=dt_s,
        input_shape=opt.sizes(input_shape),
        reset=reset,  # type: ignore[arg-type]  # checked where it is used
    )
    axis = time_axis(data) if timesteps is None and all(_may_be_silent(path) for path in model) else None
    if axis is None:
        return load(timesteps=timesteps)
    try:
        return load(timesteps=None)
    except InputError:
        found = load(timesteps=axis)
        if found.encoder.kind != "spikes":  # an axis of images, not of time
            raise
        return found


def _may_be_silent(path: Path) -> bool:
    """Whether a model of this kind can leave its time steps to the data."""
    from sne_deploy.frontend.readers import file_suffixes

    return path.suffix in file_suffixes() or path.is_dir()


def load_samples(data: str, ensemble: Ensemble, samples: int | None, limit: int | None) -> DataSet:
    """The first samples of the data: as many as asked for, else all up to the target's limit."""
    from sne_deploy.data import load_data, select_samples

    dataset = load_data(
        data,
        input_shape=ensemble.input_shape,
        timesteps=ensemble.timesteps,
        encoder=ensemble.encoder,
    )
    if samples is None and limit is not None and len(dataset) > limit:
        say(f"Running the first {limit} of {len(dataset)} samples; --samples N for more.")
        samples = limit
    return select_samples(dataset, samples)
