"""The commands, and nothing but the commands: everything they do is in :mod:`sne_deploy.api`."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sne_deploy.ensembles import ActivationPolicy, Ensemble

app = typer.Typer(
    name="sne",
    help="Compile spiking neural ensembles to Loihi: accuracy and energy before you have the chip.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Model = Annotated[
    list[Path],
    typer.Argument(help="model.pt, one or several .nir files, or a folder of .nir files.", metavar="MODEL"),
]
Target = Annotated[str, typer.Option(help="Where to run: lava, norse, or an installed plug-in.")]
Data = Annotated[
    str,
    typer.Option(help="digits, mnist:DIR, cifar10:DIR (mnist:train:DIR for the other split), or FILE.npz."),
]
Samples = Annotated[
    int | None, typer.Option(help="Samples to run, from the first. Default: all; 500 on lava.")
]
PrecisionOption = Annotated[
    str | None,
    typer.Option(help="fixed (Loihi's integers) or float. Default: fixed where the target has it."),
]
HardwareOption = Annotated[str, typer.Option(help="loihi1, or a TOML file with energy constants.")]
PolicyOption = Annotated[
    str | None, typer.Option(help="Which students run: static or confidence. Default: the model's own.")
]
Threshold = Annotated[float | None, typer.Option(help="Confidence in (0, 1] at which no more students run.")]
Teacher = Annotated[
    Path | None, typer.Option(help="The teacher as ONNX, to compare with on the same samples.")
]
Out = Annotated[Path | None, typer.Option(help="Folder for report.json and students/NAME.nir.")]
Seed = Annotated[int, typer.Option(help="Seed of random encoders.")]
Timesteps = Annotated[int | None, typer.Option(help="Steps per sample, for .nir models, which do not say.")]
DtS = Annotated[
    float | None, typer.Option("--dt-s", help="Seconds per step, for .nir models that do not say.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]


@app.command("compile", no_args_is_help=True)
def compile_command(
    model: Model,
    target: Target = "lava",
    data: Data = "digits",
    samples: Samples = None,
    precision: PrecisionOption = None,
    hardware: HardwareOption = "loihi1",
    policy: PolicyOption = None,
    threshold: Threshold = None,
    teacher: Teacher = None,
    out: Out = None,
    seed: Seed = 0,
    timesteps: Timesteps = None,
    dt_s: DtS = None,
    debug: Debug = False,
) -> None:
    """Compile a model for a target, run it on real data, and report accuracy, operations and energy."""

    def work() -> None:
        from rich.console import Console

        import sne_deploy as sne
        from sne_deploy.data import load_data, select_samples
        from sne_deploy.files import ensure_folder
        from sne_deploy.report.table import report_view

        console = Console()
        _check_precision(precision)
        limit = _default_samples(target)
        if out is not None:
            ensure_folder(out)
        ensemble = _load(model, data, timesteps, dt_s)
        dataset = load_data(
            data,
            input_shape=ensemble.input_shape,
            timesteps=ensemble.timesteps,
            encoder=ensemble.encoder,
        )
        if samples is None and limit is not None and len(dataset.x) > limit:
            console.print(f"Running the first {limit} of {len(dataset.x)} samples; --samples N for more.")
        count = samples if samples is not None else min(len(dataset.x), limit or len(dataset.x))
        dataset = select_samples(dataset, count)
        with (
            _progress() as progress,
            sne.compile(
                ensemble,
                target,
                precision=precision,  # type: ignore[arg-type]  # checked above
                hardware=hardware,
                policy=_policy(ensemble, policy, threshold),
                seed=seed,
                progress=progress,
            ) as compiled,
        ):
            result = compiled.run(
                dataset.x,
                dataset.y,
                model=" ".join(str(path) for path in model),
                data_name=dataset.name,
                teacher=teacher,
                command=" ".join(["sne-compile", *sys.argv[1:]]),
            )
        if out is not None:
            result.save(out)
        console.print(report_view(result.report))
        if out is not None:
            console.print(f"Written: {out / 'report.json'}", soft_wrap=True)

    _guard(work, debug)


@app.command("report", no_args_is_help=True)
def report_command(
    file: Annotated[
        Path, typer.Argument(help="A report.json, or the folder that holds one.", metavar="REPORT")
    ],
    debug: Debug = False,
) -> None:
    """Print the table of a saved report."""

    def work() -> None:
        from rich.console import Console

        from sne_deploy.report.read import load_report
        from sne_deploy.report.table import report_view

        Console().print(report_view(load_report(file)))

    _guard(work, debug)


def main() -> None:
    """Entry point of ``sne``."""
    app()


def compile_main() -> None:
    """Entry point of ``sne-compile``: the same as ``sne compile``."""
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    single.command(no_args_is_help=True)(compile_command)
    single(prog_name="sne-compile")


def _guard(work: Callable[[], None], debug: bool) -> None:
    """Run; turn every error into one line and its exit status."""
    from sne_deploy.errors import SneError

    try:
        work()
    except KeyboardInterrupt:
        _say("interrupted")
        raise typer.Exit(130) from None
    except SneError as error:
        if debug:
            traceback.print_exc()
        _say(f"error: {' '.join(str(error).split())}")
        raise typer.Exit(error.exit_status) from None
    except MemoryError:
        _say("error: out of memory; run fewer samples with --samples")
        raise typer.Exit(1) from None
    except Exception as error:  # noqa: BLE001  the last resort: one line instead of a traceback
        if debug:
            traceback.print_exc()
        _say(f"internal error: {type(error).__name__}: {' '.join(str(error).split())}; --debug shows where")
        raise typer.Exit(1) from None


def _say(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201  the command line may print


def _check_precision(precision: str | None) -> None:
    from sne_deploy.errors import InputError

    if precision not in (None, "fixed", "float"):
        raise InputError(f"unknown precision {precision!r}; known: fixed, float")


def _default_samples(target: str) -> int | None:
    from sne_deploy.backend import load_backend

    return load_backend(target).capabilities().max_samples_default


def _load(model: list[Path], data: str, timesteps: int | None, dt_s: float | None) -> Ensemble:
    """The model; a NIR graph takes its time steps from the data's time axis if nothing says otherwise."""
    import sne_deploy as sne
    from sne_deploy.data import time_axis

    graphs = all(path.suffix == ".nir" or path.is_dir() for path in model)
    if graphs and timesteps is None:
        timesteps = time_axis(data)
    return sne.load(model if len(model) > 1 else model[0], timesteps=timesteps, dt_s=dt_s)


def _policy(ensemble: Ensemble, kind: str | None, threshold: float | None) -> ActivationPolicy | None:
    """The model's own policy with what the options change; None where they change nothing."""
    from sne_deploy.ensembles import ActivationPolicy
    from sne_deploy.errors import InputError

    if kind is None and threshold is None:
        return None
    own = ensemble.policy
    chosen = kind or own.kind
    if chosen == "static" and threshold is not None:
        raise InputError(
            f"--threshold {threshold} has no meaning for policy 'static'; add --policy confidence"
        )
    value = threshold if threshold is not None else own.threshold
    return ActivationPolicy(kind=chosen, order=own.order, threshold=value)  # type: ignore[arg-type]  # it checks


class _progress:  # noqa: N801  used as a context manager
    """A bar per student on a terminal, with an estimate of what remains."""

    def __enter__(self) -> Callable[[str, int, int], None]:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._tasks: dict[str, Any] = {}
        self._bars.start()
        return self._update

    def __exit__(self, *details: object) -> None:
        self._bars.stop()

    def _update(self, student: str, done: int, total: int) -> None:
        if student not in self._tasks:
            self._tasks[student] = self._bars.add_task(student, total=total)
        self._bars.update(self._tasks[student], completed=done)
