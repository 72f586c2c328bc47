"""``sne validate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sne_deploy.cli import options as opt
from sne_deploy.cli.output import show


def validate_command(
    cases: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Measurements of your own to check and predict (docs/adding_a_measurement.md). "
            "Default: those in this package.",
            metavar="CASE.json",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the predictions as a JSON list.")] = False,
    debug: opt.Debug = False,  # noqa: ARG001
) -> None:
    """Predict what was measured on real chips, from the frozen constants; failures are printed.

    The status is 0 also where a case is outside its interval: that is a finding, not a failed run.
    """
    from sne_deploy.energy.validation.run import validate

    found = validate(cases or ())
    if as_json:
        rows = [row.as_json() for row in found.rows]
        print(json.dumps(rows, indent=2, allow_nan=False))  # noqa: T201  the command line may print
        return
    from sne_deploy.energy.validation.view import ValidationView

    show(ValidationView(found))
