"""A commented experiment file for data: networks for the samples' shape, schedules for their number."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sne_deploy.distill.data.survey import Survey
from sne_deploy.distill.experiment import parse_experiment
from sne_deploy.distill.recipe import STUDENTS, Sizes, convolved, shifted, student_layers
from sne_deploy.errors import InputError
from sne_deploy.files import write_whole
from sne_deploy.text import visible
from sne_deploy.toml import parse_toml

Line = tuple[str, Any, str]
"""A key, its value, and what it means."""
_INPUTS = {
    "constant": ("constant", "an image or a vector, the same current at every step"),
    "current": ("current", "a series: a current for each step"),
    "spikes": ("spikes", "a series of 0 and 1: spikes at each step"),
}


def experiment_text(data: Survey, path: Path, name: str) -> str:
    """The file that describes a training on data.

    Parameters
    ----------
    data : Survey
    path : Path
        Where the text will stand: paths in it are relative to that.
    name : str
        Of the experiment.
    """
    sizes = Sizes.of(data)
    tables: list[tuple[str, list[Line]]] = [
        ("", _top(name)),
        ("data", _data(data, sizes, path)),
        ("teacher", _teacher(data)),
        ("teacher.schedule", _schedule(sizes.teacher_epochs, sizes.batch, 2e-3, clip_norm=5.0)),
        (
            "partition",
            [("strategy", "attribution", "who learns which features: those that the same classes need")],
        ),
        ("students", _students(data, sizes)),
        ("students.loss", _losses(_ALONE)),
        (
            "students.schedule",
            _schedule(sizes.student_epochs, sizes.batch, 8e-3, warmup=0.1, weight_decay=0.01),
        ),
        (
            "joint",
            [
                (
                    "dropout",
                    "order",
                    "who is absent from a batch: the later a student stands in the order, the more",
                )
            ],
        ),
        ("joint.schedule", _schedule(sizes.joint_epochs, sizes.batch, 2e-3, weight_decay=0.01)),
        ("quantisation", [("weight_bits", 8, "of a weight on the chip: 2 to 8, or 16")]),
        ("policy", _policy()),
    ]
    position = next(index for index, (table, _) in enumerate(tables) if table == "joint")
    tables[position][1].extend(_losses(_TOGETHER))
    return "\n".join([*_heading(data, path), *(line for one in tables for line in _table(*one))]) + "\n"


def _heading(data: Survey, path: Path) -> list[str]:
    (least, most), (low, high) = (min(data.counts), max(data.counts)), data.input_range
    each = f"{least:,} samples each" if least == most else f"{least:,} to {most:,} samples each"
    plural = {"image": "images", "vector": "vectors", "series": "series"}[data.kind]
    found = [
        f"# Written by sne init for {_name(data)}: {data.samples:,} {plural} of shape {list(data.shape)},",
        f"# values from {low:g} to {high:g}, {len(data.counts)} classes of {each}.",
    ]
    if most > 10 * least:
        found.append(
            "# The classes differ much in size: look at the balanced accuracy of the report, not at accuracy."
        )
    return [*found, f"# Next: sne train {visible(str(path))} --out OUT   (every key: docs/training.md)"]


def _name(data: Survey) -> str:
    return (
        visible(f"{data.source}:{data.path}" if data.source != "npz" else Path(data.path).name) or data.source
    )


def _top(name: str) -> list[Line]:
    return [
        ("name", name, "in the report"),
        ("seed", 0, "of everything random; another one shows how much luck there is"),
        ("threads", 2, "of the processor"),
    ]


def _data(data: Survey, sizes: Sizes, path: Path) -> list[Line]:
    found: list[Line] = [("source", data.source, "npz, mnist, cifar10 or digits")]
    if data.path:
        key, what = (
            ("file", "recorded events" if data.bin_width else "arrays x and y")
            if data.source == "npz"
            else ("folder", "the files as published")
        )
        relative = os.path.relpath(data.path, path.parent)
        found.append(
            (key, data.path if Path(data.path).is_absolute() else relative, f"{what}; relative to this file")
        )
    if data.source == "npz":
        what = f"of the {data.samples:,} samples: kept to measure on, never trained on"
        found += [("test", sizes.test, what), ("input", *_INPUTS[_input(data)])]
        if data.bin_width is not None:
            found += [
                ("bin_width", data.bin_width, "what a step lasts, in units of t; students.timesteps follows"),
                ("shape", list(data.shape[1:]), "of a step: [channels p, rows y, columns x], or fewer"),
            ]
        if _input(data) != "spikes":
            found.append(("input_range", list(data.input_range), "no value, also of later data, is outside"))
    found.append(
        ("validation", sizes.validation, "of the rest: kept for choices, such as the policy's threshold")
    )
    if data.kind == "image":
        what = (
            "each image moved by up to 2 pixels"
            if shifted(data)
            else "images this small are left as they are"
        )
        found.append(
            ("augment", "shift" if shifted(data) else "none", f"{what}; also crop-flip, shift-contrast, ...")
        )
    return found


def _input(data: Survey) -> str:
    """What a sample is to the students."""
    if data.kind != "series":
        return "constant"
    return "spikes" if data.binary else "current"


def _teacher(data: Survey) -> list[Line]:
    wide = data.kind == "image" and data.shape[0] > 1
    if data.kind == "series":
        kind: Line = ("architecture", "tcn", "convolutions over time; or onnx = FILE, a teacher of your own")
        more: list[Line] = [("width", 48, "channels of each")]
    elif convolved(data):
        kind = ("architecture", "cnn", "two convolutions; resnet9 is better and much slower; or onnx = FILE")
        more = [("width", 32 if wide else 16, "channels of the first convolution")]
    else:
        kind = ("architecture", "mlp", "two hidden layers; or onnx = FILE, a teacher of your own")
        more = [
            ("width", 128, "neurons of the first hidden layer"),
            ("normalise", True, "brings values of different scales to one"),
        ]
    features = max(64, 2 * len(data.counts))
    return [
        kind,
        *more,
        ("features", features, "size of its last hidden layer, divided among the students"),
        ("dropout", 0.3, "the part of its neurons that are silent in training"),
    ]


def _students(data: Survey, sizes: Sizes) -> list[Line]:
    timesteps: Line = ("timesteps", 4, "steps for a sample: more cost more, and may be more accurate")
    if data.kind == "series":
        timesteps = ("timesteps", data.shape[0], "as many as the longest series has")
    copies: Line = ("copies", sizes.copies, "augmented versions of the training set beside it")
    return [
        ("count", STUDENTS, "networks that are alike, each with its part of the features"),
        timesteps,
        ("dt_s", 1e-3, "seconds of a step"),
        ("readout", "v_mean", "what the last layer is read by: the mean of its membrane over the steps"),
        *([copies] if shifted(data) else []),
        ("surrogate_alpha", 3.0, "steepness of a spike's gradient in training"),
        ("layers", student_layers(data), ""),
    ]


_ALONE = {
    "feature": 1.0,
    "cross_entropy": 0.3,
    "logits": 0.3,
    "tau_teacher": 2.0,
    "tau_student": 2.0,
    "synops": 0.03,
}
_TOGETHER = {**_ALONE, "feature": 0.1, "cross_entropy": 1.0, "logits": 0.5, "synops": 0.1}
_MEANING = {
    "feature": "weight of the distance to the teacher's features",
    "cross_entropy": "weight of the labels",
    "logits": "weight of the teacher's logits",
    "tau_teacher": "temperature that softens them",
    "tau_student": "the same for the student's",
    "synops": "price of operations: higher is cheaper on the chip and less accurate",
    "epochs": "times that every sample is seen",
    "batch_size": "samples a step",
    "learning_rate": "at its highest; lower it if training diverges",
    "weight_decay": "keeps outliers from stretching the integers' range",
    "clip_norm": "largest norm of a gradient",
    "warmup": "part of the steps over which the rate rises",
}


def _losses(weights: dict[str, float]) -> list[Line]:
    return [(key, value, _MEANING[key]) for key, value in weights.items()]


def _schedule(epochs: int, batch_size: int, learning_rate: float, **more: float) -> list[Line]:
    values = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, **more}
    return [(key, value, _MEANING[key]) for key, value in values.items()]


def _policy() -> list[Line]:
    return [
        ("kind", "confidence", "students run one after the other until the head is sure; static: all always"),
        ("accuracy_drop", 0.005, "what that may cost on the validation samples: half a point"),
    ]


def _table(name: str, lines: Sequence[Line]) -> list[str]:
    """A table of TOML, its comments one below the other."""
    texts = [(f"{key} = {toml(value)}", comment) for key, value, comment in lines if key != "layers"]
    for key, value, _ in lines:
        if key == "layers":
            texts.append((f"{key} = [", "from the input on; a list of tables"))
            texts += [(f"  {toml(cell)},", comment) for cell, comment in value]
            texts.append(("]", ""))
    width = max((len(text) for text, _ in texts if len(text) < 50), default=0)
    head = ["", f"[{name}]"] if name else [""]
    return [
        *head,
        *(
            f"{text:<{width}}  # {comment}".rstrip(" #") if not comment else f"{text:<{width}}  # {comment}"
            for text, comment in texts
        ),
    ]


def toml(value: Any) -> str:
    """A value as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + re.sub(r'["\\\x00-\x1f\x7f-\x9f]', lambda found: _escaped(found[0]), value) + '"'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml, value)) + "]"
    return repr(value)


def _escaped(character: str) -> str:
    return f"\\{character}" if character in '"\\' else f"\\u{ord(character):04x}"


def write_experiment(data: Survey, path: Path) -> str:
    """Write the experiment file for data, which is read again before; a few words of what the data are.

    Raises
    ------
    InputError, OutputError
        The data's path cannot be written down, or the file cannot be written.
    """
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", path.stem)[:80].lstrip("_.-") or "experiment"
    text = experiment_text(data, path, name)
    try:
        content = text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{visible(data.path)}: a name that no text file can hold; rename it") from None
    parse_experiment(parse_toml(content), str(path))
    write_whole(path, content)
    plural = {"image": "images", "vector": "vectors", "series": "series"}[data.kind]
    return f"{data.samples:,} {plural} of shape {list(data.shape)}, {len(data.counts)} classes"
