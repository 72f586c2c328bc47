"""``sne compile``, which is ``sne-compile``."""

from __future__ import annotations

import shlex
import sys

import typer

from sne_deploy.cli import options as opt
from sne_deploy.cli.fitting import check_engine_options, check_fixed
from sne_deploy.cli.inputs import load_model, load_samples
from sne_deploy.cli.output import say, show
from sne_deploy.cli.resuming import kept_in, without_resume
from sne_deploy.frontend.options import ReadOptions


@opt.with_reading
def compile_command(
    context: typer.Context,
    model: opt.Model,
    target: opt.Target = None,
    data: opt.Data = "digits",
    samples: opt.Samples = None,
    bin_width: opt.BinWidth = None,
    precision: opt.Precision = None,
    weight_bits: opt.WeightBits = None,
    hardware: opt.Hardware = None,
    policy: opt.Policy = None,
    threshold: opt.Threshold = None,
    students: opt.Students = None,
    measure: opt.Measure = None,
    teacher: opt.Teacher = None,
    compare: opt.Compare = None,
    compare_onnx: opt.CompareOnnx = None,
    out: opt.Out = None,
    save: opt.Save = None,
    verify: opt.Verify = 0,
    fidelity: opt.Fidelity = True,
    rate: opt.Rate = None,
    x86: opt.X86 = None,
    powered: opt.Powered = "chips",
    workers: opt.Workers = None,
    scheduler: opt.Scheduler = None,
    timeout: opt.Timeout = None,
    device: opt.Device = None,
    resume: opt.Resume = True,
    seed: opt.Seed = None,
    reading: ReadOptions = ReadOptions(),  # noqa: B008  frozen
    debug: opt.Debug = False,  # noqa: ARG001
    version: opt.Version = False,  # noqa: ARG001  its callback ends the program
) -> None:
    """Compile a model for a target, run it on real data, and report accuracy, operations and energy."""
    import sne_deploy as sne
    from sne_deploy.backend import chosen_target
    from sne_deploy.errors import InputError
    from sne_deploy.files import check_file, check_folder
    from sne_deploy.model.policy import changed_policy
    from sne_deploy.progress import ProgressBars
    from sne_deploy.report.compare import NO_NETWORK
    from sne_deploy.report.table import report_view

    _check_choices(precision, policy, measure, powered)
    target, note = chosen_target(target)
    if note is not None:
        say(note)
    capabilities = check_engine_options(target, workers, scheduler, timeout, device)
    needing = {"--verify": verify, "--compare": compare, "--compare-onnx": compare_onnx, "--save": save}
    check_fixed(capabilities, target, precision, needing)
    if compare is not None and teacher is None and not compare_onnx:
        raise InputError(NO_NETWORK)
    if out is not None:  # before the run, and without making it
        check_folder(out / "students")
    if save is not None:
        check_file(save)
    with kept_in(None if out is None else out / "work", resume=resume, out=out) as work:
        ensemble = load_model(model, data, reading)
        dataset = load_samples(data, ensemble, samples, capabilities.max_samples_default, bin_width)
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
                fidelity=fidelity,
                progress=progress,
                workers=workers,
                scheduler=scheduler,
                timeout_s=timeout,
                device=device,
            ) as compiled,
        ):
            if save is not None:
                compiled.save(save)
            result = compiled.run(
                dataset.x,
                dataset.y,
                lengths=dataset.lengths,
                model=" ".join(str(path) for path in model),
                data_name=dataset.name,
                teacher=teacher,
                compare=compare,
                compare_onnx=compare_onnx or (),
                verify=verify,
                rate=rate,
                x86=x86,
                powered=powered,  # type: ignore[arg-type]  # checked above
                command=shlex.join([context.command_path.split()[0], *without_resume(sys.argv[1:])]),
                work=work,
                resume=resume,
            )
        if out is not None:
            result.save(out)
    show(report_view(result.report))
    if out is not None:
        say(f"Written: {out / 'report.json'} and report.html")
    if save is not None:
        say(f"Written: {save}")


def _check_choices(precision: str | None, policy: str | None, measure: str | None, powered: str) -> None:
    from sne_deploy.energy.lines import POWERED
    from sne_deploy.errors import InputError
    from sne_deploy.model.policy import MEASURES, POLICIES

    for name, value, known in (
        ("precision", precision, ("fixed", "float")),
        ("policy", policy, POLICIES),
        ("measure", measure, MEASURES),
        ("powered", powered, POWERED),
    ):
        if value is not None and value not in known:
            raise InputError(f"unknown {name} {value!r}; known: {', '.join(known)}")
