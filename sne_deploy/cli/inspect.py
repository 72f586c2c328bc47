"""``sne inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sne_deploy.cli import options as opt
from sne_deploy.cli.output import say, show
from sne_deploy.frontend.options import ReadOptions


def _list(wanted: bool) -> None:
    if wanted:
        from sne_deploy.frontend.norse.refusals import supported

        print(supported())  # noqa: T201  the command line may print
        raise typer.Exit


@opt.with_reading
def inspect_command(
    model: opt.Model,
    svg: Annotated[
        Path | None, typer.Option(help="Draw the graphs: FILE.svg for one student, or a folder.")
    ] = None,
    layer: Annotated[
        str | None, typer.Option(help="Show one layer in full: NAME, or STUDENT/NAME.", metavar="NAME")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show everything of every layer.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    weight_bits: opt.WeightBits = None,
    reading: ReadOptions = ReadOptions(),  # noqa: B008  frozen
    layers: Annotated[  # noqa: ARG001  its callback ends the program
        bool,
        typer.Option(
            "--layers",
            help="List the layers of torch and Norse that are read.",
            callback=_list,
            is_eager=True,
        ),
    ] = False,
    debug: opt.Debug = False,  # noqa: ARG001
) -> None:
    """Show a model without running it: graph, neurons in both units, what each target supports."""
    from sne_deploy.inspect.collect import inspect_model
    from sne_deploy.inspect.pictures import write_pictures
    from sne_deploy.inspect.summary import SummaryView, one_layer
    from sne_deploy.inspect.table import InspectView
    from sne_deploy.inspect.views import to_json

    found = inspect_model(model if len(model) > 1 else model[0], reading, weight_bits=weight_bits)
    written = () if svg is None else write_pictures(found, svg)
    shown = found if layer is None else one_layer(found, layer)
    if as_json:
        print(to_json(shown))  # noqa: T201  the command line may print
    elif layer is not None or everything:
        show(InspectView(shown, whole=layer is None))
    else:
        show(SummaryView(shown))
    for path in written:
        say(f"Written: {path}")
