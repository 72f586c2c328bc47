"""The command line of ``python -m experiments.mnist`` and ``experiments.cifar10``."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmarks.machine import describe_machine, describe_versions
from experiments.reproduction.measure import Subject
from experiments.reproduction.rows import Document, write_document
from experiments.reproduction.runs import Lab
from experiments.reproduction.studies import Bench, Found, Study, joined
from sne_deploy.errors import InputError, SneError
from sne_deploy.files import ensure_folder

Setting = Literal["full", "small"]
SERVERS = ("Xeon", "EPYC")
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
COUNTS = ("one core", "two cores", "three cores", "four cores")


@dataclass(frozen=True)
class Example:
    """An example and its studies.

    Attributes
    ----------
    base : Path
        Its experiment file. ``model.pt`` and ``teacher.onnx`` beside it are the committed ones.
    studies : mapping of setting to its studies
        The small setting goes the same way with next to nothing in it.
    small : mapping of dotted key to value
        Changes of the experiment file at the small setting.
    seeds : int
        Seeds run from 0 to here, where nothing else is said; with the small setting there is one.
    """

    name: str
    base: Path
    studies: Mapping[Setting, Sequence[Study]]
    small: Mapping[str, Any]
    seeds: int = 3


@dataclass(frozen=True)
class Options:
    """What the user asked for; see :func:`parsed`."""

    out: Path
    setting: Setting = "full"
    data_folder: Path | None = None
    only: tuple[str, ...] = ()
    seeds: int | None = None
    verify: int = 20
    model: Path | None = None
    teacher: Path | None = None
    results: Path | None = None
    data_note: str | None = None
    machine: str | None = None
    finished: bool = False
    changes: Mapping[str, Any] = field(default_factory=dict)


def reproduce(example: Example, options: Options) -> list[Path]:
    """Run the studies that were asked for; write a document of rows for each, and give their paths."""
    written = []
    folder = ensure_folder(options.results or options.out / "results")
    for study in _chosen(example, options):
        bench = _bench(example, study, options)
        _say(f"{example.name}, {study.name}: {study.about}")
        document = _document(example, study, options, bench, study.run(bench))
        written.append(write_document(document, folder))
        _say(f"written: {written[-1]}")
    return written


def _chosen(example: Example, options: Options) -> list[Study]:
    known = {study.name: study for study in example.studies[options.setting]}
    names = [name.removeprefix(f"{example.name}-") for name in options.only] or list(known)
    for name in names:
        if name not in known:
            raise InputError(f"--only {name}: no study of {example.name}; known: {', '.join(known)}")
    return [known[name] for name in names]


def _bench(example: Example, study: Study, options: Options) -> Bench:
    small = options.setting == "small"
    folder = {} if options.data_folder is None else {"data.folder": str(options.data_folder)}
    common = joined((study.changes, example.small if small else {}, options.changes, folder))
    count = options.seeds or (1 if small else example.seeds)
    return Bench(
        study=study.name,
        lab=Lab(study.base or example.base, common, options.out, _say, options.finished),
        seeds=tuple(range(count)),
        subject=_subject(example, options),
        verify=options.verify,
    )


def _subject(example: Example, options: Options) -> Subject:
    """What was given; else at the full setting the committed model, where there is one."""
    model, teacher = (example.base.with_name(name) for name in ("model.pt", "teacher.onnx"))
    given = options.model is not None or options.teacher is not None
    if given or options.setting == "small" or not (model.exists() and teacher.exists()):
        return Subject(options.model, options.teacher)
    return Subject(model, teacher)


def _document(example: Example, study: Study, options: Options, bench: Bench, found: Found) -> Document:
    changes = {key: value for key, value in bench.lab.common.items() if key != "data.folder"}
    return Document(
        example=example.name,
        study=study.name,
        setting=options.setting,
        changes=changes,
        seeds=tuple(sorted({row.seed for row in found.rows})),
        command=_command(example, study, options, bench),
        data_note=options.data_note,
        subject=bench.subject.name,
        machine=options.machine or machine_class(),
        versions=describe_versions(),
        base=None if study.base is None else study.base.relative_to(EXAMPLES.parent).as_posix(),
        choices=found.choices,
        rows=found.rows,
    )


def _command(example: Example, study: Study, options: Options, bench: Bench) -> str:
    """What makes the same rows again; folders by what they are for."""
    words = ["python", "-m", f"experiments.{example.name}", "--only", study.name]
    words += ["--setting", options.setting, "--seeds", str(len(bench.seeds)), "--verify", str(bench.verify)]
    words += [] if options.data_folder is None else ["--data-folder", "FOLDER"]
    for key, value in options.changes.items():
        words += ["--set", f"{key}={json.dumps(value)}"]
    words += [] if options.model is None else ["--model", options.model.name]
    words += [] if options.teacher is None else ["--teacher", options.teacher.name]
    return shlex.join([*words, "--out", "OUT"])


def machine_class() -> str:
    """The sort of machine this is, such as ``two cores of an AVX-512 server CPU``."""
    machine = describe_machine()
    flags = machine["instructions"]
    vectors = "an AVX-512" if "avx512f" in flags else "an AVX2" if "avx2" in flags else "a"
    server = " server" if any(name in machine["cpu"] for name in SERVERS) else ""
    cores = machine["cores"]
    counted = COUNTS[cores - 1] if cores <= len(COUNTS) else f"{cores} cores"
    return f"{counted} of {vectors}{server} CPU"


def _change(text: str) -> tuple[str, Any]:
    """``students.copies=2``: the value as JSON, or else as text."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise InputError(f"--set {text}: is no change; give KEY=VALUE, such as students.copies=2")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def parsed(example: Example, arguments: Sequence[str] | None) -> Options:
    """Read the command line."""
    studies = "\n".join(f"  {study.name}: {study.about}" for study in example.studies["full"])
    parser = argparse.ArgumentParser(
        prog=f"python -m experiments.{example.name}",
        description=f"Measure what docs/results.md shows of {example.name}. Studies:\n\n{studies}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for runs, trained models, state, results")
    add("--data-folder", type=Path, help="where the data set lies")
    add("--only", action="append", default=[], help="a study; may be given again")
    add(
        "--setting", choices=("full", "small"), default="full", help="small: seconds; its figures say nothing"
    )
    add("--seeds", type=int, choices=range(1, 1000), metavar="N", help="how many, from 0")
    add("--verify", type=int, default=20, help="samples compared with lava, bit for bit")
    add("--model", type=Path, help="measured instead of the committed model.pt")
    add("--teacher", type=Path, help="its teacher, as ONNX")
    add("--results", type=Path, help="folder of the rows; OUT/results")
    add("--data-note", help="said beside every figure")
    add("--finished", action="store_true", help="do nothing more: rows that are not finished are left out")
    add("--machine", help="what the machine is to be called")
    add("--set", action="append", default=[], dest="changes", help="KEY=VALUE in the experiment; repeatable")
    given = vars(parser.parse_args(arguments))
    changes = dict(_change(text) for text in given.pop("changes"))
    return Options(**{**given, "only": tuple(given["only"])}, changes=changes)


def main(example: Example, arguments: Sequence[str] | None = None) -> int:
    """Read the command line, run, and give the exit status."""
    try:
        for path in reproduce(example, parsed(example, arguments)):
            print(path)
    except SneError as error:
        _say(f"error: {error}")
        return error.exit_status
    return 0
