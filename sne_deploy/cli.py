"""The commands, and nothing but the commands: everything they do is in :mod:`sne_deploy.api`.

What was asked for goes to stdout, everything else to stderr. An error is one line there, and a status:
2 for a wrong input, 1 for a run or a verification that failed, 130 for Ctrl-C.
"""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sne_deploy.cli_options import (
    Data,
    Debug,
    Device,
    DtS,
    HardwareOption,
    InputShape,
    MeasureOption,
    Model,
    Out,
    PolicyOption,
    PrecisionOption,
    ResetOption,
    Samples,
    Scheduler,
    Seed,
    StudentsOption,
    Target,
    Teacher,
    Threshold,
    Timesteps,
    Verify,
    WeightBits,
    Workers,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sne_deploy.data import DataSet
    from sne_deploy.model.ensemble import Ensemble

FILE_WIDTH = 110
"""Columns of a table that goes to a file or a pipe, where nothing else says how wide it is."""

app = typer.Typer(
    name="sne",
    help="Compile spiking neural ensembles to Loihi: accuracy and energy before you have the chip.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_single = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@_single.command()
@app.command("compile")
def compile_command(
    context: typer.Context,
    model: Model,
    target: Target = "lava",
    data: Data = "digits",
    samples: Samples = None,
    precision: PrecisionOption = None,
    weight_bits: WeightBits = 8,
    hardware: HardwareOption = "loihi1",
    policy: PolicyOption = None,
    threshold: Threshold = None,
    students: StudentsOption = None,
    measure: MeasureOption = None,
    teacher: Teacher = None,
    out: Out = None,
    verify: Verify = 0,
    workers: Workers = None,
    scheduler: Scheduler = None,
    device: Device = None,
    seed: Seed = 0,
    timesteps: Timesteps = None,
    dt_s: DtS = None,
    reset: ResetOption = None,
    input_shape: InputShape = None,
    debug: Debug = False,  # noqa: ARG001  read by _run, which also sees the errors of parsing
) -> None:
    """Compile a model for a target, run it on real data, and report accuracy, operations and energy."""
    import sne_deploy as sne
    from sne_deploy.model.policy import changed_policy
    from sne_deploy.progress import ProgressBars
    from sne_deploy.report.table import report_view

    _check_choices(precision, policy, measure)
    limit = _default_samples(target)
    _check_out(out)
    ensemble = _load(model, data, timesteps, dt_s, reset, input_shape)
    dataset = _samples(data, ensemble, samples, limit)
    with (
        ProgressBars() as progress,
        sne.compile(
            ensemble,
            target,
            precision=precision,  # type: ignore[arg-type]  # checked above
            weight_bits=weight_bits,
            hardware=hardware,
            policy=changed_policy(
                ensemble.policy, kind=policy, threshold=threshold, students=students, measure=measure
            ),
            seed=seed,
            progress=progress,
            workers=workers,
            scheduler=scheduler,
            device=device,
        ) as compiled,
    ):
        result = compiled.run(
            dataset.x,
            dataset.y,
            model=" ".join(str(path) for path in model),
            data_name=dataset.name,
            teacher=teacher,
            verify=verify,
            command=shlex.join([context.command_path.split()[0], *sys.argv[1:]]),
        )
    if out is not None:
        result.save(out)
    _show(report_view(result.report))
    if out is not None:
        _say(f"Written: {out / 'report.json'}")


@app.command("report")
def report_command(
    file: Annotated[
        Path, typer.Argument(help="A report.json, or the folder that holds one.", metavar="REPORT")
    ],
    debug: Debug = False,  # noqa: ARG001  read by _run
) -> None:
    """Print the table of a saved report."""
    from sne_deploy.report.read import load_report
    from sne_deploy.report.table import report_view

    _show(report_view(load_report(file)))


@app.command("inspect")
def inspect_command(
    model: Model,
    svg: Annotated[
        Path | None, typer.Option(help="Draw the graphs: FILE.svg for one student, or a folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    weight_bits: WeightBits = 8,
    timesteps: Timesteps = None,
    dt_s: DtS = None,
    reset: ResetOption = None,
    input_shape: InputShape = None,
    debug: Debug = False,  # noqa: ARG001  read by _run
) -> None:
    """Show a model without running it: graph, neurons in both units, what each target supports."""
    from sne_deploy.inspect.collect import inspect_model
    from sne_deploy.inspect.pictures import write_pictures
    from sne_deploy.inspect.table import inspect_view
    from sne_deploy.inspect.views import to_json

    found = inspect_model(
        model if len(model) > 1 else model[0],
        timesteps=timesteps,
        dt_s=dt_s,
        input_shape=None if input_shape is None else _shape(input_shape),
        reset=reset,  # type: ignore[arg-type]  # checked where it is used
        weight_bits=weight_bits,
    )
    written = () if svg is None else write_pictures(found, svg)
    if as_json:
        print(to_json(found))  # noqa: T201  the command line may print
    else:
        _show(inspect_view(found))
    for path in written:
        _say(f"Written: {path}")


@app.command("train")
def train_command(
    experiment: Annotated[
        Path, typer.Argument(help="A TOML file that describes the experiment.", metavar="EXPERIMENT")
    ],
    out: Annotated[Path, typer.Option(help="Folder for model.pt, teacher.onnx, the log and the report.")],
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
    debug: Debug = False,  # noqa: ARG001  read by _run
) -> None:
    """Distil an ensemble of spiking students from a teacher; a killed run goes on where it was."""
    from sne_deploy.distill.command import onnx_teacher, train
    from sne_deploy.distill.experiment import load_experiment
    from sne_deploy.progress import TrainingBars
    from sne_deploy.report.table import report_view

    given = {"data.folder": data_folder, "device": device, "seed": seed, "threads": threads}
    changes = {key: value for key, value in given.items() if value is not None}
    described = load_experiment(experiment, changes | ({} if teacher is None else onnx_teacher(teacher)))
    try:
        with TrainingBars() as bars:
            trained = train(described, out, bars, started=bars.started)
    except KeyboardInterrupt:
        _say("interrupted: the same command goes on after the last whole epoch")
        raise SystemExit(130) from None
    _show(report_view(trained.result.report))
    _say(f"Written: {trained.model}, {trained.teacher}")


@app.command("bench")
def bench_command(
    out: Annotated[Path, typer.Option(help="JSON file to write.")] = Path("performance.json"),
    page: Annotated[Path | None, typer.Option(help="Markdown file to write the tables to as well.")] = None,
    from_json: Annotated[
        Path | None, typer.Option(help="Measure nothing: take the figures of an earlier run.")
    ] = None,
    networks: Annotated[
        list[str] | None, typer.Option("--network", help="One of the networks; may be repeated.")
    ] = None,
    contestants: Annotated[
        list[str] | None, typer.Option("--contestant", help="One of the contestants; may be repeated.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Tiny networks: shows that it works.")] = False,
    scaling: Annotated[bool, typer.Option(help="Also measure how time and memory grow.")] = True,
    threads: Annotated[int, typer.Option(help="Threads of every contestant.", min=1)] = 2,
    seed: Seed = 0,
    debug: Debug = False,  # noqa: ARG001  read by _run
) -> None:
    """Measure target loihi against Lava, others and plain PyTorch: ratios within one run."""
    from benchmarks.comparison.command import bench
    from benchmarks.comparison.run import NETWORKS, BenchOptions
    from benchmarks.comparison.tables import bench_view

    options = BenchOptions(
        networks=tuple(networks or NETWORKS),
        contestants=tuple(contestants) if contestants else None,
        quick=quick,
        threads=threads,
        seed=seed,
        scaling=scaling,
    )
    _show(bench_view(bench(options, out=out, page=page, from_json=from_json)))


def main() -> int:
    """Entry point of ``sne``; gives the exit status."""
    return _run(app, "sne")


def compile_main() -> int:
    """Entry point of ``sne-compile``: the same as ``sne compile``."""
    return _run(_single, "sne-compile")


def _run(commands: typer.Typer, name: str) -> int:
    """Run a command; turn every error into one line and its exit status."""
    from sne_deploy.errors import SneError

    arguments = sys.argv[1:]
    # The root of what typer raises for wrong arguments: its own in later releases, click's in earlier ones.
    usage_error: Any = typer.BadParameter.__mro__[1]
    try:
        status = commands(args=arguments or ["--help"], prog_name=name, standalone_mode=False) or 0
        sys.stdout.flush()
    except usage_error as error:
        return _fail(f"error: {error.format_message().rstrip('.')}; see {name} --help", 2, arguments)
    except SneError as error:
        return _fail(f"error: {error}", error.exit_status, arguments)
    except (KeyboardInterrupt, typer.Abort):
        status = 130
    except BrokenPipeError:  # whoever read the output has gone, as in `sne report out | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except MemoryError:
        return _fail("error: out of memory; run fewer samples with --samples", 1, arguments)
    except Exception as error:  # noqa: BLE001  the last resort: one line instead of a traceback
        line = f"error: internal error: {type(error).__name__}: {error}; --debug shows where"
        return _fail(line, 1, arguments)
    if status == 130:  # typer turns Ctrl-C into this
        _say("interrupted")
    return int(status)


def _fail(line: str, status: int, arguments: list[str]) -> int:
    if "--debug" in arguments:
        traceback.print_exc()
    _say(" ".join(line.split()))
    return status


def _say(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201  the command line may print


def _show(view: RenderableType) -> None:
    """Print to stdout: as wide as the terminal, or as COLUMNS says, or wide enough for the whole table."""
    from rich.console import Console

    if sys.stdout.isatty():
        Console().print(view)
        return
    console = Console(width=None if "COLUMNS" in os.environ else FILE_WIDTH)
    with console.capture() as captured:
        console.print(view)
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def _check_choices(precision: str | None, policy: str | None, measure: str | None) -> None:
    from sne_deploy.errors import InputError
    from sne_deploy.model.policy import MEASURES, POLICIES

    for name, value, known in (
        ("precision", precision, ("fixed", "float")),
        ("policy", policy, POLICIES),
        ("measure", measure, MEASURES),
    ):
        if value is not None and value not in known:
            raise InputError(f"unknown {name} {value!r}; known: {', '.join(known)}")


def _default_samples(target: str) -> int | None:
    from sne_deploy.backend import load_backend

    return load_backend(target).capabilities().max_samples_default


def _check_out(out: Path | None) -> None:
    """Refuse a folder that cannot be written before the run, and without making it."""
    from sne_deploy.files import check_folder

    if out is not None:
        check_folder(out / "students")


def _load(
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
        input_shape=None if input_shape is None else _shape(input_shape),
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
    return path.suffix in (".nir", ".net") or path.is_dir()


def _shape(text: str) -> tuple[int, ...]:
    """A shape such as ``2,34,34``."""
    from sne_deploy.errors import InputError

    try:
        shape = tuple(int(part) for part in text.split(","))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise InputError(f"--input-shape {text!r} is no shape; give sizes above 0, such as 2,34,34")
    return shape


def _samples(data: str, ensemble: Ensemble, samples: int | None, limit: int | None) -> DataSet:
    """The first samples of the data: as many as asked for, else all up to the target's limit."""
    from sne_deploy.data import load_data, select_samples

    dataset = load_data(
        data,
        input_shape=ensemble.input_shape,
        timesteps=ensemble.timesteps,
        encoder=ensemble.encoder,
    )
    if samples is None and limit is not None and len(dataset) > limit:
        _say(f"Running the first {limit} of {len(dataset)} samples; --samples N for more.")
        samples = limit
    return select_samples(dataset, samples)
