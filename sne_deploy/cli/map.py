"""``sne map``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from sne_deploy.cli import options as opt
from sne_deploy.cli.output import show
from sne_deploy.frontend.options import ReadOptions


@opt.with_reading
def map_command(
    model: opt.Model,
    hardware: opt.Hardware = None,
    strategy: Annotated[
        str,
        typer.Option(help="packed: as few cores as fit; intel: as Intel's compiler does on Loihi 2."),
    ] = "packed",
    chips: Annotated[int | None, typer.Option(help="How many chips there are; default: as it takes.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the mapping as JSON.")] = False,
    weight_bits: opt.WeightBits = None,
    reading: ReadOptions = ReadOptions(),  # noqa: B008  frozen
    debug: opt.Debug = False,  # noqa: ARG001
) -> None:
    """Put a model's neurons and synapses on cores and chips: how many there are, and what binds them."""
    from sne_deploy.inspect.mapping import map_model

    paths = model if len(model) > 1 else model[0]
    found = map_model(paths, reading, hardware, strategy, weight_bits, chips)
    if as_json:
        print(json.dumps(found.as_json(), indent=2, allow_nan=False))  # noqa: T201  may print
    else:
        show(found)
