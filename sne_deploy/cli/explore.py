"""``sne explore``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sne_deploy.cli import options as opt
from sne_deploy.cli.fitting import check_engine_options
from sne_deploy.cli.inputs import load_model, load_samples
from sne_deploy.cli.output import say, show
from sne_deploy.cli.resuming import kept_in
from sne_deploy.frontend.options import ReadOptions


@opt.with_reading
def explore_command(
    model: opt.Model,
    data: opt.Data = "digits",
    samples: opt.Samples = None,
    bin_width: opt.BinWidth = None,
    select_on: Annotated[
        str,
        typer.Option(
            help="Samples that points are chosen on: half (figures are of the other half), all, or other "
            "data, such as mnist:train:DIR."
        ),
    ] = "half",
    bits: Annotated[
        str | None, typer.Option(help="Weight bits to try, such as 4,6,8; each is simulated once.")
    ] = None,
    measure: Annotated[
        list[str] | None,
        typer.Option(help="max_probability, margin or entropy; may be repeated. Default: all three."),
    ] = None,
    thresholds: Annotated[
        int, typer.Option(help="About how many of each measure, and of a gate.", min=1)
    ] = 100,
    target_accuracy: Annotated[
        str | None, typer.Option(help="Pick the cheapest point that is at least so accurate, such as 98%.")
    ] = None,
    energy_budget: Annotated[
        str | None, typer.Option(help="Pick the most accurate point within it, such as 2uJ.")
    ] = None,
    latency_budget: Annotated[
        str | None, typer.Option(help="Pick the most accurate point within it, such as 1.5ms.")
    ] = None,
    write: Annotated[
        Path | None, typer.Option(help="model.pt to write, with the policy of the point that was picked.")
    ] = None,
    target: Annotated[
        str, typer.Option(help="Where to run: loihi, norse, lava or another target.")
    ] = "loihi",
    hardware: opt.Hardware = None,
    rate: Annotated[
        float | None, typer.Option(help="Inferences a second, for what processors and leakage take of each.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the tables.")] = False,
    out: Annotated[Path | None, typer.Option(help="JSON file to write.")] = None,
    workers: opt.Workers = None,
    device: opt.Device = None,
    resume: opt.Resume = True,
    seed: opt.Seed = None,
    reading: ReadOptions = ReadOptions(),  # noqa: B008  frozen
    debug: opt.Debug = False,  # noqa: ARG001
) -> None:
    """Judge thousands of policies from one run: which students, in which order, until which confidence."""
    from sne_deploy.exploration.explore import ALL, HALF, explore
    from sne_deploy.exploration.points import Limits
    from sne_deploy.exploration.result import check_writable, document_text, write_document
    from sne_deploy.exploration.table import exploration_view
    from sne_deploy.files import check_file
    from sne_deploy.model.policy import MEASURES
    from sne_deploy.progress import ProgressBars
    from sne_deploy.runtime.work import forget

    limits = Limits.read(target_accuracy, energy_budget, latency_budget)
    several = _bits(bits)
    limit = check_engine_options(target, workers, None, None, device).max_samples_default
    for path in (write, out):
        if path is not None:  # before the run, and without making it
            check_file(path)
    kept = None if out is None else out.with_name(f"{out.name}.work")
    with kept_in(kept, resume=resume) as work:
        ensemble = load_model(model, data, reading)
        _check_write(write, model, limits)
        if write is not None:
            check_writable(ensemble)
        dataset = load_samples(data, ensemble, samples, limit, bin_width)
        chooser: object = select_on
        if select_on not in (HALF, ALL):
            other = load_samples(select_on, ensemble, None, limit, bin_width)
            chooser = (other.x, other.y, other.lengths)
        with ProgressBars() as progress:
            found = explore(
                ensemble,
                dataset.x,
                dataset.y,
                lengths=dataset.lengths,
                select_on=chooser,
                bits=several,
                measures=tuple(measure or MEASURES),  # type: ignore[arg-type]  # it checks
                thresholds=thresholds,
                rate=rate,
                target=target,
                hardware=hardware,
                seed=seed,
                progress=progress,
                workers=workers,
                device=device,
                model_name=" ".join(str(path) for path in model),
                data_name=dataset.name,
                work=work,
                resume=resume,
            )
        picked = found.points[found.points.pick(limits)] if limits else None
        if picked is not None and write is not None:
            found.write(picked, write)
        document = found.document(picked, limits, None if write is None else str(write))
        if out is not None:
            write_document(document, out)
        if work is not None:
            forget(work)
    if as_json:
        print(document_text(document), end="")  # noqa: T201  the command line may print
    else:
        show(exploration_view(found, picked))
    for path in (write, out):
        if path is not None:
            say(f"Written: {path}")
    if picked is not None and write is not None and picked.weight_bits is not None:
        say(f"A model.pt does not say its weight bits: run it with --weight-bits {picked.weight_bits}.")


def _bits(given: str | None) -> tuple[int, ...]:
    from sne_deploy.errors import InputError

    if given is None:
        return ()
    try:
        return tuple(int(part) for part in given.split(","))
    except ValueError:
        raise InputError(f"--bits {given[:40]!r} is no list of whole numbers; give such as 4,6,8") from None


def _check_write(write: Path | None, model: list[Path], limits: object) -> None:
    from sne_deploy.errors import InputError

    if write is None:
        return
    if not limits:
        raise InputError(
            f"--write {write} needs a point: give --target-accuracy, --energy-budget or --latency-budget"
        )
    if any(path.resolve() == write.resolve() for path in model):
        raise InputError(f"--write {write} is the model itself, which stays as it is; give another name")
