"""``sne bench``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sne_deploy.cli import options as opt
from sne_deploy.cli.inputs import load_model, load_samples
from sne_deploy.cli.output import say, show
from sne_deploy.cli.resuming import kept_in
from sne_deploy.frontend.options import ReadOptions


@opt.with_reading
def bench_command(
    model: opt.Model,
    target: Annotated[
        list[str] | None, typer.Option(help="One of the targets; may be repeated. Default: all installed.")
    ] = None,
    data: opt.Data = "digits",
    samples: Annotated[
        int, typer.Option(help="Samples at most; a slow target runs fewer, and says how many.", min=1)
    ] = 256,
    rounds: Annotated[int, typer.Option(help="Measurements of each, in turns.", min=1)] = 5,
    seconds: Annotated[float, typer.Option(help="About how long a measurement may take.")] = 2.0,
    weight_bits: opt.WeightBits = None,
    fidelity: opt.Fidelity = True,
    threads: Annotated[int | None, typer.Option(help="PyTorch's threads, and target loihi's.", min=1)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the table.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="JSON file to write. Whole rounds are kept beside it until then.")
    ] = None,
    resume: opt.Resume = True,
    seed: opt.Seed = None,
    reading: ReadOptions = ReadOptions(),  # noqa: B008  frozen
    debug: opt.Debug = False,  # noqa: ARG001
) -> None:
    """Measure how fast the installed targets run a model: each engine, and the whole call around it.

    Everything is measured in turns within each round. With --out, the same command goes on after the last
    whole round where it was interrupted: each round is still interleaved in itself, and ratios are taken
    within rounds, but rounds before and after may have met another load.
    """
    from rich.console import Console

    from sne_deploy.bench import BenchOptions, bench_view, measure
    from sne_deploy.files import check_file, write_whole
    from sne_deploy.frontend.given import chip_and_seed
    from sne_deploy.runtime.work import forget

    if out is not None:  # before the run, and without making it
        check_file(out)
    kept = None if out is None else out.with_name(f"{out.name}.work")
    with kept_in(kept, resume=resume) as work:
        ensemble = load_model(model, data, reading)
        _, seed = chip_and_seed(ensemble, None, seed)
        options = BenchOptions(tuple(target or ()), rounds, seconds, weight_bits, seed, threads, fidelity)
        dataset = load_samples(data, ensemble, None, samples)
        with Console(stderr=True).status("starting") as status:
            found = measure(ensemble, dataset.x, options, status.update, work, resume=resume)
        document = {"model": [str(path) for path in model], "data": dataset.name, **found}
        text = json.dumps(document, indent=1, allow_nan=False)
        if out is not None:
            write_whole(out, f"{text}\n".encode())
        if work is not None:
            forget(work)
    if as_json:
        print(text)  # noqa: T201  the command line may print
    else:
        show(bench_view(document))
    if out is not None:
        say(f"Written: {out}")
