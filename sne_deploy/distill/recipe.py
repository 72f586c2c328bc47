"""What fits data: numbers of samples and epochs, and the layers of students."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sne_deploy.distill.data.survey import Survey

Cell = dict[str, Any]
MIN_SHIFTED = 12
"""Pixels of an image's shorter side from which on two more or less change no label."""
MIN_CONVOLVED = 4
"""Pixels of an image's shorter side below which it is a vector: a teacher's convolutions pool it twice."""
LARGE, SMALL = 64, 8
"""Shorter sides of an image: above the first it is averaged, down to the second strided."""
STUDENTS = 4
TEACHER_SEEN, STUDENT_SEEN = 30_000, 24_000
"""Samples that the teacher, and each student, sees in all its epochs: minutes for small images."""
_LIF = {"kind": "LIFBoxCell", "tau_mem_s": 2e-3, "v_th": 0.5}
_READ = {"kind": "LIBoxCell", "tau_mem_s": 4e-3}


@dataclass(frozen=True)
class Sizes:
    """Numbers that follow from the number of samples.

    Attributes
    ----------
    test, validation : int
        Samples that are kept to measure on, and for choices.
    copies : int
        Shifted versions of the training images.
    batch, teacher_epochs, student_epochs, joint_epochs : int
    """

    test: int
    validation: int
    copies: int
    batch: int
    teacher_epochs: int
    student_epochs: int
    joint_epochs: int

    @staticmethod
    def of(data: Survey) -> Sizes:
        """For data: a fifth to test on, where no other file is for that, a sixth of the rest for choices."""
        test = max(10, data.samples // 5) if data.source == "npz" else 0
        validation = min(5000, max(10, (data.samples - test) // 6))
        train = data.samples - test - validation
        copies = (2 if train < 10_000 else 0) if shifted(data) else 0
        seen = train * (1 + copies)
        return Sizes(
            test,
            validation,
            copies,
            32 if train < 500 else 64 if train < 10_000 else 128,
            _epochs(TEACHER_SEEN, train),
            _epochs(STUDENT_SEEN, seen),
            max(1, _epochs(STUDENT_SEEN, seen) // 2),
        )


def _epochs(seen: int, samples: int) -> int:
    return min(60, max(3, round(seen / samples)))


def convolved(data: Survey) -> bool:
    """Whether samples are images that are large enough for convolutions."""
    return data.kind == "image" and min(data.shape[1:]) >= MIN_CONVOLVED


def shifted(data: Survey) -> bool:
    """Whether images may be moved by two pixels."""
    return data.kind == "image" and min(data.shape[1:]) >= MIN_SHIFTED


def student_layers(data: Survey) -> list[tuple[Cell, str]]:
    """A student's layers for samples of this shape, each with what it is there for."""
    if data.kind == "series":
        return _steps(data)
    if not convolved(data):
        return _dense(data)
    layers: list[tuple[Cell, str]] = []
    side = min(data.shape[1:])
    if side > LARGE:
        pool = side // (LARGE // 2)
        layers.append(({"kind": "AvgPool2d", "kernel": pool}, "on the host, with the first convolution"))
        side //= pool
    for index, channels in enumerate((16, 32, 32)):
        stride = 2 if side > SMALL // 2 and (side > SMALL or index) else 1
        large = index == 0 and side > 2 * SMALL
        kernel = 5 if large else 3
        conv = {"kind": "Conv2d", "out": channels, "kernel": kernel, "stride": stride, "padding": kernel // 2}
        layers += [
            ({**conv, "bias": False}, "the norm below has the bias"),
            ({"kind": "BatchNorm2d"}, "is folded into the weights"),
            (_LIF, "neurons that spike, and forget by a half every 1.4 ms"),
        ]
        side = -(-side // stride)
        if index and side <= SMALL:
            break
    return [*layers, ({"kind": "Flatten"}, "(channels, height, width) to a vector"), *_last()]


def _dense(data: Survey) -> list[tuple[Cell, str]]:
    flat = [({"kind": "Flatten"}, "to a vector")] if len(data.shape) > 1 else []
    return [
        *flat,
        ({"kind": "BatchNorm1d"}, "brings the values to one scale; is folded into the weights"),
        ({"kind": "Linear", "out": 64}, "every value to 64 neurons"),
        (_LIF, "neurons that spike, and forget by a half every 1.4 ms"),
        *_last(),
    ]


def _steps(data: Survey) -> list[tuple[Cell, str]]:
    """Layers for series, of which each sees one step: what lasts longer is in the neurons."""
    flat = [({"kind": "Flatten"}, "a step's values to a vector")] if len(data.shape) > 2 else []
    layers: list[tuple[Cell, str]] = [*flat]
    for out, tau_mem_s in ((64, 2e-3), (48, 4e-3)):
        layers += [
            ({"kind": "Linear", "out": out, "bias": False}, "the norm below has the bias"),
            ({"kind": "BatchNorm1d"}, "is folded into the weights"),
            (
                {**_LIF, "tau_mem_s": tau_mem_s},
                f"neurons that spike, and remember for {tau_mem_s * 1e3:g} steps",
            ),
        ]
    return [*layers, *_last()]


def _last() -> list[tuple[Cell, str]]:
    return [
        ({"kind": "Linear"}, "to as many outputs as the student has features"),
        (_READ, "neurons that only integrate, for the readout"),
    ]
