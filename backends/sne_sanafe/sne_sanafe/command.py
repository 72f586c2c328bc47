"""``sne-sanafe MODEL``: energy and time by SANA-FE, beside those of sne-deploy."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from sne_deploy.cli import run
from sne_deploy.cli.output import say
from sne_deploy.stopping import end_at_signals

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def command(
    model: Annotated[list[Path], typer.Argument(help="What sne-compile takes.", metavar="MODEL")],
    data: Annotated[str, typer.Option(help="What sne-compile takes.")] = "digits",
    samples: Annotated[int, typer.Option(min=1, help="From the first.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Numbers instead of a table.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,  # noqa: ARG001
) -> None:
    """Run a model on Loihi 1 by SANA-FE, with the spikes and on the cores of sne-deploy, and compare."""
    import sne_deploy as sne
    from sne_deploy.data import load_data, select_samples
    from sne_sanafe.comparison import compare
    from sne_sanafe.table import figures, text

    ensemble = sne.load(model if len(model) > 1 else model[0])
    dataset = load_data(
        data, input_shape=ensemble.input_shape, timesteps=ensemble.timesteps, encoder=ensemble.encoder
    )
    with sne.compile(ensemble, target="loihi", hardware="loihi1") as compiled:
        found = compare(compiled, select_samples(dataset, samples).x)
    typer.echo(json.dumps(figures(found), indent=1) if as_json else text(found))


def main() -> int:
    """Entry point; gives the exit status."""
    end_at_signals()
    try:
        import sanafe  # noqa: F401
    except ImportError as error:
        say(f"error: SANA-FE is not here: {error}; pip install sanafe")
        return 1
    return run(app, "sne-sanafe")


if __name__ == "__main__":
    sys.exit(main())
