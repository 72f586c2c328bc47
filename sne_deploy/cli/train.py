"""``sne train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sne_deploy.cli import options as opt
from sne_deploy.cli.output import say, show
from sne_deploy.stopping import says


def train_command(
    experiment: Annotated[
        Path, typer.Argument(help="A TOML file that describes the experiment.", metavar="EXPERIMENT")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for model.pt, teacher.onnx, the log and the report.")
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(help="Folder for the state of the stages, instead of one beside the model."),
    ] = None,
    data_folder: Annotated[
        str | None, typer.Option(help="Folder of the data set, instead of the file's data.folder.")
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(help="ONNX file to distil, instead of the file's teacher.", metavar="FILE.onnx"),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="PyTorch device to train on, such as cuda, instead of the file's.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the file's seed.", min=0)] = None,
    threads: Annotated[int | None, typer.Option(help="Instead of the file's threads.", min=1)] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print stages, sizes, about how long and how much memory; write nothing."
        ),
    ] = False,
    debug: opt.Debug = False,  # noqa: ARG001
) -> None:
    """Distil an ensemble of spiking students from a teacher; a killed run goes on where it was."""
    from sne_deploy.distill.bars import TrainingBars
    from sne_deploy.distill.brought import brought_view
    from sne_deploy.distill.command import onnx_teacher, train_experiment
    from sne_deploy.distill.estimate import estimate, estimate_view
    from sne_deploy.distill.experiment import load_experiment
    from sne_deploy.distill.training.events import ABSENT as NO_EVENTS
    from sne_deploy.distill.training.events import tensorboard_installed
    from sne_deploy.errors import InputError
    from sne_deploy.report.table import report_view

    given = {"data.folder": data_folder, "device": device, "seed": seed, "threads": threads}
    changes = {key: value for key, value in given.items() if value is not None}
    described = load_experiment(experiment, changes | ({} if teacher is None else onnx_teacher(teacher)))
    if dry_run:
        show(estimate_view(estimate(described)))
        return
    if out is None:
        raise InputError("--out is missing: name a folder for the model, the log and the report")
    word = "interrupted: the same command goes on after the last whole epoch"
    with says(word), TrainingBars() as bars:
        trained = train_experiment(described, out, bars, work, planned=bars.planned, started=bars.started)
    show(report_view(trained.result.report))
    show(brought_view(trained.brought))
    events = out / "tensorboard" if tensorboard_installed() else NO_EVENTS
    say(f"Written: {trained.model}, {trained.teacher}, {out / 'training.csv'}, {events}")
