"""``sne init``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from sne_deploy.cli import options as opt
from sne_deploy.cli.output import say


def init_command(
    data: Annotated[
        str,
        typer.Option(
            help="FILE.npz with arrays x and y or with events, mnist:DIR, cifar10:DIR, or digits.",
            metavar="DATA",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The file to write.", metavar="FILE.toml")] = Path(
        "experiment.toml"
    ),
    kind: Annotated[
        str | None,
        typer.Option(
            help="What samples are, where their shape leaves it open: image, vector or series.",
            metavar="KIND",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
    debug: opt.Debug = False,  # noqa: ARG001
) -> None:
    """Write a commented experiment file for your data, for sne train."""
    from sne_deploy.distill.data.survey import KINDS, survey
    from sne_deploy.distill.template import write_experiment
    from sne_deploy.errors import InputError

    if kind is not None and kind not in KINDS:
        raise InputError(f"unknown kind {kind!r}; known: {', '.join(KINDS)}")
    if not force and out.exists():
        raise InputError(f"{out} is there already; give another --out, or --force to overwrite it")
    found = survey(data, kind)
    described = write_experiment(found, out)
    for note in found.notes:
        say(f"Note: {note}")
    say(f"Written: {out}: {described}")
    say(f"Next: sne train {shlex.quote(str(out))} --out {shlex.quote(f'out/{out.stem}')}")
